//! [`KnnSettings`]: what `vpt knn` was told, as the `args.toml` of its run folder holds it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use toml::{Table, Value};
use vpt_core::MethodConfig;
use vpt_train::{RunDir, TrainConfig};

/// Numbers of neighbours that validation chooses from where none are given.
pub const NEIGHBOURS: [usize; 6] = [1, 5, 10, 20, 50, 100];

/// The key of `args.toml` that training does not know, so that neither takes the other's run for its own.
const KEY: &str = "neighbours";

/// Images, backbone and decisions of a training, but for the training; and the neighbours that may vote.
#[derive(Clone, Debug, PartialEq)]
pub struct KnnSettings {
    /// Settings that concern training are at the defaults of a linear probe.
    pub config: TrainConfig,
    /// Of these validation chooses.
    pub neighbours: Vec<usize>,
}

impl KnnSettings {
    /// What neighbours have to do with of the settings of a training.
    pub fn new(config: &TrainConfig, neighbours: Vec<usize>) -> Self {
        let given = config.clone();
        let config = TrainConfig {
            data_dir: given.data_dir,
            task: given.task,
            kind: given.kind,
            classes: given.classes,
            model: given.model,
            pretrained: given.pretrained,
            image_size: given.image_size,
            eval_metric: given.eval_metric,
            seed: given.seed,
            split_seed: given.split_seed,
            workers: given.workers,
            shots: given.shots,
            shots_seed: given.shots_seed,
            read_test: given.read_test,
            val_fraction: given.val_fraction,
            test_fraction: given.test_fraction,
            skip_bad_images: given.skip_bad_images,
            folds: given.folds,
            fold: given.fold,
            positive_class: given.positive_class,
            calibrate: given.calibrate,
            operating_point: given.operating_point,
            abstain: given.abstain,
            columns: given.columns,
            ..TrainConfig::defaults_for(MethodConfig::linear())
        };
        Self { config, neighbours }
    }

    /// As TOML that [`KnnSettings::of_run`] reads back.
    pub fn to_toml(&self) -> Result<String> {
        let neighbours: Vec<String> = self.neighbours.iter().map(usize::to_string).collect();
        Ok(format!(
            "{KEY} = [{}]\n{}",
            neighbours.join(", "),
            self.config.to_toml()?
        ))
    }

    /// The settings in the folder `run`.
    pub fn of_run(run: &Path) -> Result<Self> {
        let path = run.join(RunDir::ARGS);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Self::from_toml(&text).with_context(|| format!("cannot use `{}`", path.display()))
    }

    fn from_toml(text: &str) -> Result<Self> {
        let mut table: Table = text.parse()?;
        let neighbours = match table.remove(KEY) {
            Some(Value::Array(numbers)) => numbers
                .iter()
                .map(|number| {
                    number
                        .as_integer()
                        .and_then(|k| usize::try_from(k).ok())
                        .filter(|k| *k > 0)
                })
                .collect::<Option<Vec<_>>>(),
            _ => None,
        };
        let neighbours =
            neighbours.with_context(|| format!("`{KEY}` is not a list of whole numbers above 0"))?;
        Ok(Self {
            config: TrainConfig::from_layers(&[table])?,
            neighbours,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_training_is_forgotten_and_the_rest_round_trips() {
        let config = TrainConfig {
            data_dir: "images".into(),
            image_size: Some([32, 48]),
            seed: 7,
            lr: 0.5,
            epochs: 3,
            ..TrainConfig::defaults_for(MethodConfig::linear())
        };
        let settings = KnnSettings::new(&config, vec![5, 20]);
        let other = TrainConfig {
            lr: 0.1,
            epochs: 9,
            ..config.clone()
        };
        assert_eq!(KnnSettings::new(&other, vec![5, 20]), settings);
        assert_ne!(KnnSettings::new(&config, vec![5]), settings);
        let text = settings.to_toml().expect("is TOML");
        assert_eq!(KnnSettings::from_toml(&text).expect("reads"), settings);
        assert!(
            TrainConfig::from_toml(&text).is_err(),
            "no training is taken for it"
        );
        assert!(KnnSettings::from_toml(&config.to_toml().expect("is TOML")).is_err());
    }
}
