//! [`Precision`]: in how many bits frozen weights are kept.

use std::fmt;
use std::str::FromStr;

use burn::module::Module;
use burn::tensor::quantization::{QuantScheme, QuantStore, QuantValue, ScaleDtype};
use burn::tensor::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::ops::{F16_GRADIENTS_ON_GPU, on_cpu_backend};
use crate::{Classifier, CoreError, named_tensors};

/// In how many bits the frozen linear layers of the blocks are kept, which are nearly all of a backbone. Everything else is float32.
///
/// On the CPU weights are widened where they are multiplied, so this saves memory, not arithmetic; but bfloat16 is multiplied as it is
/// by processors with a tile unit (AMX), which rounds the other factor too and adds the products in float32. On a GPU products are of
/// numbers in that many bits, which its matrix units are made for, and their results have as many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As they are.
    #[default]
    F32,
    /// 11 significant bits; values above 65504 become infinite.
    F16,
    /// 8 significant bits, and the range of float32.
    Bf16,
    /// Whole numbers from −127 to 127 times a scale in float32, the largest value of up to 32 neighbours in a row over 127.
    Int8,
}

/// The most weights that share a scale, a number that widths of Vision Transformers are multiples of.
const LARGEST_BLOCK: usize = 32;

/// With fewer weights to a scale, the scales would take more than is saved.
const SMALLEST_BLOCK: usize = 4;

impl Precision {
    /// All, by name.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Bf16, Self::Int8];

    /// As flags call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// Bytes of a weight that is kept so.
    pub fn bytes(self) -> f64 {
        match self {
            Self::F32 => 4.0,
            Self::F16 | Self::Bf16 => 2.0,
            Self::Int8 => 1.0 + 4.0 / LARGEST_BLOCK as f64,
        }
    }

    /// Whether a device can compute with weights that are kept so.
    pub fn is_possible_on(self, device: &Device) -> bool {
        let on_gpu = match self {
            Self::F32 => true,
            Self::F16 => device.supports_dtype(DType::F16),
            Self::Bf16 => device.supports_dtype(DType::BF16),
            Self::Int8 => false,
        };
        on_gpu || on_cpu_backend(device)
    }

    /// Refuses what a device cannot compute with.
    ///
    /// # Errors
    /// [`CoreError::Setting`].
    pub fn check(self, device: &Device) -> Result<(), CoreError> {
        self.check_among(device, |precision| precision.is_possible_on(device))
    }

    /// Refuses what a device cannot train with: on a GPU gradients pass through products of as many bits, and fit into the range of f16
    /// only [in some builds](F16_GRADIENTS_ON_GPU).
    ///
    /// # Errors
    /// [`CoreError::Setting`].
    pub fn check_training(self, device: &Device) -> Result<(), CoreError> {
        let in_range = |precision| F16_GRADIENTS_ON_GPU || on_cpu_backend(device) || precision != Self::F16;
        self.check_among(device, |precision| {
            precision.is_possible_on(device) && in_range(precision)
        })
    }

    fn check_among(self, device: &Device, possible: impl Fn(Self) -> bool) -> Result<(), CoreError> {
        if possible(self) {
            return Ok(());
        }
        let others = Self::ALL.into_iter().filter(|&precision| possible(precision));
        let others: Vec<String> = others.map(|precision| format!("`{precision}`")).collect();
        let allowed = match on_cpu_backend(device) {
            true => others.join(" or "),
            false => format!(
                "{} on this device, or any with `--device cpu`",
                others.join(" or ")
            ),
        };
        Err(CoreError::setting("precision", self, &allowed))
    }

    /// `module` with the linear weights of its blocks kept so, those that `frozen` names.
    pub(crate) fn keep<M: Module>(self, module: M, frozen: impl Fn(&str) -> bool) -> M {
        if self == Self::F32 {
            return module;
        }
        named_tensors::store_linear(module, self, |name| name.starts_with("blocks.") && frozen(name))
    }

    /// A weight `[inputs, outputs]` kept so. Where too few outputs could share a scale, int8 leaves it as it is.
    pub(crate) fn store<const R: usize>(self, weight: Tensor<R>) -> Tensor<R> {
        match self {
            Self::F32 => weight,
            Self::F16 => weight.cast(DType::F16),
            Self::Bf16 => weight.cast(DType::BF16),
            Self::Int8 => {
                let outputs = weight.dims()[R - 1];
                let block = LARGEST_BLOCK.min(1 << outputs.trailing_zeros());
                if block < SMALLEST_BLOCK {
                    return weight;
                }
                let scheme = QuantScheme::default()
                    .with_value(QuantValue::Q8S)
                    .with_store(QuantStore::Native)
                    .per_block([block as u8], ScaleDtype::F32);
                weight.quantize_dynamic(&scheme)
            }
        }
    }
}

