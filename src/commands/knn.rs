//! `vpt knn`: how far a backbone's features come without learning anything.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use ndarray::Array2;
use vpt_core::Backbone;
use vpt_data::{Dataset, Sample, Split, TaskKind};
use vpt_eval::metrics::{self, Metric};
use vpt_eval::{
    Bootstrap, EpochRow, FeatureExtractor, Knn, PredictOptions, Predictions, Results, peak_memory_bytes,
};
use vpt_train::{Existing, RunDir, TrainConfig};

use crate::cli::layer::Layer;
use crate::cli::training::{SamplingArgs, ShotsArgs};
use crate::cli::{DataArgs, values};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::knn_settings::{KnnSettings, NEIGHBOURS};
use crate::session::Session;
use crate::settings::Settings;
use crate::{interrupt, progress, shell, tables};

const EXAMPLES: &str = "\
Examples:
  vpt knn --data-dir my_images
  vpt knn --data-dir my_images --model weights/vit_base -k 20
  vpt knn --data-dir my_images --experiment neighbours

An image gets the class that the training images most similar to it vote for: by cosine similarity of \
the backbone's features, weighted as in DINO. Nothing is trained: it is the first number to know about a \
backbone and a data set. With --experiment results and predictions are kept in a run folder, as training does.";

/// Classify by the most similar training images: a baseline without training
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct KnnArgs {
    #[command(flatten)]
    pub data: DataArgs,

    #[command(flatten)]
    pub sampling: SamplingArgs,

    #[command(flatten)]
    pub shots: ShotsArgs,

    /// Backbone: `demo` (built in), a folder with weights, one weight file, `hf-hub:org/name`, or a name of `vpt list models` [default: demo]
    #[arg(long, value_name = "MODEL", help_heading = "Model")]
    pub model: Option<String>,

    /// Image size: pixels, or height x width [default: that of the backbone]
    #[arg(long, visible_alias = "imgsz", value_name = "SIZE", value_parser = values::image_size, help_heading = "Model")]
    pub img_size: Option<[usize; 2]>,

    /// Neighbours that vote; of several, validation chooses [default: 1,5,10,20,50,100]
    #[arg(short, long = "neighbours", value_name = "K,…", value_delimiter = ',', value_parser = values::count)]
    pub k: Vec<usize>,

    /// Confidence level of the intervals
    #[arg(long, value_name = "LEVEL", default_value = "0.95", value_parser = values::level)]
    pub ci: f64,

    /// Images in a batch
    #[arg(short, long, visible_alias = "batch", value_name = "N", default_value = "32", value_parser = values::count)]
    pub batch_size: usize,

    /// Folder that holds runs; with `--experiment`, this one goes to DIR/train/NAME
    #[arg(
        long,
        visible_alias = "project",
        value_name = "DIR",
        default_value = "runs",
        help_heading = "Run"
    )]
    pub output: PathBuf,

    /// Keep results and predictions in the run folder of this name
    #[arg(long, visible_alias = "name", value_name = "NAME", help_heading = "Run")]
    pub experiment: Option<String>,

    /// Replace the run of that name
    #[arg(long, requires = "experiment", help_heading = "Run")]
    pub exist_ok: bool,

    /// Do what the args.toml of this folder says, so that `vpt compare` can have it done
    #[arg(long, value_name = "RUN", hide = true, conflicts_with_all = ["data_dir", "task", "experiment"])]
    pub resume: Option<PathBuf>,

    /// Stop as on Ctrl-C when stdin closes, so that no run outlives `vpt compare`
    #[arg(long, hide = true)]
    pub stop_with_stdin: bool,
}

