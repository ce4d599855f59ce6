//! Initial prompts drawn from the task's own patch tokens.

use std::borrow::Cow;

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData, s};
use rand::RngExt;
use rand_pcg::Pcg64;

use crate::vit::{DropPathFactors, Readout};
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
        if shared {
            let mean = |i: usize| self.chosen.iter().map(|set| set.data[i]).sum::<f32>() / blocks as f32;
            let data = (0..shape.iter().product()).map(mean).collect();
            HostTensor::new([&[1], &*shape].concat(), data)
        } else {
            let data = self.chosen.into_iter().flat_map(|set| set.data).collect();
            HostTensor::new([&[blocks], &*shape].concat(), data)
        }
    }
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
        let (prefix, end) = (vit.config().num_prefix_tokens(), vit.num_tokens());
        let prompted = config.prompted_blocks(vit.blocks.len());
        let mut sampler = PatchSampler::new(
            prompted.len(),
            config.num_tokens,
            vit.config().embed_dim,
            init::rng_of(seed, "prompts from patches"),
        );
        let mut failure = None;
        for pixels in batches {
            let picks = sampler.begin_batch(pixels.dims()[0], end - prefix);
            if picks.iter().all(Option::is_none) {
                continue;
            }
            let mut entering = |block: usize, tokens: &Tensor<3>| {
                if prompted.contains(&block) && failure.is_none() {
                    let patches = patches_of(tokens, prefix, end);
                    failure = sampler.observe(block - prompted.start, &patches, &picks).err();
                }
            };
            let tokens = vit.tokens(pixels.without_autodiff());
            entering(0, &tokens);
            let all = Readout::Mean(0..end);
            vit.forward_blocks(tokens, &all, &DropPathFactors::none(), &mut |i, tokens| {
                entering(i + 1, tokens);
            });
        }
        match failure {
            Some(error) => return Err(error),
            None if sampler.is_empty() => {
                return Err(CoreError::setting("prompt-init", "patches", "at least one image"));
            }
            None => {}
        }
        let tokens = sampler.finish(config.shared);
        Ok(named_tensors::load(self, |name| {
            (name == "prompts").then_some(Cow::Borrowed(&tokens))
        }))
    }
}

/// The patches of `[batch, tokens, D]`: tokens `prefix..end`.
fn patches_of(tokens: &Tensor<3>, prefix: usize, end: usize) -> Tensor<3> {
    tokens.clone().slice(s![.., prefix..end])
}
