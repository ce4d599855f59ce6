//! [`SearchSpace`]: the settings of a method that are searched, and the points that are tried.

use rand::RngExt;
use toml::Value;
use vpt_core::methods::MethodKind;
use vpt_data::rng;

use crate::defaults::{Recipe, recipe_for};
use crate::{Opt, TrainConfig};

/// Stream of [`rng::rng`] for where a method's points begin.
const POINTS: u64 = 0x0070_6f69_6e74;

/// Bases of the Halton sequence, one for each dimension.
const BASES: [usize; 6] = [2, 3, 5, 7, 11, 13];

/// Counts of prompts, as the paper searched them, without those that only large images bear.
const PROMPTS: [usize; 6] = [1, 5, 10, 20, 50, 100];

/// Ranks of LoRA's updates.
const RANKS: [usize; 5] = [2, 4, 8, 16, 32];

/// Channels of adapters.
const WIDTHS: [usize; 5] = [4, 8, 16, 32, 64];

/// One setting that is searched.
#[derive(Clone, Debug, PartialEq)]
struct Dimension {
    /// Its key in `args.toml`; dotted within a table.
    key: &'static str,
    range: Range,
}

/// Where a setting is searched.
#[derive(Clone, Debug, PartialEq)]
enum Range {
    /// Between two numbers, evenly in the logarithm.
    Logarithmic(f64, f64),
    /// Among numbers.
    Numbers(&'static [f64]),
    /// Among whole numbers.
    Counts(&'static [usize]),
    /// Among smallest areas of the random crop.
    Crops(&'static [f64]),
}

/// Settings to try: keys of `args.toml` (dotted within a table) and values. None are the defaults.
pub type Sought = Vec<(String, Value)>;

/// The settings of a method that are searched. What a user gave stays as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchSpace {
    dimensions: Vec<Dimension>,
    method: String,
}

impl SearchSpace {
    /// The space of the method of `config`, without the keys that `is_given`. A space without dimensions has one point.
    pub fn new(config: &TrainConfig, is_given: impl Fn(&str) -> bool) -> Self {
        let mut dimensions = dimensions(config);
        dimensions.retain(|dimension| !is_given(dimension.key));
        Self {
            dimensions,
            method: config.method.to_string(),
        }
    }

    /// Whether there is nothing to search.
    pub fn is_empty(&self) -> bool {
        self.dimensions.is_empty()
    }

    /// The keys that are searched.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.dimensions.iter().map(|dimension| dimension.key)
    }

    /// The settings number `index` for `seed`: the defaults first, then a Halton sequence (each stretch of which covers the
    /// space evenly) that begins elsewhere for each method and seed. More points keep the ones before.
    pub fn point(&self, index: usize, seed: u64) -> Sought {
        if index == 0 {
            return Vec::new();
        }
        let name = self.method.bytes().fold(0_u64, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        let mut random = rng::rng(seed, &[POINTS, name]);
        let mut settings = Vec::new();
        for (dimension, base) in self.dimensions.iter().zip(BASES) {
            let start: f64 = random.random();
            let place = (radical_inverse(index, base) + start).fract();
            dimension.range.at(place, dimension.key, &mut settings);
        }
        settings
    }
}

/// What a method can be tuned by.
fn dimensions(config: &TrainConfig) -> Vec<Dimension> {
    let kind = config.method.kind;
    let recipe: Recipe = recipe_for(&config.method, config.kind());
    let mut found = Vec::new();
    let mut add = |key, range| found.push(Dimension { key, range });
    if config.opt == Opt::Lbfgs {
        return found; // a convex problem is solved, not tuned
    }
    add("lr", Range::Logarithmic(recipe.lr / 10.0, recipe.lr * 10.0));
    if recipe.head_lr.is_some() {
        add("head_lr", Range::Logarithmic(1e-3, 3e-2));
    }
    add("weight_decay", Range::Numbers(&[0.0, 1e-4, 1e-3, 1e-2, 1e-1]));
    if recipe.crop.is_some() {
        add("augment.rrc_scale", Range::Crops(&[0.5, 0.7, 0.9, 1.0]));
    }
    match kind {
        MethodKind::VptDeep | MethodKind::VptShallow => {
            add("method.num_tokens", Range::Counts(&PROMPTS));
            add("method.dropout", Range::Numbers(&[0.0, 0.1]));
        }
        MethodKind::Lora => add("method.lora_rank", Range::Counts(&RANKS)),
        MethodKind::Adapter | MethodKind::Adaptformer => add("method.adapter_dim", Range::Counts(&WIDTHS)),
        MethodKind::Ssf
        | MethodKind::Norm
        | MethodKind::Bitfit
        | MethodKind::Partial
        | MethodKind::Linear
        | MethodKind::Mlp
        | MethodKind::Full
        | MethodKind::Scratch => {}
    }
    found
}

impl Range {
    /// The value at `place` (from 0 to below 1), as settings.
    fn at(&self, place: f64, key: &str, settings: &mut Sought) {
        fn among<T: Copy>(values: &[T], place: f64) -> T {
            values[((place * values.len() as f64) as usize).min(values.len() - 1)]
        }
        let mut set = |key: &str, value: Value| settings.push((key.to_owned(), value));
        match *self {
            Self::Logarithmic(low, high) => {
                let value = low * (high / low).powf(place);
                // Two digits say as much as anybody will remember.
                let digits = 10_f64.powf(value.log10().floor() - 1.0);
                let rounded = (value / digits).round() * digits;
                let shortest = format!("{rounded:.1e}").parse().unwrap_or(rounded);
                set(key, Value::Float(shortest));
            }
            Self::Numbers(values) => set(key, Value::Float(among(values, place))),
            Self::Counts(values) => set(key, Value::Integer(among(values, place) as i64)),
            Self::Crops(values) => {
                let augment = crate::defaults::crop_of(among(values, place));
                let pair = |pair: [f64; 2]| Value::Array(pair.map(Value::Float).to_vec());
                set(key, pair(augment.rrc_scale));
                set("augment.rrc_ratio", pair(augment.rrc_ratio));
            }
        }
    }
}

/// The digits of `index` in `base`, mirrored at the point: van der Corput's sequence.
fn radical_inverse(mut index: usize, base: usize) -> f64 {
    let (mut inverse, mut digit) = (0.0, 1.0);
    while index > 0 {
        digit /= base as f64;
        inverse += digit * (index % base) as f64;
        index /= base;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use vpt_core::methods::{MethodConfig, MethodOptions};

    use super::*;

    fn config(method: &str) -> TrainConfig {
        let method = MethodConfig::parse(method, &MethodOptions::default()).expect("is a method");
        TrainConfig::defaults_for(method)
    }

    #[test]
    fn points_are_settings_within_their_ranges() {
        for method in MethodConfig::examples() {
            let config = TrainConfig::defaults_for(method.clone());
            let space = SearchSpace::new(&config, |_| false);
            assert_eq!(space.point(0, 1), [], "the defaults come first");
            let points: Vec<Sought> = (1..40).map(|index| space.point(index, 1)).collect();
            let different: BTreeSet<String> = points.iter().map(|point| format!("{point:?}")).collect();
            assert_eq!(different.len(), points.len(), "{method}");
            for point in points {
                let mut layer = toml::Table::from_iter([
                    ("data_dir".to_owned(), Value::from("a")),
                    ("method".to_owned(), Value::from(method.to_string())),
                ]);
                for (key, value) in point {
                    let mut table = &mut layer;
                    let mut parts: Vec<&str> = key.split('.').collect();
                    let last = parts.pop().expect("a key");
                    for part in parts {
                        let below = table.entry(part).or_insert(Value::Table(toml::Table::new()));
                        if let Value::String(name) = below {
                            *below = Value::Table(toml::Table::from_iter([(
                                "name".to_owned(),
                                Value::String(name.clone()),
                            )]));
                        }
                        table = below.as_table_mut().expect("is a table");
                    }
                    table.insert(last.to_owned(), value);
                }
                let tried = TrainConfig::from_layers(&[layer]).expect("are settings");
                tried.validate().expect("are possible");
                assert!(tried.lr >= config.lr / 10.5 && tried.lr <= config.lr * 10.5);
            }
        }
    }

    #[test]
    fn rates_are_spread_over_the_range() {
        let config = config("full");
        let space = SearchSpace::new(&config, |key| key != "lr");
        assert_eq!(space.keys().collect::<Vec<_>>(), ["lr"]);
        let rate = |index| match &space.point(index, 3)[0].1 {
            Value::Float(rate) => *rate,
            other => panic!("{other}"),
        };
        let third = |rate: f64| (((rate / config.lr).log10() + 1.0) / 2.0 * 3.0).clamp(0.0, 2.9) as usize;
        let mut counts = [0; 3];
        (1..=30).for_each(|index| counts[third(rate(index))] += 1);
        assert!(
            counts.iter().all(|&count| (8..=12).contains(&count)),
            "{counts:?}"
        );
        assert_ne!(space.point(1, 3), space.point(1, 4), "another seed, other points");
    }

    #[test]
    fn what_is_given_is_not_searched() {
        let space = SearchSpace::new(&config("vpt-deep"), |key| {
            key == "lr" || key == "method.num_tokens"
        });
        assert!(space.keys().all(|key| key != "lr" && key != "method.num_tokens"));
        assert!(SearchSpace::new(&config("linear"), |_| true).is_empty());
    }
}
