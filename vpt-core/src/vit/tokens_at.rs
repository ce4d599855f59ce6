//! [`TokensAt`]: tokens on their way through the blocks.

use burn::tensor::Tensor;

/// Tokens `[batch, T, D]` in front of a block, after `norm_pre`.
#[derive(Debug, Clone)]
pub struct TokensAt {
    /// The block that they enter next; those before it are behind them.
    pub block: usize,
    /// The tokens, as the block before left them.
    pub tokens: Tensor<3>,
}

impl From<Tensor<3>> for TokensAt {
    /// In front of the first block.
    fn from(tokens: Tensor<3>) -> Self {
        Self { block: 0, tokens }
    }
}
