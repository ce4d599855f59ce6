//! [`PlannedRun`]: one method with one seed, and the run folder that has it or shall have it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use vpt_data::atomic;
use vpt_eval::Results;
use vpt_train::{RunDir, RunState, TrainConfig};

use crate::settings;

/// A run that a comparison needs.
pub struct PlannedRun {
    /// All settings, method and seed among them.
    pub config: TrainConfig,
    /// Hash of the backbone.
    pub backbone_sha256: String,
    /// Fingerprint of the images.
    pub data_fingerprint: String,
}

/// What is already there of a run.
pub enum Found {
    /// Nothing: it would go into this folder.
    Nothing(PathBuf),
    /// It was begun in this folder.
    Begun(PathBuf),
    /// It is finished, in this folder.
    Finished(PathBuf),
}

impl PlannedRun {
    /// `vpt-deep-seed42`.
    pub fn name(&self) -> String {
        format!("{}-seed{}", self.config.method, self.config.seed)
    }

    /// Looks for this very run in the folders of the comparison `dir`, numbered ones included, and among the finished
    /// runs below `others`.
    pub fn find(&self, dir: &Path, others: &Path) -> Found {
        let name = self.name();
        let numbered = (2..).map(|number| dir.join(format!("{name}-{number}")));
        for folder in [dir.join(&name)].into_iter().chain(numbered) {
            match folder.join(RunDir::ARGS).is_file() {
                true if self.is_finished_in(&folder) => return Found::Finished(folder),
                true if self.was_begun_in(&folder) => return Found::Begun(folder),
                true => {}
                false => {
                    return self
                        .finished_elsewhere(others)
                        .map_or(Found::Nothing(folder), Found::Finished);
                }
            }
        }
        unreachable!("there is always a number without a folder")
    }

    /// Makes the folder of a run that `vpt train --resume` can start.
    pub fn prepare(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        let path = folder.join(RunDir::ARGS);
        let text = self.config.to_toml()?;
        atomic::write_bytes(&path, text.as_bytes())
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    fn finished_elsewhere(&self, others: &Path) -> Option<PathBuf> {
        let entries = fs::read_dir(others).ok()?.flatten();
        let mut folders: Vec<_> = entries.map(|entry| entry.path()).collect();
        folders.sort();
        folders.into_iter().find(|folder| self.is_finished_in(folder))
    }

    fn is_finished_in(&self, folder: &Path) -> bool {
        let Ok(results) = Results::load(&folder.join(RunDir::RESULTS)) else {
            return false;
        };
        results.vpt_version == env!("CARGO_PKG_VERSION")
            && results.backbone_sha256.as_ref() == Some(&self.backbone_sha256)
            && results.data_fingerprint.as_ref() == Some(&self.data_fingerprint)
            && self.has_settings_of(folder)
    }

    fn was_begun_in(&self, folder: &Path) -> bool {
        if folder.join(RunDir::RESULTS).is_file() || !self.has_settings_of(folder) {
            return false;
        }
        let state = RunDir::open(folder).and_then(|run| RunState::load(&run));
        match state {
            Ok(None) => true,
            Ok(Some(RunState { progress, .. })) => {
                progress.backbone_sha256 == self.backbone_sha256
                    && progress.data_fingerprint == self.data_fingerprint
            }
            Err(_) => false,
        }
    }

    fn has_settings_of(&self, folder: &Path) -> bool {
        settings::of_run(folder).is_ok_and(|config| what_matters(config) == what_matters(self.config.clone()))
    }
}

/// The settings that results depend on: images and backbone are known by their hashes, and how images are loaded changes
/// nothing.
fn what_matters(config: TrainConfig) -> TrainConfig {
    TrainConfig {
        data_dir: PathBuf::new(),
        task: None,
        model: String::new(),
        workers: 0,
        cache_mb: 0,
        ..config
    }
}
