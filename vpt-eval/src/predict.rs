//! Running a classifier over labelled images.

use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::Array2;
use vpt_core::Classifier;
use vpt_data::{Batch, Loader, LoaderConfig, Preprocess, Sample};

use crate::{EvalError, Predictions};

/// How images are fed to the model; it changes the speed, never the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PredictOptions {
    /// Images per forward pass.
    pub batch_size: usize,
    /// Threads that decode; 0 leaves it to rayon.
    pub workers: usize,
}

impl Default for PredictOptions {
    fn default() -> Self {
        Self {
            batch_size: 32,
            workers: 0,
        }
    }
}

impl PredictOptions {
    /// The images of `samples` as evaluation sees them, whose labels are below `classes`, in order.
    pub fn loader(&self, samples: &[Sample], classes: usize, pre: &Preprocess) -> Loader {
        Loader::new(samples.to_vec(), classes, pre.clone(), self.batches())
    }

    /// How such a loader makes its batches; it keeps nothing, for images that are seen once.
    pub fn batches(&self) -> LoaderConfig {
        LoaderConfig {
            batch_size: self.batch_size.max(1),
            workers: self.workers,
            ..LoaderConfig::default()
        }
    }
}

/// Logits of `model` for every image ([`PredictOptions::loader`]), in order; `progress` hears (done, all) after each batch.
///
/// The model runs in its inference form, also if it was built for training. The first logit that is no finite number
/// is an error that names its image.
///
/// # Errors
/// [`EvalError::NoImages`], [`EvalError::Data`] for an image that cannot be read, [`EvalError::Device`].
pub fn predict(
    model: &Classifier,
    images: &Loader,
    classes: &[String],
    device: &Device,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Predictions, EvalError> {
    let samples = images.samples();
    if samples.is_empty() {
        return Err(EvalError::NoImages);
    }
    let start = Instant::now();
    let (model, device) = (model.for_inference(), device.clone().without_autodiff());
    let mut logits = Vec::with_capacity(samples.len() * classes.len());
    let mut take = |batch_logits: Tensor<2>| -> Result<(), EvalError> {
        append(&mut logits, batch_logits, samples, classes)?;
        progress(logits.len() / classes.len(), samples.len());
        Ok(())
    };
    // Logits are read one batch late, so that the device works on the next batch meanwhile.
    let mut waiting: Option<Tensor<2>> = None;
    for batch in images.epoch(0, 0) {
        let next = model.forward(pixels(batch?, &device));
        if let Some(done) = waiting.replace(next) {
            take(done)?;
        }
    }
    waiting.map_or(Ok(()), take)?;

    let logits = Array2::from_shape_vec((samples.len(), classes.len()), logits).map_err(|error| {
        EvalError::Mismatch {
            reason: error.to_string(),
        }
    })?;
    let mut predictions = Predictions::of(classes, samples, logits)?;
    predictions.seconds = Some(start.elapsed().as_secs_f64());
    Ok(predictions)
}

/// The batch as a tensor `[batch, 3, height, width]`.
pub(crate) fn pixels(batch: Batch, device: &Device) -> Tensor<4> {
    inputs(batch.pixels, batch.size, device)
}

/// Pixels of inputs of `size` (`[height, width]`), one after the other, as a tensor `[batch, 3, height, width]`.
pub(crate) fn inputs(pixels: Vec<f32>, [height, width]: [usize; 2], device: &Device) -> Tensor<4> {
    let count = pixels.len() / (3 * height * width).max(1);
    Tensor::from_data(TensorData::new(pixels, [count, 3, height, width]), device)
}

/// Reads one batch of logits from the device and checks it.
fn append(
    logits: &mut Vec<f32>,
    batch: Tensor<2>,
    samples: &[Sample],
    classes: &[String],
) -> Result<(), EvalError> {
    let [_, outputs] = batch.dims();
    if outputs != classes.len() {
        return Err(EvalError::Outputs {
            expected: classes.len(),
            found: outputs,
        });
    }
    let values = batch.try_into_vec_as::<f32>().map_err(|e| EvalError::Device {
        reason: e.to_string(),
    })?;
    if let Some(i) = values.iter().position(|value| !value.is_finite()) {
        let image = logits.len() / outputs + i / outputs;
        return Err(EvalError::NonFinite {
            path: samples[image].path.clone(),
            class: classes[i % outputs].clone(),
            value: values[i],
        });
    }
    logits.extend(values);
    Ok(())
}
