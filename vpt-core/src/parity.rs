//! [`check`]: does a device compute what the CPU computes?
//!
//! GPU drivers and kernel compilers do have bugs that change numbers silently, so users can repeat this on
//! their own machine with `vpt inspect device --check`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor};
use serde::Serialize;

use crate::device::SelectedDevice;
use crate::heads::Head;
use crate::ops::F16_GRADIENTS_ON_GPU;
use crate::prompts::Noise;
use crate::{
    Backbone, Classifier, CoreError, HeadConfig, HostTensor, MethodConfig, MethodKind, Precision,
    PromptConfig, PromptDepth, VitConfig, init,
};

/// Largest difference that is rounding and not an error, relative to the largest value compared (at least 1
/// for logits).
const TOLERANCE: f64 = 1e-3;

/// The same with weights in float16, which leaves 11 significant bits of each product.
const HALF_TOLERANCE: f64 = 2e-2;

/// What a loss is multiplied by to see whether its gradients pass weights in float16, in whose range they are not then. A power of two.
const SMALL_LOSS: f32 = 1.0 / (1_u32 << 30) as f32;

/// How a device compares with the CPU: the figures of the model that differs most.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParityReport {
    /// Name of the device.
    pub device: String,
    /// Largest absolute difference between what heads say.
    pub max_abs_logits: f64,
    /// Largest absolute difference between gradients, of prompts and of all parameters.
    pub max_abs_grad: f64,
    /// Largest value of the CPU's head, without its sign.
    pub largest_logit: f64,
    /// Largest gradient of the CPU, without its sign.
    pub largest_grad: f64,
    /// Largest absolute difference between what heads say with weights in float16 on both; none where the device does not have them.
    pub max_abs_half: Option<f64>,
    /// The same of gradients of prompts; none where they are not computed with such weights.
    pub max_abs_half_grad: Option<f64>,
    /// Largest differences that pass, relative to the largest values.
    pub tolerance: f64,
    /// Whether all differences are within the tolerance.
    pub passed: bool,
    /// Whether the differences in float16, where there are any, are within what its rounding makes.
    pub half_passed: bool,
    /// Time that the device took, its first compilation of kernels included.
    pub seconds: f64,
}

/// Compares what small random models say, and their gradients, on `selected` with the CPU: prompts of both depths, a whole backbone, heads for
/// boxes and masks.
///
/// # Errors
/// [`CoreError::DeviceFailed`] when the device gives no numbers at all.
pub fn check(selected: &SelectedDevice) -> Result<ParityReport, CoreError> {
    let reference = measure(&Device::flex())?;
    let start = Instant::now();
    let failed = |reason: String| CoreError::DeviceFailed {
        device: selected.name.clone(),
        reason,
    };
    // What goes wrong in a kernel surfaces as a panic in Burn.
    let found = catch_unwind(AssertUnwindSafe(|| measure(&selected.device)))
        .map_err(|_| failed("an operation panicked, see above".to_owned()))?
        .map_err(|error| failed(error.to_string()))?;
    // A device that fails at float16 alone is good for all else: no numbers differ infinitely from any.
    let half = catch_unwind(AssertUnwindSafe(|| in_half(&selected.device)));
    let half = half.unwrap_or_else(|_| Ok(Some(Measured::default())))?;
    let seconds = start.elapsed().as_secs_f64();

    let differences = reference
        .iter()
        .zip(&found)
        .map(|(reference, found)| reference.apart(found));
    let worst = differences.max_by(|a, b| a.relative().total_cmp(&b.relative()));
    let worst = worst.expect("several models are compared");
    let half = match (half, in_half(&Device::flex())?) {
        (Some(half), Some(reference)) => Some(reference.apart(&half)),
        _ => None,
    };
    Ok(ParityReport {
        device: selected.name.clone(),
        max_abs_logits: worst.logits.max_abs,
        max_abs_grad: worst.gradients.max_abs,
        largest_logit: worst.logits.largest,
        largest_grad: worst.gradients.largest,
        max_abs_half: half.as_ref().map(|half| half.logits.max_abs),
        max_abs_half_grad: half
            .as_ref()
            .filter(|_| F16_GRADIENTS_ON_GPU)
            .map(|half| half.gradients.max_abs),
        tolerance: TOLERANCE,
        passed: worst.relative() <= TOLERANCE,
        half_passed: half.is_none_or(|half| half.relative() <= HALF_TOLERANCE),
        seconds,
    })
}

