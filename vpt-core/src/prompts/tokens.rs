//! [`Prompts`]: the learned tokens and their way through the blocks.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData, s};
use rand_pcg::Pcg64;

use super::PromptConfig;
use crate::HostTensor;
use crate::init;
use crate::vit::{
    BlockOptions, DropPathFactors, Readout, VisionTransformer, VitConfig, inverted_dropout, linear,
    placeholder,
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
    /// Learned tokens `[sets, P, d]`: one set per prompted block, or one for all.
    pub tokens: Param<Tensor<3>>,
    /// Projection `[d → D]`, shared by all sets.
    pub proj: Option<Linear>,
    #[module(skip)]
    config: PromptConfig,
}

/// What one training step draws at random, or nothing.
#[derive(Debug, Clone, Default)]
pub struct Noise {
    /// Dropout factors `[prompted blocks, batch, P, D]` of the prompts.
    pub prompts: Option<Tensor<4>>,
    /// Stochastic depth.
    pub drop_path: DropPathFactors,
}

impl Noise {
    /// No randomness, as in evaluation.
    pub fn none() -> Self {
        Self::default()
    }
}

impl Prompts {
    /// Prompts for a backbone whose values are to be loaded.
    pub fn new(config: &PromptConfig, vit: &VitConfig, device: &Device) -> Self {
        let width = config.prompt_dim(vit.embed_dim);
        let shape = [config.num_sets(vit.depth), config.num_tokens, width];
        Self {
            tokens: placeholder(shape, device),
            proj: config
                .project_dim
                .map(|width| linear(width, vit.embed_dim, true, device)),
            config: config.clone(),
        }
    }

    /// Initial values by task-file name: uniform prompts; a projection that is normal with
    /// variance `2 / D` (Kaiming, fan out) and has no bias.
    pub fn initial_tensors(
        config: &PromptConfig,
        vit: &VitConfig,
        seed: u64,
    ) -> BTreeMap<String, HostTensor> {
        let width = config.prompt_dim(vit.embed_dim);
        let shape = [config.num_sets(vit.depth), config.num_tokens, width];
        let mut rng = init::rng_of(seed, "prompts");
        let tokens = init::uniform(shape, config.init_bound(vit), &mut rng);
        let mut tensors = BTreeMap::from([("prompts".to_owned(), tokens)]);
        if config.project_dim.is_some() {
            let std = (2.0 / vit.embed_dim as f64).sqrt();
            let mut rng = init::rng_of(seed, "prompt_proj.weight");
            let weight = init::normal([vit.embed_dim, width], std, &mut rng);
            tensors.insert("prompt_proj.weight".to_owned(), weight);
            let bias = HostTensor::full([vit.embed_dim], 0.0);
            tensors.insert("prompt_proj.bias".to_owned(), bias);
        }
        tensors
    }

    /// The options.
    pub fn config(&self) -> &PromptConfig {
        &self.config
    }

    /// Dropout factors `[prompted blocks, batch, P, D]` of one training step; none without dropout.
    pub fn sample_dropout(
        &self,
        vit: &VisionTransformer,
        batch: usize,
        rng: &mut Pcg64,
    ) -> Option<Tensor<4>> {
        let PromptConfig {
            dropout, num_tokens, ..
        } = self.config;
        let blocks = self.config.prompted_blocks(vit.blocks.len()).len();
        let shape = [blocks, batch, num_tokens, vit.config().embed_dim];
        (dropout > 0.0).then(|| {
            let data = inverted_dropout(shape.iter().product(), dropout, rng);
            Tensor::from_data(TensorData::new(data, shape), &self.tokens.lazy_device())
        })
    }

    /// What the head reads.
    pub fn readout(&self, vit: &VisionTransformer) -> Readout {
        let prefix = vit.config().num_prefix_tokens();
        self.config.readout(vit.readout(), prefix, vit.num_tokens())
    }

    /// From embedded tokens (before `norm_pre`) through all blocks.
    ///
    /// # Shapes
    /// - tokens: `[batch, T, D]`
    /// - output: `[batch, rows, D]`: the rows that `readout` needs, or `T`, or `T + P` when prompts
    ///   flow out of the last block
    pub fn forward_blocks(
        &self,
        vit: &VisionTransformer,
        tokens: Tensor<3>,
        readout: &Readout,
        noise: &Noise,
        form: PromptForm,
        observe: &mut dyn FnMut(usize, &Tensor<3>),
    ) -> Tensor<3> {
        let prompted = self.config.prompted_blocks(vit.blocks.len());
        let num_tokens = tokens.dims()[1];
        let sets = self.project();
        let mut tokens = vit.normalise_input(tokens);
        for (i, block) in vit.blocks.iter().enumerate() {
            let mut options = BlockOptions {
                prompts: None,
                rows: match form {
                    PromptForm::KeyValue => vit.rows_after(i, readout),
                    PromptForm::Plain => None,
                },
                drop_path: noise.drop_path.of(i),
            };
            if prompted.contains(&i) {
                let mut prompts = self.entering(&sets, i - prompted.start, noise.prompts.as_ref());
                if i == 0 && self.config.before_norm_pre {
                    prompts = vit.normalise_input(prompts);
                }
                let last_set = i + 1 == prompted.end;
                let at_end = i + 1 == vit.blocks.len();
                let outputs_read = last_set && (!at_end || readout.reads_from(num_tokens));
                match form {
                    PromptForm::KeyValue if !outputs_read => options.prompts = Some(prompts),
                    _ => tokens = with_prompts(tokens.slice(s![.., ..num_tokens]), prompts),
                }
            }
            tokens = block.forward(tokens, options);
            observe(i, &tokens);
        }
        tokens
    }

    /// The tokens that enter block `i` in the plain form, with fresh prompts where the block gets them; the first `num_tokens`
    /// of `tokens` are the image's.
    pub(crate) fn enter(
        &self,
        vit: &VisionTransformer,
        i: usize,
        tokens: Tensor<3>,
        num_tokens: usize,
    ) -> Tensor<3> {
        let prompted = self.config.prompted_blocks(vit.blocks.len());
        if !prompted.contains(&i) {
            return tokens;
        }
        let mut prompts = self.entering(&self.project(), i - prompted.start, None);
        if i == 0 && self.config.before_norm_pre {
            prompts = vit.normalise_input(prompts);
        }
        with_prompts(tokens.slice(s![.., ..num_tokens]), prompts)
    }

    /// All sets at the backbone's width, `[sets, P, D]`.
    fn project(&self) -> Tensor<3> {
        match &self.proj {
            Some(proj) => proj.forward(self.tokens.val()),
            None => self.tokens.val(),
        }
    }

    /// The prompts of the `index`-th prompted block: `[1, P, D]`, or `[batch, P, D]` under dropout.
    fn entering(&self, sets: &Tensor<3>, index: usize, dropout: Option<&Tensor<4>>) -> Tensor<3> {
        let set = if self.config.shared {
            sets.clone()
        } else {
            sets.clone().slice(s![index..=index])
        };
        match dropout {
            Some(factors) => set * factors.clone().slice(s![index..=index]).squeeze_dim::<3>(0),
            None => set,
        }
    }
}

/// `[batch, T, D]` and `[1 or batch, P, D]` to `[batch, T + P, D]`.
fn with_prompts(tokens: Tensor<3>, prompts: Tensor<3>) -> Tensor<3> {
    let [batch, _, dim] = tokens.dims();
    let count = prompts.dims()[1];
    Tensor::cat(vec![tokens, prompts.expand([batch, count, dim])], 1)
}
