//! Flags that shape a training run, shared by `vpt train` and `vpt compare`.

use std::path::PathBuf;

use clap::Args;
use toml::Value;
use vpt_core::Precision;
use vpt_eval::{AbstainRule, CalibrationPlan, ThresholdRule};

use super::layer::Layer;
use super::values::{self, BatchSize};
use crate::failure::Failure;

/// How the training images are chosen.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Data")]
pub struct SamplingArgs {
    /// Share of images for validation, where the data has no such split
    #[arg(long, value_name = "F", value_parser = values::rate)]
    pub val_fraction: Option<f64>,

    /// Share of images for the test, where the data has no splits
    #[arg(long, value_name = "F", value_parser = values::rate)]
    pub test_fraction: Option<f64>,

    /// Seed of the splits, and of `--shots` where it has none, apart from that of the training
    #[arg(long, value_name = "SEED", value_parser = values::seed)]
    pub split_seed: Option<u64>,

    /// Do not look for images that the splits share
    #[arg(long)]
    pub no_leak_check: bool,
}

/// How few of the training images are used.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Data")]
pub struct ShotsArgs {
    /// Use only K training images of each class
    #[arg(long, value_name = "K", value_parser = values::count)]
    pub shots: Option<usize>,

    /// Seed of the choice of `--shots`, apart from that of the splits
    #[arg(long, value_name = "SEED", value_parser = values::seed, requires = "shots")]
    pub shots_seed: Option<u64>,
}

/// What is fine-tuned.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Backbone: `demo` (built in), a folder with weights, one weight file, `hf-hub:org/name`, or a name of `vpt list models` [default: demo]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,

    /// Image size: pixels, or height x width [default: that of the backbone; for boxes and masks 32 patches a side]
    #[arg(long, visible_alias = "imgsz", value_name = "SIZE", value_parser = values::image_size)]
    pub img_size: Option<[usize; 2]>,

    /// Channels of the head for boxes or masks; 0 makes it one linear layer, for masks [default: 64]
    #[arg(long, value_name = "N")]
    pub head_width: Option<usize>,

    /// See pictures N times as large, through sliding windows of the image size, for masks with fine detail [default: 1]
    #[arg(long, value_name = "N")]
    pub windows: Option<usize>,

    /// Start from random weights instead of those of the backbone
    #[arg(long)]
    pub no_pretrained: bool,

    /// Start from the prompts (and the head, where the classes agree) of this task file
    #[arg(long, value_name = "TASKFILE")]
    pub init_from: Option<PathBuf>,
}

/// How the prompts look (for `vpt-deep` and `vpt-shallow`).
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Prompts")]
pub struct PromptArgs {
    /// Prompt tokens in each block
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub num_tokens: Option<usize>,

    /// Dropout on the prompts while training
    #[arg(long, value_name = "P", value_parser = values::rate)]
    pub prompt_dropout: Option<f64>,

    /// Learn prompts of this width and project them to the width of the backbone
    #[arg(long, visible_alias = "prompt-dim", value_name = "DIM", value_parser = values::count)]
    pub prompt_project_dim: Option<usize>,

    /// Prompt only this many blocks: the first ones, or with `--prompt-last` the last ones
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub prompt_deep_layers: Option<usize>,

    /// Prompt the last `--prompt-deep-layers` blocks instead of the first ones
    #[arg(long)]
    pub prompt_last: bool,

    /// For `vpt-shallow`: a learned gate behind each block mixes the prompts that entered it with what it made of them
    #[arg(long)]
    pub prompt_gate: bool,

    /// One set of prompts shared by all blocks
    #[arg(long)]
    pub prompt_shared: bool,

    /// How prompts start: as in the paper, or as patches of the training images
    #[arg(long, value_name = "INIT", value_parser = ["uniform", "patches"])]
    pub prompt_init: Option<String>,

    /// What the head reads: the backbone's pooling, or a mean over image tokens, prompts or both
    #[arg(long, value_name = "POOL", value_parser = ["original", "image", "prompt", "image-prompt"])]
    pub prompt_pool: Option<String>,
}

/// How the other methods look.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Method options")]
pub struct MethodArgs {
    /// Rank of the updates of `lora` [default: 8]
    #[arg(long, value_name = "R", value_parser = values::count)]
    pub lora_rank: Option<usize>,

