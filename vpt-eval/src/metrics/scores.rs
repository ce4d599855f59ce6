//! Predictions as the metrics read them: prepared once, then weighted.

use std::cell::OnceCell;
use std::sync::OnceLock;

use ndarray::Array2;

use vpt_core::Calibration as Decisions;

use vpt_data::{Label, TaskKind};

use super::accuracy;
use super::calibration::Calibration;
use super::confusion::ClassCounts;
use super::curves::{self, Areas, Ranking, SideBySide};
use super::detection::Coco;
use super::label_sets::LabelSets;
use super::places::{ObjectScores, Places};
use super::segmentation::SegmentationScores;
use crate::statistics::{BUNCH, Delong, delong};
use crate::{NotDefined, Predictions};

/// Predictions, prepared once for many resamples: what does not depend on the weights is computed here.
pub struct Scores {
    images: usize,
    /// Where the question is of places in the image; all that speaks of classes of whole images is empty then.
    places: Option<Places>,
    /// Where an image has any number of classes; what speaks of its one class is empty then.
    sets: Option<LabelSets>,
    labels: Vec<usize>,
    preds: Vec<usize>,
    probs: Array2<f64>,
    pub(super) truth_ranks: Vec<usize>,
    pub(super) calibration: Calibration,
    rankings: OnceLock<Vec<Ranking>>,
    micro: OnceLock<Ranking>,
    by_confidence: OnceLock<Ranking>,
}

impl Scores {
    /// Prepares predictions.
    pub fn of(predictions: &Predictions) -> Self {
        let Predictions {
            kind,
            logits,
            labels,
            calibration,
            ..
        } = predictions;
        // Whoever made the predictions has checked them.
        if let Ok(Some(places)) = Places::of(predictions) {
            return Self::of_places(places);
        }
        if *kind == TaskKind::MultiLabel {
            return Self::multi_label(logits, labels, calibration);
        }
        let labels: Vec<usize> = labels.iter().filter_map(Label::class).collect();
        Self::decided(logits, &labels, calibration)
    }

    /// Prepares what was found in images.
    fn of_places(places: Places) -> Self {
        let none = Array2::zeros((0, places.num_classes()));
        Self {
            images: places.len(),
            sets: None,
            calibration: Calibration::new(&Array2::zeros((0, 0)), 1.0, &Array2::zeros((0, 0)), &[], &[]),
            truth_ranks: Vec::new(),
            labels: Vec::new(),
            preds: Vec::new(),
            probs: none,
            rankings: OnceLock::new(),
            micro: OnceLock::new(),
            by_confidence: OnceLock::new(),
            places: Some(places),
        }
    }

    /// Prepares `logits` `[images, classes]` and the true classes of each image, any number of them.
    pub fn multi_label(logits: &Array2<f32>, labels: &[Label], calibration: &Decisions) -> Self {
        let (images, classes) = logits.dim();
        assert_eq!(
            images,
            labels.len(),
            "{images} rows of logits, {} labels",
            labels.len()
        );
        let probs = probabilities(TaskKind::MultiLabel, logits, calibration);
        let rows = logits.rows().into_iter();
        let found: Vec<Vec<bool>> = rows.map(|row| calibration.present(&row.to_vec())).collect();
        let sets = LabelSets {
            truth: Array2::from_shape_fn((images, classes), |(image, class)| labels[image].has(class)),
            found: Array2::from_shape_fn((images, classes), |(image, class)| found[image][class]),
        };
        Self {
            images,
            places: None,
            calibration: Calibration::of_sets(logits, calibration.temperature, &probs, &sets),
            sets: Some(sets),
            truth_ranks: Vec::new(),
            labels: Vec::new(),
            preds: Vec::new(),
            probs,
            rankings: OnceLock::new(),
            micro: OnceLock::new(),
            by_confidence: OnceLock::new(),
        }
    }

    /// Prepares `logits` `[images, classes]` and the true class of each image; the largest logit decides.
    pub fn new(logits: &Array2<f32>, labels: &[usize]) -> Self {
        Self::decided(logits, labels, &Decisions::default())
    }

