//! Histograms of the score, by true class.

use super::axes::{Axes, Axis};
use super::evaluated::{Evaluated, images, percent_of};
use super::figure::{Entry, Figure};
use super::svg::{Svg, series};
use crate::NotDefined;
use crate::metrics::reliability::{ReliabilityBin, reliability_curve};

const TITLE: &str = "Scores by true class";

const BINS: usize = 20;

/// The second class's probability for images of the first class, and below it for those of the second.
pub(super) fn score_histogram(run: &Evaluated) -> Figure {
    let found: Vec<Result<Vec<ReliabilityBin>, NotDefined>> = [0, 1].map(|class| bins(run, class)).into();
    if let [Err(reason), Err(_)] = &found[..] {
        return Figure::missing(TITLE, reason);
    }
    let name = run.class(1);
    let mut svg = Svg::new(380.0, 352.0, TITLE);
    let label = format!("probability of {name} (%)");
    let (left, right) = (52.0, 366.0);
    for (class, bins) in found.iter().enumerate() {
        // A class without images has an empty panel, which its entry in the legend explains.
        let bins = bins.as_deref().unwrap_or_default();
        let most = bins.iter().map(|bin| bin.observed.items).max().unwrap_or(0) as f64;
        let (top, bottom) = [(12.0, 148.0), (176.0, 312.0)][class];
        let axes = Axes::draw(
            &mut svg,
            (left, top),
            (right, bottom),
            &Axis::percent(if class == 1 { &label } else { "" }),
            &Axis {
                label: "images",
                range: (0.0, most.max(1.0)),
                ticks: if most < 4.0 { 1 } else { 4 },
            },
        );
        for bin in bins {
            let count = bin.observed.items as f64;
            axes.column(
                &mut svg,
                &series(class),
                (100.0 * bin.low, 100.0 * bin.high),
                count,
            );
        }
        if let Some(threshold) = run.threshold {
            axes.mark(&mut svg, 100.0 * threshold);
        }
    }
    let entry = |class: usize| {
        let count = run
            .predictions
            .labels
            .iter()
            .filter(|label| label.has(class))
            .count();
        let place = ["above", "below"][class];
        let text = format!("{place}: {} that are {}", images(count), run.class(class));
        Entry::new(&series(class), text)
    };
    let mut caption = vec![format!(
        "How probable the model finds {name}, for the images that are not (above) and those that are (below). The less both \
         overlap, the better it tells them apart."
    )];
    if let Some(threshold) = run.threshold {
        caption.push(format!(
            "From the line at {} on it says {name}.",
            percent_of(threshold)
        ));
    }
    Figure::new(TITLE, svg, vec![entry(0), entry(1)], &caption)
}

/// Images of a true class in equal bins of the second class's probability.
fn bins(run: &Evaluated, class: usize) -> Result<Vec<ReliabilityBin>, NotDefined> {
    let of_class: Vec<u32> = run.is_of(class).into_iter().map(u32::from).collect();
    reliability_curve(&run.scores(1), &run.is_of(1), &of_class, BINS)
}
