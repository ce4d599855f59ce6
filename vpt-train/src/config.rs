//! [`TrainConfig`]: every setting of a training run, and nothing about where its results go.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use vpt_core::methods::{MethodConfig, MethodKind, PromptOptions};
use vpt_data::{AugmentConfig, ColumnNames, Dataset, OpenOptions, TaskKind};
use vpt_eval::{AbstainRule, CalibrationPlan, ThresholdRule};

use crate::defaults::recipe;
use crate::solve::STRENGTHS;
use crate::{ClassWeights, HeadInit, Loss, Opt, Sampling, Sched, TrainError};

/// Every setting of a training run. The run folder's `args.toml` is this, so `-c args.toml` repeats a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Folder (or file) of the data set.
    pub data_dir: PathBuf,
    /// Name of the task; the data set's own name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// What is asked of the model; what the data says if absent ([`TrainConfig::for_data`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<TaskKind>,
    /// The classes in their order, where natural order is not meant; the data must have exactly these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// Backbone: a built-in name, a folder with `model.safetensors` and `config.json`, or a weight file.
    pub model: String,
    /// Whether the backbone's weights are used; without them its architecture starts at random values.
    pub pretrained: bool,
    /// Height and width in pixels that the backbone reads; the backbone's own size if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_size: Option<[usize; 2]>,
    /// Task file whose prompts (or other tuned tensors) and, where the classes agree, head are the starting point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_from: Option<PathBuf>,
    /// Passes over the training images.
    pub epochs: usize,
    /// Images per forward pass.
    pub batch_size: usize,
    /// Batches per optimiser step; their gradients are averaged over their images.
    pub grad_accum_steps: usize,
    /// Update rule.
    pub opt: Opt,
    /// Peak learning rate.
    pub lr: f64,
    /// Peak learning rate of the head; `lr` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_lr: Option<f64>,
    /// How the head starts.
    pub head_init: HeadInit,
    /// Momentum of SGD.
    pub momentum: f64,
    /// Weight decay of everything but biases and norms; if absent, validation chooses it ([`Opt::Lbfgs`] alone can do so).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Epochs (may be a fraction) over which the learning rate rises linearly.
    pub warmup_epochs: f64,
    /// Learning rate after warm-up.
    pub sched: Sched,
    /// Limit of the gradient's norm over all tuned parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_grad: Option<f64>,
    /// What training makes small.
    pub loss: Loss,
    /// γ of the focal loss; 2 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub focal_gamma: Option<f64>,
    /// For grades: how far the target of a grade spreads to its neighbours, a standard deviation in grades.
    pub grade_spread: f64,
    /// Label smoothing, a share from 0 to below 1.
    pub smoothing: f64,
    /// How classes are weighted in the training loss.
    pub class_weights: ClassWeights,
    /// τ of the logit adjustment; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logit_adjustment: Option<f64>,
    /// Validation metric that chooses the best epoch (ties: the lower validation loss).
    pub eval_metric: String,
    /// Epochs without a better one after which training stops; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// Seed of everything random but the splits.
    pub seed: u64,
    /// Seed of the splits, where the data set has none, and of the choice of `shots`. Apart from `seed`, so that runs
    /// over several seeds train and test on the same images.
    pub split_seed: u64,
    /// Whether the training images are shuffled anew each epoch.
    pub shuffle: bool,
    /// Which training images make up an epoch.
    pub sampling: Sampling,
    /// Threads that decode and augment; 0 takes all cores.
    pub workers: usize,
    /// Memory for decoded images in MiB; 0 decodes every image every epoch.
    pub cache_mb: usize,
    /// Whether features are computed once where nothing below the head changes (head-only methods without augmentation).
    pub cache_features: bool,
    /// Training images per class; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shots: Option<usize>,
    /// Share of the images that validate, where the data set does not say.
    pub val_fraction: f64,
    /// Share of the images that test, where the data set has no split folders.
    pub test_fraction: f64,
    /// Leave out unreadable images instead of stopping.
    pub skip_bad_images: bool,
    /// Look for images that the splits share before training.
    pub leak_check: bool,
    /// Cut the images into this many parts and test on one of them, for cross-validation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folds: Option<usize>,
    /// Which part is the test, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<usize>,
    /// Class that is to be found, of two: it becomes the last, of which sensitivity, threshold and AUROC speak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive_class: Option<String>,
    /// Whether a temperature is fitted on the validation images, so that probabilities can be believed.
    pub calibrate: bool,
    /// Threshold chosen on the validation images, for two classes, or for each of any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating_point: Option<ThresholdRule>,
    /// When to leave a decision to somebody else, chosen on the validation images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abstain: Option<AbstainRule>,
    /// Write curves for TensorBoard too.
    pub tensorboard: bool,
    /// Store task files as float16; all metrics are measured after rounding.
    pub half: bool,
    /// Tuning method.
    pub method: MethodConfig,
    /// Augmentation of the training images.
    pub augment: AugmentConfig,
    /// Which columns of a table are what, where their names do not say.
    pub columns: ColumnNames,
}

