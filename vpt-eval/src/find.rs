//! Running a model over images to find boxes or masks in them.

use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use ndarray::{ArrayView2, ArrayView3};
use rayon::prelude::*;
use vpt_core::heads::{DetectionHead, DetectionOutput, FoundObject, Head, Point, Suppression};
use vpt_core::prompts::Noise;
use vpt_core::{Classifier, HostTensor};
use vpt_data::{Framed, Framing, Label, Mask, PixelBox, Preprocess, Sample};

use crate::metrics::detection::Detection;
use crate::metrics::segmentation::{ImageMasks, default_tolerance};
use crate::predict::{loader, pixels};
use crate::{EvalError, Found, PredictOptions, Predictions};

/// What a head that reads every token says of a batch.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one for each batch")]
pub enum PlaceOutput {
    /// Boxes at every point of the pyramid.
    Objects(DetectionOutput),
    /// Logits of every pixel of the input, `[batch, height, width, classes]`.
    Masks(Tensor<4>),
}

/// Reads what a model that finds boxes or masks says.
pub struct Finder {
    points: Vec<Point>,
    rules: Suppression,
}

/// What was found in one image, in pixels of the original.
#[derive(Debug, Clone, PartialEq)]
pub enum FoundIn {
    /// Boxes, the likeliest first, cut at the edges of the picture.
    Objects(Vec<Detection>),
    /// The class of each pixel, row by row; width and height.
    Mask(Vec<u8>, [u32; 2]),
}

impl Finder {
    /// For models like this one; `None` for those that judge whole images.
    pub fn new(model: &Classifier, rules: Suppression) -> Option<Self> {
        let (vit, [height, width]) = (&model.backbone, model.image_size());
        let [rows, columns] = vit.grid();
        let points = match &model.head {
            Head::Linear(_) => return None,
            Head::Detection(_) => DetectionHead::points([rows, columns], [height / rows, width / columns]),
            Head::Segmentation(_) => Vec::new(),
        };
        Some(Self { points, rules })
    }

    /// Where a detection head answers.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// What the head says of pixels `[batch, 3, height, width]`.
    ///
    /// # Panics
    /// For a model that judges whole images, which [`Finder::new`] refuses.
    pub fn output(&self, model: &Classifier, pixels: Tensor<4>, noise: &Noise) -> PlaceOutput {
        let size = model.image_size();
        match &model.head {
            Head::Linear(_) => panic!("a head for whole images finds nothing in them"),
            Head::Detection(head) => PlaceOutput::Objects(head.forward(model.feature_map(pixels, noise))),
            Head::Segmentation(head) => {
                PlaceOutput::Masks(head.forward(model.feature_map(pixels, noise), size))
            }
        }
    }

    /// What `model` finds in decoded pictures.
    ///
    /// # Errors
    /// [`EvalError::Device`] when the device fails.
    pub fn find_in(
        &self,
        model: &Classifier,
        pictures: &[RgbImage],
        pre: &Preprocess,
        device: &Device,
    ) -> Result<Vec<FoundIn>, EvalError> {
        if pictures.is_empty() {
            return Ok(Vec::new());
        }
        let [height, width] = pre.input_size;
        let values: Vec<Vec<f32>> = pictures.par_iter().map(|picture| pre.apply(picture)).collect();
        let data = TensorData::new(values.concat(), [pictures.len(), 3, height, width]);
        let pixels = Tensor::from_data(data, &device.clone().without_autodiff());
        let framing =
            |picture: &RgbImage| Framing::letterbox([picture.width(), picture.height()], pre.input_size);
        let framings: Vec<Framing> = pictures.iter().map(framing).collect();
        self.read(self.output(&model.valid(), pixels, &Noise::none()), &framings)
    }

    /// What that is in each picture, which lie in the input as `framings` say.
    ///
    /// # Errors
    /// [`EvalError::Device`] when the device fails.
    pub fn read(&self, output: PlaceOutput, framings: &[Framing]) -> Result<Vec<FoundIn>, EvalError> {
        let device = |error: vpt_core::CoreError| EvalError::Device {
            reason: error.to_string(),
        };
        match output {
            PlaceOutput::Objects(output) => {
                let objects = output.objects(&self.points, &self.rules).map_err(device)?;
                let of_image = |(objects, framing): (Vec<FoundObject>, &Framing)| {
                    FoundIn::Objects(in_original(&objects, framing))
                };
                Ok(objects.into_iter().zip(framings).map(of_image).collect())
            }
            PlaceOutput::Masks(logits) => {
                let [_, height, width, classes] = logits.dims();
                let logits = HostTensor::from_tensor(&logits).map_err(device)?.data;
                let images = logits.par_chunks_exact(height * width * classes).zip(framings);
                let of_image = |(logits, framing): (&[f32], &Framing)| {
                    let logits = ArrayView3::from_shape((height, width, classes), logits).ok()?;
                    Some(FoundIn::Mask(
                        likeliest_classes(&logits, framing),
                        framing.original(),
                    ))
                };
                Ok(images.filter_map(of_image).collect())
            }
        }
    }
}

/// Boxes in pixels of the original, cut at its edges; what lies outside is left out.
fn in_original(objects: &[FoundObject], framing: &Framing) -> Vec<Detection> {
    let place = |object: &FoundObject| {
        let bbox = PixelBox::try_from(object.bbox.map(f64::from)).ok()?;
        let bbox = framing.to_original(&bbox).clip(framing.original())?;
        (bbox.area() > 0.0).then(|| Detection {
            image: 0,
            class: object.class,
            score: f64::from(object.score),
            bbox: bbox.edges(),
        })
    };
    objects.iter().filter_map(place).collect()
}