impl Classifier {
    /// The same model, whose frozen weights are kept in fewer bits. What was learned stays as it is.
    ///
    /// # Errors
    /// [`CoreError::Setting`] for a device that does not have it.
    pub fn with_precision(self, precision: Precision) -> Result<Self, CoreError> {
        for device in self.devices() {
            precision.check(&device)?;
        }
        let method = self.method().clone();
        let vit = self.config().clone();
        Ok(precision.keep(self, |name| !method.tunes(name, &vit)))
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        let found = Self::ALL.into_iter().find(|precision| precision.name() == text);
        found.ok_or_else(|| CoreError::setting("precision", text, "`f32`, `f16`, `bf16` or `int8`"))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;

    use super::*;
    use crate::{
        Backbone, Features, HostTensor, MethodConfig, MethodOptions, SharedBackbone, VitConfig, init,
        mixed_features,
    };

    fn small() -> VitConfig {
        VitConfig {
            img_size: [32, 32],
            embed_dim: 48,
            depth: 4,
            num_heads: 3,
            ..VitConfig::default()
        }
    }

    fn logits(model: &Classifier, pixels: &Tensor<4>) -> Vec<f32> {
        HostTensor::from_tensor(&model.forward(pixels.clone()))
            .unwrap()
            .data
    }

    #[test]
    fn fewer_bits_change_logits_by_no_more_than_they_leave_out() {
        let device = Device::flex();
        let pixels = init::normal([3, 3, 32, 32], 1.0, &mut init::rng_of(1, "pixels")).to_tensor(&device);
        for method in ["vpt-deep", "linear", "lora", "full"] {
            let method = MethodConfig::parse(method, &MethodOptions::default()).unwrap();
            let backbone = Backbone::random(small(), 0, 1);
            let model = Classifier::new(backbone, &method, 5, [32, 32], 1, &device).unwrap();
            let whole = logits(&model, &pixels);
            let largest = whole
                .iter()
                .fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
            for (precision, bound) in [
                (Precision::F16, 2e-3),
                (Precision::Bf16, 2e-2),
                (Precision::Int8, 2e-2),
            ] {
                let kept = model.clone().with_precision(precision).unwrap();
                let changed = logits(&kept, &pixels);
                let apart = whole
                    .iter()
                    .zip(&changed)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f32::max);
                assert!(
                    apart <= bound * largest,
                    "{method} {precision}: {apart} of {largest}"
                );
                // What was learned is not touched: nothing is frozen in full fine-tuning.
                assert_eq!(apart == 0.0, method.to_string() == "full", "{method} {precision}");
                assert_eq!(kept.tuned_tensors(), model.tuned_tensors());
            }
        }
    }

    #[test]
    fn a_shared_backbone_gives_what_a_model_of_its_own_does() {
        let device = Device::flex();
        let pixels: Tensor<4> =
            init::normal([2, 3, 32, 32], 1.0, &mut init::rng_of(1, "pixels")).to_tensor(&device);
        let backbone = Backbone::random(small(), 0, 1);
        let method = MethodConfig::parse("vpt-deep", &MethodOptions::default()).unwrap();
        let task = crate::TaskFile::random(
            &backbone,
            &method,
            crate::HeadConfig::Linear,
            crate::task_file::TaskInfo {
                name: "task".into(),
                kind: vpt_data::TaskKind::Classification,
                classes: vec!["a".into(), "b".into()],
            },
            backbone.preprocess.clone(),
            1,
        )
        .unwrap();
        for precision in Precision::ALL {
            let own = task.apply(&backbone, &device).unwrap();
            let own = own.with_precision(precision).unwrap();
            let shared = SharedBackbone::with_precision(backbone.clone(), &device, precision).unwrap();
            let attached = shared.attach(&task).unwrap();
            assert!(attached.mixes());
            let expected = logits(&own, &pixels);
            assert_eq!(logits(attached.model(), &pixels), expected, "{precision}");
            let parts = [(&attached, vec![0]), (&attached, vec![1])];
            let mixed = mixed_features(&parts, pixels.clone())
                .into_iter()
                .flat_map(|features| {
                    let Features::Pooled(pooled) = features else {
                        panic!("a head for classes reads what is pooled");
                    };
                    HostTensor::from_tensor(&attached.model().head_forward(pooled))
                        .unwrap()
                        .data
                });
            for (mixed, expected) in mixed.zip(expected) {
                assert!((mixed - expected).abs() < 1e-5, "{precision}: {mixed} {expected}");
            }
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for precision in Precision::ALL {
            assert_eq!(precision.name().parse::<Precision>().unwrap(), precision);
        }
        assert!(
            "int4"
                .parse::<Precision>()
                .unwrap_err()
                .to_string()
                .contains("bf16")
        );
    }
}
