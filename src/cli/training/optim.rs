//! Flags of the optimiser, the loss and the choice of the best epoch.

use clap::Args;
use vpt_core::Precision;

use crate::cli::layer::Layer;
use crate::cli::values::{self, BatchSize};

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

    /// Keep frozen weights in fewer bits: f32, f16, bf16 or int8, on a GPU those that it has [default: f32]
    #[arg(long, value_name = "PRECISION", value_parser = values::precision)]
    pub precision: Option<Precision>,

    /// Limit of the gradient's norm
    #[arg(long, value_name = "NORM", value_parser = values::positive)]
    pub clip_grad: Option<f64>,

    /// Validate and store a running mean of what is learned, which keeps DECAY of itself at each step: steadier than the last step's values
    #[arg(long, visible_alias = "model-ema-decay", value_name = "DECAY", value_parser = values::rate)]
    pub ema: Option<f64>,

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

impl OptimArgs {
    /// What was given, into a layer of settings.
    pub fn add_to(&self, layer: &mut Layer) {
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
        layer.set("ema", self.ema);
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
