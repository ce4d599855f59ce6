//! Which epoch is the best.

use vpt_eval::metrics::Metric;

use crate::state::Best;

/// Whether `new` beats `old`: by the metric, and where that is equal by a lower validation loss.
pub fn is_better(new: &Best, old: Option<&Best>, metric: &Metric) -> bool {
    let Some(old) = old else { return true };
    let (new_value, old_value) = match metric.higher_is_better {
        true => (new.metric, old.metric),
        false => (old.metric, new.metric),
    };
    new_value > old_value || (new_value == old_value && new.val_loss < old.val_loss)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vpt_eval::metrics::find;

    #[test]
    fn metric_first_then_loss_then_the_earlier() {
        let best = |metric, val_loss| Best {
            epoch: 0,
            metric,
            val_loss,
        };
        let top1 = find("top1").expect("exists");
        let log_loss = find("log_loss").expect("exists");
        assert!(is_better(&best(0.1, 9.0), None, top1));
        assert!(is_better(&best(0.6, 9.0), Some(&best(0.5, 1.0)), top1));
        assert!(!is_better(&best(0.4, 0.1), Some(&best(0.5, 1.0)), top1));
        assert!(is_better(&best(0.5, 0.9), Some(&best(0.5, 1.0)), top1));
        assert!(!is_better(&best(0.5, 1.0), Some(&best(0.5, 1.0)), top1));
        assert!(is_better(&best(0.4, 0.4), Some(&best(0.5, 0.5)), log_loss));
    }
}
