//! [`Hook`]: how a tuning method takes part in the backbone's operations.

use std::fmt;

use burn::tensor::Tensor;

/// An operation whose output a tuning method may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// The projection of the patches, before position embeddings are added.
    PatchEmbed,
    /// The norm before the first block (CLIP; in a Swin Transformer that of the patch embedding).
    NormPre,
    /// The norm of four patches that become one before a block (Swin).
    MergeNorm,
    /// The norm before the attention.
    Norm1,
    /// Queries, keys and values, before they are turned by rotary embeddings.
    Qkv,
    /// The projection of the attention.
    Proj,
    /// The whole attention branch behind its LayerScale; the input is the block's.
    Attn,
    /// The norm before the MLP.
    Norm2,
    /// The first layer of the MLP; of a gated one gates and values side by side.
    Fc1,
    /// The second layer of the MLP.
    Fc2,
    /// The whole MLP branch behind its LayerScale; the input is the sum that the branch is added to.
    Mlp,
    /// The norm behind the last block, also where the model has none there.
    Norm,
}

/// A tuning method that changes what the backbone computes on the way.
pub trait Adapt: fmt::Debug {
    /// What takes the place of `output`, which the operation at `site` of block `block` made of `input`. Sites before the
    /// first block belong to block 0, those behind the last to the last.
    ///
    /// Each row (token) of the result depends on that row alone, since a block computes only the rows that somebody reads.
    fn adapt(&self, block: usize, site: Site, input: Tensor<3>, output: Tensor<3>) -> Tensor<3>;
}

/// A tuning method at work in one block, or none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hook<'a> {
    method: Option<&'a dyn Adapt>,
    block: usize,
}

impl<'a> Hook<'a> {
    /// The backbone as it is.
    pub fn none() -> Self {
        Self::default()
    }

    /// Changed by `method`.
    pub fn of(method: &'a dyn Adapt) -> Self {
        Self {
            method: Some(method),
            block: 0,
        }
    }

    /// The same in block `i`.
    pub fn at(self, i: usize) -> Self {
        Self { block: i, ..self }
    }

    /// `operation(input)`, changed by the method if there is one.
    pub fn around(
        self,
        site: Site,
        input: Tensor<3>,
        operation: impl FnOnce(Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        match self.method {
            None => operation(input),
            Some(method) => {
                let output = operation(input.clone());
                method.adapt(self.block, site, input, output)
            }
        }
    }
}
