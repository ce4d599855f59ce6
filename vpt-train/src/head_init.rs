//! [`HeadInit`]: how the head of a new task starts.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use vpt_core::device::computing;
use vpt_core::methods::MethodConfig;
use vpt_data::{Label, LoaderConfig, Sample, Split};

use crate::defaults::recipe;
use crate::setup::optimizer_config;
use crate::source::Kept;
use crate::{GroupOptimizer, Observer, Opt, OptimizerConfig, Sched, TrainError, Trainer, lr_at};

/// The parameter of a head for masks that says how likely each class is before anything is seen.
const BIAS: &str = "head.cls.bias";

/// As many masks tell how common each class is.
const MASKS_COUNTED: usize = 256;

/// How the head of a new task starts (`--head-init`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadInit {
    /// At small random weights, as in timm.
    Normal,
    /// As a linear probe: fitted to the features of the training images before anything below it moves (Kumar et al.
    /// 2022, arXiv 2202.10054). What is tuned then starts from a head that makes sense of its features.
    Probe,
}

impl Trainer {
    /// Fits the head alone to the features that the model has at its start, by the recipe of a linear probe: with the loss,
    /// the class weights, the logit adjustment and the sampling of the run, for a head that ranks the classes by other
    /// frequencies than training does would have to be unlearnt.
    pub(crate) fn probe_head(&mut self, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let linear = recipe(&MethodConfig::linear());
        let batches = LoaderConfig {
            batch_size: linear.batch_size,
            shuffle: true,
            ..self.batches(true)
        };
        let features = self.feature_table(Kept::Pooled, Split::Train, batches, observer)?;
        let mut optimizer = GroupOptimizer::new(OptimizerConfig {
            opt: Opt::AdamW,
            weight_decay: linear.weight_decay,
            head_lr_scale: 1.0,
            ..optimizer_config(&self.config, &self.model)
        });
        let (epochs, steps) = (linear.epochs, features.batches_per_epoch());
        let warmup = (linear.warmup_epochs * steps as f64).round() as usize;
        for (step, batch) in (0..epochs).flat_map(|epoch| features.epoch(epoch, 0)).enumerate() {
            let lr = lr_at(step, epochs * steps, warmup, linear.lr, Sched::Cosine);
            let batch = batch?;
            let images = batch.len();
            let (_, grads) = computing(&self.device.device, || self.gradients(vec![batch], images));
            self.model = optimizer.step(lr, self.model.clone(), grads);
        }
        self.progress.head_ready = true;
        Ok(())
    }

    /// Lets the head of masks begin with the shares of the classes: its bias are their logarithms (Lin et al. 2017, arXiv 1708.02002,
    /// section 4.1). From a bias of zero the first hundred steps only learn that most pixels are background, and what the layers
    /// below have to say is unlearnt on the way.
    ///
    /// # Errors
    /// A mask cannot be read.
    pub(crate) fn prior_head(&mut self) -> Result<(), TrainError> {
        let shares = class_shares(self.dataset.split(Split::Train), self.model.num_classes())?;
        let mut tensors = self.model.tuned_tensors();
        if let Some(bias) = tensors.get_mut(BIAS) {
            bias.data = shares.iter().map(|share| share.ln() as f32).collect();
            self.model = self.model.clone().load_tuned(&tensors)?;
        }
        self.progress.head_ready = true;
        Ok(())
    }
}

/// The share of each class among the pixels of masks, at most so many of them, evenly chosen; none is 0.
fn class_shares(samples: &[Sample], classes: usize) -> Result<Vec<f64>, TrainError> {
    let counted = |sample: &Sample| -> Result<Vec<u64>, TrainError> {
        let mut counts = vec![0; classes];
        if let Label::Mask(mask) = &sample.label {
            for class in mask.read()?.classes {
                if let Some(count) = counts.get_mut(usize::from(class)) {
                    *count += 1;
                }
            }
        }
        Ok(counts)
    };
    let step = samples.len().div_ceil(MASKS_COUNTED).max(1);
    let counts: Vec<Vec<u64>> = samples
        .par_iter()
        .step_by(step)
        .map(counted)
        .collect::<Result<_, _>>()?;
    let totals: Vec<u64> = (0..classes)
        .map(|class| counts.iter().map(|counts| counts[class]).sum::<u64>() + 1)
        .collect();
    let all: u64 = totals.iter().sum();
    Ok(totals
        .into_iter()
        .map(|total| total as f64 / all as f64)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_the_pixels() {
        let folder = tempfile::tempdir().unwrap();
        for (folder_name, split) in [("train", "train"), ("val", "val")] {
            for (kind, value) in [("images", 90), ("masks", 0)] {
                let picture = image::GrayImage::from_fn(10, 10, |x, y| {
                    let is_thin = kind == "masks" && x == 0 && y < 5;
                    image::Luma([if is_thin { 1 } else { value }])
                });
                let path = folder.path().join(folder_name).join(kind);
                std::fs::create_dir_all(&path).unwrap();
                picture.save(path.join(format!("{split}.png"))).unwrap();
            }
        }
        let dataset = vpt_data::Dataset::open(folder.path(), &vpt_data::OpenOptions::default()).unwrap();
        let shares = class_shares(dataset.split(Split::Train), 3).unwrap();
        assert_eq!(shares, [96.0 / 103.0, 6.0 / 103.0, 1.0 / 103.0]);
    }
}
