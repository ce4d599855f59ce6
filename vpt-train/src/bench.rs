//! [`Bench`]: how fast a device trains and predicts, next to what its matrix product reaches.

use std::borrow::Cow;
use std::time::Instant;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use serde::Serialize;
use vpt_core::device::{computing, reserved_bytes};
use vpt_core::flops::ForwardMacs;
use vpt_core::heads::{Head, Suppression};
use vpt_core::prompts::Noise;
use vpt_core::vit::TokensAt;
use vpt_core::{
    Backbone, Classifier, CoreError, Entering, GlobalPool, HeadConfig, HostTensor, MethodConfig, MethodKind,
    Precision, PromptDepth,
};
use vpt_data::{Framed, FramedObject, Framing, Places, rng};
use vpt_eval::{Finder, PlaceOutput, peak_memory_bytes};

use crate::dense::place_loss;
use crate::{ClassWeights, GroupOptimizer, Opt, OptimizerConfig, Targets, TrainError, cross_entropy};

/// Steps before the clock runs: kernels are compiled and memory is allocated in them.
const WARM_UP: usize = 2;

/// Runs of the matrix product, of which the best counts.
const PRODUCTS: usize = 6;

/// Stream of [`rng::rng`] for the pixels, which only have to be finite and not all alike.
const PIXELS: u64 = 0x7069_7865_6c73;

/// What is measured: a model, and images that are already decoded.
pub struct Bench {
    model: Classifier,
    /// Reads the head, if it answers for places.
    finder: Option<Finder>,
    device: Device,
    batch_size: usize,
    steps: usize,
    grad_checkpointing: bool,
    pixels: TensorData,
}

/// The speed of one kind of step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Speed {
    /// Images a second, from the median step.
    pub images_per_second: f64,
    /// Median seconds of a step.
    pub seconds_per_step: f64,
    /// Floating-point operations that an image needs, in units of 10^9, counted from the architecture.
    pub gflop_per_image: f64,
    /// Achieved operations a second, in units of 10^9.
    pub gflop_per_second: f64,
    /// Most memory that this process has held so far, in bytes; the memory of a GPU is not in it.
    pub peak_memory_bytes: Option<u64>,
    /// Memory that was reserved on a GPU when the measurement ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_memory_bytes: Option<u64>,
}

