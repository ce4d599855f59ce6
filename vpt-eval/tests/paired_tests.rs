//! Tests of pairs and means over seeds against SciPy and statsmodels (`scripts/export_comparison.py`).

#![allow(clippy::unwrap_used)]

use serde::Deserialize;
use vpt_eval::statistics::{
    CrossedMean, POWER, SeedValues, holm, mcnemar, sign_flip, student_cdf, student_quantile,
};

#[derive(Deserialize)]
struct Expected {
    mcnemar: Vec<Discordant>,
    holm: Vec<Adjusted>,
    student: Vec<Student>,
    crossed: Vec<Crossed>,
}

#[derive(Deserialize)]
struct Discordant {
    a: usize,
    b: usize,
    exact: f64,
    mid: f64,
}

#[derive(Deserialize)]
struct Adjusted {
    p: Vec<f64>,
    holm: Vec<f64>,
}

#[derive(Deserialize)]
struct Student {
    degrees: f64,
    t: Vec<f64>,
    cdf: Vec<f64>,
    p: Vec<f64>,
    quantile: Vec<f64>,
}

#[derive(Deserialize)]
struct Crossed {
    units: usize,
    a: Vec<f64>,
    b: Vec<f64>,
    resampled_a: Vec<Vec<f64>>,
    resampled_b: Vec<Vec<f64>>,
    difference: f64,
    standard_error: f64,
    degrees: f64,
    p: f64,
    interval: [f64; 2],
    detectable: f64,
}

fn expected() -> Expected {
    serde_json::from_str(include_str!("fixtures/comparison_expected.json")).unwrap()
}

/// Equal to `digits` digits.
fn close(got: f64, expected: f64, digits: i32) {
    let allowed = 10.0_f64.powi(-digits) * expected.abs().max(1e-300);
    assert!((got - expected).abs() <= allowed, "{got}, expected {expected}");
}

#[test]
fn mcnemar_equals_statsmodels() {
    for Discordant { a, b, exact, mid } in expected().mcnemar {
        // 17 images that both have right and 4 that both have wrong say nothing.
        let of_a = [(17, true), (4, false), (a, true), (b, false)];
        let of_b = [(17, true), (4, false), (a, false), (b, true)];
        let list = |parts: [(usize, bool); 4]| {
            parts
                .into_iter()
                .flat_map(|(images, right)| std::iter::repeat_n(right, images))
        };
        let test = mcnemar(list(of_a), list(of_b));
        assert_eq!((test.a_better, test.b_better), (a as u64, b as u64));
        close(test.p_value, exact, 9);
        close(test.mid_p, mid, 9);
        // Seeds that all say the same are no new information.
        let thrice = sign_flip((0..a).map(|_| 3).chain((0..b).map(|_| -3)));
        close(thrice.p_value, exact, 9);
    }
}

#[test]
fn holm_equals_statsmodels() {
    for Adjusted { p, holm: expected } in expected().holm {
        for (got, expected) in holm(&p).into_iter().zip(expected) {
            close(got, expected, 12);
        }
    }
}

#[test]
fn student_equals_scipy() {
    for student in expected().student {
        for (&t, &cdf) in student.t.iter().zip(&student.cdf) {
            close(student_cdf(t, student.degrees), cdf, 8);
        }
        for (&p, &quantile) in student.p.iter().zip(&student.quantile) {
            let got = student_quantile(p, student.degrees);
            assert!(
                (got - quantile).abs() <= 1e-8 * quantile.abs().max(1.0),
                "{got}, expected {quantile}"
            );
        }
    }
}

#[test]
fn seeds_and_images_equal_obuchowski_and_rockette() {
    for case in expected().crossed {
        let a = SeedValues {
            values: case.a,
            resampled: case.resampled_a,
        };
        let b = SeedValues {
            values: case.b,
            resampled: case.resampled_b,
        };
        let mean = CrossedMean::difference(&a, &b, case.units).unwrap();
        let interval = mean.interval(0.95).unwrap();
        close(mean.value, case.difference, 9);
        close(mean.standard_error(), case.standard_error, 9);
        close(mean.degrees, case.degrees, 8);
        close(mean.p_value(), case.p, 8);
        close(interval.low, case.interval[0], 8);
        close(interval.high, case.interval[1], 8);
        close(mean.detectable(0.95, POWER).unwrap(), case.detectable, 8);
    }
}
