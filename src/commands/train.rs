//! `vpt train`: learn prompts and a head for an image folder.

mod folds;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use vpt_core::{Backbone, Classifier};
use vpt_data::{Dataset, Split};
use vpt_eval::report::format;
use vpt_eval::{Results, available_memory_bytes};
use vpt_train::{Existing, Outcome, RunDir, TrainConfig, Trainer};

use crate::banner::Banner;
use crate::cli::layer::Layer;
use crate::cli::training::{ShotsArgs, TrainingArgs};
use crate::cli::values::BatchSize;
use crate::cli::{DataArgs, values};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::session::Session;
use crate::settings::Settings;
use crate::{interrupt, settings, shell, tables};

const EXAMPLES: &str = "\
Examples:
  vpt train --data-dir my_images
  vpt train --data-dir my_images --method vpt-deep --num-tokens 50 --epochs 30 --lr 0.02
  vpt train --data-dir my_images --model weights/vit_base --imgsz 384 --batch 16
  vpt train --data-dir my_images --shots 16 --method linear
  vpt train --resume runs/train/my_images

The backbone stays frozen (unless the method says otherwise), validation chooses the best epoch, and the \
test split is read once, at the end. Settings come from defaults < task < `-c FILE` < flags; what a run was \
made with stands in its args.toml.";

/// Learn prompts and a head for an image folder
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct TrainArgs {
    #[command(flatten)]
    pub data: DataArgs,

    /// Tuning method (`vpt list methods`) [default: vpt-deep]
    #[arg(long, value_name = "METHOD", value_parser = values::method, help_heading = "Method")]
    pub method: Option<String>,

    #[command(flatten)]
    pub shots: ShotsArgs,

    /// Train on the validation images too: the last epoch counts, and nothing is calibrated
    #[arg(long, help_heading = "Data")]
    pub train_on_val: bool,

    /// Do not read the test images: results are of the validation images
    #[arg(long, help_heading = "Data")]
    pub no_test: bool,

    #[command(flatten)]
    pub training: TrainingArgs,

    /// Seed of everything random but the splits [default: 42]
    #[arg(long, value_name = "SEED", value_parser = values::seed, help_heading = "Optimisation")]
    pub seed: Option<u64>,

    #[command(flatten)]
    pub run: RunArgs,
}

/// Where settings come from and where the run goes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Run")]
pub struct RunArgs {
    /// Settings in TOML, by the names in a run's args.toml
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Folder that holds runs; this one goes to DIR/train/NAME
    #[arg(long, visible_alias = "project", value_name = "DIR", default_value = "runs")]
    pub output: PathBuf,

    /// Name of the run [default: that of the data, numbered if taken]
    #[arg(long, visible_alias = "name", value_name = "NAME")]
    pub experiment: Option<String>,

    /// Replace the run of that name
    #[arg(long)]
    pub exist_ok: bool,

    /// Cross-validate: train K models, each tested on another part of the images, into DIR/folds/NAME
    #[arg(long, value_name = "K", value_parser = values::count)]
    pub folds: Option<usize>,

    /// Train only this one of the `--folds`
    #[arg(long, value_name = "I", value_parser = values::count, requires = "folds")]
    pub fold: Option<usize>,

    /// Go on with an interrupted run
    #[arg(long, value_name = "RUN", conflicts_with_all = ["data_dir", "task", "config", "experiment", "exist_ok"])]
    pub resume: Option<PathBuf>,

    /// Store the task file in float16
    #[arg(long)]
    pub half: bool,

    /// Print the settings, parameter counts and the memory that training will need, then stop without writing anything
    #[arg(long)]
    pub dry_run: bool,

    /// Stop as on Ctrl-C when stdin closes, so that no run outlives `vpt compare`
    #[arg(long, hide = true)]
    pub stop_with_stdin: bool,
}

