//! The Vision Transformer.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData, s};
use rand_pcg::Pcg64;

use super::{
    AttentionPool, Block, BlockOptions, GlobalPool, Hook, LayerNorm, PatchEmbed, PosEmbedResampling,
    Positions, Readout, Site, TokensAt, VitConfig, placeholder,
};
use crate::CoreError;

/// Patches of an image that no model comes near: their attention alone would take 16 GB for each head.
const MOST_PATCHES: usize = 1 << 16;

/// The same where every pair of them has a place in memory.
const MOST_RELATIVE_PATCHES: usize = 1 << 12;

/// A Vision Transformer without head, timm's `VisionTransformer`.
///
/// Tokens are `[class token, distillation token, registers, patches]`, as far as the model has them.
/// Field names are timm's, so a parameter's path is its name in a timm state dict.
#[derive(Module, Debug)]
pub struct VisionTransformer {
    /// Image to patch tokens.
    pub patch_embed: PatchEmbed,
    /// Class token `[1, 1, D]`.
    pub cls_token: Option<Param<Tensor<3>>>,
    /// Distillation token `[1, 1, D]` (DeiT).
    pub dist_token: Option<Param<Tensor<3>>>,
    /// Register tokens `[1, R, D]`.
    pub reg_token: Option<Param<Tensor<3>>>,
    /// Position embedding `[1, rows, D]` of the image size the weights were trained for (DINOv3 has none).
    pub pos_embed: Option<Param<Tensor<3>>>,
    /// Before the first block (CLIP).
    pub norm_pre: Option<LayerNorm>,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// After the last block.
    pub norm: Option<LayerNorm>,
    /// Pooling by attention (SigLIP).
    pub attn_pool: Option<AttentionPool>,
    /// After the pooling.
    pub fc_norm: Option<LayerNorm>,
    /// `[patches, trained patches]`, none at the trained image size.
    resampling: Option<Tensor<2>>,
    #[module(skip)]
    config: VitConfig,
    image_size: [usize; 2],
}

impl VisionTransformer {
    /// A model for images of `image_size` (`[height, width]`) whose parameters are to be loaded.
    ///
    /// # Errors
    /// [`CoreError::ImageSize`] when patches do not tile the image, [`CoreError::Setting`] when the
    /// configuration contradicts itself.
    pub fn new(config: &VitConfig, image_size: [usize; 2], device: &Device) -> Result<Self, CoreError> {
        check(config)?;
        let most = if config.rel_pos_bias && config.swin.is_none() {
            MOST_RELATIVE_PATCHES
        } else {
            MOST_PATCHES
        };
        if config.grid_for(image_size).iter().product::<usize>() > most {
            let size = format!("{} x {}", image_size[0], image_size[1]);
            let expected = format!("at most {most} patches");
            return Err(CoreError::setting("img_size", size, &expected));
        }
        let patch = config.patch_size;
        if (0..2).any(|axis| image_size[axis] == 0 || !image_size[axis].is_multiple_of(patch[axis])) {
            return Err(CoreError::ImageSize {
                size: image_size,
                patch,
            });
        }
        let dim = config.embed_dim;
        let norm = |wanted: bool, dim: usize| wanted.then(|| LayerNorm::new(dim, config.norm_eps, device));
        let positions = Positions::of_image(config, image_size, device);
        let token = |count: usize| (count > 0).then(|| placeholder([1, count, dim], device));
        Ok(Self {
            patch_embed: PatchEmbed::new(config, device),
            cls_token: token(config.class_token.into()),
            dist_token: token(config.distilled.into()),
            reg_token: token(config.reg_tokens),
            pos_embed: token(config.num_pos_embed_tokens()),
            norm_pre: norm(config.pre_norm, dim),
            blocks: (0..config.depth)
                .map(|i| {
                    let drop_path = drop_path_rate(config, i);
                    Block::new(config, i, image_size, &positions, drop_path, device)
                })
                .collect(),
            norm: norm(config.final_norm, config.num_features()),
            attn_pool: (config.global_pool == GlobalPool::Map).then(|| AttentionPool::new(config, device)),
            fc_norm: norm(config.fc_norm, config.num_features()),
            resampling: resampling(config, image_size, device),
            config: config.clone(),
            image_size,
        })
    }

    /// The hyper-parameters.
    pub fn config(&self) -> &VitConfig {
        &self.config
    }

    /// Image size `[height, width]` that this model takes.
    pub fn image_size(&self) -> [usize; 2] {
        self.image_size
    }

    /// Tokens of one image behind the last block, prefix included.
    pub fn num_tokens(&self) -> usize {
        self.num_tokens_at(self.config.depth - 1)
    }

