//! [`Classifier`]: a backbone with a tuning method and a head.

mod fold;
mod parameters;
mod recompute;
mod shared;

pub use recompute::Entering;
pub use shared::{Features, SharedBackbone, SharedTask, mixed_features};

use std::borrow::Cow;
use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand_pcg::Pcg64;

use crate::device::computing;
use crate::heads::{Head, HeadConfig};
use crate::methods::{AddedTensor, MethodConfig, MethodKind, Tuner};
use crate::named_tensors;
use crate::pretrained_head::pretrained_head;
use crate::prompts::{Noise, Pass, PromptForm};
use crate::vit::{BlockOptions, DropPathFactors, Hook, Readout, TokensAt, VisionTransformer, VitConfig};
use crate::weights::{Backbone, TensorMismatch, is_classifier};
use crate::{CoreError, HostTensor};

/// A backbone, the parameters that the method adds, and a head.
///
/// Built on `device.autodiff()` it can be trained: the parameters of [`Classifier::group`] require
/// gradients and nothing else does. [`Classifier::for_inference`] gives the form for inference.
#[derive(Module, Debug)]
pub struct Classifier {
    /// The Vision Transformer.
    pub backbone: VisionTransformer,
    /// What the method adds, if anything.
    pub tuner: Option<Tuner>,
    /// The head.
    pub head: Head,
    #[module(skip)]
    head_config: HeadConfig,
    #[module(skip)]
    method: MethodConfig,
    #[module(skip)]
    readout: Readout,
}

