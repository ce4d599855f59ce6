//! [`MethodConfig`]: a tuning method with its options.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{bitfit, full, linear, partial, vpt};
use crate::CoreError;
use crate::prompts::{PromptConfig, PromptDepth, PromptInit, PromptPool};
use crate::vit::VitConfig;
use crate::weights::is_classifier;

/// The tuning methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodKind {
    /// Fresh prompts at every block.
    VptDeep,
    /// Prompts before the first block.
    VptShallow,
    /// The head alone.
    Linear,
    /// Everything.
    Full,
    /// All biases.
    Bitfit,
    /// The last blocks.
    Partial,
}

impl MethodKind {
    /// All methods, prompts first.
    pub const ALL: [Self; 6] = [
        Self::VptDeep,
        Self::VptShallow,
        Self::Linear,
        Self::Full,
        Self::Bitfit,
        Self::Partial,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::VptDeep => "vpt-deep",
            Self::VptShallow => "vpt-shallow",
            Self::Linear => "linear",
            Self::Full => "full",
            Self::Bitfit => "bitfit",
            Self::Partial => "partial",
        }
    }

    /// What it learns, in one line.
    pub fn summary(self) -> &'static str {
        match self {
            Self::VptDeep => "prompt tokens at every block, and the head",
            Self::VptShallow => "prompt tokens before the first block, and the head",
            Self::Linear => "the head alone, on frozen features",
            Self::Full => "every parameter",
            Self::Bitfit => "all biases, and the head",
            Self::Partial => "the last k blocks (partial-k), the final norm and the head",
        }
    }

    /// Depth of the prompts, for the methods that have them.
    pub fn prompt_depth(self) -> Option<PromptDepth> {
        match self {
            Self::VptDeep => Some(PromptDepth::Deep),
            Self::VptShallow => Some(PromptDepth::Shallow),
            Self::Linear | Self::Full | Self::Bitfit | Self::Partial => None,
        }
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

/// The prompt options of a command line, applied to whichever prompt method is chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PromptOptions {
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
    /// See [`PromptConfig::init`].
    pub init: PromptInit,
    /// See [`PromptConfig::pool`].
    pub pool: PromptPool,
}

impl Default for PromptOptions {
    fn default() -> Self {
        Self {
            num_tokens: 10,
            dropout: 0.0,
            project_dim: None,
            deep_layers: None,
            last: false,
            shared: false,
            init: PromptInit::Uniform,
            pool: PromptPool::Original,
        }
    }
}

/// A tuning method with its options; `method` in task files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodConfig {
    /// The method.
    #[serde(rename = "name")]
    pub kind: MethodKind,
    /// The prompts of the prompt methods; none for the others.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<PromptConfig>,
    /// How many blocks `partial` tunes; 0 for the other methods.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub partial_blocks: usize,
}

impl MethodConfig {
    /// A method without prompts.
    pub fn new(kind: MethodKind) -> Self {
        Self {
            kind,
            prompts: None,
            partial_blocks: usize::from(kind == MethodKind::Partial),
        }
    }

    /// The linear probe.
    pub fn linear() -> Self {
        Self::new(MethodKind::Linear)
    }

    /// VPT with the given prompts, deep or shallow as they say.
    pub fn vpt(prompts: PromptConfig) -> Self {
        let kind = match prompts.depth {
            PromptDepth::Deep => MethodKind::VptDeep,
            PromptDepth::Shallow => MethodKind::VptShallow,
        };
        Self {
            prompts: Some(prompts),
            ..Self::new(kind)
        }
    }

    /// Reads `vpt-deep`, `vpt-shallow`, `linear`, `full`, `bitfit`, `partial-K`; prompt methods take `options`.
    /// `vpt-shallow` ignores the options that only deep prompts have, so that one set of options serves a
    /// comparison of methods.
    ///
    /// # Errors
    /// [`CoreError::Setting`] for an unknown name or options that cannot be.
    pub fn parse(text: &str, options: &PromptOptions) -> Result<Self, CoreError> {
        if let Some(count) = text.strip_prefix("partial-") {
            return match count.parse() {
                Ok(partial_blocks) if partial_blocks > 0 => Ok(Self {
                    partial_blocks,
                    ..Self::new(MethodKind::Partial)
                }),
                _ => Err(unknown(text)),
            };
        }
        let kind: MethodKind = text.parse()?;
        let Some(depth) = kind.prompt_depth() else {
            return Ok(Self::new(kind));
        };
        let deep = depth == PromptDepth::Deep;
        let prompts = PromptConfig {
            num_tokens: options.num_tokens,
            depth,
            dropout: options.dropout,
            project_dim: options.project_dim,
            deep_layers: options.deep_layers.filter(|_| deep),
            last: options.last && deep,
            shared: options.shared && deep,
            init: options.init,
            pool: options.pool,
            before_norm_pre: false,
        };
        prompts.check(None)?;
        Ok(Self::vpt(prompts))
    }

