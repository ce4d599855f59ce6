//! Stochastic depth.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_pcg::Pcg64;

/// Drops a residual branch for whole samples while training (timm's `DropPath`, `scale_by_keep=True`).
///
/// The random factors are drawn on the host by [`DropPath::sample`] and handed to
/// [`DropPath::forward`], so that a training step is a function of its seed.
#[derive(Module, Debug)]
pub struct DropPath {
    prob: f64,
}

impl DropPath {
    /// Drops a branch with probability `prob`, in `[0, 1)`.
    pub fn new(prob: f64) -> Self {
        Self { prob }
    }

    /// Factors `[batch, 1, 1]`: 0 for a dropped sample, `1 / (1 - prob)` for a kept one; none at probability 0.
    pub fn sample(&self, batch: usize, rng: &mut Pcg64, device: &Device) -> Option<Tensor<3>> {
        (self.prob > 0.0).then(|| {
            let data = inverted_dropout(batch, self.prob, rng);
            Tensor::from_data(TensorData::new(data, [batch, 1, 1]), device)
        })
    }

    /// Multiplies the branch `[batch, tokens, D]` by its factors.
    pub fn forward(branch: Tensor<3>, factors: Option<Tensor<3>>) -> Tensor<3> {
        match factors {
            Some(factors) => branch * factors,
            None => branch,
        }
    }
}

/// `count` factors that are 0 with probability `prob` and `1 / (1 - prob)` otherwise.
pub(crate) fn inverted_dropout(count: usize, prob: f64, rng: &mut Pcg64) -> Vec<f32> {
    let kept = (1.0 / (1.0 - prob)) as f32;
    (0..count)
        .map(|_| if rng.random::<f64>() < prob { 0.0 } else { kept })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_have_mean_one_and_two_values() {
        let mut rng = vpt_data::rng::rng(1, &[]);
        let factors = inverted_dropout(20_000, 0.25, &mut rng);
        let mean = factors.iter().map(|&x| f64::from(x)).sum::<f64>() / 20_000.0;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!(factors.iter().all(|&x| x == 0.0 || (x - 4.0 / 3.0).abs() < 1e-6));
    }
}
