//! [`Prompts`]: the learned tokens and their way through the blocks.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor, TensorData, s};
use rand_pcg::Pcg64;

use super::{PromptConfig, PromptSets};
use crate::HostTensor;
use crate::init;
use crate::vit::{
    Block, BlockOptions, DropPathFactors, FoldedPrompts, Hook, Readout, TokensAt, VisionTransformer,
    VitConfig, inverted_dropout, linear, placeholder,
};

/// How deep prompts are computed. Both forms give the same logits and gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PromptForm {
    /// A block whose prompt outputs nobody reads takes its prompts as keys and values only; the last
    /// block computes only the rows that the head reads.
    #[default]
    KeyValue,
    /// As the reference does: prompts are tokens like any other, and are overwritten before each block.
    Plain,
}

/// Learned prompt tokens, with a projection if they are narrower than the backbone's tokens.
///
/// Prompts stand behind the patches: `[prefix, patches, prompts]`. The reference puts them before the
/// patches; attention has no order, so nothing but rounding depends on it.
#[derive(Module, Debug)]
pub struct Prompts {
    /// Learned tokens `[sets, P, d]`: one set per prompted block, or one for all. A backbone whose tokens grow wider from
    /// stage to stage (Swin) has such a tensor for each prompted stage.
    pub tokens: Vec<Param<Tensor<3>>>,
    /// Projection `[d → D]`, shared by all sets.
    pub proj: Option<Linear>,
    /// Gates before their sigmoid, one behind each block but the last; see [`PromptConfig::gate`].
    pub gate: Option<Param<Tensor<1>>>,
    #[module(skip)]
    config: PromptConfig,
    /// See [`Prompts::fold`].
    #[module(skip)]
    folded: Option<Vec<Option<Tensor<3>>>>,
}

/// Gates before training, before their sigmoid. The official code starts at a value that is searched for each task; here the
/// blocks begin with half of each.
const GATE: f32 = 0.0;

/// What one training step draws at random, or nothing.
#[derive(Debug, Clone, Default)]
pub struct Noise {
    /// Dropout factors `[batch, P, D]` of the prompts of each prompted block; empty without dropout.
    pub prompts: Vec<Tensor<3>>,
    /// Stochastic depth.
    pub drop_path: DropPathFactors,
}

/// How tokens pass the blocks.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a> {
    /// What is read of them behind the last block.
    pub readout: &'a Readout,
    /// What a training step draws at random.
    pub noise: &'a Noise,
    /// How prompts are computed.
    pub form: PromptForm,
    /// The block in front of which they stop; none to pass them all.
    pub end: Option<usize>,
}

impl Noise {
    /// No randomness, as in evaluation.
    pub fn none() -> Self {
        Self::default()
    }

    /// That of some images of the batch, on a device.
    pub fn of_images(&self, images: Range<usize>, device: &Device) -> Self {
        let own = |factors: &Tensor<3>| factors.clone().slice(s![images.clone()]).to_device(device);
        Self {
            prompts: self.prompts.iter().map(own).collect(),
            drop_path: self.drop_path.map(own),
        }
    }

    /// The same below the tape.
    pub fn inner(self) -> Self {
        Self {
            prompts: self.prompts.into_iter().map(Tensor::inner).collect(),
            drop_path: self.drop_path.inner(),
        }
    }
}

impl Prompts {
    /// Prompts for a backbone whose values are to be loaded.
    pub fn new(config: &PromptConfig, vit: &VitConfig, device: &Device) -> Self {
        let tokens = |sets: PromptSets| placeholder([sets.count, config.num_tokens, sets.width], device);
        Self {
            tokens: config.sets(vit).into_iter().map(tokens).collect(),
            proj: config
                .project_dim
                .map(|width| linear(width, vit.embed_dim, true, device)),
            gate: config
                .gate
                .then(|| placeholder([config.num_gates(vit.depth)], device)),
            config: config.clone(),
            folded: None,
        }
    }

    /// Initial values by task-file name: uniform prompts; a projection that is normal with
    /// variance `2 / D` (Kaiming, fan out) and has no bias.
    pub fn initial_tensors(
        config: &PromptConfig,
        vit: &VitConfig,
        seed: u64,
    ) -> BTreeMap<String, HostTensor> {
        let bound = config.init_bound(vit);
        let mut rng = init::rng_of(seed, "prompts");
        let mut tensors = BTreeMap::new();
        for (i, sets) in config.sets(vit).into_iter().enumerate() {
            let shape = [sets.count, config.num_tokens, sets.width];
            tensors.insert(Self::name(i), init::uniform(shape, bound, &mut rng));
        }
        if let Some(width) = config.project_dim {
            let std = (2.0 / vit.embed_dim as f64).sqrt();
            let mut rng = init::rng_of(seed, "prompt_proj.weight");
            let weight = init::normal([vit.embed_dim, width], std, &mut rng);
            tensors.insert("prompt_proj.weight".to_owned(), weight);
            let bias = HostTensor::full([vit.embed_dim], 0.0);
            tensors.insert("prompt_proj.bias".to_owned(), bias);
        }
        if config.gate {
            let gates = HostTensor::full([config.num_gates(vit.depth)], GATE);
            tensors.insert("prompt_gate".to_owned(), gates);
        }
        tensors
    }

