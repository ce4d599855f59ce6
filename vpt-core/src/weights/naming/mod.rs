//! Names of tensors: from those that a publisher chose to timm's, which everything else here uses.
//!
//! To read the weights of another library, add a file with its [`Convention`] and an entry in [`CONVENTIONS`].

mod convention;
mod eva;
mod google;
mod open_clip;
mod swin;
mod timm;
mod transformers;

use std::collections::BTreeMap;

use convention::{Convention, Match};

use super::canonical_hash::is_classifier;
use super::fuse::fuse_layers;
use crate::HostTensor;
use crate::freed_memory::FreedMemory;

pub(super) use convention::Origin;
pub(super) use eva::{fits_timm, timm_eva_tensors};
pub(super) use swin::timm_swin_name;

/// Every known convention. The anchor of an earlier one may be part of a name of a later one, never the reverse.
const CONVENTIONS: [&Convention; 8] = [
    &swin::SWIN,
    &swin::TRANSFORMERS_SWIN,
    &timm::TIMM,
    &transformers::VIT,
    &transformers::DINOV3,
    &transformers::CLIP,
    &open_clip::OPEN_CLIP,
    &google::GOOGLE,
];

/// Tensors under timm's names.
#[derive(Debug)]
pub(super) struct Renamed {
    /// The tensors; those whose names no rule knows keep them.
    pub tensors: BTreeMap<String, HostTensor>,
    /// Whose names they had.
    pub origin: Origin,
    /// Number of attention heads, where a shape tells.
    pub num_heads: Option<usize>,
    /// What was left out or decided, one sentence each.
    pub notes: Vec<String>,
}

/// Recognises the convention of `raw` and renames. A common prefix (`module.`, `model.`, `teacher.backbone.`) falls
/// away, and with it all tensors that do not have it.
///
/// # Errors
/// A sentence, when two models lie side by side and nothing tells which is meant.
pub(super) fn to_timm(raw: BTreeMap<String, HostTensor>) -> Result<Renamed, String> {
    let dotted: BTreeMap<String, HostTensor> = raw
        .into_iter()
        .map(|(name, tensor)| (name.replace('/', "."), tensor))
        .collect();
    let found = CONVENTIONS
        .iter()
        .map(|convention| (*convention, prefixes(&dotted, convention.anchor)))
        .find(|(_, prefixes)| !prefixes.is_empty());
    let Some((convention, prefixes)) = found else {
        return Ok(Renamed {
            tensors: dotted,
            origin: Origin::Timm,
            num_heads: None,
            notes: Vec::new(),
        });
    };
    let prefix = choose(&prefixes)?.to_owned();
    let mut notes = Vec::new();
    if prefixes.len() > 1 {
        let others = prefixes.iter().filter(|other| **other != prefix);
        let others: Vec<_> = others.map(|other| shown(other)).collect();
        notes.push(format!(
            "took the model at {}, not {}",
            shown(&prefix),
            others.join(", ")
        ));
    }
    let mut left_out = Vec::new();
    let mut tensors = BTreeMap::new();
    let mut num_heads = None;
    let mut freed = FreedMemory::default();
    // By value: weights fill much of the memory, so there is never a second copy of all of them.
    for (name, tensor) in dotted {
        let Some(own) = name.strip_prefix(&prefix) else {
            match convention.head(&name) {
                Some(head) => _ = tensors.insert(head, tensor),
                None => left_out.push(name.split('.').next().unwrap_or(&name).to_owned()),
            }
            continue;
        };
        match convention.rename(own) {
            Match::LeftOut(beginning) => left_out.push(beginning.to_owned()),
            Match::Unknown => {
                tensors.insert(own.to_owned(), tensor);
            }
            Match::Renamed(timm) => {
                num_heads = num_heads.or_else(|| (convention.num_heads)(own, &tensor.shape));
                // Axes that no value backs up can have any length: nothing is computed with them.
                let numel = tensor.numel();
                let converted = match tensor.data.is_empty() {
                    true => tensor,
                    false => (convention.convert)(&timm, own, tensor),
                };
                tensors.insert(timm, converted);
                freed.add_floats(numel);
            }
        }
    }
    (convention.finish)(&mut tensors, &mut notes);
    fuse_layers(&mut tensors);
    if has_foreign_head(&tensors) {
        tensors.retain(|name, _| !is_classifier(name));
        notes.push("its head reads something else than one token and was left out".into());
    }
    if !left_out.is_empty() {
        notes.push(format!("left out {}", counted(&left_out)));
    }
    Ok(Renamed {
        num_heads: num_heads.or_else(|| heads_of_moco(&prefix, &tensors)),
        tensors,
        origin: convention.origin,
        notes,
    })
}