/// Computes features, lets validation choose the number of neighbours, and measures on the test images.
pub fn run(args: &KnnArgs, session: &Session) -> Result<Exit> {
    let output = session.output;
    interrupt::handle(output, "stopping; Ctrl-C again stops at once")?;
    if args.stop_with_stdin {
        interrupt::follow_stdin();
    }
    let (mut settings, folder) = args.settings()?;
    let dataset = settings.config.open_dataset()?;
    if dataset.kind.is_dense() {
        return Err(Failure::usage(format!(
            "`{}` has boxes or masks, neighbours vote for the class of a whole image",
            dataset.name
        ))
        .hint("`vpt train --method linear` is the baseline: a frozen backbone and a head")
        .into());
    }
    if dataset.kind == TaskKind::MultiLabel {
        return Err(Failure::usage(format!(
            "`{}` has any number of classes for each image, neighbours vote for one",
            dataset.name
        ))
        .hint("`vpt train --method linear` is the baseline for multi-label tasks")
        .into());
    }
    settings.config = settings.config.for_data(&dataset)?;
    let (config, neighbours) = (&settings.config, &settings.neighbours);
    let metric = metrics::find(config.main_metric())?;
    let backbone = config.load_backbone()?;
    for note in dataset.notes.iter().chain(&backbone.notes) {
        output.info(format!("note: {note}"));
    }
    let device = session.device()?;
    let (total_params, backbone_sha256) = (backbone.num_params(), backbone.sha256.clone());
    let features = Features::new(backbone, args, config, &dataset, session)?;
    let started = Instant::now();
    let train = features.of(Split::Train)?;
    let train_seconds = started.elapsed().as_secs_f64();
    let vote = |k: usize, split: Split, queries: &Array2<f32>| {
        let (labels, classes) = (labels(&dataset.train), dataset.classes.len());
        let shares = Knn::new(k).log_shares(&train, &labels, queries, classes);
        predictions(&dataset, split, shares, config.kind())
    };
    let val = features.of(Split::Val)?;
    let mut log = String::new();
    let mut best: Option<(usize, f64, Predictions)> = None;
    for &k in neighbours {
        let predictions = vote(k, Split::Val, &val)?;
        let value = metrics::evaluate(&predictions).get(metric.name).copied();
        let value = value.unwrap_or(f64::NAN);
        let line = format!("k = {k}: val {} {value:.4}", metric.name);
        output.detail(&line);
        log += &(line + "\n");
        let better = |(_, most, _): &(usize, f64, Predictions)| is_better(value, *most, metric);
        if best.as_ref().is_none_or(better) {
            best = Some((k, value, predictions));
        }
    }
    let Some((k, _, validation)) = best else {
        return Err(Failure::usage("no number of neighbours is given").into());
    };
    let search_seconds = started.elapsed().as_secs_f64();
    if interrupt::requested() {
        return Ok(Exit::Interrupted);
    }
    let (calibration, notes) = config.calibration_plan().fit(&validation);
    for note in &notes {
        output.info(format!("note: {note}"));
    }
    let (split, mut predictions) = if dataset.test.is_empty() || !config.read_test {
        output.info(format!(
            "note: {}: results are of the validation images, which also chose k",
            config.why_no_test()
        ));
        (Split::Val, validation)
    } else {
        let started = Instant::now();
        let mut predictions = vote(k, Split::Test, &features.of(Split::Test)?)?;
        predictions.seconds = Some(started.elapsed().as_secs_f64());
        (Split::Test, predictions)
    };
    if interrupt::requested() {
        return Ok(Exit::Interrupted);
    }
    predictions.calibration = calibration;
    let bootstrap = Bootstrap {
        level: args.ci,
        ..Bootstrap::default()
    };
    let results = Results {
        task: dataset.name.clone(),
        split: split.name().to_owned(),
        method: "knn".to_owned(),
        model: config.model.clone(),
        seed: folder.is_some().then_some(config.seed),
        device: Some(device.name),
        neighbours: Some(k),
        tuned_params: Some(0),
        total_params: Some(total_params),
        task_file_bytes: Some(bank_bytes(&train)),
        train_seconds: Some(search_seconds),
        train_images_per_second: Some(train.nrows() as f64 / train_seconds.max(1e-9)),
        peak_memory_bytes: peak_memory_bytes(),
        backbone_sha256: Some(backbone_sha256),
        data_fingerprint: Some(dataset.fingerprint()?),
        ..Results::from_predictions(&predictions, &bootstrap)
    };
    if let Some(folder) = &folder {
        write(folder, &settings, &dataset, &predictions, &results, &log)?;
    }
    output.json(&results)?;
    output.result(format!(
        "knn, k = {k} of {} training images, {} on {} {} images\n",
        train.nrows(),
        config.model,
        results.images,
        results.split
    ))?;
    output.result(tables::results(&results, metric))?;
    if let Some(folder) = &folder {
        let next = [("run folder", shell::quote(folder.path()))];
        output.result(format!("\n{}", tables::pairs(&next)))?;
    }
    Ok(Exit::Success)
}