    /// What a task file calls the `i`-th tensor of prompts: `prompts`, and for a backbone of several widths `prompts.1` and
    /// so on.
    pub fn name(i: usize) -> String {
        match i {
            0 => "prompts".to_owned(),
            _ => format!("prompts.{i}"),
        }
    }

    /// The options.
    pub fn config(&self) -> &PromptConfig {
        &self.config
    }

    /// Dropout factors `[batch, P, D]` of each prompted block for one training step; none without dropout.
    pub fn sample_dropout(&self, vit: &VisionTransformer, batch: usize, rng: &mut Pcg64) -> Vec<Tensor<3>> {
        let PromptConfig {
            dropout, num_tokens, ..
        } = self.config;
        if dropout == 0.0 {
            return Vec::new();
        }
        let device = vit.patch_embed.proj.weight.lazy_device();
        let mut draw = |i: usize| {
            let width = vit.config().width_of(vit.config().stage_of(i));
            let shape = [batch, num_tokens, width];
            let data = inverted_dropout(shape.iter().product(), dropout, rng);
            Tensor::from_data(TensorData::new(data, shape), &device)
        };
        self.config
            .prompted_blocks(vit.blocks.len())
            .map(&mut draw)
            .collect()
    }

    /// What the head reads.
    pub fn readout(&self, vit: &VisionTransformer) -> Readout {
        let prefix = vit.config().num_prefix_tokens();
        self.config.readout(vit.readout(), prefix, vit.num_tokens())
    }

    /// Through the blocks that `tokens` have not passed. Where prompts flow on from block to block, those of the blocks before
    /// are among the tokens.
    ///
    /// # Shapes
    /// - tokens: `[batch, T, D]`, after `norm_pre`
    /// - output: `[batch, rows, D]`: the rows that the readout needs, or `T`, or `T + P` when prompts
    ///   flow out of the last block
    pub fn forward_blocks(
        &self,
        vit: &VisionTransformer,
        tokens: TokensAt,
        pass: Pass<'_>,
        observe: &mut dyn FnMut(usize, &Tensor<3>),
    ) -> Tensor<3> {
        let Pass {
            readout,
            noise,
            form,
            end,
        } = pass;
        let end = end.unwrap_or(vit.blocks.len());
        let prompted = self.config.prompted_blocks(vit.blocks.len());
        let sets = self.project();
        let hook = Hook::none();
        let TokensAt { block, mut tokens } = tokens;
        for (i, block) in vit.blocks.iter().enumerate().take(end).skip(block) {
            let num_tokens = vit.num_tokens_at(i);
            tokens = block.enter(tokens, hook);
            let mut options = BlockOptions {
                rows: match form {
                    PromptForm::KeyValue => vit.rows_after(i, readout),
                    PromptForm::Plain => None,
                },
                drop_path: noise.drop_path.of(i),
                hook,
                ..BlockOptions::default()
            };
            if let Some(folded) = self.folded_at(i, form) {
                options.folded = vec![FoldedPrompts {
                    images: tokens.dims()[0],
                    qkv: Some(folded),
                }];
            } else if prompted.contains(&i) {
                let mut prompts = self.entering(vit, &sets, i);
                if let Some(factors) = noise.prompts.get(i - prompted.start) {
                    prompts = prompts * factors.clone();
                }
                if i == 0 && self.config.before_norm_pre {
                    prompts = vit.normalise_input(prompts, hook);
                }
                match form {
                    PromptForm::KeyValue if !self.outputs_read(vit, readout, i) => {
                        options.prompts = Some(prompts);
                    }
                    _ => tokens = with_prompts(tokens.slice(s![.., ..num_tokens]), prompts),
                }
            }
            let entering = self.gate.is_some().then(|| tokens.clone());
            tokens = self.gated(vit, i, entering, block.forward(tokens, options));
            observe(i, &tokens);
        }
        tokens
    }

    /// Projects the prompts once, to the keys and values of each block, for a model whose prompts do not change any more. Nothing
    /// is done for those that flow on from block to block, whose outputs are read, nor for attention within windows.
    pub(crate) fn fold(&mut self, vit: &VisionTransformer, readout: &Readout) {
        let depth = vit.blocks.len();
        let prompted = self.config.prompted_blocks(depth);
        let outputs_read = prompted.end < depth || readout.reads_from(vit.num_tokens());
        let windows = vit.config().swin.is_some();
        if outputs_read || windows || self.gate.is_some() || self.folded.is_some() {
            return;
        }
        let sets = self.project();
        let fold = |(i, block): (usize, &Block)| {
            let prompts = self.of_block(vit, &sets, i)?;
            Some(block.fold(prompts))
        };
        self.folded = Some(vit.blocks.iter().enumerate().map(fold).collect());
    }

