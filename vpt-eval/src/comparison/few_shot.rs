//! Scores against the number of training images, and where methods overtake each other.

use serde::{Deserialize, Serialize};

use super::row::score;
use super::{RunSummary, missing_baseline};
use crate::EvalError;
use crate::bootstrap::{self, Bootstrap, Estimate};
use crate::metrics::{self, Metric, Scores};
use crate::statistics::CrossedMean;

/// A finished run on a drawn part of the training images.
#[derive(Debug, Clone)]
pub struct FewShotRun {
    /// Training images of each class; `None` for all there are.
    pub shots: Option<usize>,
    /// Number of training images.
    pub images: usize,
    /// Which draw of training images it is: runs with equal `shots` and `draw` have seen the same ones.
    pub draw: u64,
    /// The run.
    pub run: RunSummary,
}

/// The scores of one method, fewest shots first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FewShotCurve {
    /// Tuning method.
    pub method: String,
    /// One point for each number of shots.
    pub points: Vec<FewShotPoint>,
}

/// The score of a method at one number of shots.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FewShotPoint {
    /// Training images of each class; `None` for all there are.
    pub shots: Option<usize>,
    /// Number of training images, mean over the draws.
    pub images: usize,
    /// Score of each draw.
    pub scores: Vec<f64>,
    /// Mean over the draws, with an interval over draws and test images.
    pub score: Estimate,
    /// `score` minus the baseline's at as many shots, draws paired; `None` for the baseline itself.
    pub difference: Option<Estimate>,
}

/// Where a method's curve crosses the baseline's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FewShotCrossing {
    /// Tuning method.
    pub method: String,
    /// What it crosses.
    pub baseline: String,
    /// The first number of shots at which the order is the new one; `None` for all images.
    pub shots: Option<usize>,
    /// Training images at which the curves cross, between the points on a logarithmic scale.
    pub images: f64,
    /// Whether the method is better from there on, else the baseline is.
    pub overtakes: bool,
    /// Whether the difference's interval at `shots` lies on one side of 0.
    pub separated: bool,
}

/// Curves of all methods, in the order of their first run, and where they cross the baseline's.
///
/// All runs must be about the same test images. A method and the baseline that have seen the same draws are compared draw by
/// draw: whether a draw is a lucky one cancels.
pub fn few_shot(
    runs: &[FewShotRun],
    baseline: &str,
    metric: &str,
    options: &Bootstrap,
) -> Result<(Vec<FewShotCurve>, Vec<FewShotCrossing>), EvalError> {
    let metric = metrics::find(metric)?;
    let first = runs.first().ok_or(EvalError::NoImages)?;
    for FewShotRun { run, .. } in runs {
        let (a, b) = (&first.run, run);
        a.predictions.check_paired(&b.predictions, &a.method, &b.method)?;
    }
    let groups = groups(runs);
    if !groups.iter().any(|group| group.method == baseline) {
        return Err(missing_baseline(
            baseline,
            groups.iter().map(|group| group.method),
        ));
    }
    let scores: Vec<Vec<Scores>> = groups
        .iter()
        .map(|group| {
            group
                .runs
                .iter()
                .map(|run| Scores::of(&run.run.predictions))
                .collect()
        })
        .collect();
    let draws = first.run.predictions.draws();
    let values = bootstrap::seed_values(&scores, &draws, metric, options);

    let mut curves: Vec<FewShotCurve> = Vec::new();
    for (group, of_group) in groups.iter().zip(&values) {
        if of_group.values.iter().any(|value| value.is_nan()) {
            return Err(EvalError::Undefined {
                name: metric.name.to_owned(),
                method: group.method.to_owned(),
            });
        }
        let reference = groups
            .iter()
            .position(|other| other.method == baseline && other.shots == group.shots)
            .filter(|_| group.method != baseline);
        let difference = reference.map(|reference| {
            let theirs = &values[reference];
            let crossed = match groups[reference].draws() == group.draws() {
                true => CrossedMean::of(&of_group.minus(theirs), draws.units()),
                false => CrossedMean::difference(of_group, theirs, draws.units()),
            };
            Estimate::crossed(of_group.mean() - theirs.mean(), crossed, options.level)
        });
        let images: usize = group.runs.iter().map(|run| run.images).sum();
        let point = FewShotPoint {
            shots: group.shots,
            images: images / group.runs.len(),
            scores: of_group.values.clone(),
            score: score(&group.runs[0].run.predictions, of_group, metric, options),
            difference,
        };
        match curves.iter_mut().find(|curve| curve.method == group.method) {
            Some(curve) => curve.points.push(point),
            None => curves.push(FewShotCurve {
                method: group.method.to_owned(),
                points: vec![point],
            }),
        }
    }
    for curve in &mut curves {
        curve
            .points
            .sort_by_key(|point| point.shots.unwrap_or(usize::MAX));
    }
    let crossings = curves
        .iter()
        .flat_map(|curve| crossings(curve, baseline, metric))
        .collect();
    Ok((curves, crossings))
}

