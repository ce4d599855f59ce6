//! Initial prompts drawn from the task's own patch tokens.

use std::borrow::Cow;
use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData, s};
use rand::RngExt;
use rand_pcg::Pcg64;

use super::Prompts;
use crate::vit::{BlockOptions, Hook};
use crate::{Classifier, CoreError, HostTensor, Tuner, init, named_tensors};

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
    /// Draws `count` tokens for each of some blocks, whose tokens have these `widths`.
    pub fn new(widths: impl IntoIterator<Item = usize>, count: usize, rng: Pcg64) -> Self {
        let empty = |width| HostTensor::full([count, width], 0.0);
        Self {
            rng,
            count,
            batches: 0,
            chosen: widths.into_iter().map(empty).collect(),
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

    /// Shows the patch tokens `[batch, patches, D]` that enter prompted block `index`. Where four patches became one since
    /// the first block, the picks fall on the patch at the same place in the list.
    ///
    /// # Errors
    /// [`CoreError::Device`] when the device cannot deliver them.
    pub fn observe(
        &mut self,
        index: usize,
        patches: &Tensor<3>,
        picks: &[Option<usize>],
        picked_from: usize,
    ) -> Result<(), CoreError> {
        let [batch, count, dim] = patches.dims();
        let slots: Vec<_> = (0..picks.len()).filter(|&slot| picks[slot].is_some()).collect();
        if slots.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = picks
            .iter()
            .flatten()
            .map(|row| (row * batch * count / picked_from) as i32)
            .collect();
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

    /// The prompts `[sets, P, D]`, one tensor for each width; a shared set is the mean over the blocks of its width.
    pub fn finish(self, shared: bool) -> Vec<HostTensor> {
        let alike = self
            .chosen
            .chunk_by(|a, b| a.shape == b.shape)
            .map(|blocks| match shared {
                true => mean(blocks),
                false => stacked(blocks),
            });
        alike.collect()
    }
}

/// `[P, D]` of several blocks below one another, `[blocks, P, D]`.
fn stacked(blocks: &[HostTensor]) -> HostTensor {
    let data = blocks.iter().flat_map(|set| set.data.iter().copied()).collect();
    HostTensor::new([&[blocks.len()], &*blocks[0].shape].concat(), data)
}

/// The mean of `[P, D]` over several blocks, `[1, P, D]`.
fn mean(blocks: &[HostTensor]) -> HostTensor {
    let of = |i: usize| blocks.iter().map(|set| set.data[i]).sum::<f32>() / blocks.len() as f32;
    let data = (0..blocks[0].numel()).map(of).collect();
    HostTensor::new([&[1], &*blocks[0].shape].concat(), data)
}

impl Classifier {
    /// Replaces the prompts by patch tokens of the task's own images (`batches` of pixels
    /// `[batch, 3, height, width]` on the model's device), see [`PatchSampler`]. Other methods are unchanged.
    ///
    /// # Errors
    /// [`CoreError::Setting`] for projected prompts or when there is no batch, [`CoreError::Device`].
    pub fn init_prompts_from(
        self,
        batches: impl IntoIterator<Item = Tensor<4>>,
        seed: u64,
    ) -> Result<Self, CoreError> {
        let Some(Tuner::Prompts(prompts)) = &self.tuner else {
            return Ok(self);
        };
        let config = prompts.config().clone();
        if let Some(width) = config.project_dim {
            let expected = "none with prompts drawn from patches";
            return Err(CoreError::setting("prompt-project-dim", width, expected));
        }
        let vit = self.backbone.valid();
        let prefix = vit.config().num_prefix_tokens();
        let prompted = config.prompted_blocks(vit.blocks.len());
        let width = |i: usize| vit.config().width_of(vit.config().stage_of(i));
        let rng = init::rng_of(seed, "prompts from patches");
        let mut sampler = PatchSampler::new(prompted.clone().map(width), config.num_tokens, rng);
        for pixels in batches {
            let (batch, patches) = (pixels.dims()[0], vit.num_tokens_at(0) - prefix);
            let picks = sampler.begin_batch(batch, patches);
            if picks.iter().all(Option::is_none) {
                continue;
            }
            let mut tokens = vit.tokens(pixels.without_autodiff(), Hook::none());
            for (i, block) in vit.blocks.iter().enumerate().take(prompted.end) {
                tokens = block.enter(tokens, Hook::none());
                if prompted.contains(&i) {
                    let own = tokens.clone().slice(s![.., prefix..]);
                    sampler.observe(i - prompted.start, &own, &picks, batch * patches)?;
                }
                tokens = block.forward(tokens, BlockOptions::default());
            }
        }
        if sampler.is_empty() {
            return Err(CoreError::setting("prompt-init", "patches", "at least one image"));
        }
        let mut tensors: BTreeMap<_, _> = sampler
            .finish(config.shared)
            .into_iter()
            .enumerate()
            .map(|(i, tensor)| (Prompts::name(i), tensor))
            .collect();
        Ok(named_tensors::load(self, |name| {
            tensors.remove(name).map(Cow::Owned)
        }))
    }
}
