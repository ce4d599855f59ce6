//! [`MemoryPlan`]: what a run will need in main memory, and the batch that fits.

use std::fs;

use vpt_core::Backbone;
use vpt_core::memory::{MemoryEstimate, Workload};
use vpt_data::{Dataset, Sample, Split, image_size};

use crate::{Cache, TrainConfig, TrainError};

/// Images whose headers are read; what all need is that of these, in proportion.
const LOOKED_AT: usize = 64;

/// Batches of pixels beside the one that is computed with: two that wait and one in the making, of training and of validation.
const BATCHES_AHEAD: u64 = 6;

/// Decoders with their threads, and what lies free between pieces of memory: the mean of what runs took beside the rest
/// (`docs/performance.md`).
const RUN: u64 = 40_000_000;

/// How much of the memory that is free a run may plan to take.
const SHARE: f64 = 0.8;

/// Main memory in bytes that a run on the CPU will need at its peak, estimated before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Parameters, a training step, and the batches that wait for it.
    pub model: u64,
    /// Decoded images that are kept between epochs.
    pub images: u64,
}

impl MemoryPlan {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.model + self.images
    }
}

impl TrainConfig {
    /// What a run of these settings ([`TrainConfig::for_data`]) will need on the CPU; `None` for boxes and masks, whose heads are
    /// not estimated.
    pub fn memory_plan(&self, dataset: &Dataset, backbone: &Backbone) -> Option<MemoryPlan> {
        (!self.kind().is_dense()).then(|| MemoryPlan {
            model: self.model_bytes(dataset, backbone),
            images: self.kept_bytes(dataset, self.preprocess(backbone).input_size),
        })
    }

    /// Bytes of all but the decoded images that are kept.
    fn model_bytes(&self, dataset: &Dataset, backbone: &Backbone) -> u64 {
        let [height, width] = self.preprocess(backbone).input_size;
        let workload = Workload {
            precision: self.precision,
            grad_checkpointing: self.grad_checkpointing,
            ..Workload::new([height, width], self.batch_size, dataset.classes.len())
        };
        let estimate = MemoryEstimate::of(&backbone.config, &self.method, workload);
        let ahead = BATCHES_AHEAD * (self.batch_size * backbone.config.in_chans * height * width * 4) as u64;
        u64::try_from(estimate.train).unwrap_or(u64::MAX) + ahead + RUN
    }

    /// These settings with the largest batch that fits into `free` bytes of memory: that of these settings, or a half of it, a quarter …
    /// Steps see as many images as before, for gradients are accumulated over the more batches.
    ///
    /// # Errors
    /// [`TrainError::Setting`] where not even one image fits, or memory is not estimated.
    pub fn with_batch_that_fits(
        mut self,
        dataset: &Dataset,
        backbone: &Backbone,
        free: u64,
    ) -> Result<Self, TrainError> {
        let error = |allowed: String| TrainError::Setting {
            flag: "--batch-size",
            value: "auto".into(),
            allowed,
        };
        let budget = (free as f64 * SHARE) as u64;
        let Some(mut plan) = self.memory_plan(dataset, backbone) else {
            return Err(error(
                "a number for boxes and masks, whose memory is not estimated".into(),
            ));
        };
        while plan.total() > budget {
            if self.batch_size == 1 {
                let megabytes = |bytes: u64| bytes / 1_000_000;
                return Err(error(format!(
                    "possible with {} MB of free memory, of which there are {}: try `--grad-checkpointing`, `--precision bf16`, \
                     `--shrink`, a smaller `--img-size` or `--cache disk`",
                    megabytes((plan.total() as f64 / SHARE) as u64),
                    megabytes(free)
                )));
            }
            let halves = self.batch_size.div_ceil(2);
            self.grad_accum_steps *= self.batch_size.div_ceil(halves);
            self.batch_size = halves;
            plan.model = self.model_bytes(dataset, backbone);
        }
        Ok(self)
    }

    /// Bytes of the decoded images that are kept in memory: training images whole or shrunk where they are augmented, all others as
    /// the model sees them.
    fn kept_bytes(&self, dataset: &Dataset, [height, width]: [usize; 2]) -> u64 {
        // Images of which features are computed pass once.
        if self.cache != Cache::Ram || self.features_are_constant() {
            return 0;
        }
        let as_seen = |split| (dataset.split(split).len() * 3 * height * width) as u64;
        let training = if self.augment.is_none() {
            as_seen(Split::Train)
        } else {
            let samples = dataset.split(Split::Train);
            let every = samples.len().div_ceil(LOOKED_AT).max(1);
            let bytes = |sample| decoded_bytes(sample, self.shrink);
            let sizes: Vec<f64> = samples.iter().step_by(every).filter_map(bytes).collect();
            let mean = sizes.iter().sum::<f64>() / sizes.len().max(1) as f64;
            (mean * samples.len() as f64) as u64
        };
        let [to_train_on, to_validate] = self.image_bytes();
        training.min(to_train_on as u64) + as_seen(Split::Val).min(to_validate as u64)
    }
}

/// Bytes of an image in memory, its shorter side no longer than `shrink`; none for one that cannot be read, of which others tell.
fn decoded_bytes(sample: &Sample, shrink: Option<u32>) -> Option<f64> {
    let bytes = fs::read(&sample.path).ok()?;
    let sides = image_size(&sample.path.to_string_lossy(), &bytes).ok()?;
    let [width, height] = sides.map(f64::from);
    let scale = shrink.map_or(1.0, |side| (f64::from(side) / width.min(height)).min(1.0));
    Some(3.0 * width * height * scale * scale)
}
