//! The images that a [`TrainConfig`] names, and what they say about the task.

use vpt_data::{Dataset, OpenOptions, TaskKind};
use vpt_eval::metrics;

use crate::{TrainConfig, TrainError};

impl TrainConfig {
    /// Options for opening the data set.
    pub fn open_options(&self) -> OpenOptions {
        OpenOptions {
            seed: self.split_seed,
            val_fraction: self.val_fraction,
            test_fraction: self.test_fraction,
            shots: self.shots,
            shots_seed: self.shots_seed,
            skip_bad_images: self.skip_bad_images,
            columns: self.columns.clone(),
            kind: self.kind,
            ..OpenOptions::default()
        }
    }

    /// The images, under the name of the task and with the classes in the order that the settings say.
    ///
    /// # Errors
    /// Whatever opening the data set may find, also other classes than the settings name.
    pub fn open_dataset(&self) -> Result<Dataset, TrainError> {
        self.open_dataset_with(&self.open_options())
    }

    /// [`TrainConfig::open_dataset`] with other options, such as not to check every image.
    ///
    /// # Errors
    /// As [`TrainConfig::open_dataset`].
    pub fn open_dataset_with(&self, options: &OpenOptions) -> Result<Dataset, TrainError> {
        let mut dataset = Dataset::open(&self.data_dir, options)?;
        if let Some(task) = &self.task {
            dataset.name.clone_from(task);
        }
        if let Some(classes) = &self.classes {
            dataset = dataset.with_class_order(classes)?;
        }
        if let Some(positive) = &self.positive_class {
            dataset = with_positive_class(dataset, positive)?;
        }
        match (self.folds, self.fold) {
            (Some(folds), Some(fold)) => {
                let mut folds = dataset.folds(folds, self.val_fraction, self.split_seed)?;
                Ok(folds.swap_remove(fold - 1))
            }
            _ => Ok(dataset),
        }
    }

    /// These settings for the images of `dataset`, which say what can be asked of them: with the kind of the task, and with the
    /// metric that goes with it unless they name one.
    ///
    /// # Errors
    /// [`TrainError::Setting`] when the settings ask for another kind, or what that kind cannot have.
    pub fn for_data(mut self, dataset: &Dataset) -> Result<Self, TrainError> {
        let kind = self.kind.unwrap_or(dataset.kind);
        if !kind.fits(dataset.kind) {
            let labels = match dataset.kind {
                TaskKind::MultiLabel => "any number of classes",
                TaskKind::Classification | TaskKind::Ordinal => "one class",
                TaskKind::Detection => "boxes",
                TaskKind::Segmentation => "a mask",
            };
            return Err(TrainError::Setting {
                flag: "--kind",
                value: kind.to_string(),
                allowed: format!(
                    "`{}`: an image of the data set `{}` has {labels}",
                    dataset.kind, dataset.name
                ),
            });
        }
        self.kind = Some(kind);
        let metric = metrics::find(self.main_metric())?;
        let classes = dataset.classes.len();
        if !metric.applies_to(kind, classes) {
            return Err(TrainError::Setting {
                flag: "--eval-metric",
                value: metric.name.to_owned(),
                allowed: format!("a metric that is defined for {kind} of {classes} classes"),
            });
        }
        self.eval_metric = Some(metric.name.to_owned());
        self.validate()?;
        Ok(self)
    }
}

/// Two classes with `positive` as the last.
fn with_positive_class(dataset: Dataset, positive: &str) -> Result<Dataset, TrainError> {
    let classes = &dataset.classes;
    let order = match classes.as_slice() {
        [one, other] if one == positive => vec![other.clone(), one.clone()],
        [_, last] if last == positive => return Ok(dataset),
        _ => {
            return Err(TrainError::Setting {
                flag: "--positive-class",
                value: positive.to_owned(),
                allowed: format!("one of two classes; the data set has {}", classes.join(", ")),
            });
        }
    };
    Ok(dataset.with_class_order(&order)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_layers::layers;

    #[test]
    fn the_kind_follows_from_the_data() {
        let dataset = |kind| Dataset {
            name: "chest".into(),
            root: "chest".into(),
            format: vpt_data::Format::Manifest,
            kind,
            classes: vec!["a".into(), "b".into(), "c".into()],
            columns: vec![],
            train: vec![],
            val: vec![],
            test: vec![],
            test_is_drawn: false,
            skipped: vec![],
            problems: vpt_data::Problems::default(),
            notes: vec![],
        };
        let resolved = |text: &str, kind| {
            let config = layers(&["data_dir = \"a\"", text]).expect("reads");
            config.for_data(&dataset(kind))
        };
        let several = resolved("", TaskKind::MultiLabel).expect("goes");
        assert_eq!(
            (several.kind(), several.main_metric()),
            (TaskKind::MultiLabel, "auroc")
        );
        let text = several.to_toml().expect("is TOML");
        assert!(
            text.contains("kind = \"multi-label\"") && text.contains("eval_metric = \"auroc\""),
            "{text}"
        );
        assert_eq!(TrainConfig::from_toml(&text).expect("reads"), several);
        let chosen = resolved("eval_metric = \"macro_f1\"", TaskKind::MultiLabel).expect("goes");
        assert_eq!(chosen.main_metric(), "macro_f1");
        // Asked for, the default of other kinds is not exchanged for that of this one.
        let error = resolved("eval_metric = \"top1\"", TaskKind::MultiLabel).expect_err("is not defined");
        let error = error.to_string();
        assert!(
            error.contains("`--eval-metric` is `top1`") && error.contains("multi-label"),
            "{error}"
        );
        let grades = resolved("kind = \"ordinal\"", TaskKind::Classification).expect("goes");
        assert_eq!((grades.kind(), grades.main_metric()), (TaskKind::Ordinal, "qwk"));
        for (said, data) in [
            (TaskKind::Classification, TaskKind::MultiLabel),
            (TaskKind::Ordinal, TaskKind::MultiLabel),
            (TaskKind::MultiLabel, TaskKind::Classification),
        ] {
            let error = resolved(&format!("kind = \"{said}\""), data)
                .expect_err("contradicts")
                .to_string();
            assert!(
                error.contains(&format!("`{said}`"))
                    && error.contains(&format!("`{data}`"))
                    && error.contains("`chest`"),
                "{error}"
            );
        }
    }
}
