//! One class against the rest: what the ROC and the precision–recall curve draw.

use super::evaluated::Evaluated;
use super::svg::stroke;
use crate::metrics::curves::Ranking;
use crate::metrics::operating_points::{OperatingPoint, operating_points};
use crate::{Estimate, NotDefined, statistics};

/// The most classes in one figure: six colours, plain and dashed.
const MOST: usize = 12;

/// The operating points of one class and the areas under its curves.
pub(super) struct ClassCurve {
    pub name: String,
    /// CSS classes of its line.
    pub style: String,
    pub points: Vec<OperatingPoint>,
    pub auroc: Estimate,
    pub auprc: Estimate,
}

/// The curves of a page.
pub(super) struct ClassCurves {
    /// In the order of the classes.
    pub curves: Vec<ClassCurve>,
    /// Sentences about what is left out, and why.
    pub notes: Vec<String>,
}

impl ClassCurves {
    /// With two classes the curve of the second; with more, one for each of the twelve classes with the most images.
    ///
    /// Not defined where no class has images beside those of others.
    pub(super) fn new(run: &Evaluated) -> Result<Self, NotDefined> {
        let wanted: Vec<usize> = if run.is_binary() {
            vec![1]
        } else {
            (0..run.predictions.classes.len()).collect()
        };
        let mut failure = NotDefined::NoImage;
        let mut found = Vec::new();
        for &class in &wanted {
            let (scores, positive) = (run.scores(class), run.is_of(class));
            match operating_points(&scores, &positive, &run.ones) {
                Ok(points) => found.push((class, points, Ranking::new(&scores, &positive))),
                Err(reason) => failure = reason,
            }
        }
        if found.is_empty() {
            return Err(failure);
        }
        let (defined, support) = (found.len(), |points: &[OperatingPoint]| {
            points.first().map_or(0, |point| point.counts.positives())
        });
        // Stable: of equally common classes the first ones stay.
        found.sort_by_key(|(_, points, _)| std::cmp::Reverse(support(points)));
        found.truncate(MOST);
        found.sort_by_key(|(class, _, _)| *class);

        let mut notes = Vec::new();
        if defined > MOST {
            notes.push(format!(
                "Of {defined} classes the {MOST} with the most images are drawn."
            ));
        }
        match wanted.len() - defined {
            0 => {}
            1 => notes.push("A class without images of its own has no curve.".to_owned()),
            missing => notes.push(format!("{missing} classes without images have no curve.")),
        }
        if run.is_scaled() && !run.is_binary() {
            notes.push("Classes are ranked by the probabilities after temperature scaling.".to_owned());
        }
        let areas = areas(
            run,
            &found
                .iter()
                .map(|(class, _, ranking)| (*class, ranking))
                .collect::<Vec<_>>(),
        );
        let curves = found.into_iter().zip(areas).enumerate();
        let curves = curves.map(|(i, ((class, points, _), [auroc, auprc]))| ClassCurve {
            name: run.class(class),
            style: stroke(if run.is_binary() { 1 } else { i }),
            points,
            auroc,
            auprc,
        });
        Ok(Self {
            curves: curves.collect(),
            notes,
        })
    }
}

/// Areas under both curves of each class. Intervals are those of the results where these know the number, and are resampled
/// as the results' were where they do not.
fn areas(run: &Evaluated, rankings: &[(usize, &Ranking)]) -> Vec<[Estimate; 2]> {
    let values = |weights: &[u32]| -> Vec<Option<f64>> {
        let areas = rankings.iter().map(|(_, ranking)| ranking.areas(weights));
        areas.flat_map(|areas| [areas.auroc, areas.auprc]).collect()
    };
    let plain = values(&run.ones);
    let known: Vec<Option<Estimate>> = rankings
        .iter()
        .flat_map(|(class, _)| known(run, *class))
        .zip(&plain)
        .map(|(known, value)| known.filter(|known| same(known.value, *value)))
        .collect();
    let options = &run.results.bootstrap;
    let resampled = if known.iter().all(Option::is_some) {
        vec![Vec::new(); plain.len()]
    } else {
        statistics::resample(&run.predictions.draws(), plain.len(), options, |weights| {
            values(weights)
                .into_iter()
                .map(|value| value.unwrap_or(f64::NAN))
                .collect()
        })
    };
    let estimates: Vec<Estimate> = known
        .into_iter()
        .zip(plain.iter().zip(&resampled))
        .map(|(known, (value, column))| {
            known.unwrap_or_else(|| Estimate::new(*value, column, options.level, None))
        })
        .collect();
    estimates.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect()
}

/// AUROC and AUPRC of a class, where the results have them.
fn known(run: &Evaluated, class: usize) -> [Option<Estimate>; 2] {
    let auroc = run.results.per_class.get(class).map(|row| row.auroc);
    let auprc = run.results.metrics.get("auprc").filter(|_| run.is_binary());
    [auroc, auprc.map(|metric| metric.estimate)]
}

/// Results that were read from a file are an ulp off; those of other probabilities are further away.
fn same(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-9,
        _ => false,
    }
}
