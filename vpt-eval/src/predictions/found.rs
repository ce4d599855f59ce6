//! [`Found`]: what a model found in images, where the question is not of the whole image but of places in it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vpt_data::{Label, Sample, TaskKind};

use super::Predictions;
use crate::EvalError;
use crate::metrics::Places;
use crate::metrics::detection::Detection;
use crate::metrics::segmentation::ImageMasks;
use crate::results::{load_json, save_json};

/// What a model found in a list of images.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Boxes, in pixels of the original images, the likeliest of an image first.
    Objects(Vec<Detection>),
    /// How the predicted mask of each image agrees with the true one. The masks themselves are not kept.
    Masks(Vec<ImageMasks>),
}

impl Found {
    /// The kind of task that it answers.
    pub fn kind(&self) -> TaskKind {
        match self {
            Self::Objects(_) => TaskKind::Detection,
            Self::Masks(_) => TaskKind::Segmentation,
        }
    }

    /// What was found in the images of several models, one list after the other; `None` if one found nothing that is a place.
    pub(super) fn joined(parts: &[Predictions]) -> Option<Self> {
        let (mut objects, mut masks, mut images) = (Vec::new(), Vec::new(), 0);
        for part in parts {
            match part.found.as_ref()? {
                Self::Objects(own) => objects.extend(own.iter().map(|object| Detection {
                    image: object.image + images,
                    ..*object
                })),
                Self::Masks(own) => masks.extend(own.iter().cloned()),
            }
            images += part.len();
        }
        Some(match parts.first()?.found.as_ref()? {
            Self::Objects(_) => Self::Objects(objects),
            Self::Masks(_) => Self::Masks(masks),
        })
    }

    /// What was found in some of the images, in the given order.
    pub(super) fn select(&self, images: &[usize]) -> Self {
        match self {
            Self::Objects(objects) => {
                let of = |(place, &image): (usize, &usize)| {
                    let own = objects.iter().filter(move |object| object.image == image);
                    own.map(move |&object| Detection {
                        image: place,
                        ..object
                    })
                };
                Self::Objects(images.iter().enumerate().flat_map(of).collect())
            }
            Self::Masks(masks) => Self::Masks(images.iter().map(|&image| masks[image].clone()).collect()),
        }
    }
}

/// `predictions.json`.
#[derive(Serialize, Deserialize)]
struct Document {
    schema: String,
    kind: TaskKind,
    classes: Vec<String>,
    images: Vec<Image>,
}

/// What is known and was found of an image.
#[derive(Serialize, Deserialize)]
struct Image {
    path: PathBuf,
    label: Label,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    found: Option<Vec<Object>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    masks: Option<ImageMasks>,
}

/// A box of `predictions.json`.
#[derive(Serialize, Deserialize)]
struct Object {
    class: usize,
    score: f64,
    bbox: [f64; 4],
}

const SCHEMA: &str = "vpt-predictions/1";

impl Predictions {
    /// What a run folder calls the logits of its images.
    pub const FILE: &str = "predictions.csv";
    /// What it calls what was found in them.
    pub const FOUND_FILE: &str = "predictions.json";

    /// What was found in `samples`.
    ///
    /// # Errors
    /// [`EvalError::Mismatch`] where it speaks of other images or classes.
    pub fn found(classes: &[String], samples: &[Sample], found: Found) -> Result<Self, EvalError> {
        let count = match &found {
            Found::Objects(objects) => objects.iter().map(|object| object.image + 1).max().unwrap_or(0),
            Found::Masks(masks) => masks.len(),
        };
        let fits = match &found {
            Found::Objects(_) => count <= samples.len(),
            Found::Masks(_) => count == samples.len(),
        };
        if !fits {
            let reason = format!("predictions of {count} images, {} images", samples.len());
            return Err(EvalError::Mismatch { reason });
        }
        Ok(Self {
            kind: found.kind(),
            found: Some(found),
            ..Self::of_samples(classes, samples)
        })
    }

    /// Writes the predictions of a run into its folder: `predictions.csv`, or of places `predictions.json`. Returns the file.
    ///
    /// # Errors
    /// [`EvalError::Io`].
    pub fn save_in(&self, folder: &Path) -> Result<PathBuf, EvalError> {
        let path = folder.join(match self.found {
            Some(_) => Self::FOUND_FILE,
            None => Self::FILE,
        });
        match self.found {
            Some(_) => self.save_found(&path)?,
            None => self.save_csv(&path)?,
        }
        Ok(path)
    }

