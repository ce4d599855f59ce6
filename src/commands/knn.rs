//! `vpt knn`: how far a backbone's features come without learning anything.

use std::time::Instant;

use anyhow::Result;
use clap::Args;
use ndarray::Array2;
use vpt_core::Backbone;
use vpt_data::{Dataset, Sample, Split, TaskKind};
use vpt_eval::{Bootstrap, FeatureExtractor, Knn, PredictOptions, Predictions, Results, metrics};

use crate::cli::layer::Layer;
use crate::cli::training::{SamplingArgs, ShotsArgs};
use crate::cli::{DataArgs, values};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::settings::Settings;
use crate::{progress, tables};

const EXAMPLES: &str = "\
Examples:
  vpt knn --data-dir my_images
  vpt knn --data-dir my_images --model weights/vit_base -k 20

An image gets the class that the training images most similar to it vote for: by cosine similarity of
the backbone's features, weighted as in DINO. Nothing is trained: it is the first number to know about a
backbone and a data set.";

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

    /// Backbone: `demo` (built in), a folder with weights, one weight file, `hf-hub:org/name`, or a name of `vpt list models`
    #[arg(long, value_name = "MODEL", default_value = "demo", help_heading = "Model")]
    pub model: String,

    /// Image size: pixels, or height x width [default: that of the backbone]
    #[arg(long, visible_alias = "imgsz", value_name = "SIZE", value_parser = values::image_size, help_heading = "Model")]
    pub img_size: Option<[usize; 2]>,

    /// Neighbours that vote; of several, validation chooses
    #[arg(short, long = "neighbours", value_name = "K,…", value_delimiter = ',', default_value = "1,5,10,20,50,100",
          value_parser = values::count)]
    pub k: Vec<usize>,

    /// Confidence level of the intervals
    #[arg(long, value_name = "LEVEL", default_value = "0.95", value_parser = values::level)]
    pub ci: f64,

    /// Images in a batch
    #[arg(short, long, visible_alias = "batch", value_name = "N", default_value = "64", value_parser = values::count)]
    pub batch_size: usize,
}

/// Computes features, lets validation choose the number of neighbours, and measures on the test images.
pub fn run(args: &KnnArgs, session: &Session) -> Result<Exit> {
    let output = session.output;
    let mut flags = Layer::default();
    args.sampling.add_to(&mut flags);
    args.shots.add_to(&mut flags);
    let config = Settings::read(&args.data, None)?.with([flags])?;
    let dataset = config.open_dataset()?;
    if dataset.kind == TaskKind::MultiLabel {
        return Err(Failure::usage(format!(
            "`{}` has any number of classes for each image, neighbours vote for one",
            dataset.name
        ))
        .hint("`vpt train --method linear` is the baseline for multi-label tasks")
        .into());
    }
    let backbone = Backbone::load(&args.model)?;
    for note in dataset.notes.iter().chain(&backbone.notes) {
        output.info(format!("note: {note}"));
    }
    let device = session.device()?;
    let (total_params, backbone_sha256) = (backbone.num_params(), backbone.sha256.clone());
    let extractor = FeatureExtractor::new(backbone, args.img_size, &device.device)?;
    let options = PredictOptions {
        batch_size: args.batch_size,
        workers: config.workers,
    };
    let features = |split| {
        let samples = dataset.split(split);
        let bar = progress::images(output, Split::name(split), samples.len());
        let features = extractor.extract(samples, &options, &mut |done| bar.set_position(done as u64));
        bar.finish_and_clear();
        features
    };
    let train = features(Split::Train)?;
    let vote = |k: usize, split: Split, queries: &Array2<f32>| {
        let (labels, classes) = (labels(&dataset.train), dataset.classes.len());
        let shares = Knn::new(k).log_shares(&train, &labels, queries, classes);
        predictions(&dataset, split, shares)
    };
    let val = features(Split::Val)?;
    let mut k = args.k[0];
    if args.k.len() > 1 {
        let mut most = 0;
        for &candidate in &args.k {
            let right = right(&vote(candidate, Split::Val, &val)?);
            output.detail(format!("k = {candidate}: {right} of {} val images", val.nrows()));
            if right > most {
                (k, most) = (candidate, right);
            }
        }
    }
    let (split, queries, seconds) = if dataset.test.is_empty() {
        output
            .info("note: there are no test images: results are of the validation images, which also chose k");
        (Split::Val, val, None)
    } else {
        let started = Instant::now();
        let test = features(Split::Test)?;
        (Split::Test, test, Some(started))
    };
    let mut predictions = vote(k, split, &queries)?;
    predictions.seconds = seconds.map(|started| started.elapsed().as_secs_f64());
    let bootstrap = Bootstrap {
        level: args.ci,
        ..Bootstrap::default()
    };
    let results = Results {
        task: dataset.name.clone(),
        split: split.name().to_owned(),
        method: format!("knn, k = {k}"),
        model: args.model.clone(),
        device: Some(device.name),
        tuned_params: Some(0),
        total_params: Some(total_params),
        backbone_sha256: Some(backbone_sha256),
        data_fingerprint: Some(dataset.fingerprint()?),
        ..Results::from_predictions(&predictions, &bootstrap)
    };
    output.json(&results)?;
    output.result(format!(
        "{} of {} training images, {} on {} {} images\n",
        results.method,
        dataset.train.len(),
        args.model,
        results.images,
        results.split
    ))?;
    output.result(tables::results(&results, metrics::find("top1")?))?;
    Ok(Exit::Success)
}

fn labels(samples: &[Sample]) -> Vec<usize> {
    samples.iter().filter_map(|sample| sample.label.class()).collect()
}

fn predictions(dataset: &Dataset, split: Split, shares: Array2<f32>) -> Result<Predictions> {
    Ok(Predictions::of(&dataset.classes, dataset.split(split), shares)?)
}

/// Images that got their own class.
fn right(predictions: &Predictions) -> usize {
    let decided = predictions.top1();
    decided
        .iter()
        .zip(&predictions.labels)
        .filter(|(class, label)| label.has(**class))
        .count()
}