    /// Tokens of one image in block `i`, prefix included.
    pub fn num_tokens_at(&self, i: usize) -> usize {
        let [rows, columns] = self.config.grid_in(self.config.stage_of(i), self.image_size);
        self.config.num_prefix_tokens() + rows * columns
    }

    /// Where the patches are among the tokens behind the last block.
    pub fn patches(&self) -> Range<usize> {
        self.config.num_prefix_tokens()..self.num_tokens()
    }

    /// Rows and columns of the patches behind the last block.
    pub fn grid(&self) -> [usize; 2] {
        let stage = self.config.stage_of(self.config.depth - 1);
        self.config.grid_in(stage, self.image_size)
    }

    /// What timm's head reads: the class token, the mean over the patches, or what the attention pooling finds in them.
    pub fn readout(&self) -> Readout {
        match self.config.global_pool {
            GlobalPool::Token => Readout::First(1),
            GlobalPool::Avg => Readout::Mean(self.patches()),
            GlobalPool::Map => Readout::Map(0..self.num_tokens()),
        }
    }

    /// Image to tokens with position embedding: `[batch, channels, height, width] → [batch, tokens, D]`.
    pub fn embed(&self, pixels: Tensor<4>, hook: Hook<'_>) -> Tensor<3> {
        let patches = self.patch_embed.forward(pixels, hook);
        let [batch, _, dim] = patches.dims();
        let (prefix_positions, patch_positions) = self.positions();
        let patches = match patch_positions {
            Some(positions) => patches + positions,
            None => patches,
        };
        let prefix = match (self.prefix(), prefix_positions) {
            (None, _) => return patches,
            (Some(prefix), None) => prefix,
            (Some(prefix), Some(positions)) => prefix + positions,
        };
        let count = prefix.dims()[1];
        Tensor::cat(vec![prefix.expand([batch, count, dim]), patches], 1)
    }

    /// The normalisation before the blocks, if the model has one.
    pub fn normalise_input(&self, tokens: Tensor<3>, hook: Hook<'_>) -> Tensor<3> {
        match &self.norm_pre {
            Some(norm) => hook.around(Site::NormPre, tokens, |tokens| norm.forward(tokens)),
            None => tokens,
        }
    }

    /// The tokens that enter the first block.
    pub fn tokens(&self, pixels: Tensor<4>, hook: Hook<'_>) -> Tensor<3> {
        self.normalise_input(self.embed(pixels, hook), hook)
    }

    /// The tokens that enter block `block`, without stochastic depth and without what a method adds.
    pub fn tokens_at(&self, pixels: Tensor<4>, block: usize) -> TokensAt {
        let mut tokens = self.tokens(pixels, Hook::none());
        for block in &self.blocks[..block] {
            let entered = block.enter(tokens, Hook::none());
            tokens = block.forward(entered, BlockOptions::default());
        }
        TokensAt { block, tokens }
    }

    /// Runs the blocks before block `end` that `tokens` have not passed, `[batch, tokens, D] → [batch, rows, D]`; the last of all
    /// computes only the rows that `readout` needs. `observe` sees the output of each block.
    pub fn forward_blocks(
        &self,
        tokens: impl Into<TokensAt>,
        end: usize,
        readout: &Readout,
        drop_path: &DropPathFactors,
        hook: Hook<'_>,
        observe: &mut dyn FnMut(usize, &Tensor<3>),
    ) -> Tensor<3> {
        let TokensAt { block, mut tokens } = tokens.into();
        for (i, block) in self.blocks.iter().enumerate().take(end).skip(block) {
            let options = BlockOptions {
                rows: self.rows_after(i, readout),
                drop_path: drop_path.of(i),
                hook: hook.at(i),
                ..BlockOptions::default()
            };
            tokens = block.forward(block.enter(tokens, options.hook), options);
            observe(i, &tokens);
        }
        tokens
    }

    /// How many leading rows block `i` has to compute for `readout`; none for all.
    pub fn rows_after(&self, i: usize, readout: &Readout) -> Option<usize> {
        if i + 1 == self.blocks.len() {
            readout.rows()
        } else {
            None
        }
    }

    /// All tokens after the final norm, timm's `forward_features`: `[batch, channels, height, width] →
    /// [batch, tokens, D]`.
    pub fn forward_features(&self, pixels: Tensor<4>) -> Tensor<3> {
        let all = Readout::Mean(0..self.num_tokens());
        let tokens = self.forward_blocks(
            self.tokens(pixels, Hook::none()),
            self.blocks.len(),
            &all,
            &DropPathFactors::none(),
            Hook::none(),
            &mut |_, _| {},
        );
        self.normalise_output(tokens, Hook::none())
    }