impl TrainConfig {
    /// The defaults of `method`, for the built-in backbone and no data set yet.
    pub fn defaults_for(method: MethodConfig) -> Self {
        let recipe = recipe(method.kind);
        let open = OpenOptions::default();
        Self {
            data_dir: PathBuf::new(),
            task: None,
            kind: None,
            classes: None,
            model: "demo".into(),
            pretrained: true,
            image_size: None,
            init_from: None,
            epochs: recipe.epochs,
            batch_size: recipe.batch_size,
            grad_accum_steps: 1,
            opt: Opt::AdamW,
            lr: recipe.lr,
            head_lr: recipe.head_lr,
            head_init: recipe.head_init,
            momentum: 0.9,
            weight_decay: Some(recipe.weight_decay),
            warmup_epochs: recipe.warmup_epochs,
            sched: Sched::Cosine,
            clip_grad: recipe.clip_grad,
            loss: Loss::CrossEntropy,
            focal_gamma: None,
            grade_spread: 0.0,
            smoothing: 0.0,
            class_weights: ClassWeights::None,
            logit_adjustment: None,
            eval_metric: "top1".into(),
            patience: None,
            seed: 42,
            split_seed: open.seed,
            shuffle: true,
            sampling: Sampling::Shuffle,
            workers: 0,
            cache_mb: 512,
            cache_features: true,
            shots: None,
            val_fraction: open.val_fraction,
            test_fraction: open.test_fraction,
            skip_bad_images: false,
            leak_check: true,
            folds: None,
            fold: None,
            positive_class: None,
            calibrate: true,
            operating_point: None,
            abstain: None,
            tensorboard: false,
            half: false,
            method,
            augment: recipe.augment(),
            columns: ColumnNames::default(),
        }
    }

