//! Features: what a frozen backbone makes of images, written as arrays for other programs.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use ndarray::Array2;
use serde_json::json;
use vpt_core::vit::DropPathFactors;
use vpt_core::{Backbone, Classifier, HostTensor, MethodConfig};
use vpt_data::{Preprocess, Sample, atomic};

use crate::predict::{loader, pixels};
use crate::{EvalError, PredictOptions};

/// A backbone that is read without a task.
pub struct FeatureExtractor {
    model: Classifier,
    preprocess: Preprocess,
    device: Device,
}

/// The shapes of what was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FeatureShapes {
    /// `[images, D]`: what a head would read.
    pub features: [usize; 2],
    /// `[images, tokens, D]`: all tokens after the final norm, if they were asked for.
    pub tokens: Option<[usize; 3]>,
}

impl FeatureExtractor {
    /// The backbone for images of `image_size` (`[height, width]`, its own size if `None`). One given by value moves into the
    /// extractor, see [`Classifier::new`].
    ///
    /// # Errors
    /// [`EvalError::Core`] when the patches do not tile the image.
    pub fn new<'a>(
        backbone: impl Into<Cow<'a, Backbone>>,
        image_size: Option<[usize; 2]>,
        device: &Device,
    ) -> Result<Self, EvalError> {
        let backbone = backbone.into();
        let input_size = image_size.unwrap_or(backbone.preprocess.input_size);
        let preprocess = Preprocess {
            input_size,
            ..backbone.preprocess.clone()
        };
        let device = device.clone().without_autodiff();
        let model = Classifier::new(backbone, &MethodConfig::linear(), 1, input_size, 0, &device)?;
        Ok(Self {
            model,
            preprocess,
            device,
        })
    }

    /// What a head would read, `[images, D]`; `progress` hears how many images are done.
    ///
    /// # Errors
    /// [`EvalError::NoImages`], [`EvalError::Data`] for an image that cannot be read, [`EvalError::Device`].
    pub fn extract(
        &self,
        samples: &[Sample],
        options: &PredictOptions,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Array2<f32>, EvalError> {
        if samples.is_empty() {
            return Err(EvalError::NoImages);
        }
        let dim = self.model.config().embed_dim;
        let mut features = Vec::with_capacity(samples.len() * dim);
        for batch in loader(samples, 1, &self.preprocess, options).epoch(0, 0) {
            let pooled = self.model.pooled(pixels(batch?, &self.device));
            features.extend(HostTensor::from_tensor(&pooled)?.data);
            progress(features.len() / dim);
        }
        Array2::from_shape_vec((samples.len(), dim), features).map_err(|error| EvalError::Mismatch {
            reason: error.to_string(),
        })
    }

    /// Writes a safetensors file with `features` and, with `with_tokens`, `tokens`, all float32; the metadata entry
    /// `paths` is a JSON list of the images in the same order. Images go through one batch at a time and tokens go
    /// straight to the disk, so memory does not grow with their number.
    ///
    /// # Errors
    /// [`EvalError::NoImages`], [`EvalError::Data`] for an image that cannot be read, [`EvalError::Core`] when the
    /// device fails, [`EvalError::Io`]. The file then is what it was before.
    pub fn write(
        &self,
        path: &Path,
        images: &[PathBuf],
        with_tokens: bool,
        options: &PredictOptions,
        progress: &mut dyn FnMut(usize),
    ) -> Result<FeatureShapes, EvalError> {
        if images.is_empty() {
            return Err(EvalError::NoImages);
        }
        let vit = &self.model.backbone;
        let (count, dim) = (images.len(), vit.config().embed_dim);
        let shapes = FeatureShapes {
            features: [count, dim],
            tokens: with_tokens.then_some([count, vit.num_tokens(), dim]),
        };
        let mut failure = None;
        let written = atomic::write(path, |file| {
            file.write_all(&header(images, &shapes)?)?;
            let outcome = self.stream(file, path, images, with_tokens, options, progress);
            outcome.map_err(|error| {
                failure = Some(error);
                io::Error::other("see the failure")
            })
        });
        match (written, failure) {
            (_, Some(error)) => Err(error),
            (Err(source), None) => Err(EvalError::Io {
                action: "write",
                path: path.to_owned(),
                source,
            }),
            (Ok(()), None) => Ok(shapes),
        }
    }

    /// Tokens batch by batch, then the features, which are small.
    fn stream(
        &self,
        file: &mut dyn Write,
        path: &Path,
        images: &[PathBuf],
        with_tokens: bool,
        options: &PredictOptions,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), EvalError> {
        let io = |source| EvalError::Io {
            action: "write",
            path: path.to_owned(),
            source,
        };
        let samples: Vec<_> = images
            .iter()
            .map(|path| Sample {
                path: path.clone(),
                label: 0,
            })
            .collect();
        let mut features = Vec::new();
        let mut done = 0;
        for batch in loader(&samples, 1, &self.preprocess, options).epoch(0, 0) {
            let batch = batch?;
            done += batch.labels.len();
            let (pooled, tokens) = self.forward(pixels(batch, &self.device));
            features.extend(bytes(pooled)?);
            if with_tokens {
                file.write_all(&bytes(tokens)?).map_err(io)?;
            }
            progress(done);
        }
        file.write_all(&features).map_err(io)
    }

    /// What the head would read `[batch, D]`, and all tokens after the final norm `[batch, tokens, D]`.
    fn forward(&self, pixels: Tensor<4>) -> (Tensor<2>, Tensor<3>) {
        let vit = &self.model.backbone;
        let all = vpt_core::vit::Readout::Mean(0..vit.num_tokens());
        let tokens = vit.forward_blocks(vit.tokens(pixels), &all, &DropPathFactors::none(), &mut |_, _| {});
        (
            vit.pool(tokens.clone(), &vit.readout()),
            vit.normalise_output(tokens),
        )
    }
}

/// The header of the safetensors file: its length, then where each tensor lies, padded to eight bytes.
fn header(images: &[PathBuf], shapes: &FeatureShapes) -> io::Result<Vec<u8>> {
    let paths: Vec<_> = images.iter().map(|path| path.to_string_lossy()).collect();
    let mut document = json!({ "__metadata__": { "paths": serde_json::to_string(&paths)? } });
    let mut start = 0;
    let mut place = |name: &str, shape: &[usize]| {
        let end = start + 4 * shape.iter().product::<usize>();
        document[name] = json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] });
        start = end;
    };
    if let Some(tokens) = &shapes.tokens {
        place("tokens", tokens);
    }
    place("features", &shapes.features);
    let mut text = serde_json::to_vec(&document)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok([(text.len() as u64).to_le_bytes().as_slice(), &text].concat())
}

/// Little-endian float32 values of a tensor.
#[allow(
    clippy::needless_pass_by_value,
    reason = "tensors are handles, and pass as Burn passes them"
)]
fn bytes<const D: usize>(tensor: Tensor<D>) -> Result<Vec<u8>, EvalError> {
    Ok(vpt_core::HostTensor::from_tensor(&tensor)?.f32_bytes())
}