/// The runs of one method and one number of shots, by draw.
struct Group<'a> {
    method: &'a str,
    shots: Option<usize>,
    runs: Vec<&'a FewShotRun>,
}

impl Group<'_> {
    fn draws(&self) -> Vec<u64> {
        self.runs.iter().map(|run| run.draw).collect()
    }
}

fn groups(runs: &[FewShotRun]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group> = Vec::new();
    for run in runs {
        let (method, shots) = (run.run.method.as_str(), run.shots);
        match groups
            .iter_mut()
            .find(|group| (group.method, group.shots) == (method, shots))
        {
            Some(group) => group.runs.push(run),
            None => groups.push(Group {
                method,
                shots,
                runs: vec![run],
            }),
        }
    }
    for group in &mut groups {
        group.runs.sort_by_key(|run| run.draw);
    }
    groups
}

/// Where the sign of the difference changes, on the line between two points over the logarithm of the images.
fn crossings(curve: &FewShotCurve, baseline: &str, metric: &Metric) -> Vec<FewShotCrossing> {
    let mut crossings = Vec::new();
    let mut before: Option<(f64, f64)> = None;
    for point in &curve.points {
        let Some(difference) = point.difference else {
            continue;
        };
        let Some(value) = difference.value.filter(|&value| value != 0.0) else {
            continue;
        };
        let at = (point.images.max(1) as f64).ln();
        if let Some((was_at, was)) = before.filter(|(_, was)| was * value < 0.0) {
            crossings.push(FewShotCrossing {
                method: curve.method.clone(),
                baseline: baseline.to_owned(),
                shots: point.shots,
                images: (was_at + (at - was_at) * was / (was - value)).exp(),
                overtakes: (value > 0.0) == metric.higher_is_better,
                separated: difference
                    .interval()
                    .is_some_and(|(low, high)| low > 0.0 || high < 0.0),
            });
        }
        before = Some((at, value));
    }
    crossings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crossings_lie_between_points_on_a_logarithmic_scale() {
        let point = |images: usize, value: f64, half: f64| FewShotPoint {
            shots: Some(images / 2),
            images,
            difference: Some(Estimate {
                value: Some(value),
                ci_low: Some(value - half),
                ci_high: Some(value + half),
                ..Estimate::default()
            }),
            ..FewShotPoint::default()
        };
        let curve = FewShotCurve {
            method: "vpt-deep".into(),
            points: vec![
                point(10, 0.1, 0.2),
                point(100, 0.0, 0.1),
                point(1000, -0.1, 0.05),
                point(10_000, -0.2, 0.01),
                point(20_000, 0.01, 0.02),
            ],
        };
        let top1 = metrics::find("top1").unwrap();
        let found = crossings(&curve, "full", top1);
        assert_eq!(found.len(), 2);
        assert!((found[0].images - 100.0).abs() < 1e-9 && !found[0].overtakes && found[0].separated);
        assert!(found[1].overtakes && !found[1].separated);
        assert_eq!(found[1].shots, Some(10_000));
        let loss = crossings(&curve, "full", metrics::find("log_loss").unwrap());
        assert!(loss[0].overtakes, "less loss is better");
    }
}