    /// Settings from layers of which later ones win: task, `-c` file, flags. Below them lie the defaults of the method
    /// that the layers name (vpt-deep if none does).
    ///
    /// Layers hold the keys of this struct, `[method]` and `[augment]` key by key. Two short forms: `method` and
    /// `augment` may be a name (`"partial-2"`; `"none"`, `"default"`), and the value `"none"` takes an optional setting away.
    ///
    /// # Errors
    /// [`TrainError::Config`] for an unknown key or a value of the wrong type. Ranges are up to [`TrainConfig::validate`].
    pub fn from_layers(layers: &[Table]) -> Result<Self, TrainError> {
        let mut merged = Table::new();
        for layer in layers {
            merge(&mut merged, spelled_out(layer.clone())?);
        }
        let defaults = Self::defaults_for(method_of(merged.remove("method"))?);
        let spread_is_given = merged.contains_key("grade_spread");
        let metric_is_given = merged.contains_key("eval_metric");
        let warmup_is_given = merged.contains_key("warmup_epochs");
        let [epochs_are_given, decay_is_given] = ["epochs", "weight_decay"].map(|key| merged.contains_key(key));
        let mut table = Table::try_from(&defaults).map_err(config_error)?;
        merge(&mut table, merged);
        remove_none(&mut table);
        let mut config: Self = Value::Table(table).try_into().map_err(config_error)?;
        if config.opt == Opt::Lbfgs {
            if !decay_is_given {
                config.weight_decay = None;
            }
            if !epochs_are_given {
                config.epochs = config.weight_decay.map_or(STRENGTHS, |_| 1);
            }
        }
        if !warmup_is_given {
            // A shorter training has a shorter warm-up, in proportion.
            config.warmup_epochs *= (config.epochs as f64 / defaults.epochs as f64).min(1.0);
        }
        if !metric_is_given {
            config.eval_metric = main_metric(config.kind()).into();
        }
        if !spread_is_given && config.kind() == TaskKind::Ordinal {
            config.grade_spread = GRADE_SPREAD;
        }
        Ok(config)
    }

    /// This as TOML that [`TrainConfig::from_layers`] reads back: every setting is there, `"none"` where there is none.
    ///
    /// # Errors
    /// [`TrainError::Config`] for a path that is not UTF-8 or a seed above 2^63.
    pub fn to_toml(&self) -> Result<String, TrainError> {
        let mut table = Table::try_from(self).map_err(config_error)?;
        name_absent(&mut table);
        toml::to_string(&table).map_err(config_error)
    }

    /// Reads what [`TrainConfig::to_toml`] wrote.
    ///
    /// # Errors
    /// [`TrainError::Config`] as [`TrainConfig::from_layers`].
    pub fn from_toml(text: &str) -> Result<Self, TrainError> {
        Self::from_layers(&[text.parse().map_err(config_error)?])
    }

    /// Reads the settings that a task file carries ([`TrainingInfo::args`](vpt_core::task_file::TrainingInfo)). Settings that the
    /// version which wrote it did not know are at their defaults.
    ///
    /// # Errors
    /// [`TrainError::Config`] as [`TrainConfig::from_layers`].
    pub fn from_args(args: &serde_json::Value) -> Result<Self, TrainError> {
        let mut table = Table::try_from(without_null(args.clone())).map_err(config_error)?;
        name_absent(&mut table);
        Self::from_layers(&[table])
    }

    /// Options for opening the data set.
    pub fn open_options(&self) -> OpenOptions {
        OpenOptions {
            seed: self.split_seed,
            val_fraction: self.val_fraction,
            test_fraction: self.test_fraction,
            shots: self.shots,
            skip_bad_images: self.skip_bad_images,
            columns: self.columns.clone(),
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

    /// What is asked of the model: classification where nothing says.
    pub fn kind(&self) -> TaskKind {
        self.kind.unwrap_or_default()
    }

    /// These settings for the images of `dataset`, which say what can be asked of them: with the kind of the task, and with the
    /// metric that goes with it in place of that of the default kind.
    ///
    /// # Errors
    /// [`TrainError::Setting`] when the settings ask for another kind, or what that kind cannot have.
    pub fn for_data(mut self, dataset: &Dataset) -> Result<Self, TrainError> {
        let kind = self.kind.unwrap_or(dataset.kind);
        if !kind.fits(dataset.kind) {
            let labels = match dataset.kind {
                TaskKind::MultiLabel => "any number of classes",
                TaskKind::Classification | TaskKind::Ordinal => "one class",
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
        if self.kind.is_none() && self.eval_metric == main_metric(TaskKind::default()) {
            self.eval_metric = main_metric(kind).into();
        }
        self.kind = Some(kind);
        self.validate()?;
        Ok(self)
    }

    /// What is chosen on the validation images after training.
    pub fn calibration_plan(&self) -> CalibrationPlan {
        CalibrationPlan {
            temperature: self.calibrate,
            threshold: self.operating_point,
            abstain: self.abstain,
        }
    }

    /// Whether every forward pass below the head gives the same features, so that they can be computed once.
    pub fn features_are_constant(&self) -> bool {
        self.cache_features && self.method.kind == MethodKind::Linear && self.augment.is_none()
    }
}

/// How far the target of a grade spreads to its neighbours unless settings say otherwise. On drawn fundus photographs it was better
/// than no spread by every measure of grades, and as good at top-1 (docs/results.md).
const GRADE_SPREAD: f64 = 0.7;

/// The metric that chooses the epoch unless the settings name another.
fn main_metric(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Classification => "top1",
        TaskKind::Ordinal => "qwk",
        TaskKind::MultiLabel => "auroc",
    }
}

/// Optional settings, which `"none"` takes away.
const OPTIONAL: [&str; 17] = [
    "kind",
    "folds",
    "fold",
    "positive_class",
    "operating_point",
    "abstain",
    "task",
    "classes",
    "image_size",
    "init_from",
    "head_lr",
    "clip_grad",
    "weight_decay",
    "focal_gamma",
    "logit_adjustment",
    "patience",
    "shots",
];

/// The document without the entries that are null, for which TOML has no word.
fn without_null(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(entries) => entries
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_null(value)))
            .collect(),
        other => other,
    }
}