    /// Rejects options that do not fit the method or the backbone.
    ///
    /// # Errors
    /// [`CoreError::Setting`].
    pub fn check(&self, vit: &VitConfig) -> Result<(), CoreError> {
        match (self.kind.prompt_depth(), &self.prompts) {
            (Some(depth), Some(prompts)) if prompts.depth == depth => prompts.check(Some(vit)),
            (Some(_), _) => Err(CoreError::setting("method", self, "prompts of its own depth")),
            (None, Some(_)) => Err(CoreError::setting("method", self, "no prompts")),
            (None, None) if self.kind == MethodKind::Partial => match self.partial_blocks {
                k if (1..=vit.depth).contains(&k) => Ok(()),
                _ => Err(CoreError::setting(
                    "method",
                    self,
                    &format!("partial-1 to partial-{}, the blocks of the backbone", vit.depth),
                )),
            },
            (None, None) => Ok(()),
        }
    }

    /// Whether the method learns the parameter called `name` in a task file.
    pub fn tunes(&self, name: &str, vit: &VitConfig) -> bool {
        is_classifier(name)
            || match self.kind {
                MethodKind::VptDeep | MethodKind::VptShallow => vpt::tunes(name),
                MethodKind::Linear => linear::tunes(name),
                MethodKind::Full => full::tunes(name),
                MethodKind::Bitfit => bitfit::tunes(name),
                MethodKind::Partial => partial::tunes(name, self.partial_blocks, vit.depth),
            }
    }
}

impl fmt::Display for MethodConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            MethodKind::Partial => write!(f, "partial-{}", self.partial_blocks),
            kind => kind.fmt(f),
        }
    }
}

fn unknown(text: &str) -> CoreError {
    let expected = "one of vpt-deep, vpt-shallow, linear, full, bitfit, partial-K";
    CoreError::setting("method", format!("`{text}`"), expected)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(value: &usize) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for kind in MethodKind::ALL {
            assert_eq!(kind.to_string().parse::<MethodKind>().unwrap(), kind);
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{kind}\""));
        }
        let partial = MethodConfig::parse("partial-3", &PromptOptions::default()).unwrap();
        assert_eq!(
            (partial.partial_blocks, partial.to_string()),
            (3, "partial-3".into())
        );
        for bad in ["vpt", "partial-0", "partial-x", ""] {
            assert!(
                MethodConfig::parse(bad, &PromptOptions::default()).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn json_is_flat_and_round_trips() {
        for name in ["vpt-deep", "vpt-shallow", "linear", "full", "bitfit", "partial-2"] {
            let method = MethodConfig::parse(name, &PromptOptions::default()).unwrap();
            let json = serde_json::to_value(&method).unwrap();
            assert_eq!(json["name"], method.kind.name());
            assert_eq!(
                json.get("num_tokens").is_some(),
                method.prompts.is_some(),
                "{json}"
            );
            assert_eq!(serde_json::from_value::<MethodConfig>(json).unwrap(), method);
        }
    }

    #[test]
    fn options_of_deep_prompts_do_not_reach_shallow_ones() {
        let options = PromptOptions {
            deep_layers: Some(2),
            last: true,
            shared: true,
            ..PromptOptions::default()
        };
        assert!(MethodConfig::parse("vpt-shallow", &options).is_ok());
    }

    #[test]
    fn methods_must_fit_the_backbone() {
        let vit = VitConfig {
            depth: 4,
            ..VitConfig::default()
        };
        let parse = |text: &str| MethodConfig::parse(text, &PromptOptions::default()).unwrap();
        assert!(parse("partial-4").check(&vit).is_ok());
        assert!(parse("partial-5").check(&vit).is_err());
        assert!(MethodConfig::new(MethodKind::VptDeep).check(&vit).is_err());
    }
}
