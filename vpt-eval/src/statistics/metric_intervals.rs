//! Bootstrap intervals of the metrics in [`METRICS`](crate::metrics::METRICS).

use super::{Draws, Interval, Kind, Sampling, intervals};
use crate::metrics::{Metric, Scores};
use crate::{Bootstrap, NotDefined};

/// Interval of each metric on these predictions, all from the same resamples.
///
/// With [`Kind::Percentile`] and [`Sampling::Images`] the ends are those of [`bootstrap::intervals`](crate::bootstrap::intervals),
/// which gives a share of 0 or 1 an exact bound where this has no interval.
pub fn metric_intervals(
    scores: &Scores,
    metrics: &[&'static Metric],
    kind: Kind,
    sampling: &Sampling,
    options: &Bootstrap,
) -> Vec<Result<Interval, NotDefined>> {
    let draws = Draws::new(scores.len(), sampling);
    intervals(kind, &draws, metrics.len(), options, |weights| {
        let view = scores.view(weights);
        metrics.iter().map(|metric| (metric.compute)(&view)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Predictions, bootstrap, metrics};
    use ndarray::Array2;

    /// Two classes, four images a patient; a patient's images are all right or all wrong.
    fn predictions() -> Predictions {
        let logits = Array2::from_shape_fn((120, 2), |(i, class)| {
            let wrong = (i / 4) % 5 == 0;
            let says = usize::from((i % 2 == 1) != wrong);
            f32::from(u8::from(says == class)) * (1.0 + i as f32 / 120.0)
        });
        let paths = (0..120).map(|i| format!("{i}.png").into()).collect();
        let labels = (0..120).map(|i| i % 2).collect();
        Predictions::new(vec!["a".into(), "b".into()], paths, labels, logits).unwrap()
    }

    #[test]
    fn percentiles_of_images_are_the_ones_in_results() {
        let predictions = predictions();
        let metrics: Vec<_> = metrics::applicable(2).collect();
        let options = Bootstrap {
            resamples: 200,
            ..Bootstrap::default()
        };
        let here = metric_intervals(
            &Scores::of(&predictions),
            &metrics,
            Kind::Percentile,
            &Sampling::Images,
            &options,
        );
        let there = bootstrap::intervals(&predictions, &metrics, &options);
        for (here, there) in here.iter().zip(&there) {
            assert_eq!(here.ok().map(|i| (i.low, i.high)), there.interval());
        }
    }

    #[test]
    fn patients_make_intervals_wider() {
        let scores = Scores::of(&predictions());
        let patients: Vec<usize> = (0..120).map(|i| i / 4).collect();
        let width = |sampling: &Sampling| {
            let top1 = [metrics::find("top1").unwrap()];
            let interval = metric_intervals(&scores, &top1, Kind::Bca, sampling, &Bootstrap::default())[0];
            interval.map(|i| i.high - i.low).unwrap()
        };
        // Four equal images are one observation: √4 times as wide.
        let ratio = width(&Sampling::Clustered(&patients)) / width(&Sampling::Images);
        assert!((1.7..2.3).contains(&ratio), "{ratio}");
    }

    #[test]
    fn no_image_has_no_interval() {
        let none = Scores::new(&Array2::zeros((0, 2)), &[]);
        let top1 = [metrics::find("top1").unwrap()];
        for sampling in [
            Sampling::Images,
            Sampling::Stratified(&[]),
            Sampling::Clustered(&[]),
        ] {
            let interval = metric_intervals(&none, &top1, Kind::Bca, &sampling, &Bootstrap::default());
            assert_eq!(interval, [Err(NotDefined::NoImage)]);
        }
    }
}
