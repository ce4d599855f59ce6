//! The learning rate as a function of the optimiser step.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// Shape of the learning rate after warm-up (`--sched`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sched {
    /// Half a cosine from the base rate down to 0, which it would reach one step after the last.
    Cosine,
    /// The base rate to the end.
    Constant,
}

/// Learning rate of the optimiser step `step` (from 0) out of `total_steps`.
///
/// Linear warm-up over `warmup_steps` steps, of which the first already learns (`base / warmup_steps`) and the last
/// reaches `base`; then `sched`. The official VPT schedule steps once an epoch and spends its first epoch at rate 0; ours
/// steps with the optimiser and wastes none: with its multiplier m(t), ours is m(t + 1) in warm-up and m(t) after it.
pub fn lr_at(step: usize, total_steps: usize, warmup_steps: usize, base: f64, sched: Sched) -> f64 {
    if step < warmup_steps {
        return base * (step + 1) as f64 / warmup_steps as f64;
    }
    match sched {
        Sched::Constant => base,
        Sched::Cosine => {
            let after = total_steps.saturating_sub(warmup_steps).max(1);
            let progress = ((step - warmup_steps) as f64 / after as f64).min(1.0);
            base * 0.5 * (1.0 + (PI * progress).cos())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Table {
        warmup: usize,
        total: usize,
        multiplier: Vec<f64>,
    }

    #[test]
    fn equals_the_reference_formula_where_the_step_index_matches() {
        let text = include_str!("../tests/fixtures/lr_schedules.json");
        let json: serde_json::Value = serde_json::from_str(text).expect("the fixture is JSON");
        let tables: Vec<Table> =
            serde_json::from_value(json["tables"].clone()).expect("the fixture has tables");
        assert!(tables.len() > 1);
        for Table {
            warmup,
            total,
            multiplier,
        } in tables
        {
            for (t, &expected) in multiplier.iter().enumerate() {
                let step = if t < warmup { t.checked_sub(1) } else { Some(t) };
                let Some(step) = step else { continue };
                let ours = lr_at(step, total, warmup, 1.0, Sched::Cosine);
                assert!(
                    (ours - expected).abs() < 1e-12,
                    "warm-up {warmup} of {total}, t = {t}: {ours} != {expected}"
                );
            }
        }
    }

    #[test]
    fn starts_above_zero_and_never_leaves_its_bounds() {
        assert_eq!(lr_at(0, 100, 10, 2.0, Sched::Cosine), 0.2);
        assert_eq!(lr_at(9, 100, 10, 2.0, Sched::Cosine), 2.0);
        assert_eq!(lr_at(10, 100, 10, 2.0, Sched::Cosine), 2.0);
        assert!(lr_at(100, 100, 10, 2.0, Sched::Cosine).abs() < 1e-15);
        assert!(
            (0..100).all(|t| lr_at(t, 100, 10, 2.0, Sched::Cosine) > 0.0),
            "no step is wasted"
        );
        assert_eq!(lr_at(0, 100, 0, 2.0, Sched::Constant), 2.0);
        assert_eq!(lr_at(99, 100, 10, 2.0, Sched::Constant), 2.0);
        assert_eq!(
            lr_at(1, 2, 2, 2.0, Sched::Cosine),
            2.0,
            "warm-up may last the whole run"
        );
    }
}
