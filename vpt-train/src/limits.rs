//! The ranges of settings: what no run could mean is refused before anything is read or written.

use std::fmt::Display;

use vpt_core::MethodKind;
use vpt_data::TaskKind;
use vpt_eval::metrics::METRICS;

use crate::{Cache, ClassWeights, Loss, Opt, Sampling, TrainConfig, TrainError};

/// Least penalty of `--opt lbfgs`.
const WEAKEST_L2: f64 = 1e-9;

impl TrainConfig {
    /// Checks every setting's range, and that the settings go together.
    ///
    /// # Errors
    /// [`TrainError::Setting`] names the first flag outside its range, its value and the range.
    pub fn validate(&self) -> Result<(), TrainError> {
        given("--data-dir", &self.data_dir.to_string_lossy())?;
        given("--model", &self.model)?;
        whole("--epochs", self.epochs, 1, 1_000_000)?;
        whole("--batch-size", self.batch_size, 1, 65_536)?;
        whole("--grad-accum-steps", self.grad_accum_steps, 1, 65_536)?;
        positive("--lr", Some(self.lr))?;
        positive("--head-lr", self.head_lr)?;
        within("--momentum", self.momentum, 0.0, 0.9999)?;
        within("--weight-decay", self.weight_decay.unwrap_or(0.0), 0.0, 10.0)?;
        self.validate_opt()?;
        self.validate_places()?;
        within("--warmup-epochs", self.warmup_epochs, 0.0, self.epochs as f64)?;
        positive("--clip-grad", self.clip_grad)?;
        within("--ema", self.ema.unwrap_or(0.5), 0.1, 0.999_999)?;
        self.validate_folds()?;
        within("--grade-spread", self.grade_spread, 0.0, 10.0)?;
        if self.grade_spread > 0.0 && self.kind() != TaskKind::Ordinal {
            return Err(error(
                "--grade-spread",
                self.grade_spread,
                "0 without `--kind ordinal`: give both, or neither",
            ));
        }
        within("--smoothing", self.smoothing, 0.0, 0.99)?;
        whole("--patience", self.patience.unwrap_or(1), 1, 1_000_000)?;
        whole(
            "--seed",
            usize::try_from(self.seed).unwrap_or(usize::MAX),
            0,
            i64::MAX as usize,
        )?;
        whole(
            "--split-seed",
            usize::try_from(self.split_seed).unwrap_or(usize::MAX),
            0,
            i64::MAX as usize,
        )?;
        whole("--workers", self.workers, 0, 1024)?;
        whole("--shots", self.shots.unwrap_or(1), 1, usize::MAX)?;
        if let (Some(seed), None) = (self.shots_seed, self.shots) {
            return Err(error(
                "--shots-seed",
                seed,
                "`none` without `--shots`: give both, or neither",
            ));
        }
        whole("--repeats", self.repeats, 1, 100_000)?;
        if let (Some(patience), true) = (self.patience, self.train_on_val) {
            let allowed = "`none` with `--train-on-val`, which leaves no images to stop by";
            return Err(error("--patience", patience, allowed));
        }
        self.validate_train_on_val()?;
        within("--val-fraction", self.val_fraction, 0.01, 0.9)?;
        within("--test-fraction", self.test_fraction, 0.0, 0.9)?;
        within(
            "--val-fraction plus --test-fraction",
            self.val_fraction + self.test_fraction,
            0.0,
            0.95,
        )?;
        for edge in self.image_size.unwrap_or([1, 1]) {
            whole("--img-size", edge, 1, 16_384)?;
        }
        self.augment.validate()?;
        metric(self.main_metric())?;
        self.validate_balance()?;
        self.validate_multi_label()?;
        self.validate_prompts()
    }

    /// The settings in use that make small classes count as much as large ones, as flags and values.
    pub fn balancing(&self) -> Vec<(&'static str, String)> {
        let sampling = (self.sampling == Sampling::Balanced).then(|| ("--sampling", "balanced".to_owned()));
        let weights = (self.class_weights != ClassWeights::None)
            .then(|| ("--class-weights", self.class_weights.name().to_owned()));
        let adjustment = self
            .logit_adjustment
            .map(|tau| ("--logit-adjustment", tau.to_string()));
        [sampling, weights, adjustment].into_iter().flatten().collect()
    }