/// What a device computed of one model.
#[derive(Default)]
struct Measured {
    logits: Vec<f32>,
    gradients: Vec<f32>,
}

impl Measured {
    /// What `model` says on its tape, and the gradients of a random sum of it times `scale`.
    fn of(model: &Classifier, pixels: Tensor<4>, scale: f32) -> Result<Self, CoreError> {
        let said = said(model, pixels);
        let weights = init::normal(said.dims(), 1.0, &mut init::rng_of(0, "parity loss"));
        let loss = (said.clone() * weights.to_tensor(&said.device())).sum() * scale;
        let mut values = Vec::new();
        let mut collector = GradientCollector {
            gradients: &loss.backward(),
            values: Ok(&mut values),
        };
        model.visit(&mut collector);
        collector.values?;
        Ok(Self {
            logits: HostTensor::from_tensor(&said)?.data,
            gradients: values,
        })
    }

    /// How far `found` is from this.
    fn apart(&self, found: &Self) -> Apart {
        Apart {
            logits: Difference::between(&self.logits, &found.logits),
            gradients: Difference::between(&self.gradients, &found.gradients),
        }
    }
}

/// How far two devices are apart with one model.
struct Apart {
    logits: Difference,
    gradients: Difference,
}

impl Apart {
    /// The larger difference, relative to the largest value (at least 1 for logits; there may be no gradients).
    fn relative(&self) -> f64 {
        let Self { logits, gradients } = self;
        let of_logits = logits.max_abs / logits.largest.max(1.0);
        match gradients.max_abs {
            0.0 => of_logits,
            max_abs => of_logits.max(max_abs / gradients.largest),
        }
    }
}

/// What each model says, and its gradients.
fn measure(device: &Device) -> Result<Vec<Measured>, CoreError> {
    let device = device.clone().autodiff();
    let backbone = backbone();
    let size = backbone.config.img_size;
    let pixels = pixels(size);
    let vpt = |depth| MethodConfig::vpt(PromptConfig::new(depth, 4));
    let deep = vpt(PromptDepth::Deep);
    let models = [
        (deep.clone(), HeadConfig::Linear),
        (vpt(PromptDepth::Shallow), HeadConfig::Linear),
        (MethodConfig::new(MethodKind::Full), HeadConfig::Linear),
        (deep.clone(), HeadConfig::detection(Some(16))),
        (
            deep,
            HeadConfig::segmentation(Some(16), backbone.config.patch_size[0]),
        ),
    ];
    let measured = models.into_iter().map(|(method, head)| {
        let model = Classifier::with_head(&backbone, &method, head, CLASSES, size, 0, &device)?;
        Measured::of(&model, pixels.to_tensor(&device), 1.0)
    });
    measured.collect()
}

/// What deep prompts make a model say whose weights are in float16, as it answers, and the gradients of a small loss where
/// it can be trained; none where the device does not have them.
fn in_half(device: &Device) -> Result<Option<Measured>, CoreError> {
    if !Precision::F16.is_possible_on(device) {
        return Ok(None);
    }
    let backbone = backbone();
    let size = backbone.config.img_size;
    let method = MethodConfig::vpt(PromptConfig::new(PromptDepth::Deep, 4));
    let taped = device.clone().autodiff();
    let model =
        Classifier::new(&backbone, &method, CLASSES, size, 0, &taped)?.with_precision(Precision::F16)?;
    let pixels = pixels(size);
    let answered = said(&model.valid().for_inference(), pixels.to_tensor(device));
    let gradients = match F16_GRADIENTS_ON_GPU {
        true => Measured::of(&model, pixels.to_tensor(&taped), SMALL_LOSS)?.gradients,
        false => Vec::new(),
    };
    Ok(Some(Measured {
        logits: HostTensor::from_tensor(&answered)?.data,
        gradients: gradients.iter().map(|x| x / SMALL_LOSS).collect(),
    }))
}

/// Three random images.
fn pixels([height, width]: [usize; 2]) -> HostTensor {
    let mut rng = init::rng_of(0, "parity pixels");
    init::normal([3, 3, height, width], 1.0, &mut rng)
}

