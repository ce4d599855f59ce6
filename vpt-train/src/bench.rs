//! [`Bench`]: how fast a device trains and predicts, next to what its matrix product reaches.

use std::borrow::Cow;
use std::time::Instant;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use serde::Serialize;
use vpt_core::flops::ForwardMacs;
use vpt_core::{
    Backbone, Classifier, CoreError, GlobalPool, HostTensor, MethodConfig, MethodKind, PromptDepth,
};
use vpt_data::rng;
use vpt_eval::peak_memory_bytes;

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
    device: Device,
    batch_size: usize,
    steps: usize,
    pixels: TensorData,
    labels: Vec<usize>,
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
        const CLASSES: usize = 10;
        let model = Classifier::new(
            backbone,
            method,
            CLASSES,
            image_size,
            0,
            &device.clone().autodiff(),
        )?;
        let [height, width] = image_size;
        let mut rng = rng::rng(0, &[PIXELS]);
        let pixels = (0..batch_size * 3 * height * width)
            .map(|_| rng.random_range(-2.0..2.0))
            .collect();
        Ok(Self {
            model,
            device: device.clone(),
            batch_size,
            steps,
            pixels: TensorData::new::<f32, _>(pixels, [batch_size, 3, height, width]),
            labels: (0..batch_size).map(|image| image % CLASSES).collect(),
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
        let model = self.model.valid();
        let seconds = self.time(|| {
            let logits = model.forward(Tensor::from_data(self.pixels.clone(), &self.device));
            wait_for(&logits)
        })?;
        Ok(self.speed(seconds, self.forward_flop()))
    }

    /// Times the forward pass of this model and of `other` in turns, so that whatever else the machine does meanwhile falls on
    /// both alike.
    ///
    /// # Errors
    /// [`TrainError::Core`] when the device fails.
    pub fn infer_beside(&self, other: &Self) -> Result<[Speed; 2], TrainError> {
        let sides = [self, other];
        let models = sides.map(|side| side.model.valid());
        let mut seconds = [Vec::new(), Vec::new()];
        for round in 0..WARM_UP + self.steps {
            for ((side, model), seconds) in sides.into_iter().zip(&models).zip(&mut seconds) {
                let start = Instant::now();
                wait_for(&model.forward(Tensor::from_data(side.pixels.clone(), &side.device)))?;
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

    /// Times forward, backward and the optimiser's step.
    ///
    /// # Errors
    /// [`TrainError::Core`] when the device fails.
    pub fn train(&self) -> Result<Speed, TrainError> {
        let device = self.device.clone().autodiff();
        let weights = ClassWeights::None.weights(&vec![1; self.model.num_classes()]);
        let rows = Targets {
            smoothing: 0.0,
            grade_spread: 0.0,
            weights,
        }
        .rows(&self.labels, None);
        let targets = TensorData::new(rows, [self.batch_size, self.model.num_classes()]);
        let mut model = self.model.clone();
        let mut optimizer = GroupOptimizer::new(OptimizerConfig {
            opt: Opt::AdamW,
            momentum: 0.9,
            weight_decay: 1e-3,
            no_decay: model.no_decay_group(),
            head: model.no_decay_group(),
            head_lr_scale: 1.0,
        });
        let mut noise = rng::rng(0, &[PIXELS]);
        let seconds = self.time(|| {
            let pixels = Tensor::from_data(self.pixels.clone(), &device);
            let logits = model.forward_train(pixels, &mut noise);
            let loss = cross_entropy(logits, Tensor::from_data(targets.clone(), &device));
            let grads = loss.clone().div_scalar(self.batch_size as f32).backward();
            let grads = GradientsParams::from_grads(grads, &model);
            model = optimizer.step(1e-4, model.clone(), grads);
            wait_for(&loss.inner())?;
            // The update itself may still be on its way.
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
        }
    }

    /// GFLOP of one image's forward pass, in the form that the model runs.
    fn forward_flop(&self) -> f64 {
        let macs = self.macs();
        let deep = self
            .method()
            .prompts
            .as_ref()
            .is_some_and(|prompts| prompts.depth == PromptDepth::Deep);
        let prompts = match deep {
            true => macs.prompts_kv + macs.prompts_kv_per_batch / self.batch_size as u128,
            false => macs.prompts_plain,
        };
        let saved = match self.model.config().global_pool {
            GlobalPool::Token => macs.last_block_saving,
            GlobalPool::Avg | GlobalPool::Map => 0,
        };
        gflop(macs.backbone + macs.tuner + prompts - saved)
    }

    /// GFLOP of one image's training step: what a frozen layer saves is the gradient of its weights. The products of
    /// attention have no frozen side, so their backward costs twice their forward with any method that has prompts.
    fn train_flop(&self) -> f64 {
        let forward = self.forward_flop();
        let vit = self.model.config();
        let blocks = vit.depth as f64;
        let attention = gflop(self.macs().attention);
        let tuner = gflop(self.macs().tuner);
        match self.method().kind {
            MethodKind::Linear => forward,
            MethodKind::Mlp => forward + 2.0 * tuner,
            MethodKind::Full | MethodKind::Scratch => 3.0 * forward,
            MethodKind::Partial => forward * (1.0 + 2.0 * self.method().partial_blocks as f64 / blocks),
            // What they add has gradients of its weights too.
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

    #[test]
    fn every_method_is_measured() {
        let config = VitConfig {
            img_size: [32, 32],
            patch_size: [16, 16],
            embed_dim: 48,
            depth: 2,
            ..VitConfig::default()
        };
        let backbone = Backbone::random(config, 0, 1);
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
}