    /// Forgets what [`Prompts::fold`] made, for prompts that change.
    pub(crate) fn unfold(&mut self) {
        self.folded = None;
    }

    /// Keys and values of each block, `[1, P, 3 D]`, see [`Block::fold`]: none before [`Prompts::fold`], or where it did nothing.
    pub(crate) fn folded(&self) -> Option<&[Option<Tensor<3>>]> {
        self.folded.as_deref()
    }

    /// The keys and values of block `i`, where they are projected already.
    fn folded_at(&self, i: usize, form: PromptForm) -> Option<Tensor<3>> {
        let folded = self.folded.as_ref().filter(|_| form == PromptForm::KeyValue)?;
        folded[i].clone()
    }

    /// The prompts that block `i` gets, `[1, P, D]`, none where it gets none.
    pub(crate) fn at_block(&self, vit: &VisionTransformer, i: usize) -> Option<Tensor<3>> {
        self.of_block(vit, &self.project(), i)
    }

    /// [`Prompts::at_block`] from all sets, projected already.
    fn of_block(&self, vit: &VisionTransformer, sets: &[Tensor<3>], i: usize) -> Option<Tensor<3>> {
        let prompted = self.config.prompted_blocks(vit.blocks.len());
        prompted.contains(&i).then(|| {
            let prompts = self.entering(vit, sets, i);
            match i == 0 && self.config.before_norm_pre {
                true => vit.normalise_input(prompts, Hook::none()),
                false => prompts,
            }
        })
    }

    /// Whether anyone reads what block `i`, which gets prompts, makes of them.
    pub(crate) fn outputs_read(&self, vit: &VisionTransformer, readout: &Readout, i: usize) -> bool {
        let (depth, next) = (vit.blocks.len(), i + 1);
        let last_set = next == self.config.prompted_blocks(depth).end;
        last_set && (next < depth || readout.reads_from(vit.num_tokens_at(i)))
    }

    /// The tokens that block `i` sees in the plain form, with fresh prompts where the block gets them, without dropout.
    pub(crate) fn enter(&self, vit: &VisionTransformer, i: usize, tokens: Tensor<3>) -> Tensor<3> {
        let tokens = vit.blocks[i].enter(tokens, Hook::none());
        match self.at_block(vit, i) {
            Some(prompts) => with_prompts(tokens.slice(s![.., ..vit.num_tokens_at(i)]), prompts),
            None => tokens,
        }
    }

    /// What leaves block `i`, its prompts mixed with those that entered it where there is a gate.
    pub(crate) fn gated(
        &self,
        vit: &VisionTransformer,
        i: usize,
        entering: Option<Tensor<3>>,
        leaving: Tensor<3>,
    ) -> Tensor<3> {
        let (Some(gates), Some(entering), true) = (&self.gate, entering, i + 1 < vit.blocks.len()) else {
            return leaving;
        };
        let own = vit.num_tokens_at(i);
        let gate = sigmoid(gates.val().slice(s![i..=i])).unsqueeze::<3>();
        let before = entering.slice(s![.., own..]);
        let after = leaving.clone().slice(s![.., own..]);
        let mixed = before.clone() + gate * (after - before);
        Tensor::cat(vec![leaving.slice(s![.., ..own]), mixed], 1)
    }

    /// All sets at the backbone's width, `[sets, P, D]` for each prompted stage.
    fn project(&self) -> Vec<Tensor<3>> {
        let wide = |tokens: &Param<Tensor<3>>| match &self.proj {
            Some(proj) => proj.forward(tokens.val()),
            None => tokens.val(),
        };
        self.tokens.iter().map(wide).collect()
    }

    /// The prompts of block `i`, `[1, P, D]`.
    fn entering(&self, vit: &VisionTransformer, sets: &[Tensor<3>], i: usize) -> Tensor<3> {
        let (first, config) = (self.config.prompted_blocks(vit.blocks.len()).start, vit.config());
        let of_stage = sets[config.stage_of(i) - config.stage_of(first)].clone();
        if self.config.shared {
            return of_stage;
        }
        // The first prompted block of the same stage.
        let start = (first..i)
            .find(|&other| config.stage_of(other) == config.stage_of(i))
            .unwrap_or(i);
        of_stage.slice(s![i - start..=i - start])
    }
}

/// `[batch, T, D]` and `[1 or batch, P, D]` to `[batch, T + P, D]`.
fn with_prompts(tokens: Tensor<3>, prompts: Tensor<3>) -> Tensor<3> {
    let [batch, _, dim] = tokens.dims();
    let count = prompts.dims()[1];
    Tensor::cat(vec![tokens, prompts.expand([batch, count, dim])], 1)
}