/// Trains, or resumes, or only says what it would do.
pub fn run(args: &TrainArgs, session: &Session) -> Result<Exit> {
    if let Some(run) = &args.run.resume {
        return resume(run, args, session);
    }
    let config = Settings::read(&args.data, args.run.config.as_deref())?.with([args.layer()])?;
    let dataset = config.open_dataset()?;
    let config = config.for_data(&dataset)?;
    if let (Some(folds), None, false) = (config.folds, config.fold, args.run.dry_run) {
        args.training.refuse_auto_batch()?;
        return folds::run(&config, folds, &dataset, &args.run, session);
    }
    let backbone = config.load_backbone()?;
    let config = match args.training.optim.batch_size {
        Some(BatchSize::Auto) => fitting(config, &dataset, &backbone, session)?,
        _ => config,
    };
    if args.run.dry_run {
        return dry_run(config, &dataset, backbone, session);
    }
    let device = session.devices()?;
    let banner = Banner::new(&config, &dataset, &backbone, &device);
    let run = args.run.folder(&dataset.name)?;
    let trainer = Trainer::new(config.clone(), dataset, backbone, device, run)?;
    fit(trainer, &config, banner, args, session)
}

/// `--batch-size auto`.
fn fitting(
    config: TrainConfig,
    dataset: &Dataset,
    backbone: &Backbone,
    session: &Session,
) -> Result<TrainConfig> {
    let usual = config.batch_size;
    let free = available_memory_bytes().filter(|_| session.device().is_ok_and(|device| device.is_cpu));
    let Some(free) = free else {
        return Err(
            Failure::usage("how much memory is free is only known for the CPU, on Linux")
                .hint("give `--batch-size` as a number")
                .into(),
        );
    };
    let config = config.with_batch_that_fits(dataset, backbone, free)?;
    session.output.info(match config.batch_size {
        batch if batch == usual => format!("batches of {batch} images, as usual, fit into memory"),
        batch => format!(
            "batches of {batch} images fit into memory, {} of them make a step, as one of {usual} would",
            config.grad_accum_steps
        ),
    });
    Ok(config)
}

/// Goes on with a run, from its own settings.
fn resume(path: &Path, args: &TrainArgs, session: &Session) -> Result<Exit> {
    let auto = args.training.optim.batch_size == Some(BatchSize::Auto);
    if !args.layer().is_empty() || auto || args.run.dry_run {
        return Err(Failure::usage("`--resume` takes its settings from the run")
            .hint(format!(
                "`vpt train --resume {}` is all it needs",
                shell::quote(path)
            ))
            .into());
    }
    let run = RunDir::open(path)?;
    if run.is_finished() {
        session
            .output
            .info(format!("`{}` is finished already", path.display()));
        return report(path, &Results::load(&run.file(RunDir::RESULTS))?, session);
    }
    let config = settings::of_run(path)?;
    let dataset = config.open_dataset()?;
    let backbone = config.load_backbone()?;
    let device = session.devices()?;
    let banner = Banner::new(&config, &dataset, &backbone, &device);
    let trainer = Trainer::resume_with(run, dataset, backbone, device)?;
    fit(trainer, &config, banner, args, session)
}

fn fit(
    trainer: Trainer,
    config: &TrainConfig,
    banner: Banner,
    args: &TrainArgs,
    session: &Session,
) -> Result<Exit> {
    let output = session.output;
    let stop = interrupt::handle(output, "stopping after this step; Ctrl-C again stops at once")?;
    if args.run.stop_with_stdin {
        interrupt::follow_stdin();
    }
    let outcome = trainer.fit(&mut Progress::new(output, config.main_metric(), banner), stop)?;
    match outcome {
        Outcome::Finished(finished) => report(&finished.run, &finished.results, session),
        Outcome::Interrupted { run, epochs } => {
            output.info(format!(
                "stopped after {epochs} of {} epochs, everything is saved",
                config.epochs
            ));
            output.hint(format!(
                "`vpt train --resume {}` goes on from there",
                shell::quote(&run)
            ));
            Ok(Exit::Interrupted)
        }
    }
}

