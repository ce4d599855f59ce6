//! Gradients of a step that keeps of each block no more than the tokens that enter it.
//!
//! The blocks run once without a tape. Then each runs again, the last one first, on a tape of its own:
//!
//! ```text
//! x₁ = block₀(x₀)   x₂ = block₁(x₁)   …   L = loss(block_{n−1}(x_{n−1}))        x₀ … x_{n−1} are kept
//! dx_{n−1} = ∂L/∂x_{n−1}              …   dxᵢ = ∂⟨blockᵢ(xᵢ), dxᵢ₊₁⟩/∂xᵢ        and with it the gradients of block i
//! ```
//!
//! It is what PyTorch calls activation checkpointing (Chen et al., 2016, arXiv:1604.06174), with a block to a segment, and costs one more
//! forward pass.

use burn::module::Module;
use burn::tensor::{Gradients, Tensor};

use super::Classifier;
use crate::prompts::{Noise, Pass, PromptForm};
use crate::vit::TokensAt;

/// What a training step begins with.
#[derive(Debug, Clone)]
pub enum Entering {
    /// Pixels `[batch, 3, height, width]`.
    Pixels(Tensor<4>),
    /// Tokens that have passed [`Classifier::constant_blocks`] or fewer.
    Tokens(TokensAt),
}

impl Entering {
    /// The same below the tape.
    fn inner(self) -> Self {
        match self {
            Self::Pixels(pixels) => Self::Pixels(pixels.inner()),
            Self::Tokens(TokensAt { block, tokens }) => Self::Tokens(TokensAt {
                block,
                tokens: tokens.inner(),
            }),
        }
    }
}

impl Classifier {
    /// What comes in, as tokens in front of a block.
    pub fn enter(&self, entering: Entering) -> TokensAt {
        match entering {
            Entering::Pixels(pixels) => self.backbone.tokens(pixels, self.hook()).into(),
            Entering::Tokens(tokens) => tokens,
        }
    }

    /// The gradients of a training step, in parts whose sum `add` makes. `loss` makes the step's loss of tokens in front of a block,
    /// with the same `noise`.
    ///
    /// With `recompute` each block is computed again for its gradients, instead of keeping what they need: less memory, more time.
    pub fn backward(
        &self,
        entering: Entering,
        noise: &Noise,
        recompute: bool,
        loss: impl FnOnce(TokensAt) -> Tensor<1>,
        add: &mut dyn FnMut(Gradients),
    ) {
        match recompute {
            true => self.backward_by_blocks(entering, noise, loss, add),
            false => add(loss(self.enter(entering)).backward()),
        }
    }

    fn backward_by_blocks(
        &self,
        entering: Entering,
        noise: &Noise,
        loss: impl FnOnce(TokensAt) -> Tensor<1>,
        add: &mut dyn FnMut(Gradients),
    ) {
        let last = self.backbone.blocks.len() - 1;
        let pass = |noise, end| Pass {
            readout: &self.readout,
            noise,
            form: PromptForm::KeyValue,
            end: Some(end),
        };
        let (untaped, noise_untaped) = (self.valid(), noise.clone().inner());
        let first = untaped.enter(entering.clone().inner());
        let lowest = self.constant_blocks().max(first.block).min(last);
        let mut kept = Vec::with_capacity(last + 1 - lowest);
        let mut keep = |block: usize, tokens: &Tensor<3>| {
            if block >= lowest {
                kept.push(TokensAt {
                    block,
                    tokens: tokens.clone(),
                });
            }
        };
        keep(first.block, &first.tokens);
        untaped.blocks_from(first, pass(&noise_untaped, last), &mut |i, tokens| {
            keep(i + 1, tokens);
        });

        let mut loss = Some(loss);
        let mut above: Option<Tensor<3>> = None;
        while let Some(TokensAt { block, tokens }) = kept.pop() {
            let leaf = Tensor::from_inner(tokens).require_grad();
            let entered = TokensAt {
                block,
                tokens: leaf.clone(),
            };
            let gradients = match (loss.take(), above) {
                (Some(loss), _) => loss(entered),
                (None, Some(above)) => {
                    let left = self.blocks_from(entered, pass(noise, block + 1), &mut |_, _| {});
                    agreement(left, above)
                }
                (None, None) => return,
            }
            .backward();
            above = leaf.grad(&gradients);
            add(gradients);
        }
        if let (Entering::Pixels(pixels), Some(above), true) = (entering, above, self.learns_below_blocks()) {
            let left = self.backbone.tokens(pixels, self.hook());
            add(agreement(left, above).backward());
        }
    }

    /// Whether something is learned in what makes tokens of pixels.
    fn learns_below_blocks(&self) -> bool {
        let params = self.params();
        params
            .keys()
            .any(|name| self.tunes(name) && !name.starts_with("blocks.") && super::block_of(name, 1) == 0)
    }
}

/// The sum of the products, whose gradient by what `left` depends on is that of the loss, if `gradient` is the loss's by `left`.
fn agreement(left: Tensor<3>, gradient: Tensor<3>) -> Tensor<1> {
    (left * Tensor::from_inner(gradient)).sum()
}
