//! Values of config.json: how each is read, with what was expected where it is something else, and how it is written.

use serde_json::{Value, json};

use super::RopeType;
use crate::{Activation, GlobalPool};

/// Largest length that any real model comes near; keeps hostile files from asking for endless tensors.
pub(crate) const MOST: usize = 1 << 16;

pub(crate) fn count(value: &Value) -> Result<usize, String> {
    up_to(value, 1, MOST)
}

/// An integer within bounds.
pub(crate) fn up_to(value: &Value, least: usize, most: usize) -> Result<usize, String> {
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("an integer from {least} to {most}"))
}

/// One number for both edges, or `[height, width]`.
pub(crate) fn pair(value: &Value) -> Result<[usize; 2], String> {
    match value.as_array().map(Vec::as_slice) {
        Some([height, width]) => Ok([count(height)?, count(width)?]),
        Some(_) => Err("one integer or [height, width]".into()),
        None => count(value)
            .map(|n| [n; 2])
            .map_err(|_| "one integer or [height, width]".into()),
    }
}

/// One count for each stage of a Swin Transformer.
pub(crate) fn stages(value: &Value) -> Result<Vec<usize>, String> {
    let counts = value
        .as_array()
        .filter(|stages| !stages.is_empty() && stages.len() <= 8);
    let counts = counts.and_then(|stages| stages.iter().map(|value| up_to(value, 1, 1024).ok()).collect());
    counts.ok_or_else(|| "a list of counts, one for each of up to eight stages".into())
}

pub(crate) fn positive(value: &Value) -> Result<f64, String> {
    value
        .as_f64()
        .filter(|x| *x > 0.0 && x.is_finite())
        .ok_or_else(|| "a positive number".into())
}

pub(crate) fn at_most_1024(x: f64) -> Result<f64, String> {
    if x <= 1024.0 {
        Ok(x)
    } else {
        Err("a number up to 1024".into())
    }
}

pub(crate) fn fraction(value: &Value) -> Result<f64, String> {
    value
        .as_f64()
        .filter(|x| (0.0..1.0).contains(x))
        .ok_or_else(|| "a number from 0 to below 1".into())
}

pub(crate) fn flag(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "true or false".into())
}

pub(crate) fn optional<T>(value: &Value, read: fn(&Value) -> Result<T, String>) -> Result<Option<T>, String> {
    match value {
        Value::Null => Ok(None),
        other => read(other).map(Some),
    }
}

/// timm's class of a gated MLP. timm takes it as a Python object, which no file can hold: the name is our addition.
pub(crate) const GATED: &str = "SwiGLUPacked";

pub(crate) fn gated(value: &Value) -> Result<bool, String> {
    match value.as_str() {
        Some(GATED) => Ok(true),
        Some("Mlp") => Ok(false),
        _ => Err(format!("`Mlp` or `{GATED}`")),
    }
}

pub(crate) fn rope_type(value: &Value) -> Result<RopeType, String> {
    match value.as_str() {
        Some("cat") => Ok(RopeType::Cat),
        Some("dinov3") => Ok(RopeType::Dinov3),
        _ => Err("`cat` or `dinov3`".into()),
    }
}

pub(crate) fn rope_name(rope: RopeType) -> &'static str {
    match rope {
        RopeType::Cat => "cat",
        RopeType::Dinov3 => "dinov3",
    }
}

pub(crate) fn activation(value: &Value) -> Result<Activation, String> {
    match value.as_str() {
        Some("gelu") => Ok(Activation::Gelu),
        Some("quick_gelu") => Ok(Activation::QuickGelu),
        Some("gelu_tanh") => Ok(Activation::GeluTanh),
        Some("silu") => Ok(Activation::Silu),
        _ => Err("`gelu`, `quick_gelu`, `gelu_tanh` or `silu`".into()),
    }
}

pub(crate) fn activation_name(act: Activation) -> &'static str {
    match act {
        Activation::Gelu => "gelu",
        Activation::QuickGelu => "quick_gelu",
        Activation::GeluTanh => "gelu_tanh",
        Activation::Silu => "silu",
    }
}

/// timm's name of a pooling.
pub(crate) fn pool_name(pool: GlobalPool) -> &'static str {
    match pool {
        GlobalPool::Token => "token",
        GlobalPool::Avg => "avg",
        GlobalPool::Map => "map",
    }
}

pub(crate) fn pool(value: &Value) -> Result<GlobalPool, String> {
    match value.as_str() {
        Some("token") => Ok(GlobalPool::Token),
        Some("avg") => Ok(GlobalPool::Avg),
        Some("map") => Ok(GlobalPool::Map),
        _ => Err("`token`, `avg` or `map`".into()),
    }
}

/// One number for a square, `[height, width]` otherwise.
pub(crate) fn edge([height, width]: [usize; 2]) -> Value {
    if height == width {
        json!(height)
    } else {
        json!([height, width])
    }
}