    /// [`Scores::new`] with probabilities and decisions of a task's calibration.
    pub fn decided(logits: &Array2<f32>, labels: &[usize], calibration: &Decisions) -> Self {
        let (images, classes) = logits.dim();
        assert_eq!(
            images,
            labels.len(),
            "{images} rows of logits, {} labels",
            labels.len()
        );
        let probs = probabilities(TaskKind::Classification, logits, calibration);
        let rows = logits.rows().into_iter();
        let preds: Vec<usize> = rows.map(|row| calibration.decide(&row.to_vec()).class).collect();
        if let Some(label) = labels.iter().find(|&&label| label >= classes) {
            panic!("label {label} of {classes} classes");
        }
        Self {
            images,
            places: None,
            sets: None,
            truth_ranks: accuracy::truth_ranks(logits, labels),
            calibration: Calibration::new(logits, calibration.temperature, &probs, &preds, labels),
            labels: labels.to_vec(),
            preds,
            probs,
            rankings: OnceLock::new(),
            micro: OnceLock::new(),
            by_confidence: OnceLock::new(),
        }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.images
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.images == 0
    }

    /// Number of classes, seen or not.
    pub fn num_classes(&self) -> usize {
        self.probs.ncols()
    }

    /// The classes of the images and those that were found, where an image has any number of them.
    pub fn sets(&self) -> Option<&LabelSets> {
        self.sets.as_ref()
    }

    /// Boxes or masks, where the question is of places in the image.
    pub fn places(&self) -> Option<&Places> {
        self.places.as_ref()
    }

    /// Whether each image has the class.
    fn positive(&self, class: usize) -> Vec<bool> {
        match &self.sets {
            Some(sets) => sets.truth.column(class).to_vec(),
            None => self.labels.iter().map(|&label| label == class).collect(),
        }
    }

    /// AUROC of a class against the rest, with DeLong's variance.
    pub(crate) fn delong(&self, class: usize) -> Result<Delong, NotDefined> {
        delong(&self.probs.column(class).to_vec(), &self.positive(class))
    }

    /// Weights that count each image once.
    pub fn ones(&self) -> Vec<u32> {
        vec![1; self.len()]
    }

    /// These predictions, with image `i` counted `weights[i]` times.
    pub fn view<'a>(&'a self, weights: &'a [u32]) -> View<'a> {
        assert_eq!(
            weights.len(),
            self.len(),
            "{} weights, {} images",
            weights.len(),
            self.len()
        );
        View {
            scores: self,
            weights,
            counts: OnceCell::new(),
            coco: OnceCell::new(),
            areas: OnceCell::new(),
            micro: OnceCell::new(),
        }
    }

    /// [`Scores::view`] of each of up to [`BUNCH`] weightings. What was asked for on another view before, all of these will be asked for: areas under curves
    /// are then computed for them together.
    pub fn views<'a>(&'a self, bunch: &'a [Vec<u32>]) -> Vec<View<'a>> {
        let views: Vec<View> = bunch.iter().map(|weights| self.view(weights)).collect();
        let (rankings, micro) = (self.rankings.get(), self.micro.get());
        if rankings.is_none() && micro.is_none() {
            return views;
        }
        let Some(weights) = side_by_side(bunch, self.len()) else {
            return views;
        };
        let areas_of = |ranking: &Ranking| ranking.areas_side_by_side(&weights);
        if let Some(rankings) = rankings {
            let of_classes: Vec<[Areas; BUNCH]> = rankings.iter().map(areas_of).collect();
            for (n, view) in views.iter().enumerate() {
                let of_view = of_classes.iter().map(|areas| areas[n]);
                view.areas.get_or_init(|| of_view.collect());
            }
        }
        if let Some(micro) = micro {
            for (view, areas) in views.iter().zip(areas_of(micro)) {
                view.micro.get_or_init(|| areas);
            }
        }
        views
    }

    /// One ranking per class, each class against the rest; sorted on first use, then shared by all resamples.
    fn rankings(&self) -> &[Ranking] {
        self.rankings.get_or_init(|| {
            let rank = |class| Ranking::new(&self.probs.column(class).to_vec(), &self.positive(class));
            (0..self.num_classes()).map(rank).collect()
        })
    }

    /// Images by the probability of their predicted class; right ones are positive.
    pub(super) fn by_confidence(&self) -> &Ranking {
        let Calibration {
            confidence, correct, ..
        } = &self.calibration;
        self.by_confidence
            .get_or_init(|| Ranking::new(confidence, correct))
    }
}

/// The weights of each image in all of `bunch`, and zeros beside them; `None` for weights of more than 16 bits.
fn side_by_side(bunch: &[Vec<u32>], images: usize) -> Option<SideBySide<BUNCH>> {
    let mut weights = vec![[0; BUNCH]; images];
    for (n, column) in bunch.iter().enumerate() {
        for (row, &weight) in weights.iter_mut().zip(column) {
            row[n] = u16::try_from(weight).ok()?;
        }
    }
    Some(weights)
}

