//! Elementwise functions and reductions written so that the compiler turns them into vector code.
//!
//! Everything here is `#[inline(always)]` and branch-free: the callers run it inside
//! [`pulp::Arch::dispatch`], which compiles the surrounding loop for AVX-512, AVX2 or NEON and
//! chooses at run time. No fused multiply-add is asked for, so the results do not depend on the choice.

/// Lanes of the partial sums in reductions: one AVX-512 register, two of AVX2.
const LANES: usize = 16;

/// `x` brought into [low, high]. `f32::clamp` is not always inlined, which would end vectorisation.
#[inline(always)]
fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// `e^x`, at most 2 units in the last place off for `x` in [-87, 88]; 0-ish below, saturated above.
///
/// Cephes' polynomial after Cody-Waite range reduction; the integer part is found by adding 1.5·2²³.
#[inline(always)]
#[allow(clippy::excessive_precision)]
pub fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let x = clamp(x, -87.336_54, 88.376_26);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_375;
    let r = r + n * 2.121_944_4e-4;
    let p = 1.987_569_15e-4;
    let p = p * r + 1.398_199_95e-3;
    let p = p * r + 8.333_451_9e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_55e-1;
    let p = p * r + 5.000_000_1e-1;
    let p = p * r * r + r + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    p * f32::from_bits(exponent)
}

/// The error function, at most 3 units in the last place off: an odd rational minimax
/// approximation on [-3.83, 3.83], beyond which erf rounds to ±1 (the form used by Eigen and XLA).
#[inline(always)]
#[allow(clippy::excessive_precision)]
pub fn erf(x: f32) -> f32 {
    let x = clamp(x, -3.832_506_9, 3.832_506_9);
    let s = x * x;
    let a = 2.290_506_586_135_064_6e-4;
    let a = a * s + 3.408_291_010_710_950_6e-3;
    let a = a * s + 5.095_569_506_238_086_1e-2;
    let a = a * s + 1.852_083_223_997_614_5e-1;
    let a = a * s + 1.128_379_143_519_084;
    let b = -1.179_160_295_436_169_7e-7;
    let b = b * s + 2.354_796_647_131_318_5e-5;
    let b = b * s + 1.017_962_527_891_488_5e-3;
    let b = b * s + 1.407_047_017_116_766_7e-2;
    let b = b * s + 1.109_850_517_828_536_2e-1;
    let b = b * s + 4.974_692_511_006_753_8e-1;
    let b = b * s + 1.0;
    x * a / b
}

/// The standard normal distribution function.
#[inline(always)]
pub fn normal_cdf(x: f32) -> f32 {
    0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// The standard normal density.
#[inline(always)]
pub fn normal_pdf(x: f32) -> f32 {
    const NORM: f32 = 0.398_942_3;
    NORM * exp(-0.5 * x * x)
}

/// Sum of `f(i)` for `i` in `0..len`, in `LANES` partial sums.
#[inline(always)]
pub fn sum_by(len: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = len - len % LANES;
    let mut start = 0;
    while start < whole {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += f(start + lane);
        }
        start += LANES;
    }
    let mut total = 0.0;
    for sum in lanes {
        total += sum;
    }
    for i in whole..len {
        total += f(i);
    }
    total
}

/// Sum of `a`.
#[inline(always)]
pub fn sum(a: &[f32]) -> f32 {
    sum_by(a.len(), |i| a[i])
}

/// Scalar product of `a` and `b`, which have one length.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let b = &b[..a.len()];
    sum_by(a.len(), |i| a[i] * b[i])
}

/// The largest value of `a`; negative infinity when it is empty.
#[inline(always)]
pub fn max(a: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = a.as_chunks::<LANES>();
    for chunk in chunks {
        for (best, value) in lanes.iter_mut().zip(chunk) {
            *best = if *value > *best { *value } else { *best };
        }
    }
    let mut best = f32::NEG_INFINITY;
    for value in lanes.iter().chain(rest) {
        best = if *value > best { *value } else { best };
    }
    best
}
