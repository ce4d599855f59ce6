//! [`LossMeter`]: adds up the training loss without waiting for the device at every step.

use burn::tensor::Tensor;
use vpt_core::HostTensor;

use crate::TrainError;
use crate::state::Progress;

/// Losses that are still on the device. They are read together, and added one by one in float64, so that when they are
/// read makes no difference to the sum.
pub struct LossMeter {
    pending: Vec<Pending>,
    read_every: usize,
    /// Images whose loss is in `Progress::loss_sum`.
    images: usize,
    clip_grad: Option<f64>,
}

struct Pending {
    /// Sum over the step's images, `[1]`.
    loss: Tensor<1>,
    images: usize,
    step: usize,
    epoch: usize,
    lr: f64,
}

impl LossMeter {
    /// Reads after `read_every` steps; `images` images of the epoch are in the sum already. `clip_grad` is for the advice.
    pub fn new(read_every: usize, images: usize, clip_grad: Option<f64>) -> Self {
        Self {
            pending: Vec::new(),
            read_every,
            images,
            clip_grad,
        }
    }

    /// Notes the loss, summed over `images` images, of the step that `progress` is about to count.
    ///
    /// # Errors
    /// See [`LossMeter::read`].
    pub fn add(
        &mut self,
        loss: Tensor<1>,
        images: usize,
        lr: f64,
        progress: &mut Progress,
    ) -> Result<(), TrainError> {
        let Progress { step, epoch, .. } = *progress;
        self.pending.push(Pending {
            loss,
            images,
            step,
            epoch,
            lr,
        });
        if self.pending.len() >= self.read_every {
            self.read(progress)
        } else {
            Ok(())
        }
    }

    /// Adds all noted losses to `progress.loss_sum`.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] naming the first step whose loss is no number, [`TrainError::Core`] when the device fails.
    pub fn read(&mut self, progress: &mut Progress) -> Result<(), TrainError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let losses =
            HostTensor::from_tensor(&Tensor::cat(pending.iter().map(|p| p.loss.clone()).collect(), 0))?;
        for (
            Pending {
                images,
                step,
                epoch,
                lr,
                ..
            },
            loss,
        ) in pending.into_iter().zip(losses.data)
        {
            let loss = f64::from(loss);
            if !loss.is_finite() {
                let (epoch, step) = (epoch + 1, step + 1);
                return Err(TrainError::NotFinite {
                    loss,
                    epoch,
                    step,
                    lr,
                    clip_grad: self.clip_grad,
                });
            }
            progress.loss_sum += loss;
            self.images += images;
        }
        Ok(())
    }

    /// Mean loss of the images whose loss was read, if any.
    pub fn mean(&self, progress: &Progress) -> Option<f64> {
        (self.images > 0).then(|| progress.loss_sum / self.images as f64)
    }
}