/// The end of a run: what it reached, where it lies, what to do next.
fn report(run: &Path, results: &Results, session: &Session) -> Result<Exit> {
    let output = session.output;
    output.json(results)?;
    output.result(summary(results))?;
    output.result(format!("\n{}", tables::metrics_table(results)))?;
    let place = shell::quote(run);
    let next = [
        ("run folder", run.display().to_string()),
        ("decisions", results.calibration.to_string()),
        ("report", run.join(RunDir::REPORT).display().to_string()),
        ("task file", run.join(RunDir::BEST).display().to_string()),
        ("evaluate", format!("vpt eval {place}")),
        ("predict", format!("vpt predict {place} IMAGE")),
    ];
    output.result(format!("\n{}", tables::pairs(&next)))?;
    Ok(Exit::Success)
}

fn summary(results: &Results) -> String {
    let best = results.best_epoch.zip(results.epochs);
    let best = best.map_or(String::new(), |(best, epochs)| {
        format!("best epoch {best} of {epochs}, ")
    });
    format!("{best}measured on {} {} images", results.images, results.split)
}

/// What `--dry-run` prints: the settings as args.toml would hold them, and what they mean for the model.
#[derive(Serialize)]
struct DryRun<'a> {
    settings: &'a TrainConfig,
    backbone_sha256: &'a str,
    tuned_params: usize,
    total_params: usize,
    /// What training will need at its peak.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    classes: &'a [String],
    images: Images,
}

#[derive(Serialize)]
struct Images {
    train: usize,
    val: usize,
    test: usize,
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "the run that would have taken the settings ends here"
)]
fn dry_run(config: TrainConfig, dataset: &Dataset, backbone: Backbone, session: &Session) -> Result<Exit> {
    let size = config.preprocess(&backbone).input_size;
    let (head, classes) = (config.head(&backbone.config), dataset.classes.len());
    let device = session.devices()?;
    let banner = Banner::new(&config, dataset, &backbone, &device);
    let backbone_sha256 = backbone.sha256.clone();
    // What GPUs need, and what heads for boxes and masks keep, is not estimated.
    let memory = device
        .is_cpu
        .then(|| config.memory_plan(dataset, &backbone))
        .flatten();
    let (method, seed) = (&config.method, config.seed);
    let model = Classifier::with_head(backbone, method, head, classes, size, seed, &device.device)?;
    let count = |split| dataset.split(split).len();
    let plan = DryRun {
        settings: &config,
        backbone_sha256: &backbone_sha256,
        tuned_params: model.num_tuned(),
        total_params: model.num_total(),
        memory_bytes: memory.map(|plan| plan.total()),
        classes: &dataset.classes,
        images: Images {
            train: count(Split::Train),
            val: count(Split::Val),
            test: count(Split::Test),
        },
    };
    session.output.json(&plan)?;
    session.output.result(config.to_toml()?)?;
    session
        .output
        .result(banner.text(plan.tuned_params, plan.total_params))?;
    if let Some(plan) = memory {
        let about = format!(
            "about {}, of which {} for images that are kept decoded (`--cache-mb`)",
            format::bytes(plan.total()),
            format::bytes(plan.images)
        );
        session.output.result(tables::pairs(&[("memory", about)]))?;
    }
    Ok(Exit::Success)
}

impl TrainArgs {
    /// The settings that flags give.
    fn layer(&self) -> Layer {
        let mut layer = self.training.layer();
        self.shots.add_to(&mut layer);
        layer.switch("train_on_val", self.train_on_val);
        layer.set("read_test", self.no_test.then_some(false));
        layer.set("method.name", self.method.clone());
        layer.set("seed", self.seed.map(|seed| seed as i64));
        layer.switch("half", self.run.half);
        layer.count("folds", self.run.folds);
        layer.count("fold", self.run.fold);
        layer
    }
}

impl RunArgs {
    /// Makes the run's folder. A name that the user chose is not changed; one taken from the data is numbered.
    fn folder(&self, name: &str) -> Result<RunDir> {
        let (name, existing) = match &self.experiment {
            _ if self.exist_ok => (self.experiment.as_deref().unwrap_or(name), Existing::Replace),
            Some(chosen) => (chosen.as_str(), Existing::Refuse),
            None => (name, Existing::Increment),
        };
        Ok(RunDir::create(&self.output, name, existing)?)
    }
}