impl Classifier {
    /// A classifier for `num_classes` classes of a new task on images of `image_size` (`[height, width]`).
    ///
    /// The backbone's tensors are loaded. Those of a backbone given by value (`backbone`) become the model's parameters one
    /// by one, so that the weights are in memory once; those of one that is lent (`&backbone`) are copied. The head starts as timm's (normal with standard deviation 0.02,
    /// bias 0) and prompts as [`PromptInit`](crate::prompts::PromptInit) says, both as a function of `seed`;
    /// everything outside the method's group is frozen.
    ///
    /// # Errors
    /// [`CoreError::ImageSize`], [`CoreError::Setting`] for a method that does not fit the backbone,
    /// [`CoreError::Tensors`] for weights that do not.
    pub fn new<'a>(
        backbone: impl Into<Cow<'a, Backbone>>,
        method: &MethodConfig,
        num_classes: usize,
        image_size: [usize; 2],
        seed: u64,
        device: &Device,
    ) -> Result<Self, CoreError> {
        let head = HeadConfig::Linear;
        Self::with_head(backbone, method, head, num_classes, image_size, seed, device)
    }

    /// [`Classifier::new`] with any head.
    ///
    /// # Errors
    /// As [`Classifier::new`]; [`CoreError::Setting`] for a method that does not fit the head.
    pub fn with_head<'a>(
        backbone: impl Into<Cow<'a, Backbone>>,
        method: &MethodConfig,
        head: HeadConfig,
        num_classes: usize,
        image_size: [usize; 2],
        seed: u64,
        device: &Device,
    ) -> Result<Self, CoreError> {
        if num_classes == 0 {
            return Err(CoreError::setting("classes", 0, "at least one class"));
        }
        let backbone = backbone.into();
        let vit = &backbone.config;
        method.check(vit)?;
        if head.is_dense() && method.kind == MethodKind::Mlp {
            return Err(CoreError::setting(
                "method",
                method,
                "a method for boxes or masks; their heads have hidden layers of their own",
            ));
        }
        let mut added = AddedTensor::initial(Head::added(&head, vit.num_features(), num_classes), seed);
        added.extend(method.initial_tensors(vit, seed));
        Self::build(
            backbone,
            method,
            (head, num_classes),
            None,
            image_size,
            added,
            device,
        )
    }

    /// The backbone with the head it was pretrained with. Distilled models read class and distillation
    /// token, and their logits are the mean of the two heads, which is one linear layer on both tokens.
    ///
    /// # Errors
    /// As [`Classifier::new`]; [`CoreError::Tensors`] when the weights have no head.
    pub fn with_pretrained_head<'a>(
        backbone: impl Into<Cow<'a, Backbone>>,
        image_size: [usize; 2],
        device: &Device,
    ) -> Result<Self, CoreError> {
        let backbone = backbone.into();
        let head = pretrained_head(&backbone)?;
        let readout = backbone.config.distilled.then_some(Readout::First(2));
        let num_classes = head["head.bias"].numel();
        Self::build(
            backbone,
            &MethodConfig::linear(),
            (HeadConfig::Linear, num_classes),
            readout,
            image_size,
            head,
            device,
        )
    }

    /// Assembles the module and loads `added` and the backbone's tensors into it. `readout` overrides what
    /// the head reads.
    fn build(
        mut backbone: Cow<'_, Backbone>,
        method: &MethodConfig,
        (head, num_classes): (HeadConfig, usize),
        readout: Option<Readout>,
        image_size: [usize; 2],
        mut added: BTreeMap<String, HostTensor>,
        device: &Device,
    ) -> Result<Self, CoreError> {
        let vit = VisionTransformer::new(&backbone.config, image_size, device)?;
        let model = Self::assemble(vit, method, (head, num_classes), readout, device);
        let mut expected = model.shapes();
        expected.retain(|name, _| !added.contains_key(name));
        fitting(&expected, &backbone_shapes(&backbone), &backbone.source)?;
        let model = named_tensors::load(model, |name| {
            let added = added.remove(name).map(Cow::Owned);
            added.or_else(|| take(&mut backbone, name))
        });
        let vit = &backbone.config;
        Ok(named_tensors::set_tuned(model, |name| method.tunes(name, vit)))
    }

    /// `vit` with a method and a head whose parameters are to be loaded. `readout` overrides what the head reads.
    fn assemble(
        vit: VisionTransformer,
        method: &MethodConfig,
        (head, num_classes): (HeadConfig, usize),
        readout: Option<Readout>,
        device: &Device,
    ) -> Self {
        let tuner = Tuner::new(method, vit.config(), device);
        let readout = readout.unwrap_or_else(|| match &tuner {
            _ if head.is_dense() => Readout::Mean(vit.patches()),
            Some(Tuner::Prompts(prompts)) => prompts.readout(&vit),
            _ => vit.readout(),
        });
        let inputs = readout.width() * vit.config().num_features();
        Self {
            head: Head::new(&head, inputs, num_classes, device),
            head_config: head,
            backbone: vit,
            tuner,
            method: method.clone(),
            readout,
        }
    }

    /// The form for inference with a model that does not change any more: below the tape, with prompts projected to keys and
    /// values once and not with every batch.
    #[must_use]
    pub fn for_inference(&self) -> Self {
        let mut model = self.valid();
        if let Some(Tuner::Prompts(prompts)) = &mut model.tuner {
            prompts.fold(&model.backbone, &model.readout);
        }
        model
    }

    /// Logits `[batch, classes]` of pixels `[batch, 3, height, width]`, without dropout and stochastic depth.
    pub fn forward(&self, pixels: Tensor<4>) -> Tensor<2> {
        computing(&pixels.device(), || self.head_forward(self.pooled(pixels)))
    }

    /// Logits as a training step computes them: with the dropout and stochastic depth that `rng` draws.
    /// Equal to [`Classifier::forward`] when the method and the backbone have neither.
    pub fn forward_train(&self, pixels: Tensor<4>, rng: &mut Pcg64) -> Tensor<2> {
        let noise = self.sample_noise(pixels.dims()[0], rng);
        self.head_forward(self.pooled_with(pixels, &noise, PromptForm::KeyValue))
    }

    /// [`Classifier::forward`] of tokens that have passed [`Classifier::constant_blocks`] or fewer.
    pub fn forward_from(&self, tokens: TokensAt) -> Tensor<2> {
        self.head_forward(self.pooled_from(tokens, &Noise::none()))
    }

    /// How many of the first blocks make the same of an image in every step: nothing that is learned lies in them or before
    /// them, prompts included. None where stochastic depth may skip them, or for methods that add to the blocks' operations.
    pub fn constant_blocks(&self) -> usize {
        let depth = self.backbone.blocks.len();
        if self.config().drop_path > 0.0 {
            return 0;
        }
        let prompted = match &self.tuner {
            Some(Tuner::Prompts(prompts)) => prompts.config().prompted_blocks(depth).start,
            Some(Tuner::Mlp(_)) | None => depth,
            Some(_) => 0,
        };
        let params = self.params();
        let learned = params.keys().filter(|name| self.tunes(name));
        learned
            .map(|name| block_of(name, depth))
            .min()
            .unwrap_or(depth)
            .min(prompted)
    }

    /// [`Classifier::forward`] in the reference's form, where prompts are tokens like any other and every
    /// block computes every row. Slower, equal up to rounding; the yardstick for the fast form.
    pub fn forward_plain(&self, pixels: Tensor<4>) -> Tensor<2> {
        self.head_forward(self.pooled_with(pixels, &Noise::none(), PromptForm::Plain))
    }

    /// What the head reads, `[batch, D]`: pooled and normalised tokens.
    pub fn pooled(&self, pixels: Tensor<4>) -> Tensor<2> {
        computing(&pixels.device(), || {
            self.pooled_with(pixels, &Noise::none(), PromptForm::KeyValue)
        })
    }

    /// [`Classifier::pooled`] of tokens in front of a block, with given random factors.
    pub fn pooled_from(&self, tokens: TokensAt, noise: &Noise) -> Tensor<2> {
        self.observed_from(tokens, noise, PromptForm::KeyValue, &mut |_, _| {})
    }

    /// [`Classifier::pooled`] with given random factors, in a given form.
    pub fn pooled_with(&self, pixels: Tensor<4>, noise: &Noise, form: PromptForm) -> Tensor<2> {
        self.observed(pixels, noise, form, &mut |_, _| {})
    }

    /// Logits `[batch, classes]` of pooled features `[batch, D]`.
    ///
    /// # Panics
    /// For a head that reads every token.
    pub fn head_forward(&self, pooled: Tensor<2>) -> Tensor<2> {
        let Head::Linear(head) = &self.head else {
            panic!("{:?} does not read what is pooled", self.head_config);
        };
        head.forward(match &self.tuner {
            Some(tuner) => tuner.before_head(pooled),
            None => pooled,
        })
    }

    /// The normalised tokens of the patches as a map, `[batch, 3, height, width] → [batch, rows, columns, D]`.
    pub fn feature_map(&self, pixels: Tensor<4>, noise: &Noise) -> Tensor<4> {
        computing(&pixels.device(), || {
            let tokens = self.backbone.tokens(pixels, self.hook());
            self.feature_map_from(tokens.into(), noise)
        })
    }

    /// [`Classifier::feature_map`] of tokens in front of a block.
    pub fn feature_map_from(&self, tokens: TokensAt, noise: &Noise) -> Tensor<4> {
        let pass = Pass {
            readout: &Readout::Mean(self.backbone.patches()),
            noise,
            form: PromptForm::KeyValue,
            end: None,
        };
        let tokens = self.blocks_from(tokens, pass, &mut |_, _| {});
        self.backbone.as_map(tokens, self.hook())
    }

    /// [`Classifier::pooled_with`] that also shows the output of each block to `observe`. In the fast form
    /// the last block's output has only the rows that the head reads.
    pub fn observed(
        &self,
        pixels: Tensor<4>,
        noise: &Noise,
        form: PromptForm,
        observe: &mut dyn FnMut(usize, &Tensor<3>),
    ) -> Tensor<2> {
        let tokens = self.backbone.tokens(pixels, self.hook());
        self.observed_from(tokens.into(), noise, form, observe)
    }

    /// [`Classifier::observed`] of tokens in front of a block.
    fn observed_from(
        &self,
        tokens: TokensAt,
        noise: &Noise,
        form: PromptForm,
        observe: &mut dyn FnMut(usize, &Tensor<3>),
    ) -> Tensor<2> {
        let pass = Pass {
            readout: &self.readout,
            noise,
            form,
            end: None,
        };
        let tokens = self.blocks_from(tokens, pass, observe);
        self.backbone.pool(tokens, &self.readout, self.hook())
    }

    /// Tokens behind the blocks, of the last those that the readout needs.
    fn blocks_from(
        &self,
        tokens: TokensAt,
        pass: Pass<'_>,
        observe: &mut dyn FnMut(usize, &Tensor<3>),
    ) -> Tensor<3> {
        let vit = &self.backbone;
        if let Some(Tuner::Prompts(prompts)) = &self.tuner {
            return prompts.forward_blocks(vit, tokens, pass, observe);
        }
        let needed = match pass.form {
            PromptForm::KeyValue => pass.readout.clone(),
            PromptForm::Plain => Readout::Mean(0..vit.num_tokens()),
        };
        let end = pass.end.unwrap_or(vit.blocks.len());
        vit.forward_blocks(tokens, end, &needed, &pass.noise.drop_path, self.hook(), observe)
    }

    /// Shows `observe` how much each token attends to each in every block, `[batch, heads, tokens, tokens]`: the image's tokens
    /// first, then the prompts of that block, none before the first prompted block. Without dropout.
    ///
    /// Returns how much of each token behind the last block the head reads, `[batch, tokens]`, rows that sum to one (for
    /// an attention pooling, the mean of its heads).
    pub fn attention(&self, pixels: Tensor<4>, observe: &mut dyn FnMut(usize, Tensor<4>)) -> Tensor<2> {
        let (vit, hook) = (&self.backbone, self.hook());
        let mut tokens = vit.tokens(pixels, hook);
        for (i, block) in vit.blocks.iter().enumerate() {
            let hook = hook.at(i);
            let entering = match &self.tuner {
                Some(Tuner::Prompts(prompts)) => prompts.enter(vit, i, tokens),
                _ => block.enter(tokens, hook),
            };
            observe(i, block.attention_weights(entering.clone(), hook));
            let options = BlockOptions {
                hook,
                ..BlockOptions::default()
            };
            tokens = block.forward(entering.clone(), options);
            if let Some(Tuner::Prompts(prompts)) = &self.tuner {
                tokens = prompts.gated(vit, i, Some(entering), tokens);
            }
        }
        vit.reading(tokens, &self.readout, hook)
    }

    /// How the method takes part in the blocks' operations.
    fn hook(&self) -> Hook<'_> {
        self.tuner.as_ref().map_or_else(Hook::none, Tuner::hook)
    }

    /// Draws the dropout and stochastic depth of one training step. A head alone has none: its features are fixed.
    pub fn sample_noise(&self, batch: usize, rng: &mut Pcg64) -> Noise {
        let prompts = match &self.tuner {
            Some(Tuner::Prompts(prompts)) => prompts.sample_dropout(&self.backbone, batch, rng),
            _ => Vec::new(),
        };
        Noise {
            prompts,
            drop_path: match self.method.kind.is_head_alone() {
                true => DropPathFactors::none(),
                false => self.backbone.sample_drop_path(batch, rng),
            },
        }
    }

    /// What the head reads.
    pub(crate) fn readout(&self) -> &Readout {
        &self.readout
    }

    /// The method.
    pub fn method(&self) -> &MethodConfig {
        &self.method
    }

    /// The backbone's hyper-parameters.
    pub fn config(&self) -> &VitConfig {
        self.backbone.config()
    }

    /// Image size `[height, width]` that the model takes.
    pub fn image_size(&self) -> [usize; 2] {
        self.backbone.image_size()
    }

    /// Number of classes.
    pub fn num_classes(&self) -> usize {
        self.head.num_classes()
    }

    /// Which head it has.
    pub fn head_config(&self) -> HeadConfig {
        self.head_config
    }
}