    /// The final norm, if the model has one.
    pub fn normalise_output(&self, tokens: Tensor<3>, hook: Hook<'_>) -> Tensor<3> {
        let last = hook.at(self.blocks.len() - 1);
        last.around(Site::Norm, tokens, |tokens| match &self.norm {
            Some(norm) => norm.forward(tokens),
            None => tokens,
        })
    }

    /// From the last block's tokens to what the head reads: final norm, pooling, `fc_norm`.
    /// `[batch, tokens, D] → [batch, width · D]`.
    pub fn pool(&self, tokens: Tensor<3>, readout: &Readout, hook: Hook<'_>) -> Tensor<2> {
        let [batch, _, dim] = tokens.dims();
        let pooled = match readout {
            Readout::First(count) => {
                let read = self.normalise_output(tokens.slice(s![.., ..*count]), hook);
                read.reshape([batch, count * dim])
            }
            Readout::Mean(range) => {
                let normed = self.normalise_output(tokens, hook);
                normed
                    .slice(s![.., range.clone()])
                    .mean_dim(1)
                    .reshape([batch, dim])
            }
            Readout::Map(range) => {
                let normed = self.normalise_output(tokens, hook).slice(s![.., range.clone()]);
                match &self.attn_pool {
                    Some(pool) => pool.forward(normed),
                    None => normed.mean_dim(1).reshape([batch, dim]),
                }
            }
        };
        match &self.fc_norm {
            Some(norm) => norm.forward(pooled),
            None => pooled,
        }
    }

    /// The last block's tokens of the patches as a map, behind every norm that the model has: `[batch, tokens, D] → [batch, rows, columns, D]`.
    pub fn as_map(&self, tokens: Tensor<3>, hook: Hook<'_>) -> Tensor<4> {
        let [batch, _, dim] = tokens.dims();
        let [rows, columns] = self.grid();
        let normed = self.normalise_output(tokens.slice(s![.., self.patches()]), hook);
        let normed = match &self.fc_norm {
            Some(norm) => norm.forward(normed),
            None => normed,
        };
        normed.reshape([batch, rows, columns, dim])
    }

    /// How much of each of the last block's tokens `readout` reads: `[batch, tokens, D] → [batch, tokens]`.
    pub fn reading(&self, tokens: Tensor<3>, readout: &Readout, hook: Hook<'_>) -> Tensor<2> {
        let [batch, count, _] = tokens.dims();
        let device = tokens.device();
        let range = match readout {
            Readout::First(count) => 0..*count,
            Readout::Mean(range) | Readout::Map(range) => range.clone(),
        };
        let read = match (readout, &self.attn_pool) {
            (Readout::Map(_), Some(pool)) => {
                let normed = self.normalise_output(tokens, hook).slice(s![.., range.clone()]);
                pool.weights(normed).mean_dim(1).squeeze_dim::<2>(1)
            }
            _ => Tensor::full([batch, range.len()], 1.0 / range.len() as f64, &device),
        };
        let others = |count: usize| Tensor::zeros([batch, count], &device);
        Tensor::cat(vec![others(range.start), read, others(count - range.end)], 1)
    }

    /// Draws the stochastic-depth factors of one training step.
    pub fn sample_drop_path(&self, batch: usize, rng: &mut Pcg64) -> DropPathFactors {
        let device = self.patch_embed.proj.weight.lazy_device();
        let draw = |block: &Block, rng: &mut Pcg64| {
            let attn = block.drop_path.sample(batch, rng, &device);
            let mlp = block.drop_path.sample(batch, rng, &device);
            [attn, mlp]
        };
        DropPathFactors(self.blocks.iter().map(|block| draw(block, rng)).collect())
    }

    /// Sets what the configuration says about biases to what the layers have.
    pub(crate) fn note_biases(&mut self) {
        self.config.patch_bias = self.patch_embed.proj.bias.is_some();
        self.config.qkv_bias = self.blocks.iter().any(|block| block.attn.qkv.bias.is_some());
    }

    /// Class token, distillation token and registers, `[1, prefix, D]`.
    pub(crate) fn prefix(&self) -> Option<Tensor<3>> {
        let tokens: Vec<_> = [&self.cls_token, &self.dist_token, &self.reg_token]
            .into_iter()
            .flatten()
            .map(Param::val)
            .collect();
        (!tokens.is_empty()).then(|| Tensor::cat(tokens, 1))
    }

