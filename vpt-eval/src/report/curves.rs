//! Training curves: `results.svg` of a run, and small multiples of a comparison.

use super::format::metric_title;
use super::plot::{Curve, Panel, padded, range};
use super::svg::{Svg, series};
use crate::{EpochRow, RunCurves};

/// Metrics that are worth a line, if the run has them.
const SHOWN: [&str; 4] = ["top1", "balanced_accuracy", "macro_f1", "auroc"];

/// Loss, validation metrics and learning rate over the epochs of one run, as an SVG file.
pub fn curves_svg(rows: &[EpochRow]) -> String {
    let (width, height) = (340.0, 260.0);
    let mut svg = Svg::new(3.0 * width, height, "training curves");
    let metric = |(i, name): (usize, &&str)| {
        rows.iter()
            .any(|row| row.metrics.contains_key(*name))
            .then(|| Curve {
                class: series(i + 2),
                name: metric_title(name).replace(" accuracy", ""),
                points: points(rows, |row| row.metrics.get(*name).copied()),
            })
    };
    let metrics: Vec<Curve> = SHOWN.iter().enumerate().filter_map(metric).collect();
    let rate = [Curve {
        class: series(5),
        name: String::new(),
        points: points(rows, |row| Some(row.lr)),
    }];
    let panels = [
        ("loss", &losses(rows)[..]),
        ("validation", &metrics[..]),
        ("learning rate", &rate[..]),
    ];
    for (i, (title, curves)) in panels.into_iter().enumerate() {
        let values = curves
            .iter()
            .flat_map(|curve| curve.points.iter().map(|&(_, y)| y));
        let y = range(values).map_or((0.0, 1.0), |values| padded(values, 0.06));
        let y = if title == "learning rate" { (0.0, y.1) } else { y };
        let panel = Panel {
            title,
            x_label: "epoch",
            x: epochs(rows),
            y,
            curves,
        };
        panel.draw(&mut svg, (i as f64 * width, 0.0), (width, height));
    }
    svg.standalone()
}

/// Loss and one validation metric of all seeds of one method; `y_loss` and `y_metric` are the same for all methods, so
/// that the figures of a page can be compared.
pub(super) fn method_curves(
    runs: &[&RunCurves],
    metric: &str,
    colour: usize,
    (y_loss, y_metric): ((f64, f64), (f64, f64)),
) -> Svg {
    let (width, height) = (300.0, 220.0);
    let method = runs.first().map_or("", |run| &run.method);
    let mut svg = Svg::new(2.0 * width, height, &format!("training curves of {method}"));
    let losses: Vec<Curve> = runs
        .iter()
        .flat_map(|run| {
            [
                ("train", " dashed", loss as Pick),
                ("validation", "", val_loss as Pick),
            ]
            .map(|(name, dash, pick)| Curve {
                class: series(colour) + dash,
                name: name.to_owned(),
                points: points(&run.epochs, |row| Some(pick(row))),
            })
        })
        .collect();
    let metrics: Vec<Curve> = runs
        .iter()
        .map(|run| Curve {
            class: series(colour),
            name: String::new(),
            points: points(&run.epochs, |row| row.metrics.get(metric).copied()),
        })
        .collect();
    let x = runs
        .iter()
        .map(|run| epochs(&run.epochs))
        .fold((1.0, 1.0), |(low, high), (a, b)| (a.min(low), b.max(high)));
    let metric_title = format!("validation {}", metric_title(metric));
    let panels = [("loss", y_loss, &losses), (&metric_title, y_metric, &metrics)];
    for (i, (title, y, curves)) in panels.into_iter().enumerate() {
        let panel = Panel {
            title,
            x_label: "epoch",
            x,
            y,
            curves,
        };
        panel.draw(&mut svg, (i as f64 * width, 0.0), (width, height));
    }
    svg
}

type Pick = fn(&EpochRow) -> f64;

fn loss(row: &EpochRow) -> f64 {
    row.train_loss
}

fn val_loss(row: &EpochRow) -> f64 {
    row.val_loss
}

fn losses(rows: &[EpochRow]) -> [Curve; 2] {
    [
        Curve {
            class: series(0) + " dashed",
            name: "train".to_owned(),
            points: points(rows, |row| Some(row.train_loss)),
        },
        Curve {
            class: series(1),
            name: "validation".to_owned(),
            points: points(rows, |row| Some(row.val_loss)),
        },
    ]
}

fn points(rows: &[EpochRow], pick: impl Fn(&EpochRow) -> Option<f64>) -> Vec<(f64, f64)> {
    rows.iter()
        .filter_map(|row| Some((row.epoch as f64, pick(row)?)))
        .collect()
}

fn epochs(rows: &[EpochRow]) -> (f64, f64) {
    range(rows.iter().map(|row| row.epoch as f64)).unwrap_or((0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: usize) -> EpochRow {
        let metrics = [("top1".to_owned(), 0.5 + 0.1 * epoch as f64)].into();
        EpochRow {
            epoch,
            train_loss: 1.0 / epoch as f64,
            val_loss: f64::NAN,
            weight_decay: None,
            lr: 1e-3,
            metrics,
            ..EpochRow::default()
        }
    }

    #[test]
    fn figures_depend_on_the_rows_alone() {
        let rows = [row(1), row(2), row(3)];
        assert_eq!(curves_svg(&rows), curves_svg(&rows));
        assert!(curves_svg(&rows).contains(">top-1</text>"));
    }

    #[test]
    fn no_epoch_one_epoch_and_nan_draw_something() {
        for rows in [&[][..], &[row(1)], &[row(1), row(2)]] {
            let svg = curves_svg(rows);
            assert!(
                svg.starts_with("<svg") && !svg.contains("NaN") && !svg.contains("inf"),
                "{svg}"
            );
        }
        assert!(curves_svg(&[row(1)]).contains("<circle"));
    }
}