    /// What only L-BFGS can do, and what it can be used for.
    fn validate_opt(&self) -> Result<(), TrainError> {
        if self.opt != Opt::Lbfgs {
            return match self.weight_decay {
                Some(_) => Ok(()),
                None => Err(error("--weight-decay", "none", "a number without `--opt lbfgs`")),
            };
        }
        let fails = |allowed: &str| Err(error("--opt", "lbfgs", allowed));
        match self.weight_decay {
            _ if self.cache == Cache::Off => Err(error(
                "--cache",
                "off",
                "`ram` with `--opt lbfgs`, which needs all features at once",
            )),
            _ if !self.features_are_constant() || self.method.kind != MethodKind::Linear => fails(
                "`adamw` or `sgd`: L-BFGS is for `--method linear` without augmentation, whose features are computed once",
            ),
            _ if self.ema.is_some() => {
                fails("`adamw` or `sgd` beside `--ema`: one solution leaves nothing to average")
            }
            _ if self.loss != Loss::CrossEntropy => {
                fails("`adamw` or `sgd` beside `--loss focal`, which is not convex")
            }
            _ if self.sampling == Sampling::Balanced => fails(
                "`adamw` or `sgd` beside `--sampling balanced`: L-BFGS reads all images at once; use `--class-weights balanced`",
            ),
            None if self.train_on_val => Err(error(
                "--weight-decay",
                "none",
                "a number with `--train-on-val`, which leaves no images to choose it on",
            )),
            Some(strength) if strength < WEAKEST_L2 => Err(error(
                "--weight-decay",
                strength,
                format!(
                    "at least {WEAKEST_L2:e} with `--opt lbfgs`: without a penalty separable classes have no solution"
                ),
            )),
            Some(_) if self.epochs != 1 => Err(error(
                "--epochs",
                self.epochs,
                "1 beside `--opt lbfgs --weight-decay`, which is one problem; without --weight-decay it is how many strengths are tried",
            )),
            _ => Ok(()),
        }
    }

    fn validate_folds(&self) -> Result<(), TrainError> {
        let Some(folds) = self.folds else {
            return match self.fold {
                Some(fold) => Err(error("--fold", fold, "a part of `--folds`: give both")),
                None => Ok(()),
            };
        };
        whole("--folds", folds, 2, 1000)?;
        whole("--fold", self.fold.unwrap_or(1), 1, folds)?;
        if let Some(shots) = self.shots {
            let allowed = "`none` with `--folds`, which tests every image once";
            return Err(error("--shots", shots, allowed));
        }
        Ok(())
    }

    /// What would have to be chosen on images that were trained on.
    fn validate_train_on_val(&self) -> Result<(), TrainError> {
        if !self.train_on_val {
            return Ok(());
        }
        if !self.read_test {
            let allowed = "left out beside `--no-test`: no images would be left to measure on";
            return Err(error("--train-on-val", "true", allowed));
        }
        let chosen = [
            (
                "--operating-point",
                self.operating_point.map(|rule| rule.to_string()),
            ),
            ("--abstain", self.abstain.map(|rule| rule.to_string())),
        ];
        match chosen.into_iter().find_map(|(flag, value)| Some((flag, value?))) {
            Some((flag, value)) => {
                let allowed = "`none` with `--train-on-val`, which leaves no images to choose it on";
                Err(error(flag, value, allowed))
            }
            None => Ok(()),
        }
    }

    fn validate_balance(&self) -> Result<(), TrainError> {
        if let Some(gamma) = self.focal_gamma {
            within("--focal-gamma", gamma, 0.0, 10.0)?;
            if self.loss != Loss::Focal {
                let allowed = "`none` without `--loss focal`: give both, or neither";
                return Err(error("--focal-gamma", gamma, allowed));
            }
        }
        if let Some(tau) = self.logit_adjustment {
            positive("--logit-adjustment", Some(tau))?;
            within("--logit-adjustment", tau, 0.0, 10.0)?;
        }
        if self.sampling == Sampling::Balanced && !self.shuffle {
            let allowed = "`shuffle` beside `--no-shuffle`: balanced epochs are drawn at random; leave one of the two out";
            return Err(error("--sampling", "balanced", allowed));
        }
        let [(flag, value), (other, more), ..] = &self.balancing()[..] else {
            return Ok(());
        };
        let why = match *flag {
            "--sampling" => "with it all classes are equally frequent, and nothing is left to make up for",
            _ => "either makes up for unequal classes, and both would do it twice",
        };
        let allowed = format!("`none` beside `{flag} {value}`: {why}; leave one of the two out");
        Err(error(other, more, allowed))
    }

