//! [`PromptConfig`]: how many prompts, where they go, and what the head reads beside them.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::CoreError;
use crate::vit::{Readout, VitConfig};

/// Which blocks get prompts of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptDepth {
    /// One set, inserted before the first block; it flows through all blocks.
    Shallow,
    /// A fresh set at every block.
    #[default]
    Deep,
}

/// Initial values of the prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptInit {
    /// Uniform in `±√(6 / (3 · patch height · patch width + d))`, as in the paper.
    #[default]
    Uniform,
    /// Patch tokens of the task's own images, drawn at random from what enters each block
    /// (see [`crate::Classifier::init_prompts_from`]).
    Patches,
}

/// What the head reads, the reference's `vit_pool_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptPool {
    /// What the backbone's own head reads: the class token; with average pooling the mean of patches
    /// and prompts.
    #[default]
    Original,
    /// The mean of the patches.
    Image,
    /// The mean of the prompts.
    Prompt,
    /// The mean of patches and prompts.
    ImagePrompt,
}

/// Sets of prompts of one width, see [`PromptConfig::sets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptSets {
    /// The stage of the backbone whose blocks get them.
    pub stage: usize,
    /// How many.
    pub count: usize,
    /// Width `d` of a learned prompt.
    pub width: usize,
}

/// Visual prompts (Jia et al. 2022, arXiv 2203.12119) with the options of the reference implementation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptConfig {
    /// Prompts `P` per block.
    pub num_tokens: usize,
    /// Shallow or deep.
    pub depth: PromptDepth,
    /// Dropout on prompts while training, in `[0, 1)`; each sample has its own mask.
    #[serde(default)]
    pub dropout: f64,
    /// Width `d` of the learned prompts when they are projected to `D` by a linear layer that all blocks share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_dim: Option<usize>,
    /// Deep prompts in this many blocks only; the prompts of the last of them flow on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deep_layers: Option<usize>,
    /// With `deep_layers`: the last blocks instead of the first. The blocks below have no prompts.
    #[serde(default)]
    pub last: bool,
    /// Deep with one set that every block shares (in a Swin Transformer, every block of a stage).
    #[serde(default)]
    pub shared: bool,
    /// Shallow with a gate behind each block but the last, which mixes what the block made of the prompts with the prompts
    /// that entered it: `σ(g) · out + (1 − σ(g)) · in` (Yoo et al. 2023, arXiv 2306.05067).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gate: bool,
    /// Initial values.
    #[serde(default)]
    pub init: PromptInit,
    /// What the head reads.
    #[serde(default)]
    pub pool: PromptPool,
    /// Insert before CLIP's `norm_pre` instead of after it; without effect on other backbones.
    #[serde(default)]
    pub before_norm_pre: bool,
}

impl Default for PromptConfig {
    /// Ten deep prompts.
    fn default() -> Self {
        Self::new(PromptDepth::Deep, 10)
    }
}

impl PromptConfig {
    /// `num_tokens` prompts with every option at its default.
    pub fn new(depth: PromptDepth, num_tokens: usize) -> Self {
        Self {
            num_tokens,
            depth,
            dropout: 0.0,
            project_dim: None,
            deep_layers: None,
            last: false,
            shared: false,
            gate: false,
            init: PromptInit::Uniform,
            pool: PromptPool::Original,
            before_norm_pre: false,
        }
    }

