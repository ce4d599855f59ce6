//! [`MethodOptions`]: the options of all methods, of which each takes its own.

use serde::{Deserialize, Serialize};

use super::{AdapterConfig, LoraConfig, LoraTarget};
use crate::prompts::{PromptConfig, PromptInit, PromptPool};

/// The method options of a command line, applied to whichever method is chosen, so that one set of options serves a
/// comparison of methods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MethodOptions {
    /// See [`PromptConfig::num_tokens`].
    pub num_tokens: usize,
    /// See [`PromptConfig::dropout`].
    pub dropout: f64,
    /// See [`PromptConfig::project_dim`].
    pub project_dim: Option<usize>,
    /// See [`PromptConfig::deep_layers`].
    pub deep_layers: Option<usize>,
    /// See [`PromptConfig::last`].
    pub last: bool,
    /// See [`PromptConfig::shared`].
    pub shared: bool,
    /// See [`PromptConfig::gate`].
    pub gate: bool,
    /// See [`PromptConfig::init`].
    pub init: PromptInit,
    /// See [`PromptConfig::pool`].
    pub pool: PromptPool,
    /// See [`LoraConfig::rank`].
    pub lora_rank: usize,
    /// See [`LoraConfig::alpha`].
    pub lora_alpha: f64,
    /// See [`LoraConfig::targets`].
    pub lora_targets: Vec<LoraTarget>,
    /// See [`AdapterConfig::dim`].
    pub adapter_dim: usize,
}

impl MethodOptions {
    /// The names of the options in settings.
    pub const KEYS: [&str; 13] = [
        "num_tokens",
        "dropout",
        "project_dim",
        "deep_layers",
        "last",
        "shared",
        "gate",
        "init",
        "pool",
        "lora_rank",
        "lora_alpha",
        "lora_targets",
        "adapter_dim",
    ];

    /// Those of LoRA.
    pub fn lora(&self) -> LoraConfig {
        let targets = LoraTarget::ALL.into_iter();
        LoraConfig {
            rank: self.lora_rank,
            alpha: self.lora_alpha,
            targets: targets
                .filter(|target| self.lora_targets.contains(target))
                .collect(),
        }
    }

    /// Those of adapters.
    pub fn adapter(&self) -> AdapterConfig {
        AdapterConfig {
            dim: self.adapter_dim,
        }
    }
}

impl Default for MethodOptions {
    fn default() -> Self {
        let (lora, adapter) = (LoraConfig::default(), AdapterConfig::default());
        let prompts = PromptConfig::default();
        Self {
            num_tokens: prompts.num_tokens,
            dropout: prompts.dropout,
            project_dim: prompts.project_dim,
            deep_layers: prompts.deep_layers,
            last: prompts.last,
            shared: prompts.shared,
            gate: prompts.gate,
            init: prompts.init,
            pool: prompts.pool,
            lora_rank: lora.rank,
            lora_alpha: lora.alpha,
            lora_targets: lora.targets,
            adapter_dim: adapter.dim,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_its_key() {
        let serde_json::Value::Object(options) = serde_json::to_value(MethodOptions::default()).unwrap()
        else {
            unreachable!("a struct is an object");
        };
        let mut keys = MethodOptions::KEYS.to_vec();
        keys.sort_unstable();
        assert_eq!(options.keys().map(String::as_str).collect::<Vec<_>>(), keys);
    }
}