    /// Scale of the updates of `lora`, which is ALPHA / R [default: 16]
    #[arg(long, value_name = "ALPHA", value_parser = values::positive)]
    pub lora_alpha: Option<f64>,

    /// Layers of every block that `lora` updates: `qkv`, `proj`, `fc1`, `fc2` [default: qkv]
    #[arg(long, value_name = "LAYERS", value_delimiter = ',', value_parser = ["qkv", "proj", "fc1", "fc2"])]
    pub lora_targets: Vec<String>,

    /// Channels between the two layers of `adapter` and `adaptformer` [default: 64]
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub adapter_dim: Option<usize>,
}

/// How the parameters are fitted.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Optimisation (defaults depend on the method)")]
pub struct OptimArgs {
    /// Passes over the training images
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub epochs: Option<usize>,

    /// Images in a batch; `auto` for the usual number, or as large a part of it as memory has room for
    #[arg(short, long, visible_alias = "batch", value_name = "N", value_parser = values::batch_size)]
    pub batch_size: Option<BatchSize>,

    /// Optimiser; `lbfgs` solves a linear probe exactly, with the `--weight-decay` that is given or one of `--epochs` that validation chooses
    #[arg(long, value_name = "OPT", value_parser = ["adamw", "sgd", "lbfgs"])]
    pub opt: Option<String>,

    /// Peak learning rate
    #[arg(long, value_name = "LR", value_parser = values::positive)]
    pub lr: Option<f64>,

    /// Peak learning rate of the head
    #[arg(long, value_name = "LR", value_parser = values::positive)]
    pub head_lr: Option<f64>,

    /// How the head starts: at small random values, or as a linear probe that is fitted first
    #[arg(long, value_name = "INIT", value_parser = ["normal", "probe"])]
    pub head_init: Option<String>,

    /// Momentum of SGD
    #[arg(long, value_name = "F", value_parser = values::rate)]
    pub momentum: Option<f64>,

    /// Weight decay; never on biases and norms
    #[arg(long, value_name = "F", value_parser = values::non_negative)]
    pub weight_decay: Option<f64>,

    /// Epochs over which the learning rate rises
    #[arg(long, value_name = "N", value_parser = values::non_negative)]
    pub warmup_epochs: Option<f64>,

    /// Learning rate after the warm-up
    #[arg(long, value_name = "SCHED", value_parser = ["cosine", "constant"])]
    pub sched: Option<String>,

    /// Batches whose gradients make one step
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub grad_accum_steps: Option<usize>,

    /// Compute blocks again for their gradients instead of keeping what they need: less memory, more time
    #[arg(long)]
    pub grad_checkpointing: bool,

    /// Keep frozen weights in fewer bits, on the CPU: f32, f16, bf16 or int8 [default: f32]
    #[arg(long, value_name = "PRECISION", value_parser = values::precision)]
    pub precision: Option<Precision>,

    /// Limit of the gradient's norm
    #[arg(long, value_name = "NORM", value_parser = values::positive)]
    pub clip_grad: Option<f64>,

    /// Training loss; `focal` gives images that are easy already less weight
    #[arg(long, value_name = "LOSS", value_parser = ["cross-entropy", "focal"])]
    pub loss: Option<String>,

    /// How much less `--loss focal` counts easy images; 0 is cross-entropy [default: 2]
    #[arg(long, value_name = "GAMMA", value_parser = values::non_negative)]
    pub focal_gamma: Option<f64>,

    /// For `--kind ordinal`: how far the target of a grade spreads to its neighbours, in grades [default there: 0.7]
    #[arg(long, value_name = "F", value_parser = values::non_negative)]
    pub grade_spread: Option<f64>,

    /// Label smoothing
    #[arg(long, value_name = "F", value_parser = values::rate)]
    pub smoothing: Option<f64>,

    /// Weights of the classes in the loss: by number of images, or by effective number
    #[arg(long, value_name = "WEIGHTS", value_parser = ["none", "balanced", "effective"])]
    pub class_weights: Option<String>,

    /// Train small classes to larger logits, by TAU times the logarithm of their share (usually 1)
    #[arg(long, value_name = "TAU", value_parser = values::positive)]
    pub logit_adjustment: Option<f64>,

