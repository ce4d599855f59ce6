//! Running a model over images to find boxes or masks in them.

use std::time::Instant;

use burn::tensor::{Device, Tensor};
use image::RgbImage;
use ndarray::{Array3, ArrayView2};
use rayon::prelude::*;
use vpt_core::heads::{DetectionHead, DetectionOutput, FoundObject, Head, Point, Suppression};
use vpt_core::prompts::Noise;
use vpt_core::{Classifier, HostTensor};
use vpt_data::{Framed, Framing, Label, Loader, Mask, PixelBox, Preprocess, Sample};

use crate::metrics::detection::Detection;
use crate::metrics::segmentation::{ImageMasks, default_tolerance};
use crate::predict::inputs;
use crate::stitch::{Window, likeliest_classes};
use crate::{EvalError, Found, Predictions};

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
#[derive(Debug, Clone)]
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
        self.output_of(model, model.feature_map(pixels, noise))
    }

    /// What the head of `model` says of a map of its patches, `[batch, rows, columns, D]`.
    ///
    /// # Panics
    /// For a model that judges whole images, which [`Finder::new`] refuses.
    #[allow(clippy::unused_self, reason = "only who has a finder may ask")]
    pub fn output_of(&self, model: &Classifier, map: Tensor<4>) -> PlaceOutput {
        match &model.head {
            Head::Linear(_) => panic!("a head for whole images finds nothing in them"),
            Head::Detection(head) => PlaceOutput::Objects(head.forward(map)),
            Head::Segmentation(head) => PlaceOutput::Masks(head.forward(map, model.image_size())),
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
        let (model, device) = (model.for_inference(), device.clone().without_autodiff());
        let views: Vec<Vec<(Vec<f32>, Framing)>> =
            pictures.par_iter().map(|picture| pre.views(picture)).collect();
        let counts: Vec<usize> = views.iter().map(Vec::len).collect();
        let (values, framings): (Vec<_>, Vec<_>) = views.into_iter().flatten().unzip();
        let mut seen = Vec::with_capacity(values.len());
        // As many windows at a time as there are pictures.
        for values in values.chunks(pictures.len().max(1)) {
            let pixels = inputs(values.concat(), pre.input_size, &device);
            seen.extend(self.seen(self.output(&model, pixels, &Noise::none()))?);
        }
        Ok(together(seen, &framings, counts))
    }

    /// What `output` says of each row of its batch.
    ///
    /// # Errors
    /// [`EvalError::Device`] when the device fails.
    pub fn seen(&self, output: PlaceOutput) -> Result<Vec<Seen>, EvalError> {
        let device = |error: vpt_core::CoreError| EvalError::Device {
            reason: error.to_string(),
        };
        Ok(match output {
            PlaceOutput::Objects(output) => {
                let objects = output.objects(&self.points, &self.rules).map_err(device)?;
                objects.into_iter().map(Seen::Objects).collect()
            }
            PlaceOutput::Masks(logits) => {
                let [_, height, width, classes] = logits.dims();
                let logits = HostTensor::from_tensor(&logits).map_err(device)?.data;
                let of_row = |logits: &[f32]| {
                    let logits = Array3::from_shape_vec((height, width, classes), logits.to_vec());
                    logits.ok().map(Seen::Logits)
                };
                let rows = logits.chunks_exact(height * width * classes);
                rows.filter_map(of_row).collect()
            }
        })
    }
}

/// What a model says of one input: a picture, or a window on one.
#[derive(Debug, Clone)]
pub enum Seen {
    /// Boxes in pixels of the input.
    Objects(Vec<FoundObject>),
    /// Logits of every pixel, `[height, width, classes]`.
    Logits(Array3<f32>),
}

/// What that is in each picture, of which `counts` inputs each show something, as `framings` say.
fn together(seen: Vec<Seen>, framings: &[Framing], counts: Vec<usize>) -> Vec<FoundIn> {
    let mut views = seen.into_iter().zip(framings);
    let of_picture = |count: usize| views.by_ref().take(count).collect::<Vec<_>>();
    let pictures: Vec<Vec<(Seen, &Framing)>> = counts.into_iter().map(of_picture).collect();
    pictures.into_par_iter().map(in_picture).collect()
}

/// What inputs that show one picture, or windows on it, say of it together.
pub fn in_picture(views: Vec<(Seen, &Framing)>) -> FoundIn {
    let (mut objects, mut windows) = (Vec::new(), Vec::new());
    for (seen, framing) in views {
        match seen {
            Seen::Objects(found) => objects.extend(in_original(&found, framing)),
            Seen::Logits(logits) => windows.push(Window::new(logits, framing)),
        }
    }
    match windows.first() {
        None => FoundIn::Objects(objects),
        Some(first) => FoundIn::Mask(likeliest_classes(&windows), first.original()),
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

/// Inputs that went through a model together: pictures, or windows on them.
pub struct FoundBatch<'a> {
    /// What the head said of them.
    pub output: &'a PlaceOutput,
    /// What is where in them.
    pub framed: &'a [Framed],
    /// Images that are done with these.
    pub done: usize,
}

/// What `model` finds in every image ([`PredictOptions::loader`](crate::PredictOptions::loader)), in order; the boundaries of masks, which
/// take a while, are measured for `contours`. `observe` sees each batch.
///
/// # Errors
/// [`EvalError::NoImages`], [`EvalError::Data`] for pictures and masks that cannot be read, [`EvalError::Device`].
pub fn find(
    model: &Classifier,
    images: &Loader,
    classes: &[String],
    contours: bool,
    device: &Device,
    observe: &mut dyn FnMut(FoundBatch),
) -> Result<Predictions, EvalError> {
    let samples = images.samples();
    let start = Instant::now();
    let (model, device) = (model.for_inference(), device.clone().without_autodiff());
    let finder = Finder::new(&model, Suppression::default());
    let finder = finder
        .filter(|_| !samples.is_empty())
        .ok_or(EvalError::NoImages)?;
    let (mut objects, mut masks, mut done) = (Vec::new(), Vec::new(), 0);
    let most = images.config().batch_size;
    for batch in images.epoch(0, 0) {
        let batch = batch?;
        let per_view = batch.pixels.len() / batch.len().max(1);
        let counts: Vec<usize> = batch.indices.chunk_by(|a, b| a == b).map(<[_]>::len).collect();
        let mut seen = Vec::with_capacity(batch.len());
        for (start, framed) in (0..).step_by(most).zip(batch.framed.chunks(most)) {
            let values = &batch.pixels[start * per_view..][..framed.len() * per_view];
            let pixels = inputs(values.to_vec(), batch.size, &device);
            let output = finder.output(&model, pixels, &Noise::none());
            observe(FoundBatch {
                output: &output,
                framed,
                done: done + counts.len() * (start + framed.len()) / batch.len(),
            });
            seen.extend(finder.seen(output)?);
        }
        let framings: Vec<Framing> = batch.framed.iter().map(|framed| framed.framing).collect();
        let found = together(seen, &framings, counts);
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
