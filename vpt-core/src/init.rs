//! Seeded initial values.
//!
//! Each tensor draws from its own generator, chosen by the seed and the tensor's name, so values depend
//! neither on the order of creation nor on which other tensors exist.

use rand::RngExt;
use rand_pcg::Pcg64;
use sha2::{Digest, Sha256};

use crate::HostTensor;

/// A 64-bit identity of a name: the first bytes of its SHA-256.
pub fn name_id(name: &str) -> u64 {
    let digest = Sha256::digest(name.as_bytes());
    digest[..8]
        .iter()
        .fold(0, |id, &byte| (id << 8) | u64::from(byte))
}

/// The generator of the tensor `name`.
pub fn rng_of(seed: u64, name: &str) -> Pcg64 {
    vpt_data::rng::rng(seed, &[name_id("init"), name_id(name)])
}

/// Uniform in `(-bound, bound)`.
pub fn uniform(shape: impl Into<Vec<usize>>, bound: f64, rng: &mut Pcg64) -> HostTensor {
    filled(shape, || bound * (2.0 * rng.random::<f64>() - 1.0))
}

/// Normal with mean 0.
///
/// timm's `trunc_normal_` cuts at ±2 in absolute terms, 100 standard deviations at its usual 0.02: no cut.
pub fn normal(shape: impl Into<Vec<usize>>, std: f64, rng: &mut Pcg64) -> HostTensor {
    filled(shape, || std * standard_normal(rng))
}

/// One standard normal value (Box and Muller 1958).
fn standard_normal(rng: &mut Pcg64) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

fn filled(shape: impl Into<Vec<usize>>, mut draw: impl FnMut() -> f64) -> HostTensor {
    let shape = shape.into();
    let data = (0..shape.iter().product()).map(|_| draw() as f32).collect();
    HostTensor::new(shape, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_has_its_moments() {
        let values = normal([200, 100], 0.02, &mut rng_of(3, "head.weight")).data;
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.0006, "{mean}");
        assert!((variance.sqrt() - 0.02).abs() < 0.0005, "{variance}");
    }

    #[test]
    fn names_and_seeds_separate_streams() {
        let draw = |seed, name| uniform([4], 1.0, &mut rng_of(seed, name));
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
        assert!(
            uniform([1000], 0.5, &mut rng_of(0, "x"))
                .data
                .iter()
                .all(|x| x.abs() < 0.5)
        );
    }
}
