//! `vpt compare --runs`: finished runs, compared without training.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use vpt_eval::{Bootstrap, Comparison, RunSummary};
use vpt_train::{Cache, RunDir, TrainConfig};

use super::CompareArgs;
use super::folders::Folders;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::{settings, shell, tables};

/// A finished run under the name that its row has.
struct Finished {
    folder: PathBuf,
    config: TrainConfig,
    summary: RunSummary,
}

/// Compares the runs that are named.
pub fn run(args: &CompareArgs, session: &Session) -> Result<Exit> {
    let mut finished = Vec::new();
    for folder in &args.runs {
        finished.push(Finished::open(folder)?);
    }
    check_images(&finished)?;
    name_rows(&mut finished);
    let first = &finished[0];
    let names: Vec<&str> = finished.iter().map(|run| run.summary.method.as_str()).collect();
    let baseline = match &args.baseline {
        Some(baseline) => baseline.clone(),
        None if names.contains(&"full") => "full".to_owned(),
        None => names.last().copied().unwrap_or_default().to_owned(),
    };
    let metric = first.config.main_metric().to_owned();
    let name = args
        .experiment
        .clone()
        .unwrap_or_else(|| format!("{}-runs", first.summary.results.task));
    let folders = Folders::new(&args.output, &name);
    let runs: Vec<RunSummary> = finished
        .iter()
        .map(|run| RunSummary {
            run_dir: folders.link(&run.folder),
            ..run.summary.clone()
        })
        .collect();
    let bootstrap = Bootstrap {
        level: args.ci,
        ..Bootstrap::default()
    };
    let mut comparison = Comparison::with_metric(&runs, &baseline, &metric, &bootstrap)?;
    comparison.commands = vec![shell::command()];
    comparison
        .notes
        .push("The runs were trained apart, each as its args.toml says.".to_owned());
    std::fs::create_dir_all(&folders.comparison)
        .with_context(|| format!("cannot create `{}`", folders.comparison.display()))?;
    folders.write(&comparison)?;
    let output = session.output;
    output.json(&comparison)?;
    output.result(tables::comparison(&comparison))?;
    output.result(format!("\n{}", folders.listing()))?;
    Ok(Exit::Success)
}

impl Finished {
    fn open(folder: &Path) -> Result<Self> {
        if !folder.join(RunDir::RESULTS).is_file() {
            let failure = Failure::new(format!("`{}` is not a finished run", folder.display()));
            return Err(match folder.join(RunDir::ARGS).is_file() {
                true => failure.hint(format!(
                    "finish it: `vpt train --resume {}`",
                    shell::quote(folder)
                )),
                false => failure.hint("give folders that `vpt train` printed"),
            }
            .into());
        }
        Ok(Self {
            config: settings::of_run(folder)?,
            summary: RunSummary::load(folder)?,
            folder: std::path::absolute(folder)
                .with_context(|| format!("cannot make `{}` absolute", folder.display()))?,
        })
    }

    /// What makes runs seeds of one another when it is the same.
    fn settings_but_seed(&self) -> String {
        let but_seed = TrainConfig {
            seed: 0,
            shots_seed: None,
            workers: 0,
            cache: Cache::Ram,
            cache_mb: None,
            ..self.config.clone()
        };
        but_seed.to_toml().unwrap_or_default()
    }
}

/// Runs can only be compared on the same images, and on images of the same part of the data.
fn check_images(runs: &[Finished]) -> Result<()> {
    let first = &runs[0];
    for run in runs {
        let (a, b) = (&first.summary.results, &run.summary.results);
        if a.split != b.split {
            return Err(Failure::new(format!(
                "`{}` was measured on {} images, `{}` on {} images",
                first.folder.display(),
                a.split,
                run.folder.display(),
                b.split
            ))
            .hint("compare runs that were measured on the same images")
            .into());
        }
    }
    Ok(())
}

/// Runs of one method are seeds of one row where nothing but the seed differs; else each group of runs has the name of its
/// first folder behind that of its method.
fn name_rows(runs: &mut [Finished]) {
    let mut groups: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let keys: Vec<String> = runs.iter().map(Finished::settings_but_seed).collect();
    for (run, key) in runs.iter().zip(&keys) {
        let folder = run
            .folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let known = groups.entry(run.summary.method.clone()).or_default();
        if !known.iter().any(|(other, _)| other == key) {
            known.push((key.clone(), folder));
        }
    }
    for (run, key) in runs.iter_mut().zip(&keys) {
        let known = &groups[&run.summary.method];
        if known.len() > 1
            && let Some((_, folder)) = known.iter().find(|(other, _)| other == key)
        {
            run.summary.method = format!("{} ({folder})", run.summary.method);
        }
    }
}