    /// Rejects values that cannot be, for the given backbone if it is known.
    ///
    /// # Errors
    /// [`CoreError::Setting`] naming the option as a user types it.
    pub fn check(&self, vit: Option<&VitConfig>) -> Result<(), CoreError> {
        let blocks = vit.map(|vit| vit.depth);
        let stages = vit.map_or(1, VitConfig::num_stages);
        let shallow = self.depth == PromptDepth::Shallow;
        let fail = |name: &str, value: String, expected: &str| Err(CoreError::setting(name, value, expected));
        match self {
            Self { num_tokens: 0, .. } => fail("num-tokens", "0".into(), "at least 1"),
            _ if !(0.0..1.0).contains(&self.dropout) => fail(
                "prompt-dropout",
                self.dropout.to_string(),
                "a probability in [0, 1)",
            ),
            Self {
                project_dim: Some(0), ..
            } => fail("prompt-project-dim", "0".into(), "at least 1"),
            Self {
                project_dim: Some(_),
                init: PromptInit::Patches,
                ..
            } => fail(
                "prompt-init",
                "patches".into(),
                "uniform, since projected prompts have another width than patch tokens",
            ),
            Self {
                project_dim: Some(width),
                ..
            } if stages > 1 => fail(
                "prompt-project-dim",
                width.to_string(),
                "no value with a backbone whose tokens grow wider from stage to stage",
            ),
            Self {
                deep_layers: Some(layers),
                ..
            } if shallow => fail(
                "prompt-deep-layers",
                layers.to_string(),
                "no value with shallow prompts",
            ),
            Self { shared: true, .. } if shallow => {
                fail("prompt-shared", "set".into(), "no value with shallow prompts")
            }
            Self { gate: true, .. } if !shallow => fail(
                "prompt-gate",
                "set".into(),
                "no value with deep prompts, which no block hands on",
            ),
            Self { gate: true, .. } if blocks == Some(1) => fail(
                "prompt-gate",
                "set".into(),
                "no value with a backbone of one block",
            ),
            Self {
                last: true,
                deep_layers: None,
                ..
            } => fail("prompt-last", "set".into(), "`prompt-deep-layers` beside it"),
            Self {
                deep_layers: Some(layers),
                ..
            } if *layers == 0 || blocks.is_some_and(|blocks| *layers > blocks) => fail(
                "prompt-deep-layers",
                layers.to_string(),
                &match blocks {
                    Some(blocks) => format!("1 to {blocks}, the blocks of the backbone"),
                    None => "at least 1".into(),
                },
            ),
            _ => Ok(()),
        }
    }

    /// The blocks, of `blocks`, that get fresh prompts.
    pub fn prompted_blocks(&self, blocks: usize) -> Range<usize> {
        let count = match self.depth {
            PromptDepth::Shallow => 1,
            PromptDepth::Deep => self.deep_layers.unwrap_or(blocks).min(blocks),
        };
        if self.last {
            blocks - count..blocks
        } else {
            0..count
        }
    }

    /// Learned sets of prompts by width: for each stage of the backbone that has any, how many and how wide its tokens are.
    /// A backbone of one width has one entry.
    pub fn sets(&self, vit: &VitConfig) -> Vec<PromptSets> {
        let mut sets: Vec<PromptSets> = Vec::new();
        for i in self.prompted_blocks(vit.depth) {
            let stage = vit.stage_of(i);
            match sets.last_mut() {
                Some(last) if last.stage == stage && self.shared => {}
                Some(last) if last.stage == stage => last.count += 1,
                _ => sets.push(PromptSets {
                    stage,
                    count: 1,
                    width: self.prompt_dim(vit.width_of(stage)),
                }),
            }
        }
        sets
    }

    /// Width `d` of a learned prompt for tokens of width `dim`.
    pub fn prompt_dim(&self, dim: usize) -> usize {
        self.project_dim.unwrap_or(dim)
    }

    /// Gates of gated prompts in a backbone of `blocks` blocks: one behind each but the last; else 0.
    pub fn num_gates(&self, blocks: usize) -> usize {
        if self.gate { blocks.saturating_sub(1) } else { 0 }
    }

    /// Learned values: `sets · P · d`, `d · D + D` for the projection, and the gates.
    pub fn num_params(&self, vit: &VitConfig) -> usize {
        let projection = self
            .project_dim
            .map_or(0, |width| width * vit.embed_dim + vit.embed_dim);
        let prompts = |sets: &PromptSets| sets.count * self.num_tokens * sets.width;
        self.sets(vit).iter().map(prompts).sum::<usize>() + projection + self.num_gates(vit.depth)
    }

    /// Bound `v` of the uniform initialisation.
    pub fn init_bound(&self, vit: &VitConfig) -> f64 {
        let [height, width] = vit.patch_size;
        let fans = 3 * height * width + self.prompt_dim(vit.embed_dim);
        (6.0 / fans as f64).sqrt()
    }

