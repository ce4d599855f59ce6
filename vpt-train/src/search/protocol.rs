//! [`Protocol`]: a published way to choose settings, to the letter.

use toml::Value;
use vpt_core::methods::MethodKind;

use super::Sought;
use crate::TrainConfig;

/// Seeds of the five final trainings of VTAB-1k in the reference implementation (`tune_vtab.py`).
pub const VTAB1K_SEEDS: [u64; 5] = [42, 44, 82, 100, 800];

/// A published way to choose settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// VTAB-1k as Jia et al. 2022 run it: 800 images train and 200 choose from a grid of learning rates and weight decays
    /// (by the last epoch there, by the best epoch here), then all 1000 train, for five seeds, and the last epoch is tested.
    Vtab1k,
}

/// Rates of the reference for methods that tune few parameters, with SGD, before they are scaled by the batch.
const RATES: [f64; 10] = [50.0, 25.0, 10.0, 5.0, 2.5, 1.0, 0.5, 0.25, 0.1, 0.05];

/// Rates of the reference for methods that tune the backbone, with AdamW.
const BACKBONE_RATES: [f64; 4] = [5e-3, 1e-3, 5e-4, 1e-4];

/// Weight decays of the reference.
const DECAYS: [f64; 4] = [1e-2, 1e-3, 1e-4, 0.0];

/// Counts of prompts of the reference.
const PROMPTS: [i64; 6] = [1, 5, 10, 50, 100, 200];

impl Protocol {
    /// The grid for the method of `config`, every point a whole training. The keys that `is_given` are left out, and with
    /// them what the grid would have tried.
    pub fn grid(self, config: &TrainConfig, is_given: impl Fn(&str) -> bool) -> Vec<Sought> {
        let prompts = match config.method.kind {
            MethodKind::VptDeep | MethodKind::VptShallow if !is_given("method.num_tokens") => {
                PROMPTS.map(Some).to_vec()
            }
            _ => vec![None],
        };
        let (opt, rates) = match Self::tunes_backbone(config.method.kind) {
            true => ("adamw", BACKBONE_RATES.as_slice()),
            false => ("sgd", RATES.as_slice()),
        };
        let scale = config.batch_size as f64 / 256.0;
        let mut points = Vec::new();
        for num_tokens in prompts {
            for &rate in rates {
                for decay in DECAYS {
                    let mut point = vec![
                        ("opt".to_owned(), Value::from(opt)),
                        ("lr".to_owned(), Value::Float(rate * scale)),
                        ("weight_decay".to_owned(), Value::Float(decay)),
                    ];
                    point
                        .extend(num_tokens.map(|count| ("method.num_tokens".to_owned(), Value::from(count))));
                    point.retain(|(key, _)| !is_given(key));
                    if !points.contains(&point) {
                        points.push(point);
                    }
                }
            }
        }
        points
    }

    /// What the protocol asks of every training: its length, its warm-up, one rate for all, no limit of the gradient, and
    /// images as they are.
    pub fn settings(self) -> Sought {
        [
            ("epochs", Value::from(100)),
            ("batch_size", Value::from(64)),
            ("warmup_epochs", Value::from(10.0)),
            ("head_init", Value::from("normal")),
            ("head_lr", Value::from("none")),
            ("clip_grad", Value::from("none")),
            ("smoothing", Value::from(0.0)),
            ("momentum", Value::from(0.9)),
            ("augment", Value::from("none")),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec()
    }

    /// Whether the reference trains a method with AdamW at the rates of full fine-tuning: whatever moves or enters blocks, but
    /// prompts. What it does not know is taken for such.
    fn tunes_backbone(kind: MethodKind) -> bool {
        match kind {
            MethodKind::VptDeep | MethodKind::VptShallow | MethodKind::Linear | MethodKind::Mlp => false,
            MethodKind::Lora
            | MethodKind::Adapter
            | MethodKind::Adaptformer
            | MethodKind::Ssf
            | MethodKind::Norm
            | MethodKind::Bitfit
            | MethodKind::Partial
            | MethodKind::Full
            | MethodKind::Scratch => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use vpt_core::methods::{MethodConfig, MethodOptions};

    use super::*;

    fn grid(method: &str, given: &[&str]) -> Vec<Sought> {
        let method = MethodConfig::parse(method, &MethodOptions::default()).expect("is a method");
        let mut config = TrainConfig::defaults_for(method);
        config.batch_size = 64;
        Protocol::Vtab1k.grid(&config, |key| given.contains(&key))
    }

    /// 40 trainings for each count of prompts, as `tune_vtab.py` has them.
    #[test]
    fn the_grid_of_the_reference() {
        assert_eq!(grid("linear", &[]).len(), 40);
        assert_eq!(grid("full", &[]).len(), 16);
        assert_eq!(grid("vpt-deep", &[]).len(), 240);
        assert_eq!(grid("vpt-deep", &["method.num_tokens"]).len(), 40);
        assert_eq!(grid("linear", &["lr", "weight_decay"]).len(), 1);
        let first = &grid("linear", &[])[0];
        assert!(
            first.contains(&("lr".to_owned(), Value::Float(12.5))),
            "50 · 64 / 256: {first:?}"
        );
    }
}
