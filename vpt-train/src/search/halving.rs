//! Successive halving: many settings are trained shortly, the best of them longer.
//!
//! Jamieson & Talwalkar 2016 (arXiv 1502.07943), with the factor 3 of Hyperband (Li et al. 2018, arXiv 1603.06560). Each
//! training has a schedule of its own length and begins anew: a cosine that is cut off says little about one that ends.

/// How many times fewer settings a rung has than the one before, and how many times longer they are trained.
const FACTOR: usize = 3;

/// Settings that are more than this many are not worth their time on any machine.
const MOST_SETTINGS: usize = 729;

/// One round of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// How many settings are trained in it: all of them first, then the best of the rung before.
    pub settings: usize,
    /// How many epochs each.
    pub epochs: usize,
}

/// The rungs for `settings` settings when a whole training has `epochs` epochs. The last one has at most three settings at
/// full length; one setting needs no rung.
pub fn rungs(settings: usize, epochs: usize) -> Vec<Rung> {
    if settings <= 1 {
        return Vec::new();
    }
    let mut counts = vec![settings];
    while let Some(&last) = counts.last().filter(|&&last| last > FACTOR) {
        counts.push(last.div_ceil(FACTOR));
    }
    let rung = |(place, &settings): (usize, &usize)| Rung {
        settings,
        epochs: shortened(epochs, counts.len() - 1 - place),
    };
    counts.iter().enumerate().map(rung).collect()
}

/// Epochs that all rungs take together.
pub fn epochs_of(rungs: &[Rung]) -> usize {
    rungs.iter().map(|rung| rung.settings * rung.epochs).sum()
}

/// The most settings whose search stays within `seconds` when an epoch takes `seconds_per_epoch`; at least 1.
pub fn settings_within(seconds: f64, seconds_per_epoch: f64, epochs: usize) -> usize {
    let fits = |&settings: &usize| {
        epochs_of(&rungs(settings, epochs)) as f64 * seconds_per_epoch.max(1e-6) <= seconds
    };
    // The cost does not grow with every setting: one more may mean one more rung, and shorter ones.
    (1..=MOST_SETTINGS).rev().find(fits).unwrap_or(1)
}

fn shortened(epochs: usize, steps: usize) -> usize {
    let divisor = FACTOR.saturating_pow(u32::try_from(steps).unwrap_or(u32::MAX));
    (epochs as f64 / divisor as f64).round().max(1.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(settings: usize, epochs: usize) -> Vec<(usize, usize)> {
        let rungs = rungs(settings, epochs);
        rungs.iter().map(|rung| (rung.settings, rung.epochs)).collect()
    }

    #[test]
    fn the_last_rung_is_at_full_length() {
        assert_eq!(pairs(1, 30), []);
        assert_eq!(pairs(3, 30), [(3, 30)]);
        assert_eq!(pairs(8, 30), [(8, 10), (3, 30)]);
        assert_eq!(pairs(27, 90), [(27, 10), (9, 30), (3, 90)]);
        assert_eq!(pairs(28, 90), [(28, 3), (10, 10), (4, 30), (2, 90)]);
        assert_eq!(pairs(9, 1), [(9, 1), (3, 1)]);
        for settings in 2..200 {
            let rungs = rungs(settings, 50);
            assert_eq!(rungs[0].settings, settings);
            assert!(rungs.windows(2).all(|pair| pair[0].settings > pair[1].settings));
            let last = rungs[rungs.len() - 1];
            assert!((2..=3).contains(&last.settings) && last.epochs == 50);
        }
    }

    #[test]
    fn time_becomes_settings() {
        // 9 settings take 9 * 10 + 3 * 30 epochs.
        assert_eq!(epochs_of(&rungs(9, 30)), 180);
        assert!(settings_within(180.0, 1.0, 30) >= 9);
        assert_eq!(settings_within(10.0, 1.0, 30), 1, "not even two whole trainings");
        assert_eq!(settings_within(1e12, 1e-9, 30), MOST_SETTINGS);
        for seconds in [100.0, 300.0, 1000.0] {
            let settings = settings_within(seconds, 1.0, 30);
            assert!(epochs_of(&rungs(settings, 30)) as f64 <= seconds);
        }
    }
}
