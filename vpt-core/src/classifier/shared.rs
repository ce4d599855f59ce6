//! [`SharedBackbone`]: one backbone on a device, many tasks on it, also in one batch.

use std::borrow::Cow;

use burn::tensor::{Device, Tensor, s};

use super::{Classifier, backbone_shapes, fitting};
use crate::device::computing;
use crate::methods::Tuner;
use crate::named_tensors::{self, SharedTensors};
use crate::prompts::Noise;
use crate::vit::{BlockOptions, FoldedPrompts, Hook, Readout, VisionTransformer, VitConfig};
use crate::{Backbone, CoreError, Precision, TaskFile};

/// A backbone on a device, for tasks that bring no more than what they learned.
#[derive(Debug)]
pub struct SharedBackbone {
    tensors: SharedTensors,
    config: VitConfig,
    sha256: String,
    source: String,
    device: Device,
}

/// A task on a [`SharedBackbone`]: tensors that it did not learn are those of the backbone, in memory once.
#[derive(Debug)]
pub struct SharedTask {
    model: Classifier,
    mixes: bool,
}

/// What the heads of a part of a batch read.
#[derive(Debug, Clone)]
pub enum Features {
    /// Pooled tokens `[images, D]`, for [`Classifier::head_forward`].
    Pooled(Tensor<2>),
    /// The patches as a map `[images, rows, columns, D]`, for heads that find boxes or masks.
    Map(Tensor<4>),
}

impl SharedBackbone {
    /// Moves a backbone onto `device`.
    ///
    /// # Errors
    /// [`CoreError::Tensors`] for weights that do not fit their configuration.
    pub fn new(backbone: Backbone, device: &Device) -> Result<Self, CoreError> {
        Self::with_precision(backbone, device, Precision::F32)
    }

    /// The same, kept in that many bits.
    ///
    /// # Errors
    /// As [`SharedBackbone::new`]; [`CoreError::Setting`] for a precision that the device does not take.
    pub fn with_precision(
        mut backbone: Backbone,
        device: &Device,
        precision: Precision,
    ) -> Result<Self, CoreError> {
        precision.check(device)?;
        let vit = VisionTransformer::new(&backbone.config, backbone.config.img_size, device)?;
        let shapes = named_tensors::describe(&vit, &backbone.config).into_iter();
        let expected = shapes.map(|(name, info)| (name, info.shape)).collect();
        fitting(&expected, &backbone_shapes(&backbone), &backbone.source)?;
        let vit = named_tensors::load(vit, |name| backbone.tensors.remove(name).map(Cow::Owned));
        let vit = precision.keep(vit, |_| true);
        Ok(Self {
            tensors: SharedTensors::of(&vit),
            config: backbone.config,
            sha256: backbone.sha256,
            source: backbone.source,
            device: device.clone(),
        })
    }

    /// The hash that task files name.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Puts a task onto it, for inference.
    ///
    /// # Errors
    /// As [`TaskFile::apply`].
    pub fn attach(&self, task: &TaskFile) -> Result<SharedTask, CoreError> {
        task.check_trained_on(&self.sha256, &self.source)?;
        let metadata = &task.metadata;
        metadata.method.check(&self.config)?;
        let vit = VisionTransformer::new(&self.config, metadata.preprocess.input_size, &self.device)?;
        let head = (metadata.head, metadata.task.classes.len());
        let vit = self.tensors.put_into(vit);
        let model = Classifier::assemble(vit, &metadata.method, head, None, &self.device);
        let model = model.load_tuned(&task.tensors)?.for_inference();
        let mixes = model.keys_and_values().is_some();
        Ok(SharedTask { model, mixes })
    }
}

impl SharedTask {
    /// The model.
    pub fn model(&self) -> &Classifier {
        &self.model
    }

    /// The model, for a caller that does not mix tasks.
    pub fn into_model(self) -> Classifier {
        self.model
    }

    /// Whether its images can share a batch with those of other tasks: frozen backbones with deep prompts, or without any. A
    /// task of another kind is computed by itself.
    pub fn mixes(&self) -> bool {
        self.mixes
    }

    /// Whether images of both can share a batch: tasks that [mix](Self::mixes) and take inputs of one size.
    pub fn mixes_with(&self, other: &Self) -> bool {
        self.mixes() && other.mixes() && self.model.image_size() == other.model.image_size()
    }

    /// What its head reads of pixels `[images, 3, height, width]`.
    pub fn features(&self, pixels: Tensor<4>) -> Features {
        match self.model.head_config().is_dense() {
            true => Features::Map(self.model.feature_map(pixels, &Noise::none())),
            false => Features::Pooled(self.model.pooled(pixels)),
        }
    }
}

