//! [`TrainConfig`] from layers of settings, and back to TOML.

use toml::{Table, Value};
use vpt_core::methods::{MethodConfig, MethodOptions};
use vpt_data::{AugmentConfig, TaskKind};

use crate::solve::STRENGTHS;
use crate::{Opt, TrainConfig, TrainError};

/// How far the target of a grade spreads to its neighbours unless settings say otherwise. On drawn fundus photographs it was better
/// than no spread by every measure of grades, and as good at top-1 (docs/results.md).
const GRADE_SPREAD: f64 = 0.7;

/// Optional settings, which `"none"` takes away.
const OPTIONAL: [&str; 24] = [
    "cache_mb",
    "shrink",
    "head_width",
    "windows",
    "kind",
    "eval_metric",
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
    "ema",
    "weight_decay",
    "focal_gamma",
    "logit_adjustment",
    "patience",
    "shots",
    "shots_seed",
];

impl TrainConfig {
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
        let warmup_is_given = merged.contains_key("warmup_epochs");
        let [epochs_are_given, decay_is_given] =
            ["epochs", "weight_decay"].map(|key| merged.contains_key(key));
        let kind = merged
            .get("kind")
            .cloned()
            .and_then(|kind| kind.try_into::<TaskKind>().ok());
        let defaults = match kind.is_some_and(TaskKind::is_dense) {
            true => defaults.for_places(),
            false => defaults,
        };
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
}

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
        // Only what the name says, so that the method settings of a lower layer stay.
        let name = Value::String(name.clone());
        layer.insert(
            "method".into(),
            Value::Table(Table::from_iter([("name".into(), name)])),
        );
    }
    if let Some(Value::Table(method)) = layer.get_mut("method")
        && method.contains_key("name")
    {
        // A name says whether biases are learned too.
        method.entry("bias").or_insert(Value::Boolean(false));
    }
    // What versions before `cache` wrote.
    if layer.remove("cache_features") == Some(Value::Boolean(false)) {
        layer.insert("cache".into(), Value::String("off".into()));
    }
    Ok(layer)
}

/// The method that the merged layers describe. A setting concerns the methods that have it: a task may carry those of all.
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
    let name = match table.remove("name") {
        Some(Value::String(name)) => name,
        Some(other) => return Err(config_error(format!("method.name `{other}`, expected a name"))),
        None => "vpt-deep".to_owned(),
    };
    let mut number = |key| {
        let value = table.remove(key)?.as_integer()?;
        usize::try_from(value).ok()
    };
    let (blocks, layers) = (number("partial_blocks"), number("mlp_layers"));
    let bias = table.remove("bias").and_then(|value| value.as_bool());
    let name = MethodConfig::full_name(&name, blocks, layers, bias == Some(true));
    table.remove("depth"); // The name says it.
    let before_norm_pre = table
        .remove("before_norm_pre")
        .and_then(|value| value.as_bool())
        .unwrap_or(false);
    table.retain(|_, value| value.as_str() != Some("none"));
    if let Some(key) = table
        .keys()
        .find(|key| !MethodOptions::KEYS.contains(&key.as_str()))
    {
        return Err(config_error(format!(
            "unknown key `method.{key}`, expected one of {}",
            MethodOptions::KEYS.join(", ")
        )));
    }
    let options: MethodOptions = Value::Table(table).try_into().map_err(config_error)?;
    let mut method = MethodConfig::parse(&name, &options)?;
    if let Some(prompts) = &mut method.prompts {
        prompts.before_norm_pre = before_norm_pre;
    }
    Ok(method)
}

fn remove_none(table: &mut Table) {
    table.retain(|key, value| !(OPTIONAL.contains(&key) && value.as_str() == Some("none")));
    if let Some(Value::Table(augment)) = table.get_mut("augment") {
        augment.retain(|key, value| !(key == "rand_augment" && value.as_str() == Some("none")));
    }
}

