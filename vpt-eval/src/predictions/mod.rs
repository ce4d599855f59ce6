//! What a model said about each image.

mod csv;
mod found;
mod pooled;

pub use found::Found;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView1, Axis};
use vpt_core::{Calibration, Decision};
use vpt_data::{Label, Sample, TaskKind};

use crate::EvalError;
use crate::metrics::probabilities;
use crate::statistics::{Draws, Sampling};

/// What is known of each image, such as the sex of its patient or the scanner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What it is.
    pub name: String,
    /// One value an image; empty where it is not known.
    pub values: Vec<String>,
}

/// Logits of a model for a list of labelled images.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// What was asked of the model.
    pub kind: TaskKind,
    /// Class names, in the order of the logits.
    pub classes: Vec<String>,
    /// The images.
    pub paths: Vec<PathBuf>,
    /// True class, or classes, of each image.
    pub labels: Vec<Label>,
    /// Logits `[images, classes]`, as the model gave them; without rows where the question is of places in the image.
    pub logits: Array2<f32>,
    /// What was found in the images, where the question is of places in them.
    pub found: Option<Found>,
    /// How they become probabilities and decisions.
    pub calibration: Calibration,
    /// What is known of the images beside their class, one column each; nothing in most data sets.
    pub columns: Vec<Column>,
    /// The group of each image, such as its patient, where the data set says; else empty.
    pub groups: Vec<Option<String>>,
    /// How long the model took for all of them, decoding included; `None` if read from a file.
    pub seconds: Option<f64>,
}

impl Predictions {
    /// Predictions whose parts belong together. Multi-label if a label may have several classes, else classification.
    pub fn new<L: Into<Label>>(
        classes: Vec<String>,
        paths: Vec<PathBuf>,
        labels: Vec<L>,
        logits: Array2<f32>,
    ) -> Result<Self, EvalError> {
        let labels: Vec<Label> = labels.into_iter().map(Into::into).collect();
        let mismatch = |reason: String| Err(EvalError::Mismatch { reason });
        let (rows, columns) = logits.dim();
        if columns != classes.len() {
            return mismatch(format!("{columns} logits an image, {} classes", classes.len()));
        }
        if rows != paths.len() || rows != labels.len() {
            return mismatch(format!(
                "{rows} rows of logits, {} paths, {} labels",
                paths.len(),
                labels.len()
            ));
        }
        let beyond = |label: &Label| label.classes().iter().copied().find(|&class| class >= columns);
        if let Some((path, class)) = paths
            .iter()
            .zip(&labels)
            .find_map(|(path, label)| Some((path, beyond(label)?)))
        {
            return mismatch(format!("`{}` has class {class} of {columns}", path.display()));
        }
        let several = labels.iter().any(|label| label.is_of(TaskKind::MultiLabel));
        Ok(Self {
            kind: match several {
                true => TaskKind::MultiLabel,
                false => TaskKind::default(),
            },
            classes,
            paths,
            labels,
            logits,
            found: None,
            calibration: Calibration::default(),
            columns: Vec::new(),
            groups: Vec::new(),
            seconds: None,
        })
    }

    /// Predictions about `samples`, of which only the logits `[images, classes]` are new.
    pub fn of(classes: &[String], samples: &[Sample], logits: Array2<f32>) -> Result<Self, EvalError> {
        let Self {
            paths,
            labels,
            groups,
            ..
        } = Self::of_samples(classes, samples);
        Ok(Self {
            groups,
            ..Self::new(classes.to_vec(), paths, labels, logits)?
        })
    }

    /// What is known of `samples`, and nothing that a model said.
    fn of_samples(classes: &[String], samples: &[Sample]) -> Self {
        let grouped = samples.iter().any(|sample| sample.group.is_some());
        let groups = samples.iter().filter(|_| grouped);
        Self {
            kind: TaskKind::default(),
            classes: classes.to_vec(),
            paths: samples.iter().map(|sample| sample.path.clone()).collect(),
            labels: samples.iter().map(|sample| sample.label.clone()).collect(),
            logits: Array2::zeros((0, classes.len())),
            found: None,
            calibration: Calibration::default(),
            columns: Vec::new(),
            groups: groups.map(|sample| sample.group.clone()).collect(),
            seconds: None,
        }
    }

