//! One transformer block.

use burn::module::Module;
use burn::tensor::{Device, Tensor, s};

use super::{
    Attention, DropPath, FoldedPrompts, Hook, LayerNorm, LayerScale, Mlp, PatchMerging, Positions, Site,
    VitConfig,
};

/// What a block is given beside its tokens.
#[derive(Debug, Clone, Default)]
pub struct BlockOptions<'a> {
    /// Prompts `[1 or batch, P, D]` that take part as keys and values only; their outputs are not computed.
    pub prompts: Option<Tensor<3>>,
    /// The same, projected before, for the parts of a batch whose images are of different tasks; they take the place of
    /// `prompts` where there are any.
    pub folded: Vec<FoldedPrompts>,
    /// Compute only the first rows of the output (past keys and values).
    pub rows: Option<usize>,
    /// Factors `[batch, 1, 1]` of the two residual branches, see [`DropPath::sample`].
    pub drop_path: [Option<Tensor<3>>; 2],
    /// What changes the block's operations.
    pub hook: Hook<'a>,
}

/// Pre-norm transformer block, timm's `Block`.
#[derive(Module, Debug)]
pub struct Block {
    /// Merges patches where the block begins a stage (Swin); see [`Block::enter`].
    pub downsample: Option<PatchMerging>,
    /// Before the attention.
    pub norm1: LayerNorm,
    /// Self-attention.
    pub attn: Attention,
    /// Scale of the attention branch.
    pub ls1: Option<LayerScale>,
    /// Before the MLP.
    pub norm2: LayerNorm,
    /// Feed-forward half.
    pub mlp: Mlp,
    /// Scale of the MLP branch.
    pub ls2: Option<LayerScale>,
    /// Stochastic depth of both branches.
    pub drop_path: DropPath,
}

impl Block {
    /// Block `i` of a model for images of `image_size`, whose parameters are to be loaded; `drop_path` is its probability of
    /// dropping a branch, `positions` are those of the image.
    pub fn new(
        config: &VitConfig,
        i: usize,
        image_size: [usize; 2],
        positions: &Positions,
        drop_path: f64,
        device: &Device,
    ) -> Self {
        let positions = positions.of_block(config, i, image_size, device);
        let bias_grid = config.bias_grid(i, config.img_size);
        let downsample = config.merges_before(i).then(|| {
            let before = config.stage_of(i - 1);
            let grid = config.grid_in(before, image_size);
            PatchMerging::new(config, config.width_of(before), grid, device)
        });
        let config = &*config.at_block(i);
        let norm = || LayerNorm::new(config.embed_dim, config.norm_eps, device);
        let scale = || {
            config
                .init_values
                .map(|_| LayerScale::new(config.embed_dim, device))
        };
        Self {
            downsample,
            norm1: norm(),
            attn: Attention::new(config, bias_grid, positions, device),
            ls1: scale(),
            norm2: norm(),
            mlp: Mlp::new(config, device),
            ls2: scale(),
            drop_path: DropPath::new(drop_path),
        }
    }

    /// The tokens at the block's width: merged where a stage begins, otherwise as they are. Tokens behind the patches (prompts
    /// that flow on) stay behind them.
    pub fn enter(&self, tokens: Tensor<3>, hook: Hook<'_>) -> Tensor<3> {
        match &self.downsample {
            Some(downsample) => downsample.forward(tokens, hook),
            None => tokens,
        }
    }

    /// Entered tokens through the block: `[batch, tokens, D] → [batch, rows, D]`; all rows unless [`BlockOptions::rows`] limits them.
    pub fn forward(&self, x: Tensor<3>, options: BlockOptions<'_>) -> Tensor<3> {
        let BlockOptions {
            prompts,
            folded,
            rows,
            drop_path: [drop_attn, drop_mlp],
            hook,
        } = options;
        let norm1 = |x| hook.around(Site::Norm1, x, |x| self.norm1.forward(x));
        let (normed, prompts) = (norm1(x.clone()), prompts.map(norm1));
        let x = match rows {
            Some(rows) => x.slice(s![.., ..rows]),
            None => x,
        };
        let attended = hook.around(Site::Attn, x.clone(), |_| {
            let attended = match folded.is_empty() {
                true => self.attn.forward(normed, prompts, rows, hook),
                false => self.attn.forward_parts(normed, &folded, rows, hook),
            };
            scaled(self.ls1.as_ref(), attended)
        });
        let x = x + DropPath::forward(attended, drop_attn);
        let fed = hook.around(Site::Mlp, x.clone(), |x| {
            let normed = hook.around(Site::Norm2, x, |x| self.norm2.forward(x));
            scaled(self.ls2.as_ref(), self.mlp.forward(normed, hook))
        });
        x + DropPath::forward(fed, drop_mlp)
    }
}

impl Block {
    /// Prompts `[sets, P, D]` as this block's attention sees them, `[sets, P, 3 D]`: what [`FoldedPrompts`] hold.
    pub fn fold(&self, prompts: Tensor<3>) -> Tensor<3> {
        self.attn.keys_and_values(self.norm1.forward(prompts))
    }

    /// How much each token attends to each, see [`Attention::weights`]: `[batch, tokens, D] → [batch, heads, tokens,
    /// tokens]`.
    pub fn attention_weights(&self, x: Tensor<3>, hook: Hook<'_>) -> Tensor<4> {
        let normed = hook.around(Site::Norm1, x, |x| self.norm1.forward(x));
        self.attn.weights(normed, hook)
    }
}

/// The branch after its LayerScale, if it has one.
fn scaled(scale: Option<&LayerScale>, branch: Tensor<3>) -> Tensor<3> {
    match scale {
        Some(scale) => scale.forward(branch),
        None => branch,
    }
}