/// Settings from layers of TOML.
#[cfg(test)]
pub(crate) fn layers(texts: &[&str]) -> Result<TrainConfig, TrainError> {
    let tables: Vec<Table> = texts.iter().map(|text| text.parse().expect("is TOML")).collect();
    TrainConfig::from_layers(&tables)
}

#[cfg(test)]
mod tests {
    use vpt_core::methods::{LoraConfig, LoraTarget};

    use super::*;
    use crate::defaults::recipe;
    use crate::{Cache, Loss};
    use vpt_eval::ThresholdRule;

    fn method(name: &str) -> MethodConfig {
        MethodConfig::parse(name, &MethodOptions::default()).expect("is a method")
    }

    #[test]
    fn args_toml_repeats_a_run() {
        for method in MethodConfig::examples() {
            let mut config = TrainConfig::defaults_for(method.clone());
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
            assert_eq!(TrainConfig::from_toml(&text).expect("reads"), config, "{method}");
        }
    }

    #[test]
    fn what_earlier_versions_wrote_is_read() {
        for (written, cache) in [("true", Cache::Ram), ("false", Cache::Off)] {
            let text = format!("cache_features = {written}\ncache_mb = 256");
            let config = layers(&[&text]).unwrap();
            assert_eq!((config.cache, config.cache_mb), (cache, Some(256)));
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
        assert_eq!(
            (given.weight_decay, given.epochs, given.l2(0)),
            (Some(1e-3), 1, 1e-3)
        );
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
                ..recipe(&deep.method).augment()
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
        let biases = layers(&["method = \"vpt-deep+bias\""]).expect("reads");
        assert_eq!(biases.method, method("vpt-deep+bias"));
        let args = biases.to_toml().expect("is TOML");
        for flag in ["method = \"vpt-deep\"", "[method]\nname = \"vpt-deep\""] {
            assert_eq!(layers(&[&args, flag]).expect("reads").method, method("vpt-deep"));
        }
        let options = "[method]\nlora_rank = 4\nlora_targets = [\"fc1\", \"qkv\"]\nadapter_dim = 8";
        let lora = layers(&[options, "method = \"lora\""]).expect("reads").method;
        let expected = LoraConfig {
            rank: 4,
            targets: vec![LoraTarget::Qkv, LoraTarget::Fc1],
            ..LoraConfig::default()
        };
        assert_eq!((lora.lora, lora.adapter), (Some(expected), None));
    }

    #[test]
    fn a_kind_of_task_brings_its_metric_and_targets() {
        let grades = layers(&["kind = \"ordinal\""]).expect("reads");
        assert_eq!((grades.main_metric(), grades.grade_spread), ("qwk", GRADE_SPREAD));
        let given =
            layers(&["kind = \"ordinal\"\ngrade_spread = 0.0\neval_metric = \"mae\""]).expect("reads");
        assert_eq!((given.main_metric(), given.grade_spread), ("mae", 0.0));
        let classes = layers(&[""]).expect("reads");
        assert_eq!((classes.main_metric(), classes.grade_spread), ("top1", 0.0));
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
    fn unknown_keys_and_wrong_types_are_named() {
        for (text, word) in [
            ("epohcs = 3", "epohcs"),
            ("epochs = \"many\"", "many"),
            ("sched = \"step\"", "step"),
            ("[method]\nnum_token = 3", "num_token"),
            ("[method]\nname = \"lora\"\nlora_rank = 0", "lora-rank"),
            ("[method]\nname = \"lora\"\nlora_targets = [\"qk\"]", "qk"),
            ("[method]\nname = \"adapter\"\nadapter_dim = 0", "adapter-dim"),
            ("[augment]\nflip = 1.0", "flip"),
            ("method = \"vtp\"", "vtp"),
            ("augment = \"strong\"", "strong"),
        ] {
            let error = layers(&[text]).expect_err(text).to_string();
            assert!(error.contains(word) && !error.contains('\n'), "{text}: {error}");
        }
    }
}
