//! [`Convention`]: how a library names the tensors of a Vision Transformer.

use std::collections::BTreeMap;

use crate::HostTensor;

/// Whose weights they are, which decides what they expect of their images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::weights) enum Origin {
    /// timm, and the many repositories that grew from it (DeiT, DINO, DINOv2, MAE, MoCo-v3).
    Timm,
    /// Hugging Face transformers.
    Transformers,
    /// OpenAI's CLIP and OpenCLIP.
    OpenClip,
    /// Google's JAX releases: the original ViT, AugReg, `big_vision`.
    Google,
}

impl Origin {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Timm => "timm",
            Self::Transformers => "Hugging Face transformers",
            Self::OpenClip => "OpenCLIP",
            Self::Google => "Google's JAX releases",
        }
    }
}

/// The names of one library.
pub(super) struct Convention {
    pub origin: Origin,
    /// A tensor that every model of the library has, and that tells it from the other libraries.
    pub anchor: &'static str,
    /// From its names to timm's; see [`Convention::rename`].
    pub rules: &'static [(&'static str, &'static str)],
    /// Names of the classifier, which stands beside the backbone and so does not have its prefix, and timm's.
    pub heads: &'static [(&'static str, &'static str)],
    /// Beginnings of the names of tensors that are no parameters of the model in use; `*` stands for a number.
    pub left_out: &'static [&'static str],
    /// The tensor as timm shapes it, given timm's name and the library's.
    pub convert: fn(timm: &str, own: &str, tensor: HostTensor) -> HostTensor,
    /// The number of attention heads, from a tensor that tells it.
    pub num_heads: fn(own: &str, shape: &[usize]) -> Option<usize>,
    /// What is left to do when all tensors have timm's names; may add to the notes.
    pub finish: fn(&mut BTreeMap<String, HostTensor>, &mut Vec<String>),
}

/// What a convention says about a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// It is this tensor of timm's.
    Renamed(String),
    /// It is not part of the model that is used: it begins so.
    LeftOut(&'static str),
    /// It is none of its names.
    Unknown,
}

impl Convention {
    /// timm's name of the tensor `name`. A rule names a whole tensor, or a module whose `weight` and `bias` (in JAX
    /// `kernel` or `scale`, and `bias`) it carries over; `*` stands for a number, that of a block or of a stage.
    pub fn rename(&self, name: &str) -> Match {
        for (pattern, timm) in self.rules {
            if let Some(numbers) = matches(pattern, name) {
                return Match::Renamed(filled(timm, &numbers));
            }
            let Some((module, leaf)) = name.rsplit_once('.') else {
                continue;
            };
            let leaf = match leaf {
                "weight" | "kernel" | "scale" => "weight",
                "bias" => "bias",
                _ => continue,
            };
            if let Some(numbers) = matches(pattern, module) {
                return Match::Renamed(format!("{}.{leaf}", filled(timm, &numbers)));
            }
        }
        let beginning = self
            .left_out
            .iter()
            .find(|beginning| begins_with(name, beginning));
        beginning.map_or(Match::Unknown, |beginning| {
            Match::LeftOut(beginning.trim_end_matches('.'))
        })
    }

    /// timm's name of a classifier's tensor that lies beside the backbone.
    pub fn head(&self, name: &str) -> Option<String> {
        let (module, leaf) = name.rsplit_once('.')?;
        let of_module = |(own, _): &&(&str, &str)| *own == module;
        let (_, timm) = self.heads.iter().find(of_module)?;
        Some(format!("{timm}.{leaf}"))
    }
}

/// Whether `name` begins with `beginning`, each `*` of which stands for a number.
fn begins_with(name: &str, beginning: &str) -> bool {
    let mut rest = name;
    for (i, part) in beginning.split('*').enumerate() {
        if i > 0 {
            rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        }
        match rest.strip_prefix(part) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    true
}

/// The numbers that each `*` stands for if `name` is `pattern`.
fn matches<'a>(pattern: &str, name: &'a str) -> Option<Vec<&'a str>> {
    let mut parts = pattern.split('*');
    let mut rest = name.strip_prefix(parts.next()?)?;
    let mut numbers = Vec::new();
    for part in parts {
        let end = rest
            .find(|digit: char| !digit.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        if number.is_empty() {
            return None;
        }
        numbers.push(number);
        rest = after.strip_prefix(part)?;
    }
    rest.is_empty().then_some(numbers)
}

/// `pattern` with the numbers in the places of its `*`.
fn filled(pattern: &str, numbers: &[&str]) -> String {
    let mut numbers = numbers.iter();
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| {
        name + numbers.next().copied().unwrap_or_default() + part
    })
}