    /// Position embeddings of the prefix and of the patches at this image size, where they have any.
    pub(crate) fn positions(&self) -> (Option<Tensor<3>>, Option<Tensor<3>>) {
        let embedded = self.config.num_embedded_prefix_tokens();
        let Some(positions) = self.pos_embed.as_ref().map(Param::val) else {
            return (None, None);
        };
        let (prefix, patches) = match embedded {
            0 => (None, positions),
            _ => (
                Some(positions.clone().slice(s![.., ..embedded])),
                positions.slice(s![.., embedded..]),
            ),
        };
        let patches = match &self.resampling {
            None => patches,
            Some(matrix) => matrix.clone().unsqueeze::<3>().matmul(patches),
        };
        (prefix, Some(patches))
    }
}

/// Stochastic-depth factors of one training step, per block; see [`VisionTransformer::sample_drop_path`].
#[derive(Debug, Clone, Default)]
pub struct DropPathFactors(Vec<[Option<Tensor<3>>; 2]>);

impl DropPathFactors {
    /// No branch is dropped.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same below the tape.
    pub fn inner(self) -> Self {
        self.map(|factors| factors.clone().inner())
    }

    /// Changes the factors `[batch, 1, 1]` of every branch.
    pub fn map(&self, change: impl Fn(&Tensor<3>) -> Tensor<3>) -> Self {
        let of_block = |branches: &[Option<Tensor<3>>; 2]| {
            let [attn, mlp] = branches;
            [attn.as_ref().map(&change), mlp.as_ref().map(&change)]
        };
        Self(self.0.iter().map(of_block).collect())
    }

    /// The factors of block `i`.
    pub fn of(&self, i: usize) -> [Option<Tensor<3>>; 2] {
        self.0.get(i).cloned().unwrap_or_default()
    }
}

/// The drop probability of block `i`, growing linearly to `drop_path` at the last.
fn drop_path_rate(config: &VitConfig, i: usize) -> f64 {
    match config.depth {
        1 => config.drop_path,
        depth => config.drop_path * i as f64 / (depth - 1) as f64,
    }
}

/// The matrix from trained to actual patch positions, none when they are the same or there are none.
fn resampling(config: &VitConfig, image_size: [usize; 2], device: &Device) -> Option<Tensor<2>> {
    let (trained, actual) = (config.grid_size(), config.grid_for(image_size));
    (config.pos_embed && trained != actual).then(|| {
        let matrix = PosEmbedResampling::BicubicAntialias.matrix(trained, actual);
        let data: Vec<f32> = matrix.iter().map(|&weight| weight as f32).collect();
        let shape = [actual[0] * actual[1], trained[0] * trained[1]];
        Tensor::from_data(TensorData::new(data, shape), device)
    })
}

/// Rejects configurations that no model can have.
fn check(config: &VitConfig) -> Result<(), CoreError> {
    let fail = |name: &str, value: String, expected: &str| Err(CoreError::setting(name, value, expected));
    match config {
        VitConfig { depth: 0, .. } => fail("depth", "0".into(), "at least one block"),
        VitConfig { embed_dim: 0, .. } => fail("embed_dim", "0".into(), "a positive width"),
        VitConfig {
            patch_size: [0, _] | [_, 0],
            ..
        } => fail(
            "patch_size",
            format!("{:?}", config.patch_size),
            "two positive sizes",
        ),
        _ if config.num_heads == 0 || !config.embed_dim.is_multiple_of(config.num_heads) => fail(
            "num_heads",
            config.num_heads.to_string(),
            &format!("a divisor of embed_dim, {}", config.embed_dim),
        ),
        _ if config.grid_size().contains(&0) => fail(
            "img_size",
            format!("{:?}", config.img_size),
            &format!("at least one patch of {:?}", config.patch_size),
        ),
        _ if config.global_pool == GlobalPool::Token && !config.class_token => fail(
            "global_pool",
            "token".into(),
            "avg, for a model without class token",
        ),
        _ if config.gated_mlp && !config.mlp_fc1().is_multiple_of(2) => fail(
            "mlp_ratio",
            config.mlp_ratio.to_string(),
            "an even number of hidden channels for a gated MLP",
        ),
        _ if config.rope.is_some() && !config.head_dim().is_multiple_of(4) => fail(
            "num_heads",
            config.num_heads.to_string(),
            "heads of a multiple of four channels, which rotary embeddings turn in pairs on two axes",
        ),
        _ if config.rel_pos_bias && config.swin.is_none() && config.num_prefix_tokens() != 1 => fail(
            "num_prefix_tokens",
            config.num_prefix_tokens().to_string(),
            "a class token alone, for a model with relative position biases",
        ),
        _ if !(0.0..1.0).contains(&config.drop_path) => {
            fail("drop_path", config.drop_path.to_string(), "a probability below 1")
        }
        _ => config
            .check_stages()
            .map_err(|(name, value, expected)| CoreError::setting(name, value, &expected)),
    }
}
