//! [`PatchSampler`]: initial prompts drawn from the task's own patch tokens.

use burn::tensor::{Int, Tensor, TensorData, s};
use rand::RngExt;
use rand_pcg::Pcg64;

use crate::HostTensor;
use crate::CoreError;

/// Draws patch tokens uniformly from all batches it is shown, per prompted block and slot (reservoir
/// sampling over batches). Batches of one size make it exactly uniform.
///
/// Prompts that start as tokens of the task rescue backbones trained by reconstruction (MAE), where random
/// prompts do not learn (Wang et al. 2024, "Revisiting the Power of Prompt for Visual Prompt Tuning").
#[derive(Debug)]
pub struct PatchSampler {
    rng: Pcg64,
    count: usize,
    batches: usize,
    /// Per prompted block, `[P, D]`.
    chosen: Vec<HostTensor>,
}

impl PatchSampler {
    /// Draws `count` tokens for each of `blocks` blocks, of width `dim`.
    pub fn new(blocks: usize, count: usize, dim: usize, rng: Pcg64) -> Self {
        Self {
            rng,
            count,
            batches: 0,
            chosen: vec![HostTensor::full([count, dim], 0.0); blocks],
        }
    }

    /// Begins a batch: decides for each slot whether this batch replaces what it holds, and with which
    /// patch of which image, out of `batch` images of `patches` patches.
    pub fn begin_batch(&mut self, batch: usize, patches: usize) -> Vec<Option<usize>> {
        self.batches += 1;
        let total = batch * patches;
        (0..self.count)
            .map(|_| {
                let patch = self.rng.random_range(0..total);
                let replace = self.rng.random_range(0..self.batches) == 0;
                replace.then_some(patch)
            })
            .collect()
    }

    /// Shows the patch tokens `[batch, patches, D]` that enter prompted block `index`.
    ///
    /// # Errors
    /// [`CoreError::Device`] when the device cannot deliver them.
    pub fn observe(
        &mut self,
        index: usize,
        patches: &Tensor<3>,
        picks: &[Option<usize>],
    ) -> Result<(), CoreError> {
        let [batch, count, dim] = patches.dims();
        let slots: Vec<_> = (0..picks.len()).filter(|&slot| picks[slot].is_some()).collect();
        if slots.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = picks.iter().flatten().map(|&row| row as i32).collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::from(&*rows), &patches.device());
        let flat: Tensor<2> = patches.clone().reshape([batch * count, dim]);
        let picked = HostTensor::from_tensor(&flat.select(0, rows))?;
        for (slot, token) in slots.into_iter().zip(picked.data.chunks_exact(dim)) {
            self.chosen[index].data[slot * dim..][..dim].copy_from_slice(token);
        }
        Ok(())
    }

    /// Whether no batch was shown yet.
    pub fn is_empty(&self) -> bool {
        self.batches == 0
    }

    /// The prompts `[sets, P, D]`; a shared set is the mean over the blocks.
    pub fn finish(self, shared: bool) -> HostTensor {
        let shape = self.chosen[0].shape.clone();
        let blocks = self.chosen.len();
        match shared {
            false => {
                let data = self.chosen.into_iter().flat_map(|set| set.data).collect();
                HostTensor::new([&[blocks], &*shape].concat(), data)
            }
            true => {
                let mean = |i: usize| self.chosen.iter().map(|set| set.data[i]).sum::<f32>() / blocks as f32;
                let data = (0..shape.iter().product()).map(mean).collect();
                HostTensor::new([&[1], &*shape].concat(), data)
            }
        }
    }
}

/// The patches of `[batch, tokens, D]`: tokens `prefix..end`.
pub(crate) fn patches_of(tokens: &Tensor<3>, prefix: usize, end: usize) -> Tensor<3> {
    tokens.clone().slice(s![.., prefix..end])
}