    /// The tokens the head reads, in the sequence `[prefix, patches, prompts]` with `num_tokens` tokens
    /// before the prompts; `own` is what the backbone's head reads.
    pub fn readout(&self, own: Readout, num_prefix: usize, num_tokens: usize) -> Readout {
        let end = num_tokens + self.num_tokens;
        match (self.pool, own) {
            (PromptPool::Original, Readout::First(count)) => Readout::First(count),
            (PromptPool::Original, Readout::Map(range)) => Readout::Map(range),
            (PromptPool::Original, Readout::Mean(_)) | (PromptPool::ImagePrompt, _) => {
                Readout::Mean(num_prefix..end)
            }
            (PromptPool::Image, _) => Readout::Mean(num_prefix..num_tokens),
            (PromptPool::Prompt, _) => Readout::Mean(num_tokens..end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset;

    #[test]
    fn blocks_and_counts() {
        let vit = preset("vit_base_patch16_224").unwrap();
        let deep = PromptConfig::new(PromptDepth::Deep, 10);
        assert_eq!(deep.prompted_blocks(12), 0..12);
        assert_eq!(deep.num_params(&vit), 12 * 10 * 768);
        let shallow = PromptConfig::new(PromptDepth::Shallow, 10);
        assert_eq!(shallow.prompted_blocks(12), 0..1);
        assert_eq!(shallow.num_params(&vit), 10 * 768);
        let last = PromptConfig {
            deep_layers: Some(3),
            last: true,
            ..deep.clone()
        };
        assert_eq!(last.prompted_blocks(12), 9..12);
        let shared = PromptConfig {
            shared: true,
            project_dim: Some(8),
            ..deep
        };
        assert_eq!(shared.num_params(&vit), 10 * 8 + 8 * 768 + 768);
    }

    /// Widths 96, 192, 384 and 768 for 2, 2, 6 and 2 blocks.
    #[test]
    fn stages_have_sets_of_their_own_width() {
        let vit = preset("swin_tiny_patch4_window7_224").unwrap();
        let deep = PromptConfig::new(PromptDepth::Deep, 10);
        let sets: Vec<_> = deep
            .sets(&vit)
            .iter()
            .map(|sets| (sets.count, sets.width))
            .collect();
        assert_eq!(sets, [(2, 96), (2, 192), (6, 384), (2, 768)]);
        assert_eq!(deep.num_params(&vit), 10 * (2 * 96 + 2 * 192 + 6 * 384 + 2 * 768));
        let shared = PromptConfig {
            shared: true,
            ..deep.clone()
        };
        assert_eq!(shared.num_params(&vit), 10 * (96 + 192 + 384 + 768));
        let last = PromptConfig {
            deep_layers: Some(3),
            last: true,
            ..deep.clone()
        };
        let sets: Vec<_> = last
            .sets(&vit)
            .iter()
            .map(|sets| (sets.stage, sets.count))
            .collect();
        assert_eq!(sets, [(2, 1), (3, 2)]);
        assert_eq!(
            PromptConfig::new(PromptDepth::Shallow, 10).num_params(&vit),
            10 * 96
        );
        let projected = PromptConfig {
            project_dim: Some(8),
            ..deep
        };
        assert!(projected.check(Some(&vit)).is_err());
    }

    #[test]
    fn impossible_values_are_named() {
        let good = PromptConfig::new(PromptDepth::Deep, 5);
        let vit = VitConfig::default();
        assert!(good.check(Some(&vit)).is_ok());
        let bad = [
            (
                PromptConfig {
                    num_tokens: 0,
                    ..good.clone()
                },
                "num-tokens",
            ),
            (
                PromptConfig {
                    dropout: 1.0,
                    ..good.clone()
                },
                "prompt-dropout",
            ),
            (
                PromptConfig {
                    dropout: f64::NAN,
                    ..good.clone()
                },
                "prompt-dropout",
            ),
            (
                PromptConfig {
                    deep_layers: Some(13),
                    ..good.clone()
                },
                "prompt-deep-layers",
            ),
            (
                PromptConfig {
                    last: true,
                    ..good.clone()
                },
                "prompt-last",
            ),
            (
                PromptConfig {
                    shared: true,
                    ..PromptConfig::new(PromptDepth::Shallow, 5)
                },
                "prompt-shared",
            ),
        ];
        for (config, name) in bad {
            let message = config.check(Some(&vit)).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
