//! What is taken for what: the confusion matrix, or for many classes its largest entries.

use ndarray::Array2;
use vpt_data::Label;

use super::confusion::{Numbers, draw};
use super::evaluated::{Evaluated, images, percent_of};
use super::figure::{Drawing, Figure, Table};
use super::format::count;
use crate::NotDefined;
use crate::metrics::confusion::confusion_matrix;

const TITLE: &str = "Confusion matrix";

/// The most classes whose matrix can be read.
const MOST: usize = 40;

/// The most rows of the table that replaces it.
const ROWS: usize = 30;

/// The matrix as a figure, or the reason why there is none.
pub(super) fn confusion_figure(run: &Evaluated) -> Option<Figure> {
    let classes = &run.predictions.classes;
    if run.predictions.is_empty() || classes.is_empty() {
        return Some(Figure::missing(TITLE, &NotDefined::NoImage));
    }
    if classes.len() > MOST {
        return None;
    }
    let matrix = matrix(run);
    let svg = draw(&matrix, classes, Numbers::Both);
    let percent = if classes.len() <= 14 { " (percent)" } else { "" };
    let most = match pairs(&matrix).first() {
        Some(most) => format!("Most often {}.", most.sentence(run)),
        None => "No image is taken for a wrong class.".to_owned(),
    };
    let caption = format!(
        "Rows are true classes, columns what the model says: counts, shaded by their share of the row{percent}. {most}"
    );
    Some(Figure {
        title: TITLE.to_owned(),
        drawing: Some(Drawing {
            width: svg.width() as u32,
            svg: svg.inline(),
            scrolls: true,
        }),
        legend: Vec::new(),
        caption,
    })
}

/// For more classes than a matrix can show: the confusions with the most images.
pub(super) fn confusion_table(run: &Evaluated) -> Option<Table> {
    let classes = &run.predictions.classes;
    if classes.len() <= MOST || run.predictions.is_empty() {
        return None;
    }
    let pairs = pairs(&matrix(run));
    let errors: usize = pairs.iter().map(|pair| pair.images).sum();
    let row = |pair: &Pair| {
        vec![
            classes[pair.truth].clone(),
            classes[pair.said].clone(),
            count(pair.images),
            percent_of(pair.share()),
        ]
        .into()
    };
    Some(Table {
        caption: format!(
            "The most frequent confusions: {} of {} pairs of classes that were confused, {} in all.",
            pairs.len().min(ROWS),
            count(pairs.len()),
            images(errors)
        ),
        columns: ["true class", "taken for", "images", "of the class"]
            .map(str::to_owned)
            .into(),
        rows: pairs.iter().take(ROWS).map(row).collect(),
        ends_in_text: false,
    })
}

/// Images of one class taken for another.
struct Pair {
    truth: usize,
    said: usize,
    images: usize,
    /// Images of the true class.
    of: usize,
}

impl Pair {
    fn share(&self) -> f64 {
        self.images as f64 / self.of as f64
    }

    fn sentence(&self, run: &Evaluated) -> String {
        format!(
            "{} is taken for {}: {} of {}, {}",
            run.class(self.truth),
            run.class(self.said),
            count(self.images),
            images(self.of),
            percent_of(self.share())
        )
    }
}

/// All confusions, the most frequent first.
fn pairs(matrix: &Array2<usize>) -> Vec<Pair> {
    let pair = |((truth, said), &images): ((usize, usize), &usize)| {
        (truth != said && images > 0).then(|| Pair {
            truth,
            said,
            images,
            of: matrix.row(truth).sum(),
        })
    };
    let mut pairs: Vec<Pair> = matrix.indexed_iter().filter_map(pair).collect();
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.images)); // stable
    pairs
}

fn matrix(run: &Evaluated) -> Array2<usize> {
    let one_each = |labels: &[Label]| labels.iter().filter_map(Label::class).collect::<Vec<_>>();
    let (labels, said) = (one_each(&run.predictions.labels), one_each(&run.called));
    confusion_matrix(&labels, &said, run.predictions.classes.len())
}