    /// What boxes and masks cannot have.
    fn validate_places(&self) -> Result<(), TrainError> {
        whole("--shrink", self.shrink.unwrap_or(1) as usize, 1, 65_536)?;
        if let Some(side) = self.shrink.filter(|_| self.kind().is_dense()) {
            let allowed = "`none` for boxes and masks, whose places are in pixels of the whole images";
            return Err(error("--shrink", side, allowed));
        }
        whole("--windows", self.windows.unwrap_or(1), 1, 16)?;
        if let Some(windows) = self.windows.filter(|&windows| windows > 1)
            && self.kind() != TaskKind::Segmentation
        {
            return Err(error("--windows", windows, "a task of masks; leave it out"));
        }
        if !self.kind().is_dense() {
            self.augment.check_unframed().map_err(TrainError::Data)?;
            return match self.head_width {
                None => Ok(()),
                Some(width) => Err(error(
                    "--head-width",
                    width,
                    "a task of boxes or masks; leave it out",
                )),
            };
        }
        whole("--head-width", self.head_width.unwrap_or(1), 0, 4096)?;
        if self.kind() == TaskKind::Detection && self.head_width == Some(0) {
            return Err(error("--head-width", 0, "1 to 4096 channels"));
        }
        self.augment.check_framed().map_err(TrainError::Data)?;
        let whole_image =
            |name: &str| format!("{name} for boxes and masks: it speaks of whole images; leave it out");
        let others = [
            (
                "--class-weights",
                (self.class_weights != ClassWeights::None).then(|| "given".to_owned()),
            ),
            (
                "--logit-adjustment",
                self.logit_adjustment.map(|tau| tau.to_string()),
            ),
            (
                "--sampling",
                (self.sampling == Sampling::Balanced).then(|| "balanced".to_owned()),
            ),
            (
                "--smoothing",
                (self.smoothing > 0.0).then(|| self.smoothing.to_string()),
            ),
            (
                "--operating-point",
                self.operating_point.map(|rule| rule.to_string()),
            ),
            ("--abstain", self.abstain.map(|rule| rule.to_string())),
            ("--positive-class", self.positive_class.clone()),
            (
                "--loss",
                (self.loss != Loss::CrossEntropy).then(|| "focal".to_owned()),
            ),
            ("--opt", (self.opt == Opt::Lbfgs).then(|| "lbfgs".to_owned())),
        ];
        match others.into_iter().find_map(|(flag, value)| Some((flag, value?))) {
            Some((flag, value)) => Err(error(flag, value, whole_image("nothing"))),
            None => Ok(()),
        }
    }

    /// What supposes that an image has one class.
    fn validate_multi_label(&self) -> Result<(), TrainError> {
        if self.kind != Some(TaskKind::MultiLabel) {
            return Ok(());
        }
        let one_class = |name: &str| {
            format!("{name} for a multi-label task: it supposes that an image has one class; leave it out")
        };
        if self.sampling == Sampling::Balanced {
            return Err(error(
                "--sampling",
                "balanced",
                one_class("`shuffle`") + ", or use `--class-weights balanced`",
            ));
        }
        let others = [
            (
                "--logit-adjustment",
                self.logit_adjustment.map(|tau| tau.to_string()),
            ),
            ("--abstain", self.abstain.map(|rule| rule.to_string())),
            ("--positive-class", self.positive_class.clone()),
        ];
        match others.into_iter().find_map(|(flag, value)| Some((flag, value?))) {
            Some((flag, value)) => Err(error(flag, value, one_class("nothing"))),
            None => Ok(()),
        }
    }

    fn validate_prompts(&self) -> Result<(), TrainError> {
        let Some(prompts) = &self.method.prompts else {
            return Ok(());
        };
        whole("--num-tokens", prompts.num_tokens, 1, 4096)?;
        within("--prompt-dropout", prompts.dropout, 0.0, 0.99)?;
        whole(
            "--prompt-project-dim",
            prompts.project_dim.unwrap_or(1),
            1,
            65_536,
        )?;
        whole("--prompt-deep-layers", prompts.deep_layers.unwrap_or(1), 1, 1024)
    }
}

fn error(flag: &'static str, value: impl Display, allowed: impl Into<String>) -> TrainError {
    TrainError::Setting {
        flag,
        value: value.to_string(),
        allowed: allowed.into(),
    }
}

fn given(flag: &'static str, value: &str) -> Result<(), TrainError> {
    if value.is_empty() {
        Err(error(flag, value, "a path or a name"))
    } else {
        Ok(())
    }
}

fn whole(flag: &'static str, value: usize, least: usize, most: usize) -> Result<(), TrainError> {
    match value {
        value if value < least => Err(error(flag, value, format!("a whole number of at least {least}"))),
        value if value > most => Err(error(flag, value, format!("a whole number of at most {most}"))),
        _ => Ok(()),
    }
}

fn within(flag: &'static str, value: f64, least: f64, most: f64) -> Result<(), TrainError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(error(flag, value, format!("a number from {least} to {most}")))
    }
}

fn positive(flag: &'static str, value: Option<f64>) -> Result<(), TrainError> {
    match value {
        Some(value) if !(value > 0.0 && value.is_finite()) => Err(error(flag, value, "a number above 0")),
        _ => Ok(()),
    }
}

fn metric(name: &str) -> Result<(), TrainError> {
    if METRICS.iter().any(|metric| metric.name == name) {
        return Ok(());
    }
    let names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
    Err(error(
        "--eval-metric",
        name,
        format!("one of {}", names.join(", ")),
    ))
}

#[cfg(test)]
mod tests;
