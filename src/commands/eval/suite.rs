//! `vpt eval --suite`: one table across tasks, each backbone loaded once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use vpt_core::SharedBackbone;
use vpt_data::atomic;
use vpt_eval::report::suite_html;
use vpt_eval::{Suite, SuiteTask};
use vpt_train::RunDir;

use super::{EvalArgs, check_bounds};
use crate::cli::DataArgs;
use crate::evaluation::{Base, Evaluator, Images};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::tables;
use crate::target::Target;

/// A suite's file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SuiteFile {
    name: Option<String>,
    /// The backbone of all tasks, if it is not where training found it.
    model: Option<String>,
    #[serde(default)]
    task: Vec<TaskEntry>,
}

/// One task of it. Paths are relative to the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskEntry {
    file: PathBuf,
    name: Option<String>,
    data_dir: Option<PathBuf>,
    task: Option<String>,
    split: Option<Images>,
}

/// Measures the tasks backbone by backbone, and shows them in the suite's order.
pub fn run(path: &Path, evaluator: &Evaluator, args: &EvalArgs, session: &Session) -> Result<Exit> {
    let SuiteFile { name, model, task } = read(path)?;
    let model = args.model.as_deref().or(model.as_deref());
    let targets: Vec<(TaskEntry, Target)> = task
        .into_iter()
        .map(|entry| {
            let target = Target::open(&entry.file)?;
            Ok((entry, target))
        })
        .collect::<Result<_>>()?;
    if args.save_predictions.is_some() {
        refuse_equal_names(&targets)?;
    }
    let mut by_backbone = BTreeMap::<&str, Vec<usize>>::new();
    for (place, (_, target)) in targets.iter().enumerate() {
        let sha256 = target.task.metadata.backbone.sha256.as_str();
        by_backbone.entry(sha256).or_default().push(place);
    }

    let mut measured: BTreeMap<usize, SuiteTask> = BTreeMap::new();
    for places in by_backbone.values() {
        let backbone = targets[places[0]].1.backbone(model)?;
        let backbone =
            SharedBackbone::with_precision(backbone, &session.device()?.device, evaluator.precision)?;
        for &place in places {
            let (entry, target) = &targets[place];
            let task = measure(entry, target, &backbone, evaluator, args, session);
            let task = task.with_context(|| format!("cannot measure `{}`", entry.file.display()))?;
            measured.insert(place, task);
        }
    }
    let name = name.unwrap_or_else(|| {
        let name = path.file_stem().unwrap_or(path.as_os_str());
        name.to_string_lossy().into_owned()
    });
    let suite = Suite::new(name, by_backbone.len(), measured.into_values().collect());
    session.output.json(&suite)?;
    session.output.result(tables::suite(&suite))?;
    if let Some(path) = &args.report {
        atomic::write_bytes(path, suite_html(&suite).as_bytes())
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }

    let mut exit = Exit::Success;
    for task in &suite.tasks {
        if check_bounds(&args.fail_under, &task.results, &task.main_metric, session.output)? != Exit::Success
        {
            exit = Exit::FailUnder;
        }
    }
    Ok(exit)
}

fn measure(
    entry: &TaskEntry,
    target: &Target,
    backbone: &SharedBackbone,
    evaluator: &Evaluator,
    args: &EvalArgs,
    session: &Session,
) -> Result<SuiteTask> {
    let evaluator = Evaluator {
        split: entry.split.unwrap_or(evaluator.split),
        ..evaluator.clone()
    };
    let data = DataArgs {
        data_dir: entry.data_dir.clone(),
        task: entry.task.clone(),
        ..args.data.clone()
    };
    let evaluation = evaluator.run(target, Base::Shared(backbone), &data, session)?;
    let metadata = &target.task.metadata;
    let name = name(entry, target).to_owned();
    if let Some(folder) = &args.save_predictions {
        let folder = folder.join(&name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        evaluation.predictions.save_in(&folder)?;
    }
    Ok(SuiteTask {
        name,
        file: target.path.clone(),
        kind: metadata.task.kind,
        main_metric: evaluation.config.main_metric().to_owned(),
        results: evaluation.results,
    })
}

/// What a task is called: as the suite says, else as its file does.
fn name<'a>(entry: &'a TaskEntry, target: &'a Target) -> &'a str {
    entry.name.as_deref().unwrap_or(&target.task.metadata.task.name)
}

/// The predictions of each task lie in a folder of its name.
fn refuse_equal_names(targets: &[(TaskEntry, Target)]) -> Result<()> {
    let mut names = BTreeSet::new();
    match targets
        .iter()
        .map(|(entry, target)| name(entry, target))
        .find(|name| !names.insert(*name))
    {
        None => Ok(()),
        Some(twice) => Err(
            Failure::usage(format!("two tasks of the suite are called `{twice}`"))
                .hint("give each a `name` of its own: `--save-predictions` makes a folder for each")
                .into(),
        ),
    }
}

/// The tasks that a file lists, or that lie in a folder: finished runs and task files, by name.
fn read(path: &Path) -> Result<SuiteFile> {
    let suite = if path.is_dir() {
        in_folder(path)?
    } else {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut suite: SuiteFile = toml::from_str(&text).map_err(|error| {
            Failure::new(format!("`{}`: {error}", path.display()))
                .hint("`vpt eval --help` shows how a suite's file looks")
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for entry in &mut suite.task {
            entry.file = folder.join(&entry.file);
            entry.data_dir = entry.data_dir.as_ref().map(|dir| folder.join(dir));
        }
        suite
    };
    if suite.task.is_empty() {
        return Err(Failure::new(format!("`{}` has no task", path.display()))
            .hint("give a folder that holds run folders or task files, or a file with `[[task]]` entries")
            .into());
    }
    Ok(suite)
}

fn in_folder(folder: &Path) -> Result<SuiteFile> {
    let reading = || format!("cannot read `{}`", folder.display());
    let mut files = Vec::new();
    for found in fs::read_dir(folder).with_context(reading)? {
        let path = found.with_context(reading)?.path();
        let is_task = path.extension().is_some_and(|ending| ending == "safetensors");
        if path.join(RunDir::BEST).is_file() || (path.is_file() && is_task) {
            files.push(path);
        }
    }
    files.sort();
    // Two runs may be of one task, but no two files have one name.
    let entry = |file: PathBuf| TaskEntry {
        name: file.file_stem().map(|name| name.to_string_lossy().into_owned()),
        file,
        ..TaskEntry::default()
    };
    Ok(SuiteFile {
        name: None,
        model: None,
        task: files.into_iter().map(entry).collect(),
    })
}
