//! `vpt train --folds K`: cross-validation, each part of the images tested by a model that has not seen it.

use anyhow::{Context, Result};
use vpt_data::{Dataset, atomic};
use vpt_eval::report::format::{UNKNOWN, Unit};
use vpt_eval::{Bootstrap, Predictions, Results, RunSummary, metrics};
use vpt_train::{RunDir, TrainConfig};

use super::RunArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::planned_run::{Ended, PlannedRun, Work};
use crate::queue::Queue;
use crate::session::Session;
use crate::{interrupt, tables};

/// What the pooled results call their images.
const SPLIT: &str = "folds";

/// Trains the models that are missing, then measures all their predictions together.
pub fn run(
    config: &TrainConfig,
    folds: usize,
    dataset: &Dataset,
    args: &RunArgs,
    session: &Session,
) -> Result<Exit> {
    let output = session.output;
    let plans = plans(config, folds, dataset)?;
    let name = args.experiment.as_deref().unwrap_or(&dataset.name);
    let folder = args.output.join("folds").join(name);
    interrupt::handle(output, "stopping after this step; Ctrl-C again stops at once")?;
    let queue = Queue::new(session, 1, folder.clone(), args.output.join("train"))?;
    let Some(ended) = queue.complete(&plans)? else {
        output.hint("the same command goes on from there");
        return Ok(Exit::Interrupted);
    };
    let mut runs = Vec::new();
    for (ended, (label, _)) in ended.iter().zip(&plans) {
        match ended {
            Ended::Finished(folder) => runs.push(RunSummary::load(folder)?),
            Ended::Failed(reason) => {
                return Err(Failure::new(format!("{label}: {reason}"))
                    .hint("the same command goes on from there")
                    .into());
            }
            Ended::Interrupted => return Ok(Exit::Interrupted),
        }
    }

    let predictions: Vec<Predictions> = runs.iter().map(|run| run.predictions.clone()).collect();
    let predictions = Predictions::pooled(&predictions)?;
    let first = runs[0].results.clone();
    let sum = |value: fn(&Results) -> Option<f64>| runs.iter().map(|run| value(&run.results)).sum();
    let results = Results {
        task: first.task,
        split: SPLIT.to_owned(),
        method: first.method,
        model: first.model,
        seed: first.seed,
        device: first.device,
        tuned_params: first.tuned_params,
        total_params: first.total_params,
        task_file_bytes: first.task_file_bytes,
        train_seconds: sum(|results| results.train_seconds),
        eval_seconds: sum(|results| results.eval_seconds),
        peak_memory_bytes: runs.iter().filter_map(|run| run.results.peak_memory_bytes).max(),
        device_memory_bytes: runs
            .iter()
            .filter_map(|run| run.results.device_memory_bytes)
            .max(),
        backbone_sha256: first.backbone_sha256,
        date: first.date,
        ..Results::from_predictions(&predictions, &Bootstrap::default())
    };
    let saved = predictions.save_in(&folder)?;
    results.save(&folder.join(RunDir::RESULTS))?;
    let labels = dataset.classes.join("\n") + "\n";
    atomic::write_bytes(&folder.join(RunDir::LABELS), labels.as_bytes())
        .with_context(|| format!("cannot write into `{}`", folder.display()))?;

    output.json(&results)?;
    output.result(format!(
        "{} models of {}, each tested on images that it has not seen\n",
        runs.len(),
        results.method
    ))?;
    output.result(table(&runs, config.main_metric())?)?;
    output.result(format!("\n{}", tables::metrics_table(&results)))?;
    let place = |name: &str| folder.join(name).display().to_string();
    output.result(format!(
        "\n{}",
        tables::pairs(&[
            ("folds", folder.display().to_string()),
            ("results", place(RunDir::RESULTS)),
            ("predictions", saved.display().to_string()),
        ])
    ))?;
    Ok(Exit::Success)
}

/// The runs, under their labels.
fn plans(config: &TrainConfig, folds: usize, dataset: &Dataset) -> Result<Vec<(String, PlannedRun)>> {
    let backbone_sha256 = config.load_backbone()?.sha256;
    let parts = dataset.folds(folds, config.val_fraction, config.split_seed)?;
    let plan = |(index, part): (usize, Dataset)| {
        let run = PlannedRun {
            work: Work::Train,
            name: format!("fold{}", index + 1),
            config: TrainConfig {
                fold: Some(index + 1),
                ..config.clone()
            },
            backbone_sha256: backbone_sha256.clone(),
            data_fingerprint: part.fingerprint()?,
        };
        Ok((format!("fold {}", index + 1), run))
    };
    parts.into_iter().enumerate().map(plan).collect()
}

/// A line a fold; mean and standard deviation below.
fn table(runs: &[RunSummary], metric: &str) -> Result<String> {
    let unit = Unit::of(metrics::find(metric)?);
    let values: Vec<Option<f64>> = runs.iter().map(|run| run.results.value(metric)).collect();
    let mut rows: Vec<Vec<String>> = runs
        .iter()
        .zip(&values)
        .enumerate()
        .map(|(index, (run, value))| {
            vec![
                (index + 1).to_string(),
                run.results.images.to_string(),
                value.map_or(UNKNOWN.to_owned(), |value| unit.number(value)),
            ]
        })
        .collect();
    let known: Vec<f64> = values.into_iter().flatten().collect();
    if known.len() > 1 {
        let n = known.len() as f64;
        let mean = known.iter().sum::<f64>() / n;
        let variance = known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let summary = format!("{} ± {}", unit.number(mean), unit.number(variance.sqrt()));
        rows.push(vec!["mean ± sd".to_owned(), String::new(), summary]);
    }
    Ok(tables::plain(&["fold", "images", metric], rows))
}
