//! The standard normal distribution.

use std::f64::consts::TAU;

/// Beyond this distance from 0 the power series cancels and the continued fraction is short.
const TAIL: f64 = 3.0;

/// Cumulative distribution function of the standard normal distribution, to about 1e-15 (relative in the lower tail).
///
/// Series and continued fraction: Abramowitz & Stegun 1964, 26.2.11 and 26.2.14.
pub fn normal_cdf(x: f64) -> f64 {
    if x.is_nan() {
        f64::NAN
    } else if x < -TAIL {
        upper_tail(-x)
    } else if x > TAIL {
        1.0 - upper_tail(x)
    } else {
        // Φ(x) = 1/2 + φ(x) · (x + x³/3 + x⁵/(3·5) + …)
        let (mut term, mut sum, mut odd) = (x, x, 1.0);
        while term.abs() > f64::EPSILON * sum.abs() {
            odd += 2.0;
            term *= x * x / odd;
            sum += term;
        }
        0.5 + density(x) * sum
    }
}

/// φ(x) / (x + 1/(x + 2/(x + 3/(x + …)))), for x above [`TAIL`].
fn upper_tail(x: f64) -> f64 {
    let fraction = (1..=120).rev().fold(0.0, |below, k| f64::from(k) / (x + below));
    density(x) / (x + fraction)
}

fn density(x: f64) -> f64 {
    (-x * x / 2.0).exp() / TAU.sqrt()
}

/// Quantile (inverse of [`normal_cdf`]): infinite at 0 and 1, NaN outside.
///
/// Acklam's rational approximation (relative error 1e-9), then one step of Halley's method.
pub fn normal_quantile(p: f64) -> f64 {
    if p > 0.5 {
        // 1 − p is exact here, and the lower tail is where the cdf is precise.
        -lower_quantile(1.0 - p)
    } else {
        lower_quantile(p)
    }
}

fn lower_quantile(p: f64) -> f64 {
    if p == 0.0 {
        return f64::NEG_INFINITY;
    }
    if !(p > 0.0 && p <= 0.5) {
        return f64::NAN;
    }
    let x = acklam(p);
    let error = (normal_cdf(x) - p) / density(x);
    x - error / (1.0 + x * error / 2.0)
}

/// Acklam 2003, "An algorithm for computing the inverse normal cumulative distribution function", for p up to 1/2.
fn acklam(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.38357751867269e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 6] = [
        -5.447609879822406e1,
        1.615858368580409e2,
        -1.556989798598866e2,
        6.680131188771972e1,
        -1.328068155288572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 5] = [
        7.784695709041462e-3,
        3.224671290700398e-1,
        2.445134137142996,
        3.754408661907416,
        1.0,
    ];
    let polynomial = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    if p < 0.02425 {
        let q = (-2.0 * p.ln()).sqrt();
        polynomial(&C, q) / polynomial(&D, q)
    } else {
        let q = p - 0.5;
        q * polynomial(&A, q * q) / polynomial(&B, q * q)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of SciPy 1.17, `scipy.stats.norm`.
    #[test]
    fn equals_scipy() {
        for (x, cdf) in [
            (-10.0, 7.61985302416052e-24),
            (-3.1, 0.0009676032132183561),
            (-2.9, 0.0018658133003840378),
            (-1.0, 0.15865525393145705),
            (0.0, 0.5),
            (1.959963984540054, 0.975),
            (4.0, 0.9999683287581669),
        ] {
            assert!(
                (normal_cdf(x) / cdf - 1.0).abs() < 1e-13,
                "{x}: {}",
                normal_cdf(x)
            );
        }
        for (p, quantile) in [
            (1e-12, -7.034483825301131),
            (0.01, -2.3263478740408408),
            (0.025, -1.9599639845400545),
            (0.5, 0.0),
            (0.975, 1.959963984540054),
        ] {
            assert!(
                (normal_quantile(p) - quantile).abs() < 1e-13,
                "{p}: {}",
                normal_quantile(p)
            );
        }
    }

    #[test]
    fn ends_and_outside() {
        assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(normal_quantile(1.0), f64::INFINITY);
        assert!(normal_quantile(1.1).is_nan() && normal_quantile(-0.1).is_nan());
        assert_eq!(
            (normal_cdf(f64::NEG_INFINITY), normal_cdf(f64::INFINITY)),
            (0.0, 1.0)
        );
        assert!(normal_cdf(f64::NAN).is_nan());
    }
}