impl Classifier {
    /// The keys and values of each block's prompts, where they are all that tells this model from the backbone in front of the
    /// head.
    fn keys_and_values(&self) -> Option<Cow<'_, [Option<Tensor<3>>]>> {
        match &self.tuner {
            _ if !self.method.keeps_backbone() || self.config().swin.is_some() => None,
            Some(Tuner::Prompts(prompts)) => prompts.folded().map(Cow::Borrowed),
            Some(Tuner::Mlp(_)) | None => Some(vec![None; self.backbone.blocks.len()].into()),
            Some(_) => None,
        }
    }
}

/// What the heads of several tasks read of images `[images, 3, height, width]`: `parts` are the tasks and the images that each
/// judges, of which some may be judged by several tasks. Everything but the mixing of values in attention is computed for all parts
/// together, patches once for each image; each image attends to the prompts of its own task, as it does alone.
///
/// # Panics
/// When the tasks do not [mix](SharedTask::mixes_with), or a part names an image that there is not.
pub fn mixed_features(parts: &[(&SharedTask, Vec<usize>)], pixels: Tensor<4>) -> Vec<Features> {
    computing(&pixels.device(), || mixed(parts, pixels))
}

/// See [`mixed_features`].
fn mixed(parts: &[(&SharedTask, Vec<usize>)], pixels: Tensor<4>) -> Vec<Features> {
    let [(first, _), ..] = parts else {
        return Vec::new();
    };
    assert!(
        parts.iter().all(|(task, _)| first.mixes_with(task)),
        "tasks that mix"
    );
    let vit = &first.model.backbone;
    let rows = parts.iter().map(|(task, _)| task.model.readout.rows());
    // As many rows of the last block as any head reads; none means all of them.
    let needed = rows.max_by_key(|rows| rows.unwrap_or(usize::MAX)).flatten();
    let needed = needed.map_or_else(|| Readout::Mean(vit.patches()), Readout::First);
    let prompted: Vec<PromptedImages> = parts
        .iter()
        .map(|(task, images)| PromptedImages {
            images: images.len(),
            prompts: task.model.keys_and_values().unwrap_or_default(),
        })
        .collect();
    let images: Vec<usize> = parts.iter().flat_map(|(_, images)| images).copied().collect();
    let all = pixels.dims()[0];
    let mut tokens = vit.tokens(pixels, Hook::none());
    if !images.iter().copied().eq(0..all) {
        let images: Vec<i64> = images.into_iter().map(|image| image as i64).collect();
        let images = Tensor::from_data(images.as_slice(), &tokens.device());
        tokens = tokens.select(0, images);
    }
    for (i, block) in vit.blocks.iter().enumerate() {
        let options = BlockOptions {
            folded: folded(&prompted, i),
            rows: vit.rows_after(i, &needed),
            ..BlockOptions::default()
        };
        tokens = block.forward(tokens, options);
    }
    let mut start = 0;
    let read = |(task, images): &(&SharedTask, Vec<usize>)| {
        let own = tokens.clone().slice(s![start..start + images.len()]);
        start += images.len();
        let model = &task.model;
        match model.head_config().is_dense() {
            true => Features::Map(model.backbone.as_map(own, Hook::none())),
            false => Features::Pooled(model.backbone.pool(own, &model.readout, Hook::none())),
        }
    };
    parts.iter().map(read).collect()
}

/// Some images of one task.
struct PromptedImages<'a> {
    images: usize,
    /// The keys and values of each block's prompts, `[1, P, 3 D]`.
    prompts: Cow<'a, [Option<Tensor<3>>]>,
}

impl PromptedImages<'_> {
    fn count(&self, i: usize) -> usize {
        self.prompts[i].as_ref().map_or(0, |prompts| prompts.dims()[1])
    }
}

/// The prompts of block `i`, one entry for neighbours that have the same number of them: few, large operations.
fn folded(parts: &[PromptedImages<'_>], i: usize) -> Vec<FoldedPrompts> {
    let together = |neighbours: &[PromptedImages<'_>]| FoldedPrompts {
        images: neighbours.iter().map(|part| part.images).sum(),
        qkv: match neighbours {
            [part] => part.prompts[i].clone(),
            _ => {
                let each = |part: &PromptedImages<'_>| {
                    let own = part.prompts[i].clone()?;
                    Some(own.repeat_dim(0, part.images))
                };
                let sets: Vec<Tensor<3>> = neighbours.iter().filter_map(each).collect();
                (!sets.is_empty()).then(|| Tensor::cat(sets, 0))
            }
        },
    };
    parts
        .chunk_by(|one, next| one.count(i) == next.count(i))
        .map(together)
        .collect()
}

#[cfg(test)]
mod tests;
