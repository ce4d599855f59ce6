//! [`Bench`]: a place to train a tiny model on tiny drawn images.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use image::{Rgb, RgbImage};
use tempfile::TempDir;
use vpt_core::device::SelectedDevice;
use vpt_core::methods::{MethodConfig, MethodOptions};
use vpt_core::{Backbone, VitConfig};
use vpt_data::{AugmentConfig, Dataset, OpenOptions};
use vpt_eval::EpochRow;
use vpt_train::{
    Existing, Finished, Observer, Outcome, RunDir, Silent, StepInfo, TrainConfig, TrainError, Trainer,
};

/// Three classes that differ in their main colour, by little enough that the first epoch does not settle it.
fn draw(root: &Path, splits: &[(&str, usize)]) {
    for &(split, count) in splits {
        for class in 0..3 {
            let folder = root.join(split).join(format!("class{class}"));
            fs::create_dir_all(&folder).unwrap();
            for index in 0..count {
                let salt = split.len() + 7 * index;
                let image = RgbImage::from_fn(40, 32, |x, y| {
                    let noise = (x as usize * 31 + y as usize * 17 + salt * 101 + class * 13) % 97;
                    let mut pixel = [
                        60 + noise as u8,
                        70 + (noise * 3 % 90) as u8,
                        80 + (noise * 7 % 80) as u8,
                    ];
                    pixel[class] += 40;
                    Rgb(pixel)
                });
                image.save(folder.join(format!("{index}.png"))).unwrap();
            }
        }
    }
}

/// A folder with drawn images, and the runs that learn from them.
pub struct Bench {
    pub root: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(&[("train", 5), ("val", 3), ("test", 2)])
    }

    pub fn with(splits: &[(&str, usize)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        draw(&root.path().join("images"), splits);
        Self { root }
    }

    pub fn images(&self) -> PathBuf {
        self.root.path().join("images")
    }

    pub fn dataset(&self) -> Dataset {
        Dataset::open(&self.images(), &OpenOptions::default()).unwrap()
    }

    pub fn config(&self, method: &str) -> TrainConfig {
        let options = MethodOptions {
            num_tokens: 2,
            dropout: 0.1,
            ..MethodOptions::default()
        };
        TrainConfig {
            data_dir: self.images(),
            epochs: 3,
            batch_size: 4,
            warmup_epochs: 1.0,
            workers: 2,
            augment: AugmentConfig {
                mixup: 0.2,
                ..AugmentConfig::default()
            },
            ..TrainConfig::defaults_for(MethodConfig::parse(method, &options).unwrap())
        }
    }

    pub fn run_dir(&self, name: &str) -> RunDir {
        RunDir::create(&self.root.path().join("runs"), name, Existing::Refuse).unwrap()
    }

    pub fn trainer(&self, name: &str, config: &TrainConfig) -> Result<Trainer, TrainError> {
        Trainer::new(
            config.clone(),
            self.dataset(),
            backbone(),
            cpu(),
            self.run_dir(name),
        )
    }

    pub fn resume(&self, name: &str) -> Result<Trainer, TrainError> {
        let run = RunDir::open(&self.path(name)).unwrap();
        Trainer::resume_with(run, self.dataset(), backbone(), cpu())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("runs/train").join(name)
    }

    pub fn read(&self, name: &str, file: &str) -> Vec<u8> {
        let path = self.path(name).join(file);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Trains without a stop.
    pub fn run(&self, name: &str, config: &TrainConfig) -> Finished {
        finished(
            self.trainer(name, config)
                .unwrap()
                .fit(&mut Silent, &AtomicBool::new(false))
                .unwrap(),
        )
    }

    /// Trains, stopping after each of the steps `stops` (counted over the whole run) and resuming.
    pub fn run_in_pieces(&self, name: &str, config: &TrainConfig, stops: &[usize]) -> Finished {
        let mut trainer = self.trainer(name, config).unwrap();
        let mut taken = 0;
        for &stop in stops {
            let flag = AtomicBool::new(false);
            let mut observer = StopAfter {
                steps: stop - taken,
                stop: &flag,
            };
            let outcome = trainer.fit(&mut observer, &flag).unwrap();
            assert!(
                matches!(outcome, Outcome::Interrupted { .. }),
                "stop after step {stop}"
            );
            taken = stop;
            trainer = self.resume(name).unwrap();
        }
        finished(trainer.fit(&mut Silent, &AtomicBool::new(false)).unwrap())
    }
}

pub fn backbone() -> Backbone {
    let config = VitConfig {
        img_size: [32, 32],
        patch_size: [8, 8],
        embed_dim: 32,
        depth: 2,
        num_heads: 2,
        drop_path: 0.2,
        ..VitConfig::default()
    };
    Backbone::random(config, 0, 5)
}

pub fn cpu() -> SelectedDevice {
    SelectedDevice::cpu()
}

pub fn finished(outcome: Outcome) -> Finished {
    match outcome {
        Outcome::Finished(finished) => *finished,
        Outcome::Interrupted { epochs, .. } => panic!("interrupted after {epochs} epochs"),
    }
}

/// Asks for a stop after so many steps.
pub struct StopAfter<'a> {
    pub steps: usize,
    pub stop: &'a AtomicBool,
}

impl Observer for StopAfter<'_> {
    fn step(&mut self, _step: &StepInfo) {
        self.steps -= 1;
        if self.steps == 0 {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// `results.csv` without what a clock measured.
pub fn history(bench: &Bench, name: &str) -> Vec<EpochRow> {
    let rows = EpochRow::load_csv(&bench.path(name).join(RunDir::RESULTS_CSV)).unwrap();
    rows.into_iter()
        .map(|row| EpochRow {
            seconds: 0.0,
            images_per_second: 0.0,
            ..row
        })
        .collect()
}

pub fn assert_same_run(bench: &Bench, name: &str, other: &str) {
    for file in [
        RunDir::BEST,
        RunDir::LAST,
        RunDir::PREDICTIONS,
        RunDir::CONFUSION,
        RunDir::ARGS,
        RunDir::PREVIEW,
    ] {
        assert!(
            bench.read(name, file) == bench.read(other, file),
            "{file} of {name} and {other}"
        );
    }
    assert_eq!(history(bench, name), history(bench, other));
}
