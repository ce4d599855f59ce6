//! Flags that shape a training run, shared by `vpt train` and `vpt compare`.

mod augment;
mod decisions;
mod images;
mod model;
mod optim;

use clap::Args;

pub use augment::AugmentArgs;
pub use decisions::{CalibrationArgs, DecisionArgs};
pub use images::{SamplingArgs, ShotsArgs};
pub use model::{MethodArgs, ModelArgs, PromptArgs};
pub use optim::OptimArgs;

use super::layer::Layer;
use super::values::{self, BatchSize};
use crate::failure::Failure;

/// All of the above.
#[derive(Args, Clone, Debug, Default)]
pub struct TrainingArgs {
    #[command(flatten)]
    pub sampling: SamplingArgs,

    /// Where decoded images are kept, and what blocks make of them below all that is learned [default: ram]
    #[arg(long, value_name = "WHERE", value_parser = ["ram", "disk", "off"], help_heading = "Data")]
    pub cache: Option<String>,

    /// How much of that is kept at most, in MiB [default: 512 in memory, 16384 on the disk]
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
        layer.set("cache", self.cache.clone());
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