impl KnnArgs {
    /// What is to be done, and the folder that keeps it, if one shall.
    fn settings(&self) -> Result<(KnnSettings, Option<RunDir>)> {
        if let Some(run) = &self.resume {
            let run = RunDir::open(run)?;
            return Ok((KnnSettings::of_run(run.path())?, Some(run)));
        }
        let mut flags = Layer::default();
        self.sampling.add_to(&mut flags);
        self.shots.add_to(&mut flags);
        flags.set("model", self.model.clone());
        flags.set(
            "image_size",
            self.img_size.map(|size| size.map(|side| side as i64).to_vec()),
        );
        let config = Settings::read(&self.data, None)?.with([flags])?;
        let neighbours = match self.k.as_slice() {
            [] => NEIGHBOURS.to_vec(),
            given => given.to_vec(),
        };
        let settings = KnnSettings::new(&config, neighbours);
        let existing = match self.exist_ok {
            true => Existing::Replace,
            false => Existing::Refuse,
        };
        let folder = self.experiment.as_deref();
        let folder = folder
            .map(|name| RunDir::create(&self.output, name, existing))
            .transpose()?;
        Ok((settings, folder))
    }
}

/// What the head of a probe would read, split by split.
struct Features<'a> {
    extractor: FeatureExtractor,
    options: PredictOptions,
    dataset: &'a Dataset,
    session: &'a Session,
}

impl<'a> Features<'a> {
    fn new(
        backbone: Backbone,
        args: &KnnArgs,
        config: &TrainConfig,
        dataset: &'a Dataset,
        session: &'a Session,
    ) -> Result<Self> {
        Ok(Self {
            extractor: FeatureExtractor::new(backbone, config.image_size, &session.device()?.device)?,
            options: PredictOptions {
                batch_size: args.batch_size,
                workers: config.workers,
            },
            dataset,
            session,
        })
    }

    fn of(&self, split: Split) -> Result<Array2<f32>> {
        let samples = self.dataset.split(split);
        let bar = progress::images(self.session.output, split.name(), samples.len());
        let features = self
            .extractor
            .extract(samples, &self.options, &mut |done| bar.set_position(done as u64));
        bar.finish_and_clear();
        Ok(features?)
    }
}

/// What a run folder has of a training that there was none of.
fn write(
    folder: &RunDir,
    settings: &KnnSettings,
    dataset: &Dataset,
    predictions: &Predictions,
    results: &Results,
    log: &str,
) -> Result<()> {
    if !folder.file(RunDir::ARGS).exists() {
        folder.write(RunDir::ARGS, settings.to_toml()?.as_bytes())?;
    }
    let labels = dataset.classes.join("\n") + "\n";
    folder.write(RunDir::LABELS, labels.as_bytes())?;
    folder.write(RunDir::RESULTS_CSV, EpochRow::to_csv(&[]).as_bytes())?;
    folder.write(RunDir::LOG, log.as_bytes())?;
    predictions.save_in(folder.path())?;
    results.save(&folder.file(RunDir::RESULTS))?;
    Ok(())
}

/// What has to be kept to classify: the features of the training images in float32, and a number for the class of each.
fn bank_bytes(train: &Array2<f32>) -> u64 {
    4 * (train.len() + train.nrows()) as u64
}

fn labels(samples: &[Sample]) -> Vec<usize> {
    samples.iter().filter_map(|sample| sample.label.class()).collect()
}

fn predictions(dataset: &Dataset, split: Split, shares: Array2<f32>, kind: TaskKind) -> Result<Predictions> {
    let samples = dataset.split(split);
    let predictions = Predictions::of(&dataset.classes, samples, shares)?;
    let undecided = vpt_core::Calibration::default();
    Ok(predictions
        .decided_by(kind, undecided)
        .described(&dataset.columns, samples))
}

/// Whether `new` beats `old`, which it must to take its place: of equals the number of neighbours that was named first.
fn is_better(new: f64, old: f64, metric: &Metric) -> bool {
    old.is_nan() && !new.is_nan()
        || if metric.higher_is_better {
            new > old
        } else {
            new < old
        }
}
