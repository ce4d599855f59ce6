//! Student's t distribution, for any positive number of degrees of freedom.

use super::{normal_cdf, normal_quantile};

/// From here on the distribution is the normal one to more digits than anybody reads.
const NORMAL: f64 = 1e9;

/// Cumulative distribution function with `degrees` degrees of freedom; infinitely many are the normal distribution. NaN
/// where `degrees` is not positive.
pub fn student_cdf(t: f64, degrees: f64) -> f64 {
    if degrees >= NORMAL {
        return normal_cdf(t);
    }
    if t.is_nan() || degrees.is_nan() || degrees <= 0.0 {
        return f64::NAN;
    }
    // P(T < −|t|) = I(ν / (ν + t²); ν/2, 1/2) / 2 (DLMF 8.17)
    let tail = if t.is_infinite() {
        0.0
    } else {
        incomplete_beta(
            degrees / 2.0,
            0.5,
            degrees / (degrees + t * t),
            t * t / (degrees + t * t),
        ) / 2.0
    };
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// Quantile (inverse of [`student_cdf`]): infinite at 0 and 1, NaN outside.
pub fn student_quantile(p: f64, degrees: f64) -> f64 {
    if degrees >= NORMAL {
        return normal_quantile(p);
    }
    if p > 0.5 {
        return -student_quantile(1.0 - p, degrees);
    }
    if p == 0.0 {
        return f64::NEG_INFINITY;
    }
    if !(p > 0.0 && degrees > 0.0) {
        return f64::NAN;
    }
    if p == 0.5 {
        return 0.0;
    }
    // Doubling finds a bracket, halving the place: 1,100 steps of each reach every f64.
    let mut low = -1.0;
    while student_cdf(low, degrees) > p && low > f64::MIN / 2.0 {
        low *= 2.0;
    }
    let mut high = if low == -1.0 { 0.0 } else { low / 2.0 };
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if middle == low || middle == high {
            break;
        }
        if student_cdf(middle, degrees) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// Regularised incomplete beta function I(x; a, b), with `rest` = 1 − x, by its continued fraction (DLMF 8.17.22).
fn incomplete_beta(a: f64, b: f64, x: f64, rest: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if rest <= 0.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, rest, x); // where the fraction is short
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * rest.ln()).exp() / a;
    front / beta_fraction(a, b, x)
}

/// 1 + d1/(1 + d2/(1 + …)), by the modified method of Lentz.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_0 = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut value, mut c, mut d) = (1.0, 1.0, 0.0);
    for i in 1..10_000_u32 {
        let m = f64::from(i / 2);
        let step = if i % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        d = 1.0 / away_from_0(1.0 + step * d);
        c = away_from_0(1.0 + step / c);
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value
}

/// Logarithm of the gamma function for x > 0: Stirling's series (DLMF 5.11.1), after moving x to 10 or more.
pub(super) fn ln_gamma(x: f64) -> f64 {
    const SERIES: [f64; 7] = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1260.0,
        -1.0 / 1680.0,
        1.0 / 1188.0,
        -691.0 / 360_360.0,
        1.0 / 156.0,
    ];
    let (mut x, mut product) = (x, 1.0);
    while x < 10.0 {
        product *= x;
        x += 1.0;
    }
    let inverse_square = 1.0 / (x * x);
    let series = SERIES
        .iter()
        .rev()
        .fold(0.0, |sum, term| sum * inverse_square + term)
        / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - f64::ln(product)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ends_and_outside() {
        assert_eq!(student_quantile(0.0, 3.0), f64::NEG_INFINITY);
        assert_eq!(student_quantile(1.0, 3.0), f64::INFINITY);
        assert_eq!(student_quantile(0.5, 3.0), 0.0);
        assert_eq!(student_cdf(f64::NEG_INFINITY, 2.0), 0.0);
        assert_eq!(student_cdf(f64::INFINITY, 2.0), 1.0);
        for value in [
            student_quantile(-0.1, 3.0),
            student_quantile(1.1, 3.0),
            student_quantile(0.3, 0.0),
            student_cdf(1.0, -1.0),
            student_cdf(f64::NAN, 4.0),
        ] {
            assert!(value.is_nan());
        }
        assert_eq!(student_quantile(0.975, f64::INFINITY), normal_quantile(0.975));
    }

    #[test]
    fn one_degree_of_freedom_is_cauchy() {
        for t in [-1e6, -3.0, -0.1, 0.0, 2.0, 50.0_f64] {
            let expected = 0.5 + t.atan() / std::f64::consts::PI;
            assert!((student_cdf(t, 1.0) - expected).abs() < 1e-14);
        }
    }

    proptest! {
        #[test]
        fn quantile_inverts_cdf(p in 1e-6..0.999_999_f64, degrees in 0.5..1e5_f64) {
            let t = student_quantile(p, degrees);
            prop_assert!((student_cdf(t, degrees) - p).abs() < 1e-10);
        }
    }
}