    /// Stop after this many epochs without a new best
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub patience: Option<usize>,

    /// Validation metric that chooses the best epoch (`vpt list metrics`) [default: top1, qwk or auroc, by the kind]
    #[arg(long, value_name = "METRIC", value_parser = values::metric)]
    pub eval_metric: Option<String>,
}

/// What of a model's outputs becomes a decision, chosen on validation images; shared by training and `vpt calibrate`.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Decisions")]
pub struct CalibrationArgs {
    /// Threshold for two classes, or for each of any number: `youden`, `sensitivity=0.95`, `specificity=0.9`, or `cost=5` (false alarms that a miss is worth)
    #[arg(long, value_name = "RULE", value_parser = values::rule::<ThresholdRule>)]
    pub operating_point: Option<ThresholdRule>,

    /// Leave uncertain images undecided: `coverage=0.9` decides the surest 90 %, `error=0.02` as many as 2 % errors allow
    #[arg(long, value_name = "RULE", value_parser = values::rule::<AbstainRule>)]
    pub abstain: Option<AbstainRule>,

    /// Leave probabilities as the softmax gives them instead of fitting a temperature
    #[arg(long)]
    pub no_calibration: bool,
}

impl CalibrationArgs {
    /// What is to be chosen.
    pub fn plan(self) -> CalibrationPlan {
        CalibrationPlan {
            temperature: !self.no_calibration,
            threshold: self.operating_point,
            abstain: self.abstain,
        }
    }
}

/// How the trained model's outputs become decisions. All of it is chosen on the validation images and stored in the task file.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Decisions")]
pub struct DecisionArgs {
    /// What is asked: one class for each image, its grade, where the classes have an order, or any number of classes [default: that of the task, else as the data is labelled]
    #[arg(long, value_name = "KIND", value_parser = ["classification", "ordinal", "multi-label", "detection", "segmentation"])]
    pub kind: Option<String>,

    /// The class to be found, of two: sensitivity, threshold and AUROC are about it [default: the last one]
    #[arg(long, value_name = "CLASS")]
    pub positive_class: Option<String>,

    #[command(flatten)]
    pub calibration: CalibrationArgs,
}

/// How training images are changed before the model sees them.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Augmentation")]
pub struct AugmentArgs {
    /// Train on the images exactly as evaluation sees them
    #[arg(long)]
    pub no_aug: bool,

    /// Area of the random resized crop, as a share of the image
    #[arg(long, visible_alias = "scale", value_name = "LOW,HIGH", value_parser = values::range, conflicts_with = "no_aug")]
    pub rrc_scale: Option<[f64; 2]>,

    /// Aspect ratio of the random resized crop
    #[arg(long, visible_alias = "ratio", value_name = "LOW,HIGH", value_parser = values::range, conflicts_with = "no_aug")]
    pub rrc_ratio: Option<[f64; 2]>,

    /// Chance of a left-right flip
    #[arg(long, visible_alias = "fliplr", value_name = "P", value_parser = values::fraction, conflicts_with = "no_aug")]
    pub hflip: Option<f64>,

    /// Chance of an upside-down flip
    #[arg(long, visible_alias = "flipud", value_name = "P", value_parser = values::fraction, conflicts_with = "no_aug")]
    pub vflip: Option<f64>,

    /// Largest rotation either way, in degrees
    #[arg(long, visible_alias = "degrees", value_name = "DEGREES", value_parser = values::degrees, conflicts_with = "no_aug")]
    pub rotation: Option<f64>,

    /// Strength of brightness, contrast and saturation changes
    #[arg(long, value_name = "F", value_parser = values::fraction, conflicts_with = "no_aug")]
    pub color_jitter: Option<f64>,

    /// RandAugment: operations for an image and their magnitude (0 to 10)
    #[arg(long, value_name = "N,M", value_parser = values::rand_augment, conflicts_with = "no_aug")]
    pub rand_augment: Option<(usize, f64)>,

    /// Chance of erasing a random rectangle
    #[arg(long, visible_alias = "reprob", value_name = "P", value_parser = values::fraction, conflicts_with = "no_aug")]
    pub random_erasing: Option<f64>,