/// The shapes of a backbone's own tensors, without those of a head.
fn backbone_shapes(backbone: &Backbone) -> BTreeMap<String, Vec<usize>> {
    let own = backbone.tensors.iter().filter(|(name, _)| !is_classifier(name));
    own.map(|(name, tensor)| (name.clone(), tensor.shape.clone()))
        .collect()
}

/// A tensor of the backbone: moved out of one that is owned, lent by one that is not.
fn take<'a>(backbone: &mut Cow<'a, Backbone>, name: &str) -> Option<Cow<'a, HostTensor>> {
    match backbone {
        Cow::Owned(backbone) => backbone.tensors.remove(name).map(Cow::Owned),
        Cow::Borrowed(backbone) => backbone.tensors.get(name).map(Cow::Borrowed),
    }
}

/// The first block whose output a parameter has a say in, all of them for one that is not known to come later. Prompts say
/// themselves where they come.
fn block_of(name: &str, depth: usize) -> usize {
    let mut parts = name.split('.');
    match parts.next() {
        Some("blocks") => parts.next().and_then(|index| index.parse().ok()).unwrap_or(0),
        Some(
            "norm" | "attn_pool" | "fc_norm" | "head" | "mlp_head" | "prompts" | "prompt_proj"
            | "prompt_gate",
        ) => depth,
        _ => 0,
    }
}

/// Compares shapes by name.
fn fitting(
    expected: &BTreeMap<String, Vec<usize>>,
    found: &BTreeMap<String, Vec<usize>>,
    origin: &str,
) -> Result<(), CoreError> {
    match TensorMismatch::between(expected, found) {
        None => Ok(()),
        Some(mismatch) => Err(CoreError::Tensors {
            origin: origin.to_owned(),
            mismatch,
        }),
    }
}
