//! [`MethodKind`]: the tuning methods by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::CoreError;
use crate::prompts::PromptDepth;

/// The tuning methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodKind {
    /// Fresh prompts at every block.
    VptDeep,
    /// Prompts before the first block.
    VptShallow,
    /// Updates of low rank beside linear layers.
    Lora,
    /// Bottlenecks behind both halves of each block.
    Adapter,
    /// A bottleneck beside each MLP.
    Adaptformer,
    /// A scale and a shift behind every operation.
    Ssf,
    /// All norms.
    Norm,
    /// All biases.
    Bitfit,
    /// The last blocks.
    Partial,
    /// The head alone.
    Linear,
    /// A head of several layers alone.
    Mlp,
    /// Everything.
    Full,
    /// Everything, from random values.
    Scratch,
}

impl MethodKind {
    /// All methods, prompts first.
    pub const ALL: [Self; 13] = [
        Self::VptDeep,
        Self::VptShallow,
        Self::Lora,
        Self::Adapter,
        Self::Adaptformer,
        Self::Ssf,
        Self::Norm,
        Self::Bitfit,
        Self::Partial,
        Self::Linear,
        Self::Mlp,
        Self::Full,
        Self::Scratch,
    ];

    /// The name on the command line, without the number of `partial-K` and `mlp-K`.
    pub fn name(self) -> &'static str {
        match self {
            Self::VptDeep => "vpt-deep",
            Self::VptShallow => "vpt-shallow",
            Self::Lora => "lora",
            Self::Adapter => "adapter",
            Self::Adaptformer => "adaptformer",
            Self::Ssf => "ssf",
            Self::Norm => "norm",
            Self::Bitfit => "bitfit",
            Self::Partial => "partial",
            Self::Linear => "linear",
            Self::Mlp => "mlp",
            Self::Full => "full",
            Self::Scratch => "scratch",
        }
    }

    /// What it learns, in one line.
    pub fn summary(self) -> &'static str {
        match self {
            Self::VptDeep => "prompt tokens at every block, and the head (vpt-deep+bias: also all biases)",
            Self::VptShallow => {
                "prompt tokens before the first block, and the head (vpt-shallow+bias: also all biases)"
            }
            Self::Lora => "updates of low rank beside linear layers of every block, and the head",
            Self::Adapter => "bottlenecks behind attention and MLP of every block, and the head",
            Self::Adaptformer => "a bottleneck beside the MLP of every block, and the head",
            Self::Ssf => "a scale and a shift of the channels behind every operation, and the head",
            Self::Norm => "scale and shift of every norm, and the head",
            Self::Bitfit => "all biases, and the head",
            Self::Partial => "the last k blocks (partial-k), the final norm and the head",
            Self::Linear => "the head alone, on frozen features",
            Self::Mlp => "a head of k layers (mlp-k) alone, on frozen features",
            Self::Full => "every parameter",
            Self::Scratch => "every parameter, from random values instead of the backbone's",
        }
    }

    /// Depth of the prompts, for the methods that have them.
    pub fn prompt_depth(self) -> Option<PromptDepth> {
        match self {
            Self::VptDeep => Some(PromptDepth::Deep),
            Self::VptShallow => Some(PromptDepth::Shallow),
            _ => None,
        }
    }

    /// Whether everything that is learned stands behind the pooling, so that an image's features never change.
    pub fn is_head_alone(self) -> bool {
        matches!(self, Self::Linear | Self::Mlp)
    }

    /// Whether whole layers of the blocks are learned.
    pub fn learns_layers(self) -> bool {
        matches!(self, Self::Full | Self::Scratch | Self::Partial)
    }
}

impl fmt::Display for MethodKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for MethodKind {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| unknown(text))
    }
}

/// That no method has this name.
pub(super) fn unknown(text: &str) -> CoreError {
    let expected = "one of vpt-deep, vpt-shallow, lora, adapter, adaptformer, ssf, norm, bitfit, partial-K, linear, mlp-K, \
                    full, scratch; the first two also with +bias";
    CoreError::setting("method", format!("`{text}`"), expected)
}
