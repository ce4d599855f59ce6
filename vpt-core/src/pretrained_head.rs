//! The head that weights came with.

use std::collections::BTreeMap;

use crate::weights::{Backbone, TensorMismatch};
use crate::{CoreError, HostTensor};

/// A linear layer: weight `[classes, width]` and bias `[classes]`.
struct Head {
    weight: HostTensor,
    bias: HostTensor,
}

/// The weights' own head as `head.weight` and `head.bias`. Of distilled models, one head `[classes, 2 D]` on
/// class and distillation token.
///
/// # Errors
/// [`CoreError::Tensors`] when there is none.
pub(crate) fn pretrained_head(backbone: &Backbone) -> Result<BTreeMap<String, HostTensor>, CoreError> {
    let head = if backbone.config.distilled {
        mean(&find(backbone, "head")?, &find(backbone, "head_dist")?)
    } else {
        find(backbone, "head")?
    };
    Ok(BTreeMap::from([
        ("head.weight".to_owned(), head.weight),
        ("head.bias".to_owned(), head.bias),
    ]))
}

/// The head called `name`; a missing bias is zero.
fn find(backbone: &Backbone, name: &str) -> Result<Head, CoreError> {
    let dim = backbone.config.num_features();
    let tensor = |part: &str| backbone.tensors.get(&format!("{name}.{part}"));
    match tensor("weight") {
        Some(weight) if matches!(weight.shape[..], [_, width] if width == dim) => {
            let zero = || HostTensor::full([weight.shape[0]], 0.0);
            let bias = tensor("bias").cloned().unwrap_or_else(zero);
            Ok(Head {
                weight: weight.clone(),
                bias,
            })
        }
        found => {
            let (name, expected) = (format!("{name}.weight"), vec![backbone.num_classes, dim]);
            let mut mismatch = TensorMismatch::default();
            match found {
                None => mismatch.missing.push((name, expected, None)),
                Some(found) => mismatch.misshaped.push((name, expected, found.shape.clone())),
            }
            Err(CoreError::Tensors {
                origin: backbone.source.clone(),
                mismatch,
            })
        }
    }
}

/// The mean of a head on the class token and one on the distillation token, as one head on both.
fn mean(class: &Head, distilled: &Head) -> Head {
    let [classes, dim] = [class.weight.shape[0], class.weight.shape[1]];
    let rows = class
        .weight
        .data
        .chunks_exact(dim)
        .zip(distilled.weight.data.chunks_exact(dim));
    let weight = rows
        .flat_map(|(a, b)| a.iter().chain(b).map(|x| 0.5 * x))
        .collect();
    let biases = class.bias.data.iter().zip(&distilled.bias.data);
    Head {
        weight: HostTensor::new([classes, 2 * dim], weight),
        bias: HostTensor::new([classes], biases.map(|(a, b)| 0.5 * (a + b)).collect()),
    }
}