    /// Reads what [`Predictions::save_in`] wrote about a task of that kind.
    ///
    /// # Errors
    /// [`EvalError::Io`], and whatever may be wrong in the file.
    pub fn load_from(folder: &Path, kind: TaskKind) -> Result<Self, EvalError> {
        match kind.is_dense() {
            true => Self::load_found(&folder.join(Self::FOUND_FILE)),
            false => Self::load_csv(&folder.join(Self::FILE), kind),
        }
    }

    /// Writes `predictions.json`, which holds true and found boxes, or how masks agree.
    ///
    /// # Errors
    /// [`EvalError::Io`].
    pub fn save_found(&self, path: &Path) -> Result<(), EvalError> {
        let mut images: Vec<Image> = self
            .paths
            .iter()
            .zip(&self.labels)
            .enumerate()
            .map(|(i, (path, label))| Image {
                path: path.clone(),
                label: label.clone(),
                group: self.groups.get(i).cloned().flatten(),
                found: None,
                masks: None,
            })
            .collect();
        match &self.found {
            Some(Found::Objects(objects)) => {
                for image in &mut images {
                    image.found = Some(Vec::new());
                }
                for &Detection {
                    image,
                    class,
                    score,
                    bbox,
                } in objects
                {
                    let object = Object { class, score, bbox };
                    images[image].found.get_or_insert_default().push(object);
                }
            }
            Some(Found::Masks(masks)) => {
                for (image, masks) in images.iter_mut().zip(masks) {
                    image.masks = Some(masks.clone());
                }
            }
            None => {}
        }
        let document = Document {
            schema: SCHEMA.to_owned(),
            kind: self.kind,
            classes: self.classes.clone(),
            images,
        };
        save_json(&document, path)
    }

    /// Reads what [`Predictions::save_found`] wrote.
    ///
    /// # Errors
    /// [`EvalError::Io`], [`EvalError::Json`], [`EvalError::Mismatch`] for a document whose parts do not fit.
    pub fn load_found(path: &Path) -> Result<Self, EvalError> {
        let Document {
            kind,
            classes,
            images,
            ..
        } = load_json(path, SCHEMA)?;
        let samples: Vec<Sample> = images
            .iter()
            .map(|image| Sample {
                path: image.path.clone(),
                label: image.label.clone(),
                group: image.group.clone(),
                ..Sample::default()
            })
            .collect();
        let found = match kind {
            TaskKind::Detection => {
                let of = |(image, Image { found, .. }): (usize, Image)| {
                    let objects = found.unwrap_or_default().into_iter();
                    objects.map(move |Object { class, score, bbox }| Detection {
                        image,
                        class,
                        score,
                        bbox,
                    })
                };
                Found::Objects(images.into_iter().enumerate().flat_map(of).collect())
            }
            _ => Found::Masks(images.into_iter().filter_map(|image| image.masks).collect()),
        };
        let wrong = |reason: String| EvalError::Mismatch {
            reason: format!("`{}`: {reason}", path.display()),
        };
        let predictions = Self::found(&classes, &samples, found)?;
        predictions.check_classes().map_err(wrong)?;
        match &predictions.found {
            Some(Found::Masks(masks)) => {
                let unfit = masks.iter().find_map(|mask| mask.check(classes.len()).err());
                unfit.map_or(Ok(()), |reason| Err(wrong(reason)))?;
            }
            _ => Places::of(&predictions).map(drop)?,
        }
        Ok(predictions)
    }

    /// Whether every class that is spoken of exists.
    fn check_classes(&self) -> Result<(), String> {
        let beyond = |class: usize| class >= self.classes.len();
        let true_ones = self
            .labels
            .iter()
            .flat_map(|label| label.classes().iter().copied());
        let found: Vec<usize> = match &self.found {
            Some(Found::Objects(objects)) => objects.iter().map(|object| object.class).collect(),
            _ => Vec::new(),
        };
        match true_ones.chain(found).find(|&class| beyond(class)) {
            Some(class) => Err(format!("class {class} of {}", self.classes.len())),
            None => Ok(()),
        }
    }
}