/// The likeliest class of each pixel of the original, from logits between which is interpolated.
fn likeliest_classes(logits: &ArrayView3<f32>, framing: &Framing) -> Vec<u8> {
    let (height, width, classes) = logits.dim();
    let [columns, rows] = [0, 1].map(|axis| {
        let most = [width, height][axis] - 1;
        let line = |place: f64| {
            let centre = (place - 0.5).clamp(0.0, most as f64);
            let before = centre.floor() as usize;
            (before, (before + 1).min(most), (centre - before as f64) as f32)
        };
        framing
            .places_in_input(axis)
            .into_iter()
            .map(line)
            .collect::<Vec<_>>()
    });
    let pixel = |&(up, down, below): &(usize, usize, f32), &(left, right, beside): &(usize, usize, f32)| {
        let value = |class: usize| {
            let line = |row: usize| {
                logits[[row, left, class]] * (1.0 - beside) + logits[[row, right, class]] * beside
            };
            line(up) * (1.0 - below) + line(down) * below
        };
        let mut best = (0, value(0));
        for class in 1..classes {
            let next = value(class);
            if next > best.1 {
                best = (class, next);
            }
        }
        best.0 as u8
    };
    rows.iter()
        .flat_map(|row| columns.iter().map(move |column| pixel(row, column)))
        .collect()
}

/// How images are fed to a model that finds something in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindOptions {
    /// Their number in a batch, and the threads that decode.
    pub feed: PredictOptions,
    /// Whether the boundaries of masks are measured too, which takes a while.
    pub contours: bool,
}

/// A batch that is done.
pub struct FoundBatch<'a> {
    /// What the head said of it.
    pub output: &'a PlaceOutput,
    /// What is where in it.
    pub framed: &'a [Framed],
    /// Images that are done, this batch included.
    pub done: usize,
}

/// What `model` finds in every sample, in order, without augmentation; `observe` sees each batch.
///
/// # Errors
/// [`EvalError::NoImages`], [`EvalError::Data`] for pictures and masks that cannot be read, [`EvalError::Device`].
pub fn find(
    model: &Classifier,
    samples: &[Sample],
    classes: &[String],
    pre: &Preprocess,
    options: FindOptions,
    device: &Device,
    observe: &mut dyn FnMut(FoundBatch),
) -> Result<Predictions, EvalError> {
    let FindOptions { feed, contours } = options;
    let start = Instant::now();
    let (model, device) = (model.valid(), device.clone().without_autodiff());
    let finder = Finder::new(&model, Suppression::default());
    let finder = finder
        .filter(|_| !samples.is_empty())
        .ok_or(EvalError::NoImages)?;
    let (mut objects, mut masks, mut done) = (Vec::new(), Vec::new(), 0);
    for batch in loader(samples, classes.len(), pre, &feed).epoch(0, 0) {
        let mut batch = batch?;
        let framed = std::mem::take(&mut batch.framed);
        let output = finder.output(&model, pixels(batch, &device), &Noise::none());
        observe(FoundBatch {
            output: &output,
            framed: &framed,
            done: done + framed.len(),
        });
        let framings: Vec<Framing> = framed.iter().map(|framed| framed.framing).collect();
        let found = finder.read(output, &framings)?;
        let count = found.len();
        let judged: Result<Vec<_>, EvalError> = found
            .into_par_iter()
            .zip(&samples[done..done + count])
            .enumerate()
            .map(|(place, (found, sample))| match found {
                FoundIn::Objects(found) => {
                    let image = done + place;
                    Ok((
                        found
                            .into_iter()
                            .map(|object| Detection { image, ..object })
                            .collect(),
                        None,
                    ))
                }
                FoundIn::Mask(mask, size) => {
                    Ok((Vec::new(), judge(sample, &mask, size, classes.len(), contours)?))
                }
            })
            .collect();
        for (of_image, mask) in judged? {
            let of_image: Vec<Detection> = of_image;
            objects.extend(of_image);
            masks.extend(mask);
        }
        done += count;
    }
    let found = match &model.head {
        Head::Segmentation(_) => Found::Masks(masks),
        _ => Found::Objects(objects),
    };
    let mut predictions = Predictions::found(classes, samples, found)?;
    predictions.seconds = Some(start.elapsed().as_secs_f64());
    Ok(predictions)
}

/// How a predicted mask agrees with the true one, if there is one.
fn judge(
    sample: &Sample,
    found: &[u8],
    [width, height]: [u32; 2],
    classes: usize,
    contours: bool,
) -> Result<Option<ImageMasks>, EvalError> {
    let Label::Mask(mask) = &sample.label else {
        return Ok(None);
    };
    let truth = mask.read()?;
    // A mask of another size than its picture shows the same.
    let truth = match [truth.width, truth.height] == [width, height] {
        true => truth.classes,
        false => Framing::letterbox([width, height], [height as usize, width as usize]).mask(&truth),
    };
    let shape = (height as usize, width as usize);
    let views = ArrayView2::from_shape(shape, &truth)
        .ok()
        .zip(ArrayView2::from_shape(shape, found).ok());
    let Some((truth, found)) = views else {
        return Err(EvalError::Mismatch {
            reason: format!(
                "the mask of `{}` has another size than the picture",
                sample.path.display()
            ),
        });
    };
    let tolerance = contours.then(|| default_tolerance(shape.0, shape.1));
    ImageMasks::new(&truth, &found, classes, Mask::IGNORED.into(), tolerance).map(Some)
}
