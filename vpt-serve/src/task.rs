//! [`ServedTask`]: a task on the shared backbone, and how its head's output becomes an answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use burn::tensor::{Device, Tensor};
use ndarray::Array2;
use vpt_core::heads::Suppression;
use vpt_core::{Features, HostTensor, SharedTask, TaskFile, TaskMetadata};
use vpt_data::{Rle, TaskKind};
use vpt_eval::metrics::THRESHOLD;
use vpt_eval::{Finder, FoundIn, Predictions, Seen, in_picture, rollout};

use crate::ServeError;
use crate::answer::{AttentionMap, ClassPixels, Finding, Object, RunLengths, Whole};
use crate::input::Input;

/// A task on the shared backbone.
#[derive(Debug)]
pub struct ServedTask {
    /// What it is called here.
    pub name: String,
    /// What its file says.
    pub metadata: TaskMetadata,
    /// Size of its file.
    pub file_bytes: usize,
    /// Hash of its file.
    pub sha256: String,
    /// The model.
    pub shared: SharedTask,
    finder: Option<Finder>,
}

/// Why there is no answer although the request is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It waited too long.
    Late,
    /// The server is going down.
    Stopping,
    /// The model or the device failed.
    Model(String),
}

/// What a head says of one input.
#[derive(Debug)]
pub enum Output {
    /// Of all of it.
    Logits(Vec<f32>),
    /// Of places in it.
    Places(Seen),
}

