//! [`Target`]: the trained task that a command is about, given as a task file or as the folder of its run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use vpt_core::{Backbone, TaskFile};
use vpt_data::{Dataset, OpenOptions};
use vpt_train::{RunDir, TrainConfig};

use crate::cli::DataArgs;
use crate::failure::Failure;
use crate::settings::Settings;

/// A task file and where it lies.
pub struct Target {
    /// The task file.
    pub path: PathBuf,
    /// What it holds.
    pub task: TaskFile,
}

impl Target {
    /// Reads a task file, or `best.safetensors` of a run folder.
    pub fn open(given: &Path) -> Result<Self> {
        let path = match fs::metadata(given) {
            Ok(found) if found.is_dir() => best_of(given)?,
            Ok(_) => given.to_owned(),
            Err(error) => {
                return Err(
                    Failure::new(format!("cannot read `{}`: {error}", given.display()))
                        .hint("give the folder that `vpt train` printed, or a task file")
                        .into(),
                );
            }
        };
        Ok(Self {
            task: TaskFile::load(&path)?,
            path,
        })
    }

    /// The backbone that the task was trained on: where training found it, unless `model` says otherwise.
    pub fn backbone(&self, model: Option<&str>) -> Result<Backbone> {
        let trained_on = &self.task.metadata.backbone;
        if let Some(model) = model {
            return Ok(Backbone::load(model)?);
        }
        if trained_on.source == "random" {
            return Ok(Backbone::random(
                trained_on.config.clone(),
                0,
                self.task.metadata.training.seed,
            ));
        }
        Backbone::load(&trained_on.source).map_err(|error| {
            anyhow::Error::new(error).context(
                Failure::new("the backbone that the task was trained on is not where training found it")
                    .hint("say where it is with `--model`"),
            )
        })
    }

    /// The settings that it was trained with.
    pub fn settings(&self) -> Result<TrainConfig> {
        TrainConfig::from_args(&self.task.metadata.training.args).map_err(|error| {
            Failure::new(format!(
                "`{}` does not say how it was trained: {error}",
                self.path.display()
            ))
            .hint("it was made by another version of vpt: train it again with this one")
            .into()
        })
    }

    /// The images that `data` names, else those that it was trained on; classes in the order of the task.
    pub fn dataset(&self, data: &DataArgs) -> Result<Dataset> {
        let config = match (&data.data_dir, &data.task) {
            (None, None) => self.settings()?,
            _ => Settings::read(data, None)?.with([])?,
        };
        // Only one split is read: an unreadable image in another one is no concern of the command.
        let options = OpenOptions {
            skip_bad_images: config.skip_bad_images || data.skip_bad_images,
            check_images: false,
            kind: Some(self.task.metadata.task.kind),
            ..config.open_options()
        };
        let dir = &config.data_dir;
        let dataset = config.open_dataset_with(&options);
        let dataset = dataset.with_context(|| format!("cannot open the images in `{}`", dir.display()))?;
        let kind = self.task.metadata.task.kind;
        if !kind.fits(dataset.kind) {
            return Err(Failure::new(format!(
                "the task is {kind}, the images in `{}` are labelled for {}",
                dir.display(),
                dataset.kind
            ))
            .hint("a table has a column `label` for one class an image, `labels` for any number of them")
            .into());
        }
        Ok(dataset.with_class_order(&self.task.metadata.task.classes)?)
    }
}

fn best_of(run: &Path) -> Result<PathBuf> {
    let best = run.join(RunDir::BEST);
    if best.is_file() {
        return Ok(best);
    }
    let failure = Failure::new(format!("`{}` has no `{}`", run.display(), RunDir::BEST));
    Err(match run.join(RunDir::ARGS).is_file() {
        true => failure.hint(format!(
            "the run has no finished epoch yet: `vpt train --resume {}`",
            run.display()
        )),
        false => failure.hint("give the folder that `vpt train` printed, or a task file"),
    }
    .into())
}
