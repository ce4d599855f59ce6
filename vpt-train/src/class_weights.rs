//! [`ClassWeights`]: how much an image of each class counts.

use serde::{Deserialize, Serialize};

/// How classes are weighted in the training loss (`--class-weights`). The weights of all training images have mean 1, so
/// that they move the loss between classes and not the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// Every image counts the same.
    None,
    /// An image counts in inverse proportion to the size of its class: n / (classes * images of the class), as scikit-learn's `balanced`.
    Balanced,
    /// An image counts in inverse proportion to the effective number (1 - β^m) / (1 - β) of the m images of its class, with
    /// β = 0.999 (Cui et al. 2019, arXiv 1901.05555, equation 2): as `balanced` for classes of far fewer than 1 / (1 - β) =
    /// 1000 images, while classes of far more count the same.
    Effective,
}

/// β of [`ClassWeights::Effective`].
const BETA: f64 = 0.999;

/// Largest of [`ClassWeights::positive_weights`].
const MOST_WEIGHT: f64 = 100.0;

impl ClassWeights {
    /// One weight per class from the number of training images of each; a class without images is weighted as one of one image.
    pub fn weights(self, counts: &[usize]) -> Vec<f32> {
        let all: usize = counts.iter().sum();
        let sizes = counts.iter().map(|&count| count.max(1) as f64);
        match self {
            Self::None => vec![1.0; counts.len()],
            Self::Balanced => {
                let share = all as f64 / counts.len().max(1) as f64;
                sizes.map(|size| (share / size) as f32).collect()
            }
            Self::Effective => {
                let inverse: Vec<f64> = sizes.map(|size| (1.0 - BETA) / (1.0 - BETA.powf(size))).collect();
                let sum: f64 = inverse
                    .iter()
                    .zip(counts)
                    .map(|(inverse, &count)| inverse * count as f64)
                    .sum();
                let mean = if all == 0 { 1.0 } else { sum / all as f64 };
                inverse
                    .into_iter()
                    .map(|inverse| (inverse / mean) as f32)
                    .collect()
            }
        }
    }

    /// How often an image of a class counts for it where an image has any number of classes, from the number of training
    /// images of each: images without it / images with it for `balanced`, the same of effective numbers for `effective`, so
    /// that both sides of each class weigh the same. At most 100 and at least its inverse: a class of
    /// very few images would else move the model by chance.
    pub fn positive_weights(self, counts: &[usize], images: usize) -> Vec<f32> {
        let weight = |&with: &usize| {
            let (with, without) = (with.max(1) as f64, images.saturating_sub(with).max(1) as f64);
            let weight = match self {
                Self::None => 1.0,
                Self::Balanced => without / with,
                Self::Effective => (1.0 - BETA.powf(without)) / (1.0 - BETA.powf(with)),
            };
            weight.clamp(1.0 / MOST_WEIGHT, MOST_WEIGHT) as f32
        };
        counts.iter().map(weight).collect()
    }

    /// The value of the flag.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Balanced => "balanced",
            Self::Effective => "effective",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_weights_as_scikit_learn() {
        assert_eq!(ClassWeights::Balanced.weights(&[1, 3]), [2.0, 2.0 / 3.0]);
        assert_eq!(ClassWeights::None.weights(&[1, 3]), [1.0, 1.0]);
    }

    #[test]
    fn both_sides_of_a_class_weigh_the_same() {
        assert_eq!(ClassWeights::None.positive_weights(&[1, 3], 10), [1.0, 1.0]);
        assert_eq!(
            ClassWeights::Balanced.positive_weights(&[5, 2, 0, 10], 10),
            [1.0, 4.0, 10.0, 0.1]
        );
        assert_eq!(ClassWeights::Balanced.positive_weights(&[1], 100_000), [100.0]);
        let [rare, frequent] = ClassWeights::Effective.positive_weights(&[20, 50_000], 100_000)[..] else {
            panic!("two classes")
        };
        assert!((f64::from(rare) - 1.0 / (1.0 - BETA.powi(20))).abs() < 0.1 && frequent == 1.0);
    }

    #[test]
    fn effective_weights_are_balanced_for_small_classes_and_even_for_large_ones() {
        let small = ClassWeights::Effective.weights(&[1, 2, 3]);
        for (weight, balanced) in small.iter().zip(ClassWeights::Balanced.weights(&[1, 2, 3])) {
            assert!((weight - balanced).abs() < 2e-3 * balanced, "{small:?}");
        }
        assert_eq!(ClassWeights::Effective.weights(&[50_000, 90_000]), [1.0, 1.0]);
        // (1 - 0.999) / (1 - 0.999^1000) and / (1 - 0.999^100), times 1100 / (1000 a + 100 b).
        let [large, few] = ClassWeights::Effective.weights(&[1000, 100])[..] else {
            panic!("two classes")
        };
        assert!(
            (few / large - 0.632_305 / 0.095_208).abs() < 1e-3,
            "{few} {large}"
        );
    }

    #[test]
    fn weights_have_mean_one_over_the_images() {
        for weights in [
            ClassWeights::None,
            ClassWeights::Balanced,
            ClassWeights::Effective,
        ] {
            let counts = [200, 50, 12, 3000];
            let sum: f64 = weights
                .weights(&counts)
                .iter()
                .zip(counts)
                .map(|(&weight, count)| f64::from(weight) * count as f64)
                .sum();
            assert!((sum / 3262.0 - 1.0).abs() < 1e-6, "{weights:?}: {sum}");
            let guarded = weights.weights(&[0, 4]);
            assert!(guarded.iter().all(|weight| weight.is_finite()), "{guarded:?}");
        }
    }
}
