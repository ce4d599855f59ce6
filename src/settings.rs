//! Settings of a run, from layers: defaults < task < `-c FILE` < flags.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::Table;
use vpt_core::weights::BUILTIN;
use vpt_data::{Format, TaskSpec};
use vpt_train::{RunDir, TrainConfig};

use crate::cli::DataArgs;
use crate::cli::layer::Layer;
use crate::failure::Failure;

/// The layers below the flags, in order.
pub struct Settings {
    layers: Vec<Table>,
    file: Table,
}

impl Settings {
    /// Reads the task and the file, if they are named.
    pub fn read(data: &DataArgs, file: Option<&Path>) -> Result<Self> {
        let mut layers = Vec::new();
        if let Some(task) = &data.task {
            layers.push(layer_of(&TaskSpec::find(task, &task_folders())?)?);
        }
        let file = file.map(read_toml).transpose()?.unwrap_or_default();
        layers.push(file.clone());
        let mut flags = Layer::default();
        flags.set(
            "data_dir",
            data.data_dir
                .as_ref()
                .map(|dir| dir.to_string_lossy().into_owned()),
        );
        flags.switch("skip_bad_images", data.skip_bad_images);
        let columns = data.columns.names();
        for (column, name) in [
            ("path", columns.path),
            ("label", columns.label),
            ("split", columns.split),
            ("group", columns.group),
            ("weight", columns.weight),
        ] {
            flags.set(&format!("columns.{column}"), name);
        }
        flags.count("workers", data.workers);
        layers.push(flags.into_table());
        Ok(Self { layers, file })
    }

    /// Whether the file says something of `key` (dotted within a table).
    pub fn file_has(&self, key: &str) -> bool {
        has(&self.file, key)
    }

    /// The settings with `flags` on top; checked, and with absolute paths, so that a run can be found from anywhere.
    pub fn with(&self, flags: impl IntoIterator<Item = Layer>) -> Result<TrainConfig> {
        let mut layers = self.layers.clone();
        layers.extend(flags.into_iter().map(Layer::into_table));
        layers.insert(0, kind_of_data(&layers));
        let mut config = TrainConfig::from_layers(&layers)?;
        if config.data_dir.as_os_str().is_empty() {
            return Err(Failure::usage("no images are given")
                .hint("name a folder of class folders with `--data-dir DIR`, or a task with `--task NAME`")
                .into());
        }
        config.data_dir = absolute(&config.data_dir)?;
        config.init_from = config.init_from.as_deref().map(absolute).transpose()?;
        if config.model != BUILTIN && Path::new(&config.model).exists() {
            config.model = absolute(Path::new(&config.model))?.to_string_lossy().into_owned();
        }
        config.validate()?;
        Ok(config)
    }
}

/// What is asked of the images that the layers name, where the way they lie there says so.
fn kind_of_data(layers: &[Table]) -> Table {
    let dir = layers
        .iter()
        .rev()
        .find_map(|layer| layer.get("data_dir")?.as_str());
    let mut layer = Layer::default();
    let kind = dir.and_then(|dir| Format::kind_of(Path::new(dir)));
    layer.set("kind", kind.map(|kind| kind.to_string()));
    layer.into_table()
}

/// Whether `table` has `key` (dotted within a table).
pub fn has(table: &Table, key: &str) -> bool {
    match key.split_once('.') {
        None => table.contains_key(key),
        Some((first, rest)) => table
            .get(first)
            .and_then(toml::Value::as_table)
            .is_some_and(|below| has(below, rest)),
    }
}

/// The settings that the run in the folder `run` was started with.
pub fn of_run(run: &Path) -> Result<TrainConfig> {
    let path = run.join(RunDir::ARGS);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    TrainConfig::from_toml(&text).with_context(|| format!("cannot use `{}`", path.display()))
}

/// Where tasks are found by name: `datasets` here, and beside the program.
pub fn task_folders() -> Vec<PathBuf> {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|program| Some(program.parent()?.join("datasets")));
    [PathBuf::from("datasets")].into_iter().chain(beside).collect()
}

/// A task as a layer of settings: its data, and what it says about training.
fn layer_of(task: &TaskSpec) -> Result<Table> {
    let mut layer = Layer::default();
    layer.set("task", Some(task.name.clone()));
    layer.set(
        "data_dir",
        Some(absolute(&task.data_dir)?.to_string_lossy().into_owned()),
    );
    layer.set("kind", task.kind.map(|kind| kind.to_string()));
    layer.set("classes", task.classes.clone());
    layer.set("eval_metric", task.metric.clone());
    let mut layer = layer.into_table();
    layer.extend(task.train.clone());
    Ok(layer)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot make `{}` absolute", path.display()))
}

fn read_toml(path: &Path) -> Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    text.parse().map_err(|error: toml::de::Error| {
        Failure::new(format!(
            "`{}` is not valid TOML: {}",
            path.display(),
            error.message()
        ))
        .hint("the args.toml of any run shows every setting by name")
        .into()
    })
}
