//! [`MethodConfig`]: a tuning method with its options.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::kind::unknown;
use super::{
    AdapterConfig, LoraConfig, MethodKind, MethodOptions, adapter, adaptformer, bitfit, full, linear, lora,
    mlp_head, norm, partial, scratch, ssf, vpt,
};
use crate::CoreError;
use crate::prompts::{PromptConfig, PromptDepth};
use crate::vit::VitConfig;
use crate::weights::is_classifier;

/// A tuning method with its options; `method` in task files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodConfig {
    /// The method.
    #[serde(rename = "name")]
    pub kind: MethodKind,
    /// The prompts of the prompt methods; none for the others.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<PromptConfig>,
    /// The options of LoRA; none for the other methods.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// The options of adapters; none for the other methods.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<AdapterConfig>,
    /// How many blocks `partial` tunes; 0 for the other methods.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub partial_blocks: usize,
    /// How many layers the head of `mlp` has; 0 for the other methods.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mlp_layers: usize,
    /// Whether a prompt method also learns all biases (VPT + bias of Jia et al. 2022).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bias: bool,
}

impl MethodConfig {
    /// A method without prompts, its options at their defaults.
    pub fn new(kind: MethodKind) -> Self {
        let adapters = matches!(kind, MethodKind::Adapter | MethodKind::Adaptformer);
        Self {
            kind,
            prompts: None,
            lora: (kind == MethodKind::Lora).then(LoraConfig::default),
            adapter: adapters.then(AdapterConfig::default),
            partial_blocks: usize::from(kind == MethodKind::Partial),
            mlp_layers: if kind == MethodKind::Mlp { 2 } else { 0 },
            bias: false,
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

    /// Reads the name of a method ([`MethodKind::name`]; `partial-K`, `mlp-K`, `vpt-deep+bias`), which takes of `options` its
    /// own; `vpt-shallow` ignores the options that only deep prompts have and the other way round.
    ///
    /// # Errors
    /// [`CoreError::Setting`] for an unknown name or options that cannot be.
    pub fn parse(text: &str, options: &MethodOptions) -> Result<Self, CoreError> {
        if let Some(prompts) = text.strip_suffix("+bias") {
            let method = Self::parse(prompts, options)?;
            return match method.prompts {
                Some(_) if !method.bias => Ok(Self { bias: true, ..method }),
                _ => Err(unknown(text)),
            };
        }
        let numbered = |kind: MethodKind, least: usize| {
            let number = text.strip_prefix(kind.name())?.strip_prefix('-')?;
            Some(number.parse().ok().filter(|&number: &usize| number >= least))
        };
        if let Some(blocks) = numbered(MethodKind::Partial, 1) {
            return Ok(Self {
                partial_blocks: blocks.ok_or_else(|| unknown(text))?,
                ..Self::new(MethodKind::Partial)
            });
        }
        if let Some(layers) = numbered(MethodKind::Mlp, 2) {
            return Ok(Self {
                mlp_layers: layers.ok_or_else(|| unknown(text))?,
                ..Self::new(MethodKind::Mlp)
            });
        }
        let kind: MethodKind = text.parse()?;
        let mut method = Self::new(kind);
        method.lora = method.lora.map(|_| options.lora());
        method.adapter = method.adapter.map(|_| options.adapter());
        if let Some(depth) = kind.prompt_depth() {
            let deep = depth == PromptDepth::Deep;
            method.prompts = Some(PromptConfig {
                num_tokens: options.num_tokens,
                depth,
                dropout: options.dropout,
                project_dim: options.project_dim,
                deep_layers: options.deep_layers.filter(|_| deep),
                last: options.last && deep,
                shared: options.shared && deep,
                gate: options.gate && !deep,
                init: options.init,
                pool: options.pool,
                before_norm_pre: false,
            });
        }
        method.check_options(None)?;
        Ok(method)
    }

    /// Rejects options that do not fit the method or the backbone.
    ///
    /// # Errors
    /// [`CoreError::Setting`].
    pub fn check(&self, vit: &VitConfig) -> Result<(), CoreError> {
        let fail = |expected: &str| Err(CoreError::setting("method", self, expected));
        match (self.kind.prompt_depth(), &self.prompts) {
            (Some(depth), Some(prompts)) if prompts.depth == depth => {}
            (Some(_), _) => return fail("prompts of its own depth"),
            (None, Some(_)) => return fail("no prompts"),
            (None, None) if self.bias => return fail("no biases beside it, which only prompts have"),
            (None, None) => {}
        }
        let wanted = Self::new(self.kind);
        if self.lora.is_some() != wanted.lora.is_some() || self.adapter.is_some() != wanted.adapter.is_some()
        {
            return fail("the options of its own kind");
        }
        if self.kind == MethodKind::Partial && !(1..=vit.depth).contains(&self.partial_blocks) {
            return fail(&format!(
                "partial-1 to partial-{}, the blocks of the backbone",
                vit.depth
            ));
        }
        if self.kind == MethodKind::Mlp && !(2..=MOST_LAYERS).contains(&self.mlp_layers) {
            return fail(&format!("mlp-2 to mlp-{MOST_LAYERS}; mlp-1 is linear"));
        }
        self.check_options(Some(vit))
    }

    fn check_options(&self, vit: Option<&VitConfig>) -> Result<(), CoreError> {
        if let Some(prompts) = &self.prompts {
            prompts.check(vit)?;
        }
        if let Some(lora) = &self.lora {
            lora.check(vit)?;
        }
        match &self.adapter {
            Some(adapter) => adapter.check(vit),
            None => Ok(()),
        }
    }

    /// A method of every kind at its defaults, and prompts with biases beside them.
    pub fn examples() -> Vec<Self> {
        let kinds = MethodKind::ALL.into_iter().map(|kind| match kind {
            MethodKind::Partial => "partial-1",
            MethodKind::Mlp => "mlp-2",
            kind => kind.name(),
        });
        kinds
            .chain(["vpt-deep+bias", "vpt-shallow+bias"])
            .filter_map(|name| Self::parse(name, &MethodOptions::default()).ok())
            .collect()
    }

    /// Whether the method learns the parameter called `name` in a task file.
    pub fn tunes(&self, name: &str, vit: &VitConfig) -> bool {
        is_classifier(name)
            || self.bias && bitfit::tunes(name)
            || match self.kind {
                MethodKind::VptDeep | MethodKind::VptShallow => vpt::tunes(name),
                MethodKind::Lora => lora::tunes(name),
                MethodKind::Adapter => adapter::tunes(name),
                MethodKind::Adaptformer => adaptformer::tunes(name),
                MethodKind::Ssf => ssf::tunes(name),
                MethodKind::Norm => norm::tunes(name),
                MethodKind::Bitfit => bitfit::tunes(name),
                MethodKind::Partial => partial::tunes(name, self.partial_blocks, vit.depth),
                MethodKind::Linear => linear::tunes(name),
                MethodKind::Mlp => mlp_head::tunes(name),
                MethodKind::Full => full::tunes(name),
                MethodKind::Scratch => scratch::tunes(name),
            }
    }

    /// Whether the backbone stays as it was, so that one in memory serves this task and others.
    pub fn keeps_backbone(&self) -> bool {
        let kept = match self.kind {
            MethodKind::VptDeep
            | MethodKind::VptShallow
            | MethodKind::Lora
            | MethodKind::Adapter
            | MethodKind::Adaptformer
            | MethodKind::Ssf
            | MethodKind::Linear
            | MethodKind::Mlp => true,
            MethodKind::Norm
            | MethodKind::Bitfit
            | MethodKind::Partial
            | MethodKind::Full
            | MethodKind::Scratch => false,
        };
        kept && !self.bias
    }

    /// The name with its number, as [`MethodConfig::parse`] reads it, from the parts that settings keep apart.
    pub fn full_name(
        name: &str,
        partial_blocks: Option<usize>,
        mlp_layers: Option<usize>,
        bias: bool,
    ) -> String {
        match (name, partial_blocks, mlp_layers) {
            ("partial", Some(blocks), _) => format!("partial-{blocks}"),
            ("mlp", _, Some(layers)) => format!("mlp-{layers}"),
            ("vpt-deep" | "vpt-shallow", ..) if bias => format!("{name}+bias"),
            _ => name.to_owned(),
        }
    }
}

/// Layers of a head that nobody needs more of.
const MOST_LAYERS: usize = 16;

impl fmt::Display for MethodConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::full_name(
            self.kind.name(),
            Some(self.partial_blocks),
            Some(self.mlp_layers),
            self.bias,
        );
        f.write_str(&name)
    }
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
        let partial = MethodConfig::parse("partial-3", &MethodOptions::default()).unwrap();
        assert_eq!(
            (partial.partial_blocks, partial.to_string()),
            (3, "partial-3".into())
        );
        let head = MethodConfig::parse("mlp-3", &MethodOptions::default()).unwrap();
        assert_eq!((head.mlp_layers, head.to_string()), (3, "mlp-3".into()));
        let biases = MethodConfig::parse("vpt-shallow+bias", &MethodOptions::default()).unwrap();
        assert_eq!(
            (biases.bias, biases.to_string()),
            (true, "vpt-shallow+bias".into())
        );
        for bad in [
            "vpt",
            "partial-0",
            "partial-x",
            "",
            "mlp-1",
            "mlp-",
            "full+bias",
            "vpt-deep+bias+bias",
        ] {
            assert!(
                MethodConfig::parse(bad, &MethodOptions::default()).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn json_is_flat_and_round_trips() {
        for method in MethodConfig::examples() {
            let json = serde_json::to_value(&method).unwrap();
            assert_eq!(json["name"], method.kind.name());
            assert_eq!(
                json.get("num_tokens").is_some(),
                method.prompts.is_some(),
                "{json}"
            );
            assert_eq!(json.get("lora_rank").is_some(), method.lora.is_some(), "{json}");
            assert_eq!(serde_json::from_value::<MethodConfig>(json).unwrap(), method);
        }
    }

    #[test]
    fn options_of_deep_prompts_do_not_reach_shallow_ones() {
        let options = MethodOptions {
            deep_layers: Some(2),
            last: true,
            shared: true,
            ..MethodOptions::default()
        };
        assert!(MethodConfig::parse("vpt-shallow", &options).is_ok());
    }

    #[test]
    fn methods_must_fit_the_backbone() {
        let vit = VitConfig {
            depth: 4,
            ..VitConfig::default()
        };
        let parse = |text: &str| MethodConfig::parse(text, &MethodOptions::default()).unwrap();
        assert!(parse("partial-4").check(&vit).is_ok());
        assert!(parse("partial-5").check(&vit).is_err());
        assert!(MethodConfig::new(MethodKind::VptDeep).check(&vit).is_err());
    }
}
