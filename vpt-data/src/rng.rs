//! The one source of randomness: a generator that is a pure function of the seed and of what it is for.

use rand_pcg::Pcg64;

/// A generator for `seed` and a `stream`, which names the use: `rng(seed, &[EPOCH, 3, index])`.
///
/// Equal arguments give equal numbers on every platform and whatever was drawn elsewhere before; arguments
/// that differ anywhere (also in length or order) give unrelated numbers. This is what makes results
/// independent of the number of threads.
pub fn rng(seed: u64, stream: &[u64]) -> Pcg64 {
    let mut state = splitmix(seed);
    for &part in stream {
        state = splitmix(state ^ part);
    }
    let mut next = || {
        state = state.wrapping_add(GOLDEN);
        u128::from(mix(state))
    };
    let (a, b, c, d) = (next(), next(), next(), next());
    Pcg64::new((a << 64) | b, (c << 64) | d)
}

/// 2^64 divided by the golden ratio, odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn splitmix(value: u64) -> u64 {
    mix(value.wrapping_add(GOLDEN))
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection in which every input bit moves every output bit.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;
    use std::collections::BTreeSet;

    #[test]
    fn a_function_of_its_arguments_alone() {
        assert_eq!(rng(42, &[1, 2]).next_u64(), rng(42, &[1, 2]).next_u64());
        // Pinned: a change here changes every split and every training run of every user.
        assert_eq!(rng(42, &[]).next_u64(), 7728871274160415689);
        assert_eq!(rng(42, &[1, 2, 3]).next_u64(), 18098528606841324847);
    }

    #[test]
    fn neighbours_are_unrelated() {
        let mut seen = BTreeSet::new();
        for seed in 0..20 {
            for a in 0..20 {
                seen.insert(rng(seed, &[a]).next_u64());
                for b in 0..5 {
                    seen.insert(rng(seed, &[a, b]).next_u64());
                }
            }
        }
        assert_eq!(seen.len(), 20 * 20 * 6);
    }

    #[test]
    fn the_first_draws_are_uniform_over_streams() {
        let mean = (0..4000)
            .map(|i| rng(7, &[i]).next_u64() as f64 / u64::MAX as f64)
            .sum::<f64>()
            / 4000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }
}