/// Says `"none"` where an optional setting is absent, which would else be a method's default.
fn name_absent(table: &mut Table) {
    for key in OPTIONAL {
        table.entry(key).or_insert_with(|| Value::String("none".into()));
    }
    if let Some(Value::Table(augment)) = table.get_mut("augment") {
        augment
            .entry("rand_augment")
            .or_insert_with(|| Value::String("none".into()));
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

fn config_error(error: impl std::fmt::Display) -> TrainError {
    TrainError::Config {
        reason: error.to_string().trim_end().replace('\n', " "),
    }
}

/// Puts `over` on `under`, table by table; other values are replaced.
fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// Replaces the names that stand for a method or an augmentation by their tables.
fn spelled_out(mut layer: Table) -> Result<Table, TrainError> {
    if let Some(Value::String(name)) = layer.get("augment") {
        let augment = match name.as_str() {
            "none" => AugmentConfig::none(),
            "default" => AugmentConfig::default(),
            other => {
                return Err(config_error(format!(
                    "augment `{other}`, expected `none`, `default` or a table"
                )));
            }
        };
        layer.insert("augment".into(), Value::try_from(augment).map_err(config_error)?);
    }
    if let Some(Value::String(name)) = layer.get("method") {
        // Only what the name says, so that the prompt settings of a lower layer stay.
        let name = Value::String(name.clone());
        layer.insert(
            "method".into(),
            Value::Table(Table::from_iter([("name".into(), name)])),
        );
    }
    Ok(layer)
}

/// The method that the merged layers describe. Prompt settings do not concern methods without prompts, and some only deep
/// prompts: a task may carry them for all.
fn method_of(table: Option<Value>) -> Result<MethodConfig, TrainError> {
    let mut table = match table {
        Some(Value::Table(table)) => table,
        Some(other) => {
            return Err(config_error(format!(
                "method `{other}`, expected a name or a table"
            )));
        }
        None => Table::new(),
    };
    let mut name = match table.remove("name") {
        Some(Value::String(name)) => name,
        Some(other) => return Err(config_error(format!("method.name `{other}`, expected a name"))),
        None => "vpt-deep".to_owned(),
    };
    if let (Some(blocks), "partial") = (table.remove("partial_blocks"), name.as_str()) {
        name = format!("partial-{blocks}");
    }
    table.remove("depth"); // The name says it.
    let before_norm_pre = table
        .remove("before_norm_pre")
        .and_then(|value| value.as_bool())
        .unwrap_or(false);
    table.retain(|_, value| value.as_str() != Some("none"));
    if let Some(key) = table.keys().find(|key| !PROMPT_KEYS.contains(&key.as_str())) {
        return Err(config_error(format!(
            "unknown key `method.{key}`, expected one of {}",
            PROMPT_KEYS.join(", ")
        )));
    }
    let options: PromptOptions = Value::Table(table).try_into().map_err(config_error)?;
    let mut method = MethodConfig::parse(&name, &options)?;
    if let Some(prompts) = &mut method.prompts {
        prompts.before_norm_pre = before_norm_pre;
    }
    Ok(method)
}

/// The keys of [`PromptOptions`], which itself ignores what it does not know.
const PROMPT_KEYS: [&str; 8] = [
    "num_tokens",
    "dropout",
    "project_dim",
    "deep_layers",
    "last",
    "shared",
    "init",
    "pool",
];

fn remove_none(table: &mut Table) {
    table.retain(|key, value| !(OPTIONAL.contains(&key) && value.as_str() == Some("none")));
    if let Some(Value::Table(augment)) = table.get_mut("augment") {
        augment.retain(|key, value| !(key == "rand_augment" && value.as_str() == Some("none")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(texts: &[&str]) -> Result<TrainConfig, TrainError> {
        let tables: Vec<Table> = texts.iter().map(|text| text.parse().expect("is TOML")).collect();
        TrainConfig::from_layers(&tables)
    }

    fn method(name: &str) -> MethodConfig {
        MethodConfig::parse(name, &PromptOptions::default()).expect("is a method")
    }

    #[test]
    fn args_toml_repeats_a_run() {
        for name in ["vpt-deep", "vpt-shallow", "linear", "full", "bitfit", "partial-2"] {
            let mut config = TrainConfig::defaults_for(method(name));
            config.data_dir = "images".into();
            config.lr = 0.1 + 0.2;
            config.clip_grad = None;
            config.loss = Loss::Focal;
            config.focal_gamma = Some(0.5);
            config.logit_adjustment = Some(1.0);
            config.augment.rand_augment = Some((2, 9.0));
            config.validate().expect("defaults are possible");
            let text = config.to_toml().expect("is TOML");
            assert!(
                text.contains("clip_grad = \"none\""),
                "what was taken away stays away: {text}"
            );
            assert_eq!(TrainConfig::from_toml(&text).expect("reads"), config, "{name}");
        }
    }

    #[test]
    fn a_solver_tries_strengths_or_takes_the_one_given() {
        let solved = |more: &str| {
            let text = format!("data_dir = \"a\"\nmethod = \"linear\"\nopt = \"lbfgs\"\n{more}");
            let config = layers(&[&text]).expect("reads");
            config.validate().expect("goes");
            let text = config.to_toml().expect("is TOML");
            assert_eq!(TrainConfig::from_toml(&text).expect("reads"), config, "{text}");
            config
        };
        let chosen = solved("");
        assert_eq!((chosen.weight_decay, chosen.epochs), (None, 15));
        let strengths: Vec<f64> = (0..15).map(|epoch| chosen.l2(epoch)).collect();
        for (strength, expected) in strengths.iter().zip([10.0, 10f64.sqrt(), 1.0]) {
            assert!((strength / expected - 1.0).abs() < 1e-12, "{strengths:?}");
        }
        assert!((strengths[14] / 1e-6 - 1.0).abs() < 1e-12, "{strengths:?}");
        assert_eq!(solved("epochs = 4").l2(0), 10.0);
        let given = solved("weight_decay = 1e-3");
        assert_eq!((given.weight_decay, given.epochs, given.l2(0)), (Some(1e-3), 1, 1e-3));
    }

    #[test]
    fn later_layers_win_and_the_method_chooses_the_defaults() {
        let task = "data_dir = \"a\"\nepochs = 7\n[method]\nnum_tokens = 50\n[augment]\nhflip = 0.0";
        let deep = layers(&[task]).expect("reads");
        assert_eq!(
            (deep.epochs, deep.method.prompts.as_ref().map(|p| p.num_tokens)),
            (7, Some(50))
        );
        assert_eq!(
            deep.augment,
            AugmentConfig {
                hflip: 0.0,
                ..recipe(deep.method.kind).augment()
            }
        );
        let flags = "method = \"full\"\nepochs = 9\nclip_grad = \"none\"\nwarmup_epochs = 2";
        let full = layers(&[task, flags]).expect("reads");
        assert_eq!(
            (full.epochs, full.method.clone(), full.clip_grad),
            (9, method("full"), None)
        );
        assert_eq!(full.lr, TrainConfig::defaults_for(method("full")).lr);
        assert_eq!(full.warmup_epochs, 2.0);
        let shallow = layers(&[task, "method = \"vpt-shallow\"\naugment = \"none\""]).expect("reads");
        assert_eq!(shallow.method.prompts.map(|prompts| prompts.num_tokens), Some(50));
        assert!(shallow.augment.is_none());
        assert_eq!(
            layers(&["method = \"partial-3\""]).expect("reads").method,
            method("partial-3")
        );
    }

    #[test]
    fn a_kind_of_task_brings_its_metric_and_targets() {
        let grades = layers(&["kind = \"ordinal\""]).expect("reads");
        assert_eq!(
            (grades.eval_metric.as_str(), grades.grade_spread),
            ("qwk", GRADE_SPREAD)
        );
        let given =
            layers(&["kind = \"ordinal\"\ngrade_spread = 0.0\neval_metric = \"mae\""]).expect("reads");
        assert_eq!((given.eval_metric.as_str(), given.grade_spread), ("mae", 0.0));
        let classes = layers(&[""]).expect("reads");
        assert_eq!(
            (classes.eval_metric.as_str(), classes.grade_spread),
            ("top1", 0.0)
        );
    }

    #[test]
    fn settings_of_task_files_are_read_back() {
        let config = TrainConfig {
            clip_grad: None,
            operating_point: Some(ThresholdRule::Sensitivity(0.95)),
            ..TrainConfig::defaults_for(method("vpt-shallow"))
        };
        let mut args = serde_json::to_value(&config).expect("is JSON");
        assert_eq!(TrainConfig::from_args(&args).expect("reads"), config);
        // A file of a version that knew less.
        args.as_object_mut().expect("is a table").remove("calibrate");
        assert_eq!(TrainConfig::from_args(&args).expect("reads"), config);
    }

    #[test]
    fn the_kind_follows_from_the_data() {
        let dataset = |kind| Dataset {
            name: "chest".into(),
            root: "chest".into(),
            format: vpt_data::Format::Manifest,
            kind,
            classes: vec!["a".into(), "b".into()],
            columns: vec![],
            train: vec![],
            val: vec![],
            test: vec![],
            test_is_drawn: false,
            skipped: vec![],
            notes: vec![],
        };
        let resolved = |text: &str, kind| {
            let config = layers(&["data_dir = \"a\"", text]).expect("reads");
            config.for_data(&dataset(kind))
        };
        let several = resolved("", TaskKind::MultiLabel).expect("goes");
        assert_eq!(
            (several.kind(), &*several.eval_metric),
            (TaskKind::MultiLabel, "auroc")
        );
        let text = several.to_toml().expect("is TOML");
        assert!(
            text.contains("kind = \"multi-label\"") && text.contains("eval_metric = \"auroc\""),
            "{text}"
        );
        assert_eq!(TrainConfig::from_toml(&text).expect("reads"), several);
        let chosen = resolved("eval_metric = \"macro_f1\"", TaskKind::MultiLabel).expect("goes");
        assert_eq!(chosen.eval_metric, "macro_f1");
        let grades = resolved("kind = \"ordinal\"", TaskKind::Classification).expect("goes");
        assert_eq!((grades.kind(), &*grades.eval_metric), (TaskKind::Ordinal, "qwk"));
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

    #[test]
    fn unknown_keys_and_wrong_types_are_named() {
        for (text, word) in [
            ("epohcs = 3", "epohcs"),
            ("epochs = \"many\"", "many"),
            ("sched = \"step\"", "step"),
            ("[method]\nnum_token = 3", "num_token"),
            ("[augment]\nflip = 1.0", "flip"),
            ("method = \"vtp\"", "vtp"),
            ("augment = \"strong\"", "strong"),
        ] {
            let error = layers(&[text]).expect_err(text).to_string();
            assert!(error.contains(word) && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn impossible_values_name_flag_value_and_range() {
        for (text, flag) in [
            ("epochs = 0", "--epochs"),
            ("batch_size = 0", "--batch-size"),
            ("lr = -1.0", "--lr"),
            ("lr = nan", "--lr"),
            ("lr = inf", "--lr"),
            ("weight_decay = -0.1", "--weight-decay"),
            ("weight_decay = \"none\"", "`--opt lbfgs`"),
            ("opt = \"lbfgs\"", "`--method linear`"),
            (
                "method = \"linear\"\nopt = \"lbfgs\"\nloss = \"focal\"",
                "`--loss focal`",
            ),
            (
                "method = \"linear\"\nopt = \"lbfgs\"\nsampling = \"balanced\"",
                "`--sampling balanced`",
            ),
            (
                "method = \"linear\"\nopt = \"lbfgs\"\nweight_decay = 0.0",
                "--weight-decay",
            ),
            (
                "method = \"linear\"\nopt = \"lbfgs\"\nweight_decay = 0.1\nepochs = 3",
                "--epochs",
            ),
            ("epochs = 3\nwarmup_epochs = 4", "--warmup-epochs"),
            ("clip_grad = 0.0", "--clip-grad"),
            ("smoothing = 1.0", "--smoothing"),
            ("loss = \"focal\"\nfocal_gamma = -1.0", "--focal-gamma"),
            ("focal_gamma = 2.0", "`--loss focal`"),
            ("logit_adjustment = 0.0", "--logit-adjustment"),
            ("kind = \"multi-label\"\nsampling = \"balanced\"", "--sampling"),
            (
                "kind = \"multi-label\"\nlogit_adjustment = 1.0",
                "--logit-adjustment",
            ),
            ("kind = \"multi-label\"\nabstain = \"coverage=0.9\"", "--abstain"),
            (
                "kind = \"multi-label\"\npositive_class = \"a\"",
                "--positive-class",
            ),
            ("sampling = \"balanced\"\nshuffle = false", "`--no-shuffle`"),
            (
                "sampling = \"balanced\"\nlogit_adjustment = 1.0",
                "`--sampling balanced`",
            ),
            (
                "sampling = \"balanced\"\nclass_weights = \"effective\"",
                "`--sampling balanced`",
            ),
            (
                "class_weights = \"balanced\"\nlogit_adjustment = 1.0",
                "`--class-weights balanced`",
            ),
            ("patience = 0", "--patience"),
            ("shots = 0", "--shots"),
            ("grad_accum_steps = 0", "--grad-accum-steps"),
            ("eval_metric = \"accuracy\"", "--eval-metric"),
            ("val_fraction = 0.0", "--val-fraction"),
            ("val_fraction = 0.8\ntest_fraction = 0.8", "--test-fraction"),
            ("image_size = [0, 224]", "--img-size"),
            ("[augment]\nhflip = 1.5", "hflip"),
            ("[augment]\nrrc_scale = [0.9, 0.1]", "rrc_scale"),
            ("data_dir = \"\"", "--data-dir"),
        ] {
            let config = layers(&["data_dir = \"a\"", text]).expect(text);
            let error = config.validate().expect_err(text);
            assert!(error.to_string().contains(flag), "{text}: {error}");
        }
        let error = layers(&["[method]\nnum_tokens = 0"])
            .expect_err("no tokens")
            .to_string();
        assert!(error.contains("num-tokens"), "{error}");
    }
}
