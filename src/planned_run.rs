//! [`PlannedRun`]: one run of several, and the run folder that has it or shall have it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use indicatif::MultiProgress;
use vpt_core::DeviceChoice;
use vpt_data::atomic;
use vpt_eval::Results;
use vpt_eval::report::format;
use vpt_train::{Cache, RunDir, RunState, TrainConfig, TrainError};

use crate::child::Child;
use crate::knn_settings::{KnnSettings, NEIGHBOURS};
use crate::output::Output;
use crate::session::Session;
use crate::{interrupt, progress, settings};

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// It trains, by `vpt train`.
    Train,
    /// It lets the nearest training images vote, by `vpt knn`.
    Knn,
}

/// What a comparison calls [`Work::Knn`], beside the names of methods.
pub const KNN: &str = "knn";

/// A run that a comparison or a cross-validation needs.
pub struct PlannedRun {
    /// What it does with the settings.
    pub work: Work,
    /// What its folder is called.
    pub name: String,
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

/// How a planned run ended.
pub enum Ended {
    /// Its results are in this folder.
    Finished(PathBuf),
    /// It failed, for this reason.
    Failed(String),
    /// It was stopped.
    Interrupted,
}

impl Work {
    /// What there is to do for a method of a comparison.
    pub fn of(method: &str) -> Self {
        match method {
            KNN => Self::Knn,
            _ => Self::Train,
        }
    }

    /// The method of the settings: that of a linear probe, whose features they are, for neighbours.
    pub fn method(self, name: &str) -> &str {
        match self {
            Self::Train => name,
            Self::Knn => "linear",
        }
    }

    /// The settings without what this work has nothing to do with.
    pub fn settings(self, config: TrainConfig) -> TrainConfig {
        match self {
            Self::Train => config,
            Self::Knn => KnnSettings::new(&config, NEIGHBOURS.to_vec()).config,
        }
    }
}

/// Where a run belongs, and how its process is started and followed.
pub struct Place<'a> {
    /// The folder of its comparison or cross-validation.
    pub own: &'a Path,
    /// A folder of runs where a finished one may serve as well.
    pub others: &'a Path,
    /// What it is called while it goes on.
    pub label: &'a str,
    /// Global flags of its process.
    pub flags: &'a [String],
    /// The printer.
    pub output: Output,
    /// The bars that are drawn at the same time.
    pub bars: &'a MultiProgress,
}

impl PlannedRun {
    /// Looks for this very run in the folders of the comparison `dir`, numbered ones included, and among the finished
    /// runs below `others`.
    pub fn find(&self, dir: &Path, others: &Path) -> Found {
        let name = &self.name;
        let numbered = (2..).map(|number| dir.join(format!("{name}-{number}")));
        for folder in [dir.join(name)].into_iter().chain(numbered) {
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

    /// Makes the folder of a run that `vpt train --resume`, or `vpt knn --resume`, can start.
    pub fn prepare(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        let path = folder.join(RunDir::ARGS);
        let text = match self.work {
            Work::Train => self.config.to_toml()?,
            Work::Knn => KnnSettings::new(&self.config, NEIGHBOURS.to_vec()).to_toml()?,
        };
        atomic::write_bytes(&path, text.as_bytes())
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Finds the run, or has it done in a process of its own: its peak memory is then its own, and a crash is no one else's.
    pub fn complete(&self, place: &Place<'_>) -> Result<Ended> {
        let Place { label, output, .. } = *place;
        let say = |text: String| place.bars.suspend(|| output.info(text));
        let folder = match self.find(place.own, place.others) {
            Found::Finished(folder) => {
                say(format!("{label}: finished already in {}", folder.display()));
                return Ok(Ended::Finished(folder));
            }
            Found::Begun(folder) => folder,
            Found::Nothing(folder) => {
                self.prepare(&folder)?;
                folder
            }
        };
        let bar = place.bars.add(progress::spinner(output, label));
        let started = Instant::now();
        let folder_name = folder.to_string_lossy();
        let command = match self.work {
            Work::Train => "train",
            Work::Knn => "knn",
        };
        let words = [command, "--resume", &folder_name, "--json", "--stop-with-stdin"];
        let words = words.map(str::to_owned);
        let child = Child::run(&[words.as_slice(), place.flags].concat(), |line| {
            bar.set_message(line.trim().to_owned());
        })?;
        bar.finish_and_clear();
        Ok(match child.code {
            Some(0) => {
                let time = format::duration(started.elapsed().as_secs_f64());
                say(format!("{label}: {time}"));
                Ended::Finished(folder)
            }
            _ if interrupt::requested() => Ended::Interrupted,
            Some(130) => Ended::Interrupted,
            _ => Ended::Failed(child.reason()),
        })
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
            // Where another process is at it, it is not to be trained twice; to resume it says so.
            Ok(None) | Err(TrainError::RunLocked { .. }) => true,
            Ok(Some(RunState { progress, .. })) => {
                progress.backbone_sha256 == self.backbone_sha256
                    && progress.data_fingerprint == self.data_fingerprint
            }
            Err(_) => false,
        }
    }

    fn has_settings_of(&self, folder: &Path) -> bool {
        let own = || self.work.settings(self.config.clone());
        let same = |config| what_matters(config) == what_matters(own());
        match self.work {
            Work::Train => settings::of_run(folder).is_ok_and(same),
            Work::Knn => KnnSettings::of_run(folder)
                .is_ok_and(|found| found.neighbours == NEIGHBOURS && same(found.config)),
        }
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
        cache: Cache::Ram,
        cache_mb: None,
        leak_check: true,
        tensorboard: false,
        ..config
    }
}

/// The device is tried once, here, and not again by each child.
pub fn device_of_children(session: &Session) -> Result<String> {
    let selected = session.devices()?;
    Ok(match selected.is_cpu && selected.peers.is_empty() {
        true => DeviceChoice::Cpu.to_string(),
        false => session.choice(),
    })
}
