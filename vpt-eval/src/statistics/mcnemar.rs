//! McNemar's test and what it becomes with several seeds: exact tests on the images about which two methods disagree.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::student::ln_gamma;

/// An exact test on the images about which two methods disagree.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SignFlip {
    /// Images that `a` has right and `b` wrong; over several seeds, images that `a` has right more often.
    pub a_better: u64,
    /// Images that `b` has right and `a` wrong, or less often.
    pub b_better: u64,
    /// Two-sided exact p-value: 1 where there is no such image.
    pub p_value: f64,
    /// The mid-p-value, which counts the observed outcome by half: exact ones are too large on average (Fagerland, Lydersen
    /// & Laake 2013, BMC Med. Res. Methodol. 13:91).
    pub mid_p: f64,
}

/// Below this, probabilities of sums cannot be seen in any p-value that is printed.
const NEGLIGIBLE: f64 = 1e-60;

/// McNemar's exact test (1947, Psychometrika 12:153) of two models on the same independent images: under the hypothesis that
/// both are equally good, each image about which they disagree goes either way with probability 1/2.
pub fn mcnemar(a_right: impl IntoIterator<Item = bool>, b_right: impl IntoIterator<Item = bool>) -> SignFlip {
    let pairs = a_right.into_iter().zip(b_right);
    sign_flip(pairs.map(|(a, b)| i64::from(a) - i64::from(b)))
}

/// Exact test that flips the sign of each image's difference, all combinations equally likely: `differences` are whole
/// numbers, as the number of seeds for which `a` is right minus that for which `b` is. Differences of −1, 0 and 1 make it McNemar's
/// test. It speaks of the trained models at hand on other images, not of other seeds.
pub fn sign_flip(differences: impl IntoIterator<Item = i64>) -> SignFlip {
    let mut images_by_size: Vec<u64> = Vec::new();
    let (mut sum, mut a_better, mut b_better) = (0_i64, 0, 0);
    for difference in differences.into_iter().filter(|&difference| difference != 0) {
        sum += difference;
        if difference > 0 {
            a_better += 1;
        } else {
            b_better += 1;
        }
        let size = difference.unsigned_abs() as usize;
        if images_by_size.len() < size {
            images_by_size.resize(size, 0);
        }
        images_by_size[size - 1] += 1;
    }
    let mut sums = Sums {
        least: 0,
        probabilities: vec![1.0],
    };
    for (i, &images) in images_by_size
        .iter()
        .enumerate()
        .filter(|(_, images)| **images > 0)
    {
        sums = sums.plus(i as i64 + 1, images);
    }
    let (beyond, observed) = sums.tail(sum.abs());
    let (p_value, mid_p) = match sum {
        0 => (1.0, 1.0 - observed / 2.0),
        _ => (2.0 * (beyond + observed), 2.0 * beyond + observed),
    };
    SignFlip {
        a_better,
        b_better,
        p_value: p_value.min(1.0),
        mid_p: mid_p.min(1.0),
    }
}

/// The distribution of a sum: `probabilities[i]` is that of `least + i`.
struct Sums {
    least: i64,
    probabilities: Vec<f64>,
}

impl Sums {
    /// This sum and `images` further terms that are +`size` or −`size`.
    fn plus(&self, size: i64, images: u64) -> Self {
        let coins = coins(images);
        let first = coins.iter().position(|&p| p > NEGLIGIBLE).unwrap_or(0);
        let coins = &coins[first..coins.len() - first]; // it is symmetric
        let step = 2 * size as usize;
        let mut probabilities = vec![0.0; self.probabilities.len() + step * (coins.len() - 1)];
        for (up, coin) in coins.iter().enumerate() {
            for (sum, probability) in probabilities[step * up..].iter_mut().zip(&self.probabilities) {
                *sum += coin * probability;
            }
        }
        let lowest = size * (2 * first as i64 - images as i64);
        Self {
            least: self.least + lowest,
            probabilities,
        }
    }

    /// Probability of more than `sum`, and of just `sum`.
    fn tail(&self, sum: i64) -> (f64, f64) {
        let of = |(i, p): (usize, &f64)| (self.least + i as i64, *p);
        let places = self.probabilities.iter().enumerate().map(of);
        places
            .rev()
            .fold((0.0, 0.0), |(beyond, at), (place, p)| match place.cmp(&sum) {
                Ordering::Greater => (beyond + p, at),
                Ordering::Equal => (beyond, p),
                Ordering::Less => (beyond, at),
            })
    }
}

/// Probability of each number of heads of `n` fair coins.
fn coins(n: u64) -> Vec<f64> {
    let ln_factorial = |k: u64| ln_gamma(k as f64 + 1.0);
    let all = ln_factorial(n) - n as f64 * std::f64::consts::LN_2;
    (0..=n)
        .map(|k| (all - ln_factorial(k) - ln_factorial(n - k)).exp())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_to_tell_apart() {
        let same = mcnemar([true, false, true], [true, false, true]);
        assert_eq!((same.a_better, same.b_better, same.p_value), (0, 0, 1.0));
        assert_eq!(sign_flip([]).p_value, 1.0);
        let even = sign_flip([1, -1]);
        assert_eq!(even.p_value, 1.0);
        assert!((even.mid_p - 0.75).abs() < 1e-14);
    }

    #[test]
    fn one_seed_is_the_binomial_test() {
        let flips = sign_flip([1, 1, 1, 1, 1, -1]);
        assert!((flips.p_value - 14.0 / 64.0).abs() < 1e-14);
        assert!((flips.mid_p - 8.0 / 64.0).abs() < 1e-14);
        // Thousands of images neither overflow nor vanish.
        let many = sign_flip((0..20_000).map(|i| if i % 2 == 0 { 1 } else { -1 }));
        assert!((many.p_value - 1.0).abs() < 1e-12 && many.mid_p > 0.99);
    }

    proptest! {
        #[test]
        fn equals_all_combinations_of_signs(differences in prop::collection::vec(-3..=3_i64, 0..11)) {
            let observed = differences.iter().sum::<i64>().abs();
            let (mut at_least, mut just, mut all) = (0_u32, 0_u32, 0_u32);
            for signs in 0..1_u32 << differences.len() {
                let signed = |(i, d): (usize, &i64)| if signs >> i & 1 == 1 { -d } else { *d };
                let sum: i64 = differences.iter().enumerate().map(signed).sum();
                all += 1;
                at_least += u32::from(sum.abs() >= observed);
                just += u32::from(sum.abs() == observed);
            }
            let got = sign_flip(differences.iter().copied());
            let share = |count: f64| count / f64::from(all);
            prop_assert!((got.p_value - share(f64::from(at_least))).abs() < 1e-12);
            prop_assert!((got.mid_p - share(f64::from(at_least) - f64::from(just) / 2.0)).abs() < 1e-12);
        }
    }
}
