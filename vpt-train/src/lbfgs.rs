//! [`Lbfgs`]: minimises a smooth function of many variables from its values and gradients.

use std::collections::VecDeque;

/// Limited-memory BFGS (Nocedal & Wright 2006, algorithms 7.4 and 7.5) in float64, with a line search for the weak Wolfe
/// conditions by bracketing and bisection (Lewis & Overton 2013, algorithm 2.6).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lbfgs {
    /// Steps that the model of the curvature remembers.
    pub memory: usize,
    /// Largest entry of the gradient at which the search ends.
    pub tolerance: f64,
    /// Steps after which it gives up.
    pub max_iterations: usize,
}

/// Where a search ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimum {
    /// The point.
    pub x: Vec<f64>,
    /// The function's value there.
    pub value: f64,
    /// Largest entry of the gradient there.
    pub gradient: f64,
    /// Steps that were made.
    pub iterations: usize,
    /// How often the function was evaluated.
    pub evaluations: usize,
}

/// Share of the promised decrease that a step must bring, and of the slope that it may leave (weak Wolfe conditions).
const DECREASE: f64 = 1e-4;
const CURVATURE: f64 = 0.9;

/// Share of the value below which a difference is rounding: there the slope alone says whether a step brought a decrease (Hager
/// & Zhang 2005, equation 4.1).
const ROUNDING: f64 = 1e-13;

/// Bisections of one line search. After so many, rounding hides whatever decrease is left.
const MAX_BISECTIONS: usize = 40;

impl Default for Lbfgs {
    fn default() -> Self {
        Self {
            memory: 50,
            tolerance: 1e-6,
            max_iterations: 3000,
        }
    }
}

impl Lbfgs {
    /// Searches from `x`; `function` gives value and gradient, and `scaled` divides by a guess at the curvature that every step
    /// starts from (a copy where there is none; it must be symmetric and positive). Ends where no entry of the gradient exceeds
    /// the tolerance, where float64 shows no decrease any more, or after the last iteration.
    pub fn minimise(
        &self,
        mut x: Vec<f64>,
        scaled: impl Fn(&[f64]) -> Vec<f64>,
        mut function: impl FnMut(&[f64]) -> (f64, Vec<f64>),
    ) -> Minimum {
        let (mut value, mut gradient) = function(&x);
        let (mut iterations, mut evaluations) = (0, 1);
        let mut past: VecDeque<Pair> = VecDeque::with_capacity(self.memory + 1);
        while iterations < self.max_iterations && largest(&gradient) > self.tolerance {
            let mut direction = descent(&gradient, &past, &scaled);
            let mut slope = dot(&direction, &gradient);
            if slope >= 0.0 {
                // Rounding spoilt the curvature: begin again with the gradient.
                past.clear();
                direction = descent(&gradient, &past, &scaled);
                slope = dot(&direction, &gradient);
            }
            let (mut low, mut high, mut step) = (0.0, f64::INFINITY, 1.0);
            let mut found = None;
            for _ in 0..MAX_BISECTIONS {
                let there: Vec<f64> = x.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
                let (new_value, new_gradient) = function(&there);
                evaluations += 1;
                let new_slope = dot(&new_gradient, &direction);
                // A value that is no number is no decrease either.
                let decreased = new_value <= value + DECREASE * step * slope
                    || new_value <= value + ROUNDING * value.abs()
                        && new_slope <= (2.0 * DECREASE - 1.0) * slope;
                if decreased {
                    let enough = new_slope >= CURVATURE * slope;
                    found = Some((there, new_value, new_gradient));
                    if enough {
                        break;
                    }
                    low = step;
                } else {
                    high = step;
                }
                step = if high.is_finite() {
                    f64::midpoint(low, high)
                } else {
                    2.0 * low
                };
            }
            let Some((there, new_value, new_gradient)) = found else {
                break;
            };
            let pair = Pair {
                step: there.iter().zip(&x).map(|(new, old)| new - old).collect(),
                change: new_gradient
                    .iter()
                    .zip(&gradient)
                    .map(|(new, old)| new - old)
                    .collect(),
            };
            if dot(&pair.step, &pair.change) > 0.0 {
                past.push_back(pair);
                if past.len() > self.memory {
                    past.pop_front();
                }
            }
            (x, value, gradient) = (there, new_value, new_gradient);
            iterations += 1;
        }
        Minimum {
            gradient: largest(&gradient),
            x,
            value,
            iterations,
            evaluations,
        }
    }
}

