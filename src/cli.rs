//! The command line: global flags, the commands, and groups of flags that several commands share.

pub mod budget;
pub mod layer;
pub mod training;
pub mod values;

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};

use vpt_core::device::DeviceChoice;
use vpt_core::{Calibration, Precision, TaskMetadata};
use vpt_data::{ColumnNames, TaskKind};

use crate::commands;
use crate::failure::Failure;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  vpt demo                                        draw a sample task, train, evaluate, compare
  vpt train --data-dir my_images                  learn prompts for a folder of class folders
  vpt eval runs/train/my_images                   metrics on the test split, with intervals
  vpt compare --data-dir my_images --seeds 3      prompts against full fine-tuning
  vpt predict runs/train/my_images photo.jpg      classify images

Exit codes: 0 ok, 1 failed, 2 usage, 3 a `--fail-under` bound not reached, 130 interrupted.";

/// Adapt a frozen Vision Transformer to your own images by learning a handful of prompt tokens.
#[derive(Debug, Parser)]
#[command(
    name = "vpt",
    version,
    styles = STYLES,
    max_term_width = 110,
    after_help = EXAMPLES,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    infer_long_args = false
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,

    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Where to compute: auto, cpu, gpu[:N], vulkan, metal, dx12 or cuda[:N]; several, such as gpu:0,gpu:1, share each step of a training
    #[arg(
        long,
        global = true,
        env = "VPT_DEVICE",
        hide_env_values = true,
        default_value = "auto",
        value_name = "DEVICE", value_delimiter = ',', value_parser = values::device)]
    pub device: Vec<DeviceChoice>,

    /// Print results as one JSON document on stdout
    #[arg(long, global = true)]
    pub json: bool,

    /// Say nothing but results, warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say more; twice says everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Never reach for the network: models of the hub come from the cache
    #[arg(long, global = true, env = "VPT_OFFLINE", hide_env_values = true)]
    pub offline: bool,

    /// Where downloads are kept [default: the cache of Hugging Face, `HF_HUB_CACHE`]
    #[arg(
        long,
        global = true,
        env = "VPT_CACHE_DIR",
        hide_env_values = true,
        value_name = "DIR"
    )]
    pub cache_dir: Option<PathBuf>,

    /// CPU threads to use [default: all]
    #[arg(long, global = true, value_name = "N", value_parser = values::count)]
    pub threads: Option<usize>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    Train(commands::train::TrainArgs),
    Eval(commands::eval::EvalArgs),
    Compare(commands::compare::CompareArgs),
    Predict(commands::predict::PredictArgs),
    Calibrate(commands::calibrate::CalibrateArgs),
    Prune(commands::prune::PruneArgs),
    Knn(commands::knn::KnnArgs),
    Features(commands::features::FeaturesArgs),
    Export(commands::export::ExportArgs),
    Serve(commands::serve::ServeArgs),
    Inspect(commands::inspect::InspectArgs),
    Bench(commands::bench::BenchArgs),
    List(commands::list::ListArgs),
    Demo(commands::demo::DemoArgs),
    Completions(commands::completions::CompletionsArgs),
    #[command(name = "__probe-device", hide = true)]
    ProbeDevice(commands::probe::ProbeArgs),
}

/// How a model is kept in memory.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Memory")]
pub struct MemoryArgs {
    /// Keep frozen weights in fewer bits: f32, f16, bf16 or int8, on a GPU those that it has
    #[arg(long, value_name = "PRECISION", default_value = "f32", value_parser = values::precision)]
    pub precision: Precision,
}

/// Decisions other than those of the task file.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Decisions")]
pub struct DecisionArgs {
    /// Probability of the last of two classes from which it is predicted, of any class in a multi-label task, or of a box from which it is shown [default: that of the task file]
    #[arg(long, value_name = "P", value_parser = values::fraction)]
    pub threshold: Option<f64>,

    /// Ignore temperature, threshold and abstention of the task file
    #[arg(long)]
    pub no_calibration: bool,
}

impl DecisionArgs {
    /// The calibration of the task, or what the flags put in its place.
    pub fn calibration(self, task: &TaskMetadata) -> anyhow::Result<Calibration> {
        let classes = task.task.classes.len();
        let any_number = matches!(task.task.kind, TaskKind::MultiLabel | TaskKind::Detection);
        if self.threshold.is_some() && classes != 2 && !any_number {
            return Err(
                Failure::usage(format!("`--threshold` parts two classes, the task has {classes}"))
                    .hint("leave it out: the most likely class is predicted")
                    .into(),
            );
        }
        let of_task = match self.no_calibration {
            true => Calibration::default(),
            false => task.calibration.clone(),
        };
        Ok(Calibration {
            threshold: self.threshold.or(of_task.threshold),
            thresholds: of_task.thresholds.filter(|_| self.threshold.is_none()),
            ..of_task
        })
    }
}

/// Which columns of a table are what, where their names do not say.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Data")]
pub struct ColumnArgs {
    /// Column of a table that names the image [default: path, image, file …]
    #[arg(id = "path_column", long = "path-column", value_name = "NAME")]
    pub path: Option<String>,

    /// Column of a table with the class [default: label, class …]
    #[arg(id = "label_column", long = "label-column", value_name = "NAME")]
    pub label: Option<String>,

    /// Column of a table with the split, or `none` [default: split …]
    #[arg(id = "split_column", long = "split-column", value_name = "NAME")]
    pub split: Option<String>,

    /// Column of a table with what keeps images together, such as the patient, or `none` [default: group, patient …]
    #[arg(id = "group_column", long = "group-column", value_name = "NAME")]
    pub group: Option<String>,

    /// Column of a table with how much an image counts in the training loss, or `none` [default: weight, sample_weight]
    #[arg(id = "weight_column", long = "weight-column", value_name = "NAME")]
    pub weight: Option<String>,
}

impl ColumnArgs {
    /// As opening a data set takes them.
    pub fn names(&self) -> ColumnNames {
        ColumnNames {
            path: self.path.clone(),
            label: self.label.clone(),
            split: self.split.clone(),
            group: self.group.clone(),
            weight: self.weight.clone(),
        }
    }
}

/// Which images to learn from or to measure on.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Folder with `train/ val/ test/` of class folders, one folder of class folders, a table (.csv, .tsv) of images, or a MedMNIST .npz
    #[arg(long, visible_alias = "data", value_name = "DIR", conflicts_with = "task")]
    pub data_dir: Option<PathBuf>,

    /// A task by name (`vpt list tasks`) or its TOML file
    #[arg(long, value_name = "NAME|FILE")]
    pub task: Option<String>,

    /// Go on without images that cannot be read
    #[arg(long)]
    pub skip_bad_images: bool,

    #[command(flatten)]
    pub columns: ColumnArgs,

    /// Threads that decode images [default: all]
    #[arg(short = 'j', long, value_name = "N", value_parser = values::count)]
    pub workers: Option<usize>,
}