/// One weighting of the images, as every metric gets it. What several metrics need is computed once, on first use.
pub struct View<'a> {
    pub(super) scores: &'a Scores,
    /// How often each image counts.
    pub weights: &'a [u32],
    counts: OnceCell<ClassCounts>,
    coco: OnceCell<Coco>,
    areas: OnceCell<Vec<Areas>>,
    micro: OnceCell<Areas>,
}

impl View<'_> {
    /// True class of each image; empty where it has any number of classes.
    pub fn labels(&self) -> &[usize] {
        &self.scores.labels
    }

    /// Predicted class of each image; empty where it has any number of classes.
    pub fn preds(&self) -> &[usize] {
        &self.scores.preds
    }

    /// The classes of the images and those that were found, where an image has any number of them.
    pub fn sets(&self) -> Option<&LabelSets> {
        self.scores.sets()
    }

    /// Number of classes, seen or not.
    pub fn num_classes(&self) -> usize {
        self.scores.num_classes()
    }

    /// Boxes, where these are asked for.
    pub fn objects(&self) -> Option<&ObjectScores> {
        match self.scores.places() {
            Some(Places::Objects(objects)) => Some(objects),
            _ => None,
        }
    }

    /// Masks, where these are asked for.
    pub fn masks(&self) -> Option<&SegmentationScores> {
        match self.scores.places() {
            Some(Places::Masks(masks)) => Some(masks),
            _ => None,
        }
    }

    /// COCO's numbers, where boxes are asked for.
    pub fn coco(&self) -> Option<&Coco> {
        let objects = self.objects()?;
        Some(self.coco.get_or_init(|| objects.matches.evaluate(self.weights)))
    }

    /// Boundary F1 and Hausdorff distance, means over the classes, where masks are asked for.
    pub(super) fn mean_contours(&self) -> Option<(Option<f64>, Option<f64>)> {
        let masks = self.masks()?;
        let of_classes: Vec<_> = (0..masks.num_classes())
            .map(|class| masks.mean_contours(class, self.weights))
            .collect();
        Some((
            super::mean_of_defined(of_classes.iter().map(|of_class| of_class.0)),
            super::mean_of_defined(of_classes.iter().map(|of_class| of_class.1)),
        ))
    }

    /// Hits, labels and predictions of each class: images, or pixels of masks.
    pub fn counts(&self) -> &ClassCounts {
        self.counts.get_or_init(|| match (self.masks(), self.sets()) {
            (Some(masks), _) => masks.counts(self.weights),
            (None, Some(sets)) => sets.counts(self.weights),
            (None, None) => ClassCounts::new(
                self.labels(),
                self.preds(),
                self.weights,
                self.scores.num_classes(),
            ),
        })
    }

    /// Areas under the curves of each class against the rest.
    pub fn areas(&self) -> &[Areas] {
        self.areas.get_or_init(|| {
            self.scores
                .rankings()
                .iter()
                .map(|ranking| ranking.areas(self.weights))
                .collect()
        })
    }

    /// Mean of an area over the classes that have it; of two classes that exclude each other that of the second.
    pub(super) fn mean_area(&self, pick: fn(&Areas) -> Option<f64>) -> Option<f64> {
        match self.sets() {
            Some(_) => super::mean_of_defined(self.areas().iter().map(pick)),
            None => curves::macro_mean(self.areas(), pick),
        }
    }

    /// Areas under the curves of all pairs of an image and a class.
    pub(super) fn micro(&self) -> Areas {
        let scores = self.scores;
        let ranking = || match &scores.sets {
            Some(sets) => Ranking::of_pairs(&scores.probs, |image, class| sets.truth[[image, class]]),
            None => Ranking::micro(&scores.probs, &scores.labels),
        };
        *self
            .micro
            .get_or_init(|| self.scores.micro.get_or_init(ranking).areas(self.weights))
    }
}

/// Softmax of each row, in float64. Rows with NaN or +inf become NaN.
pub fn softmax(logits: &Array2<f32>) -> Array2<f64> {
    probabilities(TaskKind::Classification, logits, &Decisions::default())
}

/// What a calibration makes of `logits` `[images, classes]` in a task of that kind.
pub fn probabilities(kind: TaskKind, logits: &Array2<f32>, calibration: &Decisions) -> Array2<f64> {
    let mut probs = Array2::zeros(logits.dim());
    for (mut probs, logits) in probs.rows_mut().into_iter().zip(logits.rows()) {
        probs.assign(&ndarray::Array1::from(
            calibration.probs_for(kind, &logits.to_vec()),
        ));
    }
    probs
}
