//! Flags that say which images are trained on.

use clap::Args;

use crate::cli::layer::Layer;
use crate::cli::values;

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

impl SamplingArgs {
    /// What was given, into a layer of settings.
    pub fn add_to(&self, layer: &mut Layer) {
        layer.set("val_fraction", self.val_fraction);
        layer.set("test_fraction", self.test_fraction);
        layer.set("split_seed", self.split_seed.map(|seed| seed as i64));
        layer.set("leak_check", self.no_leak_check.then_some(false));
    }
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

impl ShotsArgs {
    /// What was given, into a layer of settings.
    pub fn add_to(&self, layer: &mut Layer) {
        layer.count("shots", self.shots);
        layer.set("shots_seed", self.shots_seed.map(|seed| seed as i64));
    }
}