/// Most tensors have timm's shape already; a class token, register tokens and position embeddings get its leading axes.
pub(super) fn as_it_is(timm: &str, _own: &str, mut tensor: HostTensor) -> HostTensor {
    if matches!(
        timm,
        "cls_token" | "pos_embed" | "reg_token" | "dist_token" | "attn_pool.latent"
    ) {
        while tensor.shape.len() < 3 {
            tensor.shape.insert(0, 1);
        }
    }
    tensor
}

/// No shape tells the number of heads.
pub(super) fn no_heads(_own: &str, _shape: &[usize]) -> Option<usize> {
    None
}

/// Nothing is left to do.
pub(super) fn done(_tensors: &mut BTreeMap<String, HostTensor>, _notes: &mut Vec<String>) {}

/// DINOv2 with registers publishes position embeddings for class token and patches, none for the registers; timm's
/// model has them for the patches alone, and the class token's is added to the token (timm `_convert_dinov2`).
pub(super) fn fold_class_position(tensors: &mut BTreeMap<String, HostTensor>, _notes: &mut Vec<String>) {
    let Some(dim) = tensors
        .get("reg_token")
        .and_then(|tensor| tensor.shape.last().copied())
    else {
        return;
    };
    let (Some(pos), Some(cls)) = (tensors.get("pos_embed"), tensors.get("cls_token")) else {
        return;
    };
    let [1, rows, width] = pos.shape[..] else {
        return;
    };
    let patches = rows.saturating_sub(1);
    if width != dim || cls.numel() != dim || patches.isqrt().pow(2) != patches || rows.isqrt().pow(2) == rows
    {
        return;
    }
    let sum = cls
        .data
        .iter()
        .zip(&pos.data[..dim])
        .map(|(token, position)| token + position);
    let cls = HostTensor::new([1, 1, dim], sum.collect());
    let pos = HostTensor::new([1, patches, dim], pos.data[dim..].to_vec());
    tensors.insert("cls_token".into(), cls);
    tensors.insert("pos_embed".into(), pos);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Convention = Convention {
        origin: Origin::Timm,
        anchor: "a",
        rules: &[
            ("token", "cls_token"),
            ("layer.*.ln", "blocks.*.norm1"),
            ("stage.*.layer.*.ln", "layers.*.blocks.*.norm1"),
            ("ln", "norm"),
        ],
        heads: &[("classifier", "head")],
        left_out: &["mask", "layer.*.rope."],
        convert: as_it_is,
        num_heads: no_heads,
        finish: done,
    };

    #[test]
    fn rules_name_tensors_and_modules() {
        let renamed = |timm: &str| Match::Renamed(timm.to_owned());
        for (name, expected) in [
            ("token", renamed("cls_token")),
            ("layer.11.ln.weight", renamed("blocks.11.norm1.weight")),
            ("layer.0.ln.bias", renamed("blocks.0.norm1.bias")),
            (
                "stage.1.layer.20.ln.weight",
                renamed("layers.1.blocks.20.norm1.weight"),
            ),
            ("stage.1.layer.ln.weight", Match::Unknown),
            ("ln.scale", renamed("norm.weight")),
            ("mask_token", Match::LeftOut("mask")),
            ("layer.3.rope.cos", Match::LeftOut("layer.*.rope")),
            ("layer.x.ln.weight", Match::Unknown),
            ("layer..ln.weight", Match::Unknown),
            ("ln.running_mean", Match::Unknown),
            ("other", Match::Unknown),
        ] {
            assert_eq!(SOME.rename(name), expected, "{name}");
        }
        assert_eq!(SOME.head("classifier.bias").as_deref(), Some("head.bias"));
        assert_eq!(SOME.head("other.bias"), None);
    }

    #[test]
    fn the_class_position_goes_into_the_token() {
        let row = |value: f32| vec![value; 2];
        let mut tensors = BTreeMap::from([
            ("reg_token".to_owned(), HostTensor::full([1, 4, 2], 9.0)),
            ("cls_token".to_owned(), HostTensor::full([1, 1, 2], 1.0)),
            (
                "pos_embed".to_owned(),
                HostTensor::new(
                    [1, 5, 2],
                    [row(10.0), row(1.0), row(2.0), row(3.0), row(4.0)].concat(),
                ),
            ),
        ]);
        fold_class_position(&mut tensors, &mut Vec::new());
        assert_eq!(tensors["cls_token"].data, [11.0, 11.0]);
        assert_eq!(tensors["pos_embed"].shape, [1, 4, 2]);
        let folded = tensors.clone();
        fold_class_position(&mut tensors, &mut Vec::new());
        assert_eq!(tensors, folded, "patches alone stay as they are");
    }
}
