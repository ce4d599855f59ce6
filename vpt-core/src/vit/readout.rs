//! What a head reads from the last block's tokens.

use std::ops::Range;

/// The tokens a head reads, by position in the sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readout {
    /// The first `n` tokens side by side: 1 = class token, 2 = class and distillation token.
    First(usize),
    /// The mean over a range of tokens.
    Mean(Range<usize>),
    /// The model's attention pooling over a range of tokens.
    Map(Range<usize>),
}

impl Readout {
    /// How many leading rows the last block has to compute; none when it needs them all.
    pub fn rows(&self) -> Option<usize> {
        match self {
            Self::First(count) => Some(*count),
            Self::Mean(_) | Self::Map(_) => None,
        }
    }

    /// Whether a token at or past `position` is read.
    pub fn reads_from(&self, position: usize) -> bool {
        match self {
            Self::First(count) => *count > position,
            Self::Mean(range) | Self::Map(range) => range.end > position,
        }
    }

    /// Tokens side by side in the result.
    pub fn width(&self) -> usize {
        match self {
            Self::First(count) => *count,
            Self::Mean(_) | Self::Map(_) => 1,
        }
    }
}