impl ServedTask {
    /// Names `shared`, and tries it on an image of zeros.
    ///
    /// # Errors
    /// [`ServeError::TaskFails`].
    pub fn new(
        name: &str,
        file: TaskFile,
        shared: SharedTask,
        (file_bytes, sha256): (usize, String),
        device: &Device,
    ) -> Result<Self, ServeError> {
        let task = Self {
            name: name.to_owned(),
            metadata: file.metadata,
            file_bytes,
            sha256,
            finder: Finder::new(shared.model(), Suppression::default()),
            shared,
        };
        let [height, width] = task.shared.model().image_size();
        let attempt = || {
            let outputs = task.outputs(task.shared.features(Tensor::zeros([1, 3, height, width], device)))?;
            match &outputs[..] {
                [Output::Logits(logits)] => task.whole(logits).map(drop),
                _ => Ok(()),
            }
        };
        let tried = catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|_| Err(Failure::panicked()));
        match tried {
            Ok(()) => Ok(task),
            Err(failure) => Err(ServeError::TaskFails {
                name: name.to_owned(),
                reason: failure.to_string(),
            }),
        }
    }

    /// Whether it finds boxes or masks.
    pub fn is_dense(&self) -> bool {
        self.finder.is_some()
    }

    /// What the head says of each input whose features these are.
    pub fn outputs(&self, features: Features) -> Result<Vec<Output>, Failure> {
        let model = self.shared.model();
        match (features, &self.finder) {
            (Features::Map(map), Some(finder)) => {
                let seen = finder.seen(finder.output_of(model, map));
                let seen = seen.map_err(|error| Failure::Model(error.to_string()))?;
                Ok(seen.into_iter().map(Output::Places).collect())
            }
            (Features::Pooled(pooled), None) => {
                let logits = HostTensor::from_tensor(&model.head_forward(pooled));
                let logits = logits.map_err(|error| Failure::Model(error.to_string()))?;
                let rows = logits.data.chunks_exact(model.num_classes().max(1));
                Ok(rows.map(|row| Output::Logits(row.to_vec())).collect())
            }
            (Features::Map(_), None) | (Features::Pooled(_), Some(_)) => {
                Err(Failure::Model("features that the head does not read".to_owned()))
            }
        }
    }

    /// What that means for the image, of which each output is one view; with `attention`, also where the task looked.
    pub fn finding(
        &self,
        outputs: Vec<Output>,
        input: &Input,
        attention: bool,
        device: &Device,
    ) -> Result<Finding, Failure> {
        let mut places = Vec::new();
        for (output, framing) in outputs.into_iter().zip(&input.framings) {
            match output {
                Output::Logits(logits) => {
                    let attention = attention.then(|| self.attention(input, device)).transpose()?;
                    let whole = self.whole(&logits)?;
                    return Ok(Finding::Whole(Whole {
                        attention: attention.flatten(),
                        ..whole
                    }));
                }
                Output::Places(seen) => places.push((seen, framing)),
            }
        }
        Ok(self.places(in_picture(places)))
    }

    /// Of an image as a whole.
    fn whole(&self, logits: &[f32]) -> Result<Whole, Failure> {
        let (task, calibration) = (&self.metadata.task, &self.metadata.calibration);
        if logits.iter().any(|logit| !logit.is_finite()) {
            return Err(Failure::Model("a logit is no finite number".to_owned()));
        }
        let row = Array2::from_shape_fn((1, logits.len()), |(_, class)| logits[class]);
        let predictions = Predictions::new(task.classes.clone(), vec![PathBuf::new()], vec![0], row)
            .map_err(|error| Failure::Model(error.to_string()))?
            .decided_by(task.kind, calibration.clone());
        let called = &predictions.called()[0];
        let names = called.classes().iter().map(|&class| task.classes[class].clone());
        let labels = (task.kind == TaskKind::MultiLabel).then(|| names.collect());
        let decision = predictions.decisions()[0];
        Ok(Whole {
            label: called.names(&task.classes),
            labels,
            logits: logits.to_vec(),
            probs: predictions.probs().row(0).to_vec(),
            abstained: calibration.abstain_below.map(|_| decision.abstained),
            attention: None,
        })
    }

    /// Of places in the image.
    fn places(&self, found: FoundIn) -> Finding {
        let (classes, calibration) = (&self.metadata.task.classes, &self.metadata.calibration);
        match found {
            FoundIn::Objects(objects) => {
                let threshold = calibration.threshold.unwrap_or(THRESHOLD);
                let shown = objects.into_iter().filter(|object| object.score >= threshold);
                let objects = shown.map(|object| Object {
                    label: classes[object.class].clone(),
                    score: object.score,
                    bbox: object.bbox,
                });
                Finding::Objects {
                    objects: objects.collect(),
                }
            }
            FoundIn::Mask(mask, size) => {
                let of_class = |(class, label): (usize, &String)| {
                    let pixels: Vec<bool> = mask.iter().map(|&other| usize::from(other) == class).collect();
                    let rle = Rle::of_mask(size, &pixels);
                    (rle.area() > 0).then(|| ClassPixels {
                        label: label.clone(),
                        share: rle.area() as f64 / mask.len() as f64,
                        segmentation: RunLengths {
                            size: [size[1], size[0]],
                            counts: rle.to_text(),
                        },
                    })
                };
                Finding::Masks {
                    masks: classes.iter().enumerate().filter_map(of_class).collect(),
                }
            }
        }
    }

    /// Where the task looked; nothing for a backbone that attends within windows.
    fn attention(&self, input: &Input, device: &Device) -> Result<Option<AttentionMap>, Failure> {
        let model = self.shared.model();
        let Some(crop) = input.crop.as_ref().filter(|_| model.config().swin.is_none()) else {
            return Ok(None);
        };
        let rollout = rollout(model, crop, &self.metadata.preprocess, device)
            .map_err(|error| Failure::Model(error.to_string()))?;
        let (rows, columns) = rollout.patches.dim();
        Ok(Some(AttentionMap {
            grid: [rows, columns],
            values: rollout.patches.into_raw_vec_and_offset().0,
            bbox: self.metadata.preprocess.shown(input.size),
            prompts: rollout.prompts,
        }))
    }
}

impl Failure {
    /// A panic while the model ran.
    pub fn panicked() -> Self {
        Self::Model("it stopped unexpectedly".to_owned())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Late => f.write_str("it waited too long for its turn"),
            Self::Stopping => f.write_str("the server is going down"),
            Self::Model(reason) => write!(f, "the model failed: {reason}"),
        }
    }
}