    /// The same with what the data set knows of `samples`, by the names of its columns.
    pub fn described(self, columns: &[String], samples: &[Sample]) -> Self {
        let column = |(place, name): (usize, &String)| Column {
            name: name.clone(),
            values: samples
                .iter()
                .map(|sample| sample.columns.get(place).cloned().unwrap_or_default())
                .collect(),
        };
        Self {
            columns: columns.iter().enumerate().map(column).collect(),
            ..self
        }
    }

    /// The same logits, read as a task says.
    pub fn decided_by(self, kind: TaskKind, calibration: Calibration) -> Self {
        Self {
            kind,
            calibration,
            ..self
        }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Images per second, decoding included.
    pub fn images_per_second(&self) -> Option<f64> {
        self.seconds
            .filter(|&seconds| seconds > 0.0)
            .map(|seconds| self.len() as f64 / seconds)
    }

    /// Probabilities `[images, classes]` in float64, of logits divided by the temperature: softmax, or the sigmoid of each
    /// where an image has any number of classes.
    pub fn probs(&self) -> Array2<f64> {
        probabilities(self.kind, &self.logits, &self.calibration)
    }

    /// What is decided about each image, where it has one class.
    pub fn decisions(&self) -> Vec<Decision> {
        let rows = self.logits.rows().into_iter();
        rows.map(|row| self.calibration.decide(&row.to_vec())).collect()
    }

    /// Predicted class of each image: the most likely one (the lowest index on ties), or what the threshold says.
    pub fn top1(&self) -> Vec<usize> {
        self.decisions().iter().map(|decision| decision.class).collect()
    }

    /// The class, or the classes, that each image is said to have.
    pub fn called(&self) -> Vec<Label> {
        if self.kind != TaskKind::MultiLabel {
            return self.top1().into_iter().map(Label::One).collect();
        }
        let found = |row: ArrayView1<f32>| {
            let present = self.calibration.present(&row.to_vec());
            let classes = present.iter().enumerate().filter(|(_, is_present)| **is_present);
            Label::many(classes.map(|(class, _)| class))
        };
        self.logits.rows().into_iter().map(found).collect()
    }

    /// The group of each image as a number, and an own one for each image without; `None` where no image has a group.
    pub fn group_numbers(&self) -> Option<Vec<usize>> {
        if self.groups.iter().all(Option::is_none) {
            return None;
        }
        let mut numbers = BTreeMap::new();
        let mut of_images = Vec::with_capacity(self.len());
        for (image, group) in self.groups.iter().enumerate() {
            let own = group.is_none().then_some(image);
            let next = numbers.len();
            of_images.push(*numbers.entry((group.as_deref(), own)).or_insert(next));
        }
        Some(of_images)
    }

    /// What a bootstrap draws: groups where there are any, for images of one patient resemble each other, else images.
    pub fn draws(&self) -> Draws {
        match self.group_numbers() {
            Some(groups) => Draws::new(self.len(), &Sampling::Clustered(&groups)),
            None => Draws::new(self.len(), &Sampling::Images),
        }
    }

    /// The predictions of some of the images, in the given order.
    pub fn select(&self, images: &[usize]) -> Self {
        let pick = |values: &[String]| images.iter().map(|&i| values[i].clone()).collect();
        Self {
            kind: self.kind,
            classes: self.classes.clone(),
            paths: images.iter().map(|&i| self.paths[i].clone()).collect(),
            labels: images.iter().map(|&i| self.labels[i].clone()).collect(),
            logits: match &self.found {
                Some(_) => self.logits.clone(),
                None => self.logits.select(Axis(0), images),
            },
            found: self.found.as_ref().map(|found| found.select(images)),
            calibration: self.calibration.clone(),
            columns: self
                .columns
                .iter()
                .map(|column| Column {
                    name: column.name.clone(),
                    values: pick(&column.values),
                })
                .collect(),
            groups: images
                .iter()
                .filter_map(|&i| self.groups.get(i).cloned())
                .collect(),
            seconds: None,
        }
    }

    /// Where the images lie below the deepest folder that holds all of them: the same by whatever path the data set was reached.
    fn relative_paths(&self) -> Vec<&Path> {
        let mut root = self.paths.first().and_then(|path| path.parent());
        for path in &self.paths {
            while let Some(folder) = root.filter(|folder| !path.starts_with(folder)) {
                root = folder.parent();
            }
        }
        self.paths
            .iter()
            .map(|path| root.and_then(|root| path.strip_prefix(root).ok()).unwrap_or(path))
            .collect()
    }

    /// An error unless `other` is about the same images, in the same order, with the same labels and classes. A data set may
    /// be reached by different paths.
    /// The names are those of the two models, for the message.
    pub fn check_paired(&self, other: &Self, name: &str, other_name: &str) -> Result<(), EvalError> {
        let (own, others) = (self.relative_paths(), other.relative_paths());
        let differs = |i: &usize| own[*i] != others[*i];
        let images = 0..self.len().min(other.len());
        // One image elsewhere makes all relative paths differ: it is the one to name.
        let first = images
            .clone()
            .find(|i| differs(i) && self.paths[*i] != other.paths[*i])
            .or_else(|| images.clone().find(differs));
        let reason = if self.classes != other.classes {
            format!("classes {:?} and {:?}", self.classes, other.classes)
        } else if self.len() != other.len() {
            format!("{} and {} images", self.len(), other.len())
        } else if let Some(i) = first {
            format!(
                "image {} is `{}` and `{}`",
                i + 1,
                self.paths[i].display(),
                other.paths[i].display()
            )
        } else if let Some(i) = (0..self.len()).find(|&i| self.labels[i] != other.labels[i]) {
            let class = |p: &Self| p.labels[i].names(&p.classes);
            format!(
                "`{}` is labelled `{}` and `{}`",
                self.paths[i].display(),
                class(self),
                class(other)
            )
        } else {
            return Ok(());
        };
        Err(EvalError::NotPaired {
            left: name.to_owned(),
            right: other_name.to_owned(),
            reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    pub(super) fn predictions() -> Predictions {
        let classes = ["plain", "with, comma", "with \"quotes\"\nand a line"]
            .map(str::to_owned)
            .to_vec();
        let logits = array![[0.1, -2.5e-38, 3.0e38], [1.0 / 3.0, f32::MIN_POSITIVE, -0.0]];
        let paths = vec![PathBuf::from("a/1.png"), PathBuf::from("b, c/2.png")];
        Predictions::new(classes, paths, vec![1, 2], logits).unwrap()
    }

    #[test]
    fn parts_must_fit() {
        let error = Predictions::new(vec!["a".into()], vec!["x".into()], vec![1], array![[0.0]]);
        assert!(error.unwrap_err().to_string().contains("`x`"));
    }

    #[test]
    fn a_data_set_may_be_reached_by_different_paths() {
        let moved = |below: &str| {
            let mut moved = predictions();
            for path in &mut moved.paths {
                *path = Path::new(below).join(&*path);
            }
            moved
        };
        for below in ["data", "/mnt/data/set", ".."] {
            predictions().check_paired(&moved(below), "a", "b").unwrap();
            moved("/other").check_paired(&moved(below), "a", "b").unwrap();
        }
        let mut other = moved("/mnt");
        other.paths[1].set_file_name("3.png");
        let error = predictions()
            .check_paired(&other, "a", "b")
            .unwrap_err()
            .to_string();
        assert!(error.contains("/mnt/b, c/3.png"), "{error}");
    }

    #[test]
    fn pairing_names_the_first_difference() {
        let mut other = predictions();
        other.labels[1] = Label::One(0);
        let error = predictions()
            .check_paired(&other, "linear", "full")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`linear`") && error.contains("b, c/2.png") && error.contains("`plain`"),
            "{error}"
        );
    }
}