impl Bench {
    /// A model for ten classes with `method` on `backbone`, and a batch of random images. A backbone given by value moves
    /// into the model, see [`Classifier::new`].
    ///
    /// # Errors
    /// [`TrainError::Core`] when the method or the image size does not fit the backbone.
    pub fn new<'a>(
        backbone: impl Into<Cow<'a, Backbone>>,
        method: &MethodConfig,
        image_size: [usize; 2],
        batch_size: usize,
        steps: usize,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let settings = (HeadConfig::Linear, 10);
        Self::with_head(backbone, method, settings, image_size, batch_size, steps, device)
    }

    /// The same with another head, for a number of classes.
    ///
    /// # Errors
    /// [`TrainError::Core`] when method, head or image size do not fit the backbone.
    pub fn with_head<'a>(
        backbone: impl Into<Cow<'a, Backbone>>,
        method: &MethodConfig,
        (head, num_classes): (HeadConfig, usize),
        image_size: [usize; 2],
        batch_size: usize,
        steps: usize,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let tape = device.clone().autodiff();
        let model = Classifier::with_head(backbone, method, head, num_classes, image_size, 0, &tape)?;
        let [height, width] = image_size;
        let mut rng = rng::rng(0, &[PIXELS]);
        let pixels = (0..batch_size * 3 * height * width)
            .map(|_| rng.random_range(-2.0..2.0))
            .collect();
        Ok(Self {
            finder: Finder::new(&model, Suppression::default()),
            model,
            device: device.clone(),
            batch_size,
            steps,
            grad_checkpointing: false,
            pixels: TensorData::new::<f32, _>(pixels, [batch_size, 3, height, width]),
        })
    }

    /// The same, whose blocks are computed again for their gradients if that is `on`.
    #[must_use]
    pub fn with_grad_checkpointing(self, on: bool) -> Self {
        Self {
            grad_checkpointing: on,
            ..self
        }
    }

    /// The same, whose frozen weights are kept in that many bits.
    ///
    /// # Errors
    /// [`TrainError::Core`] for a device other than the CPU.
    pub fn with_precision(self, precision: Precision) -> Result<Self, TrainError> {
        Ok(Self {
            model: self.model.with_precision(precision)?,
            ..self
        })
    }

    /// Parameters that are tuned, and of the whole model.
    pub fn parameters(&self) -> (usize, usize) {
        (self.model.num_tuned(), self.model.num_total())
    }

    /// Times the forward pass.
    ///
    /// # Errors
    /// [`TrainError::Core`] when the device fails.
    pub fn infer(&self) -> Result<Speed, TrainError> {
        let model = self.model.for_inference();
        let seconds = self.time(|| self.forward(&model))?;
        Ok(self.speed(seconds, self.forward_flop()))
    }

    /// Times the forward pass of this model and of `other` in turns, so that whatever else the machine does meanwhile falls on
    /// both alike.
    ///
    /// # Errors
    /// [`TrainError::Core`] when the device fails.
    pub fn infer_beside(&self, other: &Self) -> Result<[Speed; 2], TrainError> {
        let sides = [self, other];
        let models = sides.map(|side| side.model.for_inference());
        let mut seconds = [Vec::new(), Vec::new()];
        for round in 0..WARM_UP + self.steps {
            for ((side, model), seconds) in sides.into_iter().zip(&models).zip(&mut seconds) {
                let start = Instant::now();
                side.forward(model)?;
                if round >= WARM_UP {
                    seconds.push(start.elapsed().as_secs_f64());
                }
            }
        }
        let [own, others] = seconds.map(median);
        Ok([
            self.speed(own, self.forward_flop()),
            other.speed(others, other.forward_flop()),
        ])
    }

    /// A forward pass, to its end.
    fn forward(&self, model: &Classifier) -> Result<(), CoreError> {
        let pixels = Tensor::from_data(self.pixels.clone(), &self.device);
        let Some(finder) = &self.finder else {
            return wait_for(&model.forward(pixels));
        };
        match finder.output(model, pixels, &Noise::none()) {
            PlaceOutput::Objects(output) => {
                wait_for(&output.logits)?;
                wait_for(&output.reach)
            }
            PlaceOutput::Masks(logits) => wait_for(&logits),
        }
    }

    /// The loss of tokens in front of a block and made-up labels: classes in turn, or, of places, one object or class all over.
    fn loss(&self, model: &Classifier, tokens: TokensAt, noise: &Noise) -> Tensor<1> {
        let classes = model.num_classes();
        if let Some(finder) = &self.finder {
            let [height, width] = model.image_size();
            let framing = Framing::letterbox([width as u32, height as u32], [height, width]);
            let places = match &model.head {
                Head::Segmentation(_) => Places::Mask(vec![0; height * width]),
                _ => Places::Objects(vec![FramedObject {
                    class: Some(0),
                    bbox: [0.0, 0.0, width as f32, height as f32],
                }]),
            };
            let framed = vec![Framed { framing, places }; self.batch_size];
            let output = finder.output_of(model, model.feature_map_from(tokens, noise));
            return place_loss(output, finder.points(), &framed);
        }
        let rows = Targets {
            smoothing: 0.0,
            grade_spread: 0.0,
            weights: ClassWeights::None.weights(&vec![1; classes]),
        };
        let labels: Vec<usize> = (0..self.batch_size).map(|image| image % classes).collect();
        let targets = TensorData::new(rows.rows(&labels, None), [self.batch_size, classes]);
        let targets = Tensor::from_data(targets, &self.device.clone().autodiff());
        cross_entropy(model.head_forward(model.pooled_from(tokens, noise)), targets)
    }

    /// Times forward, backward and the optimiser's step.
    ///
    /// # Errors
    /// [`TrainError::Core`] when the device fails.
    pub fn train(&self) -> Result<Speed, TrainError> {
        let mut model = self.model.clone();
        let mut optimizer = GroupOptimizer::new(OptimizerConfig {
            opt: Opt::AdamW,
            momentum: 0.9,
            weight_decay: 1e-3,
            no_decay: model.no_decay_group(),
            head: model.no_decay_group(),
            head_lr_scale: 1.0,
        });
        let mut rng = rng::rng(0, &[PIXELS]);
        let seconds = self.time(|| {
            let pixels = Tensor::from_data(self.pixels.clone(), &self.device.clone().autodiff());
            let noise = model.sample_noise(self.batch_size, &mut rng);
            let loss = |tokens| {
                self.loss(&model, tokens, &noise)
                    .div_scalar(self.batch_size as f32)
            };
            let entering = Entering::Pixels(pixels);
            let mut accumulator = GradientsAccumulator::new();
            computing(&self.device, || {
                model.backward(entering, &noise, self.grad_checkpointing, loss, &mut |grads| {
                    accumulator.accumulate(&model, GradientsParams::from_grads(grads, &model));
                });
            });
            model = optimizer.step(1e-4, model.clone(), accumulator.grads());
            // The update may still be on its way.
            wait_for(&model.valid().head.last().weight.val())
        })?;
        Ok(self.speed(seconds, self.train_flop()))
    }

    /// Seconds of the median step.
    fn time(&self, mut step: impl FnMut() -> Result<(), CoreError>) -> Result<f64, TrainError> {
        let mut seconds = Vec::with_capacity(self.steps);
        for round in 0..WARM_UP + self.steps {
            let start = Instant::now();
            step()?;
            if round >= WARM_UP {
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
        Ok(median(seconds))
    }

    fn speed(&self, seconds_per_step: f64, gflop_per_image: f64) -> Speed {
        let images_per_second = self.batch_size as f64 / seconds_per_step;
        Speed {
            images_per_second,
            seconds_per_step,
            gflop_per_image,
            gflop_per_second: images_per_second * gflop_per_image,
            peak_memory_bytes: peak_memory_bytes(),
            device_memory_bytes: reserved_bytes(&self.device),
        }
    }

    /// GFLOP of one image's forward pass, in the form that the model runs for inference: deep prompts are keys and values already.
    fn forward_flop(&self) -> f64 {
        let macs = self.macs();
        let prompts = match self.has_deep_prompts() {
            true => macs.prompts_kv,
            false => macs.prompts_plain,
        };
        let vit = self.model.config();
        // A head for places reads every token.
        let saved = match vit.global_pool {
            GlobalPool::Token if self.finder.is_none() => macs.last_block_saving,
            _ => 0,
        };
        gflop(macs.backbone + macs.tuner + prompts - saved + self.head_macs())
    }

    fn has_deep_prompts(&self) -> bool {
        let prompts = self.method().prompts.as_ref();
        prompts.is_some_and(|prompts| prompts.depth == PromptDepth::Deep)
    }

    fn head_macs(&self) -> u128 {
        let (inputs, classes) = (self.model.config().num_features(), self.model.num_classes());
        Head::macs(
            &self.model.head_config(),
            self.model.backbone.grid(),
            inputs,
            classes,
        )
    }

    /// GFLOP of one image's training step: what a frozen layer saves is the gradient of its weights. The products of
    /// attention have no frozen side, so their backward costs twice their forward with any method that has prompts.
    fn train_flop(&self) -> f64 {
        let projected = match self.has_deep_prompts() {
            true => gflop(self.macs().prompts_kv_per_batch) / self.batch_size as f64,
            false => 0.0,
        };
        let forward = self.forward_flop() + projected;
        let vit = self.model.config();
        let blocks = vit.depth as f64;
        let attention = gflop(self.macs().attention);
        // What is learnt beside the backbone has gradients of its weights too.
        let tuner = gflop(self.macs().tuner + self.head_macs());
        let again = if self.grad_checkpointing { forward } else { 0.0 };
        again
            + match self.method().kind {
                MethodKind::Linear if self.finder.is_none() => forward,
                MethodKind::Linear | MethodKind::Mlp => forward + 2.0 * tuner,
                MethodKind::Full | MethodKind::Scratch => 3.0 * forward,
                MethodKind::Partial => forward * (1.0 + 2.0 * self.method().partial_blocks as f64 / blocks),
                _ => 2.0 * forward + attention + tuner,
            }
    }

    fn macs(&self) -> ForwardMacs {
        ForwardMacs::of(self.model.config(), self.model.image_size(), self.method())
    }

    fn method(&self) -> &MethodConfig {
        self.model.method()
    }
}

/// The middle of some measurements.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// GFLOP a second of the best of some products of two `size` x `size` matrices: what the device can reach at all.
///
/// # Errors
/// [`TrainError::Core`] when the device fails.
pub fn matmul_peak(device: &Device, size: usize) -> Result<f64, TrainError> {
    let values = (0..size * size)
        .map(|i| (i as f32 * 0.37).sin())
        .collect::<Vec<_>>();
    let matrix = Tensor::<2>::from_data(TensorData::new(values, [size, size]), device);
    let mut best = f64::INFINITY;
    for _ in 0..PRODUCTS {
        let start = Instant::now();
        wait_for(&matrix.clone().matmul(matrix.clone()).slice([0..1, 0..1]))?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(gflop((size * size * size) as u128) / best)
}

/// Waits until the tensor is computed, by reading it.
fn wait_for<const D: usize>(tensor: &Tensor<D>) -> Result<(), CoreError> {
    HostTensor::from_tensor(tensor).map(drop)
}

fn gflop(macs: u128) -> f64 {
    2.0 * macs as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use vpt_core::{MethodOptions, VitConfig};

    fn backbone() -> Backbone {
        let config = VitConfig {
            img_size: [32, 32],
            patch_size: [16, 16],
            embed_dim: 48,
            depth: 2,
            ..VitConfig::default()
        };
        Backbone::random(config, 0, 1)
    }

    #[test]
    fn every_method_is_measured() {
        let backbone = backbone();
        let bench =
            |method: &MethodConfig| Bench::new(&backbone, method, [32, 32], 2, 1, &Device::flex()).unwrap();
        for method in MethodConfig::examples() {
            let bench = bench(&method);
            let (infer, train) = (bench.infer().unwrap(), bench.train().unwrap());
            assert!(
                infer.images_per_second > 0.0 && train.gflop_per_second > 0.0,
                "{method}"
            );
            assert!(train.gflop_per_image >= infer.gflop_per_image, "{method}");
        }
        let flop = |name| {
            let method = MethodConfig::parse(name, &MethodOptions::default()).unwrap();
            bench(&method).forward_flop()
        };
        assert!(flop("linear") < flop("vpt-deep") && flop("vpt-deep") < flop("vpt-shallow"));
        assert!(matmul_peak(&Device::flex(), 64).unwrap() > 0.0);
    }

    #[test]
    fn heads_for_places_are_measured() {
        let bench = |head| {
            let method = MethodConfig::parse("vpt-deep", &MethodOptions::default()).unwrap();
            let device = Device::flex();
            Bench::with_head(backbone(), &method, (head, 3), [32, 48], 2, 1, &device).unwrap()
        };
        let whole = bench(HeadConfig::Linear);
        for head in [
            HeadConfig::detection(Some(8)),
            HeadConfig::segmentation(Some(8), 16),
        ] {
            let bench = bench(head);
            let [own, other] = bench.infer_beside(&whole).unwrap();
            assert!(own.images_per_second > 0.0 && own.gflop_per_image > other.gflop_per_image);
            let train = bench.train().unwrap();
            assert!(train.images_per_second > 0.0 && train.gflop_per_image > 2.0 * own.gflop_per_image);
        }
    }
}