/// MoCo-v3 gives its ViT-S twelve heads, all others six (`vits.py` of its authors); no shape tells.
fn heads_of_moco(prefix: &str, tensors: &BTreeMap<String, HostTensor>) -> Option<usize> {
    let moco = prefix
        .split('.')
        .any(|part| part == "base_encoder" || part == "momentum_encoder");
    let width = tensors.get("patch_embed.proj.weight")?.shape.first()?;
    (moco && *width == 384).then_some(12)
}

/// Whether the head is no linear layer on one token.
fn has_foreign_head(tensors: &BTreeMap<String, HostTensor>) -> bool {
    let shape = |name| tensors.get(name).map(|tensor| tensor.shape.as_slice());
    // Behind the last block tokens may be wider than patches are (Swin).
    let token = ["norm.weight", "fc_norm.weight", "patch_embed.proj.weight"]
        .into_iter()
        .find_map(shape);
    match (shape("head.weight"), token) {
        (Some([_, width]), Some([dim, ..])) => width != dim,
        (head, _) => head.is_some(),
    }
}

/// What stands before `anchor` in the names that end with it.
fn prefixes<'a>(tensors: &'a BTreeMap<String, HostTensor>, anchor: &str) -> Vec<&'a str> {
    let prefix = |name: &'a String| {
        let prefix = name.strip_suffix(anchor)?;
        (prefix.is_empty() || prefix.ends_with('.')).then_some(prefix)
    };
    tensors.keys().filter_map(prefix).collect()
}

/// Of several copies of a model in one checkpoint the one to use: the averaged teacher of self-distillation (DINO, iBOT,
/// I-JEPA) and the encoder of contrastive learning (MoCo) before all others, as their authors evaluate them.
const PREFERRED: [&str; 6] = [
    "teacher",
    "target_encoder",
    "base_encoder",
    "model_ema",
    "state_dict_ema",
    "ema",
];

fn choose<'a>(prefixes: &[&'a str]) -> Result<&'a str, String> {
    if let [only] = prefixes {
        return Ok(only);
    }
    let has = |prefix: &str, word: &str| prefix.split('.').any(|part| part == word);
    for word in PREFERRED {
        let mut of_word = prefixes.iter().filter(|prefix| has(prefix, word));
        if let (Some(only), None) = (of_word.next(), of_word.next()) {
            return Ok(only);
        }
    }
    let names: Vec<_> = prefixes.iter().map(|prefix| shown(prefix)).collect();
    Err(format!("it holds several models: at {}", names.join(", ")))
}

fn shown(prefix: &str) -> String {
    match prefix.trim_end_matches('.') {
        "" => "the top".into(),
        prefix => format!("`{prefix}`"),
    }
}

/// `` `mask_token` and 12 tensors of `decoder` ``: how often each occurs.
fn counted(beginnings: &[String]) -> String {
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    for beginning in beginnings {
        *groups.entry(beginning).or_default() += 1;
    }
    let words: Vec<_> = groups
        .into_iter()
        .map(|(group, count)| match count {
            1 => format!("`{group}`"),
            count => format!("{count} tensors of `{group}`"),
        })
        .collect();
    match words.as_slice() {
        [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        words => words.join(""),
    }
}

#[cfg(test)]
mod tests;
