//! [`HeadInit`]: how the head of a new task starts.

use serde::{Deserialize, Serialize};
use vpt_core::methods::MethodConfig;
use vpt_data::{LoaderConfig, Split};

use crate::defaults::recipe;
use crate::setup::optimizer_config;
use crate::source::Kept;
use crate::{GroupOptimizer, Observer, Opt, OptimizerConfig, Sched, TrainError, Trainer, lr_at};

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
            let images = batch.len();
            let (_, grads) = self.gradients(vec![batch], images);
            self.model = optimizer.step(lr, self.model.clone(), grads);
        }
        self.progress.head_ready = true;
        Ok(())
    }
}