    /// Chance that a picture with boxes or a mask shares its input with three others
    #[arg(long, value_name = "P", value_parser = values::fraction, conflicts_with = "no_aug")]
    pub mosaic: Option<f64>,

    /// Mixup alpha; 0 is off
    #[arg(long, value_name = "ALPHA", value_parser = values::non_negative, conflicts_with = "no_aug")]
    pub mixup: Option<f64>,

    /// CutMix alpha; 0 is off
    #[arg(long, value_name = "ALPHA", value_parser = values::non_negative, conflicts_with = "no_aug")]
    pub cutmix: Option<f64>,

    /// Images of an epoch: each once, or each class equally often
    #[arg(long, value_name = "SAMPLING", value_parser = ["shuffle", "balanced"], help_heading = "Data")]
    pub sampling: Option<String>,

    /// Feed the training images in the same order in every epoch
    #[arg(long, conflicts_with = "sampling")]
    pub no_shuffle: bool,
}

/// All of the above.
#[derive(Args, Clone, Debug, Default)]
pub struct TrainingArgs {
    #[command(flatten)]
    pub sampling: SamplingArgs,

    /// Memory for decoded images in MiB; 0 decodes every image in every epoch
    #[arg(long, value_name = "MIB", help_heading = "Data")]
    pub cache_mb: Option<usize>,

    /// Shrink training images to PX on the shorter side before they are augmented (whole images only): more of them fit into `--cache-mb`; twice the image size keeps crops sharp
    #[arg(long, value_name = "PX", value_parser = values::count, help_heading = "Data")]
    pub shrink: Option<usize>,

    /// Show each training image this many times an epoch, differently augmented each time
    #[arg(long, value_name = "N", value_parser = values::count, help_heading = "Data")]
    pub repeats: Option<usize>,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub prompts: PromptArgs,

    #[command(flatten)]
    pub method: MethodArgs,

    #[command(flatten)]
    pub optim: OptimArgs,

    #[command(flatten)]
    pub decisions: DecisionArgs,

    #[command(flatten)]
    pub augment: AugmentArgs,

    /// Write curves for TensorBoard into the run folder, too
    #[arg(long, help_heading = "Run")]
    pub tensorboard: bool,
}

impl TrainingArgs {
    /// Refuses `--batch-size auto` where several runs must have the same.
    ///
    /// # Errors
    /// A usage error.
    pub fn refuse_auto_batch(&self) -> Result<(), Failure> {
        match self.optim.batch_size {
            Some(BatchSize::Auto) => Err(Failure::usage("`--batch-size auto` is for a single `vpt train`")
                .hint("give `--batch-size` as a number, so that all runs have the same")),
            _ => Ok(()),
        }
    }

    /// What was given, as a layer of settings.
    pub fn layer(&self) -> Layer {
        let mut layer = Layer::default();
        self.sampling.add_to(&mut layer);
        layer.count("cache_mb", self.cache_mb);
        layer.count("shrink", self.shrink);
        layer.count("repeats", self.repeats);
        self.model.add_to(&mut layer);
        self.prompts.add_to(&mut layer);
        self.method.add_to(&mut layer);
        self.optim.add_to(&mut layer);
        self.decisions.add_to(&mut layer);
        self.augment.add_to(&mut layer);
        layer.switch("tensorboard", self.tensorboard);
        layer
    }
}

impl SamplingArgs {
    /// What was given, into a layer of settings.
    pub fn add_to(&self, layer: &mut Layer) {
        layer.set("val_fraction", self.val_fraction);
        layer.set("test_fraction", self.test_fraction);
        layer.set("split_seed", self.split_seed.map(|seed| seed as i64));
        layer.set("leak_check", self.no_leak_check.then_some(false));
    }
}

impl ShotsArgs {
    /// What was given, into a layer of settings.
    pub fn add_to(&self, layer: &mut Layer) {
        layer.count("shots", self.shots);
        layer.set("shots_seed", self.shots_seed.map(|seed| seed as i64));
    }
}