/// What the head of `model` says of `pixels`, in one row.
fn said(model: &Classifier, pixels: Tensor<4>) -> Tensor<1> {
    let map = |pixels| model.feature_map(pixels, &Noise::none());
    let flat = |values: Tensor<3>| {
        let count = values.dims().iter().product::<usize>();
        values.reshape([count])
    };
    match &model.head {
        Head::Linear(_) => flat(model.forward(pixels).unsqueeze()),
        Head::Detection(head) => {
            let output = head.forward(map(pixels));
            Tensor::cat(vec![flat(output.logits), flat(output.reach)], 0)
        }
        Head::Segmentation(head) => {
            let logits = head.forward(map(pixels), model.image_size());
            flat(logits.flatten(0, 1))
        }
    }
}

const CLASSES: usize = 5;

/// A small model with odd token counts, its weights large enough that attention is far from uniform.
fn backbone() -> Backbone {
    let config = VitConfig {
        img_size: [32, 48],
        patch_size: [8, 8],
        embed_dim: 48,
        depth: 3,
        num_heads: 3,
        ..VitConfig::default()
    };
    let mut backbone = Backbone::random(config, 0, 0);
    for tensor in backbone
        .tensors
        .values_mut()
        .filter(|tensor| tensor.shape.len() == 2)
    {
        tensor.data.iter_mut().for_each(|x| *x *= 5.0);
    }
    backbone
}

/// Reads the gradients of all parameters that have one, in the order of the module.
struct GradientCollector<'a> {
    gradients: &'a Gradients,
    values: Result<&'a mut Vec<f32>, CoreError>,
}

impl ModuleVisitor for GradientCollector<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = param.val().grad(self.gradients) else {
            return;
        };
        match HostTensor::from_tensor(&gradient) {
            Ok(tensor) => {
                if let Ok(values) = &mut self.values {
                    values.extend(tensor.data);
                }
            }
            Err(error) => self.values = Err(error),
        }
    }
}

/// Largest difference and largest reference value of two lists.
struct Difference {
    max_abs: f64,
    largest: f64,
}

impl Difference {
    /// A list of another length, or a value that is not a number, is infinitely different.
    fn between(reference: &[f32], found: &[f32]) -> Self {
        let largest = reference.iter().map(|x| f64::from(x.abs())).fold(0.0, f64::max);
        if reference.len() != found.len() || found.iter().any(|x| !x.is_finite()) {
            return Self {
                max_abs: f64::INFINITY,
                largest,
            };
        }
        let pairs = reference.iter().zip(found);
        let max_abs = pairs
            .map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs())
            .fold(0.0, f64::max);
        Self { max_abs, largest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_agrees_with_itself() {
        let report = check(&SelectedDevice::cpu()).unwrap();
        assert!(report.passed, "{report:?}");
        assert_eq!((report.max_abs_logits, report.max_abs_grad), (0.0, 0.0));
        assert!(
            report.largest_logit > 0.1 && report.largest_grad > 0.1,
            "{report:?}"
        );
    }

    #[test]
    fn all_models_have_gradients() {
        let measured = measure(&Device::flex()).unwrap();
        let gradients: Vec<usize> = measured.iter().map(|measured| measured.gradients.len()).collect();
        let head = CLASSES * 48 + CLASSES;
        assert_eq!(gradients[..2], [3 * 4 * 48 + head, 4 * 48 + head]);
        assert!(gradients[2] > 80_000, "{gradients:?}");
        assert!(
            gradients[3..].iter().all(|&count| count > 3 * 4 * 48 + 1000),
            "{gradients:?}"
        );
        let said: Vec<usize> = measured.iter().map(|measured| measured.logits.len()).collect();
        let points = (8 * 12 + 4 * 6 + 2 * 3 + 2) * (CLASSES + 4);
        assert_eq!(
            said,
            [
                3 * CLASSES,
                3 * CLASSES,
                3 * CLASSES,
                3 * points,
                3 * 32 * 48 * CLASSES
            ]
        );
    }

    #[test]
    fn missing_and_undefined_values_differ_infinitely() {
        assert_eq!(Difference::between(&[1.0, -2.0], &[1.0]).max_abs, f64::INFINITY);
        assert_eq!(
            Difference::between(&[1.0, -2.0], &[1.0, f32::NAN]).max_abs,
            f64::INFINITY
        );
        let difference = Difference::between(&[1.0, -2.0], &[1.5, -2.0]);
        assert_eq!((difference.max_abs, difference.largest), (0.5, 2.0));
    }
}