/// A step, and how the gradient changed on it.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
}

/// The negated gradient, divided by the curvature that the guess and the past steps suggest.
fn descent(gradient: &[f64], past: &VecDeque<Pair>, scaled: &impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let mut rest: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::with_capacity(past.len());
    for Pair { step, change } in past.iter().rev() {
        let share = dot(step, &rest) / dot(step, change);
        add(&mut rest, -share, change);
        shares.push(share);
    }
    let mut direction = scaled(&rest);
    if let Some(Pair { step, change }) = past.back() {
        let scale = dot(step, change) / dot(change, &scaled(change));
        for value in &mut direction {
            *value *= scale;
        }
    }
    for (Pair { step, change }, share) in past.iter().zip(shares.into_iter().rev()) {
        let other = dot(change, &direction) / dot(step, change);
        add(&mut direction, share - other, step);
    }
    direction
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], factor: f64, other: &[f64]) {
    to.iter_mut()
        .zip(other)
        .for_each(|(to, other)| *to += factor * other);
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| value.abs().max(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_minimum_of_a_badly_scaled_quadratic() {
        let scales: Vec<f64> = (0..50).map(|i| 10f64.powf(f64::from(i) / 49.0 * 4.0)).collect();
        let minimum = Lbfgs {
            tolerance: 1e-9,
            ..Lbfgs::default()
        }
        .minimise(vec![0.0; 50], <[f64]>::to_vec, |x| {
            let gradient = x.iter().zip(&scales).map(|(x, scale)| scale * (x - 3.0));
            let value = x
                .iter()
                .zip(&scales)
                .map(|(x, scale)| 0.5 * scale * (x - 3.0).powi(2));
            (value.sum(), gradient.collect())
        });
        assert!(minimum.gradient <= 1e-9, "{minimum:?}");
        assert!(
            minimum.x.iter().all(|x| (x - 3.0).abs() < 1e-8),
            "{:?}",
            minimum.x
        );
    }

    #[test]
    fn follows_the_valley_of_rosenbrock() {
        let minimum = Lbfgs::default().minimise(vec![-1.2, 1.0], <[f64]>::to_vec, |x| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            (
                a * a + 100.0 * b * b,
                vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b],
            )
        });
        assert!(minimum.x.iter().all(|x| (x - 1.0).abs() < 1e-6), "{minimum:?}");
        assert!(minimum.evaluations < 100, "{minimum:?}");
    }

    #[test]
    fn ends_where_rounding_hides_the_decrease() {
        let minimum = Lbfgs {
            tolerance: 0.0,
            ..Lbfgs::default()
        }
        .minimise(vec![5.0], <[f64]>::to_vec, |x| {
            (1e6 + x[0] * x[0], vec![2.0 * x[0]])
        });
        assert!(
            minimum.x[0].abs() < 1e-4 && minimum.iterations < 100,
            "{minimum:?}"
        );
    }

    #[test]
    fn steps_back_from_where_there_is_no_number() {
        let minimum = Lbfgs::default().minimise(vec![0.1], <[f64]>::to_vec, |x| {
            (x[0] - x[0].ln(), vec![1.0 - 1.0 / x[0]])
        });
        assert!((minimum.x[0] - 1.0).abs() < 1e-6, "{minimum:?}");
    }
}