impl ModelArgs {
    fn add_to(&self, layer: &mut Layer) {
        layer.set("model", self.model.clone());
        layer.set(
            "image_size",
            self.img_size
                .map(|size| size.map(|side| Value::Integer(side as i64)).to_vec()),
        );
        layer.set("head_width", self.head_width.map(|width| width as i64));
        layer.set("windows", self.windows.map(|windows| windows as i64));
        layer.set("pretrained", self.no_pretrained.then_some(false));
        layer.set(
            "init_from",
            self.init_from
                .as_ref()
                .map(|path| path.to_string_lossy().into_owned()),
        );
    }
}

impl PromptArgs {
    fn add_to(&self, layer: &mut Layer) {
        layer.count("method.num_tokens", self.num_tokens);
        layer.set("method.dropout", self.prompt_dropout);
        layer.count("method.project_dim", self.prompt_project_dim);
        layer.count("method.deep_layers", self.prompt_deep_layers);
        layer.switch("method.last", self.prompt_last);
        layer.switch("method.gate", self.prompt_gate);
        layer.switch("method.shared", self.prompt_shared);
        layer.set("method.init", self.prompt_init.clone());
        layer.set("method.pool", self.prompt_pool.clone());
    }
}

impl MethodArgs {
    fn add_to(&self, layer: &mut Layer) {
        layer.count("method.lora_rank", self.lora_rank);
        layer.set("method.lora_alpha", self.lora_alpha);
        let targets = (!self.lora_targets.is_empty()).then(|| self.lora_targets.clone());
        layer.set("method.lora_targets", targets);
        layer.count("method.adapter_dim", self.adapter_dim);
    }
}

impl OptimArgs {
    fn add_to(&self, layer: &mut Layer) {
        layer.count("epochs", self.epochs);
        layer.count("batch_size", self.batch_size.and_then(BatchSize::number));
        layer.set("opt", self.opt.clone());
        layer.set("lr", self.lr);
        layer.set("head_lr", self.head_lr);
        layer.set("head_init", self.head_init.clone());
        layer.set("momentum", self.momentum);
        layer.set("weight_decay", self.weight_decay);
        layer.set("warmup_epochs", self.warmup_epochs);
        layer.set("sched", self.sched.clone());
        layer.count("grad_accum_steps", self.grad_accum_steps);
        layer.switch("grad_checkpointing", self.grad_checkpointing);
        layer.set("precision", self.precision.map(Precision::name));
        layer.set("clip_grad", self.clip_grad);
        layer.set("loss", self.loss.clone());
        layer.set("focal_gamma", self.focal_gamma);
        layer.set("grade_spread", self.grade_spread);
        layer.set("smoothing", self.smoothing);
        layer.set("class_weights", self.class_weights.clone());
        layer.set("logit_adjustment", self.logit_adjustment);
        layer.count("patience", self.patience);
        layer.set("eval_metric", self.eval_metric.clone());
    }
}

impl DecisionArgs {
    fn add_to(&self, layer: &mut Layer) {
        layer.set("kind", self.kind.clone());
        layer.set("positive_class", self.positive_class.clone());
        let chosen = self.calibration;
        layer.set("operating_point", chosen.operating_point.map(String::from));
        layer.set("abstain", chosen.abstain.map(String::from));
        layer.set("calibrate", chosen.no_calibration.then_some(false));
    }
}

impl AugmentArgs {
    fn add_to(&self, layer: &mut Layer) {
        layer.set("augment", self.no_aug.then(|| "none".to_owned()));
        layer.pair("augment.rrc_scale", self.rrc_scale);
        layer.pair("augment.rrc_ratio", self.rrc_ratio);
        layer.set("augment.hflip", self.hflip);
        layer.set("augment.vflip", self.vflip);
        layer.set("augment.rotation", self.rotation);
        layer.set("augment.color_jitter", self.color_jitter);
        let rand_augment =
            |(operations, magnitude)| vec![Value::Integer(operations as i64), Value::Float(magnitude)];
        layer.set("augment.rand_augment", self.rand_augment.map(rand_augment));
        layer.set("augment.random_erasing", self.random_erasing);
        layer.set("augment.mosaic", self.mosaic);
        layer.set("augment.mixup", self.mixup);
        layer.set("augment.cutmix", self.cutmix);
        layer.set("sampling", self.sampling.clone());
        layer.set("shuffle", self.no_shuffle.then_some(false));
    }
}
