//! Features: what a frozen backbone makes of images, written as arrays for other programs.

mod format;
mod parquet;
mod part_file;
mod thrift;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, s};
use ndarray::Array2;
use sha2::{Digest, Sha256};
use vpt_core::vit::{DropPathFactors, Hook, Readout};
use vpt_core::{Backbone, Classifier, CoreError, HostTensor, MethodConfig};
use vpt_data::{Preprocess, Sample, hexadecimal};

pub use self::format::FeatureFormat;
use self::part_file::PartFile;

use crate::predict::pixels;
use crate::{EvalError, PredictOptions};

/// A backbone that is read without a task.
pub struct FeatureExtractor {
    model: Classifier,
    preprocess: Preprocess,
    device: Device,
    backbone_sha256: String,
}

/// What one vector an image stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FeatureKind {
    /// What a head would read.
    #[default]
    Pooled,
    /// The class token after the final norm.
    Cls,
    /// The mean over the patches after the final norm.
    PatchMean,
}

/// What to write, and where.
#[derive(Debug, Clone, Copy)]
pub struct FeatureRequest<'a> {
    /// The file; its ending tells the format.
    pub path: &'a Path,
    /// The vector of each image.
    pub kind: FeatureKind,
    /// Whether all tokens after the final norm are wanted too.
    pub tokens: bool,
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
        let backbone_sha256 = backbone.sha256.clone();
        let model = Classifier::new(backbone, &MethodConfig::linear(), 1, input_size, 0, &device)?;
        Ok(Self {
            model,
            preprocess,
            device,
            backbone_sha256,
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
        let dim = self.model.config().num_features();
        let mut features = Vec::with_capacity(samples.len() * dim);
        for batch in options.loader(samples, 1, &self.preprocess).epoch(0, 0) {
            let pooled = self.model.pooled(pixels(batch?, &self.device));
            features.extend(HostTensor::from_tensor(&pooled)?.data);
            progress(features.len() / dim);
        }
        Array2::from_shape_vec((samples.len(), dim), features).map_err(|error| EvalError::Mismatch {
            reason: error.to_string(),
        })
    }

    /// Writes what `request` asks for, all float32, in the form that the ending of its path tells ([`FeatureFormat`]). Images
    /// go through one batch at a time and straight to the disk, so memory does not grow with their number. A run that was
    /// stopped left its rows in `FILE.part`; the same request goes on behind them. `progress` hears how many are done.
    ///
    /// # Errors
    /// [`EvalError::NoImages`], [`EvalError::FeatureFile`] for another ending, [`EvalError::Data`] for an image that cannot be
    /// read, [`EvalError::Core`] when the device fails, [`EvalError::Io`]. The file then is what it was before.
    pub fn write(
        &self,
        request: &FeatureRequest<'_>,
        images: &[PathBuf],
        options: &PredictOptions,
        progress: &mut dyn FnMut(usize),
    ) -> Result<FeatureShapes, EvalError> {
        if images.is_empty() {
            return Err(EvalError::NoImages);
        }
        let path = request.path;
        let format = FeatureFormat::of(path).ok_or_else(|| EvalError::FeatureFile {
            path: path.to_owned(),
        })?;
        let vit = &self.model.backbone;
        if request.kind == FeatureKind::Cls && !vit.config().class_token {
            let expected = "pooled or patch-mean: the model has no class token";
            return Err(CoreError::setting("features", "cls", expected).into());
        }
        let dim = vit.config().num_features();
        let num_tokens = if request.tokens { vit.num_tokens() } else { 0 };
        let fingerprint = self.fingerprint(request, images);
        let mut part = PartFile::open(path, &fingerprint, dim + num_tokens * dim)?;
        progress(part.rows());
        let outcome = self.append(&mut part, request, images, options, progress);
        if let Err(error) = outcome {
            if part.rows() == 0 {
                part.remove()?;
            }
            return Err(error);
        }
        let shapes = FeatureShapes {
            features: [images.len(), dim],
            tokens: request.tokens.then_some([images.len(), num_tokens, dim]),
        };
        format.write(path, images, &shapes, &mut part)?;
        part.remove()?;
        Ok(shapes)
    }

    /// Appends the rows of the images that are not yet in `part`: features, then tokens.
    fn append(
        &self,
        part: &mut PartFile,
        request: &FeatureRequest<'_>,
        images: &[PathBuf],
        options: &PredictOptions,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), EvalError> {
        let samples: Vec<_> = images
            .iter()
            .skip(part.rows())
            .map(|path| Sample {
                path: path.clone(),
                ..Sample::default()
            })
            .collect();
        if samples.is_empty() {
            return Ok(());
        }
        for batch in options.loader(&samples, 1, &self.preprocess).epoch(0, 0) {
            let (features, tokens) = self.forward(pixels(batch?, &self.device), request.kind);
            let rows = features.dims()[0];
            let mut values = bytes(features)?;
            if request.tokens {
                let (features, tokens) = (values, bytes(tokens)?);
                let pairs = features
                    .chunks_exact(features.len() / rows)
                    .zip(tokens.chunks_exact(tokens.len() / rows));
                values = pairs
                    .flat_map(|(feature, tokens)| [feature, tokens].concat())
                    .collect();
            }
            part.append(&values)?;
            progress(part.rows());
        }
        Ok(())
    }

    /// What rows depend on: the backbone, the preparation of images, what is asked for, and the images.
    fn fingerprint(&self, request: &FeatureRequest<'_>, images: &[PathBuf]) -> String {
        let mut hash = Sha256::new();
        hash.update(format!(
            "{} {:?} {:?} {}\n",
            self.backbone_sha256, self.preprocess, request.kind, request.tokens
        ));
        for image in images {
            let metadata = std::fs::metadata(image).ok();
            let size = metadata.as_ref().map(std::fs::Metadata::len);
            let changed = metadata.and_then(|metadata| metadata.modified().ok());
            hash.update(format!("{} {size:?} {changed:?}\n", image.display()));
        }
        hexadecimal(&hash.finalize())
    }

    /// One feature an image `[batch, D]`, and all tokens after the final norm `[batch, tokens, D]`.
    fn forward(&self, pixels: Tensor<4>, kind: FeatureKind) -> (Tensor<2>, Tensor<3>) {
        let vit = &self.model.backbone;
        let all = Readout::Mean(0..vit.num_tokens());
        let (noise, hook) = (DropPathFactors::none(), Hook::none());
        let tokens = vit.forward_blocks(
            vit.tokens(pixels, hook),
            vit.blocks.len(),
            &all,
            &noise,
            hook,
            &mut |_, _| {},
        );
        let normed = vit.normalise_output(tokens.clone(), hook);
        let [batch, count, dim] = normed.dims();
        let features = match kind {
            FeatureKind::Pooled => vit.pool(tokens, &vit.readout(), hook),
            FeatureKind::Cls => normed.clone().slice(s![.., ..1]).reshape([batch, dim]),
            FeatureKind::PatchMean => {
                let patches = vit.config().num_prefix_tokens()..count;
                normed
                    .clone()
                    .slice(s![.., patches])
                    .mean_dim(1)
                    .reshape([batch, dim])
            }
        };
        (features, normed)
    }
}

/// Little-endian float32 values of a tensor.
#[allow(
    clippy::needless_pass_by_value,
    reason = "tensors are handles, and pass as Burn passes them"
)]
fn bytes<const D: usize>(tensor: Tensor<D>) -> Result<Vec<u8>, EvalError> {
    Ok(vpt_core::HostTensor::from_tensor(&tensor)?.f32_bytes())
}
