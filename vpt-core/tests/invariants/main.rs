//! What must hold for every method, whatever the numbers are.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use vpt_core::methods::{LoraConfig, LoraTarget, MethodOptions};
use vpt_core::prompts::{Noise, PromptForm};
use vpt_core::vit::{Hook, TokensAt};
use vpt_core::{
    Backbone, Classifier, GlobalPool, HostTensor, MethodConfig, MethodKind, PromptConfig, PromptDepth,
    PromptInit, PromptPool, VitConfig, init, named_tensors, preset,
};

mod forms;
mod group;
mod randomness;
mod recomputation;

const CLASSES: usize = 3;
const BATCH: usize = 4;

/// A model small enough to train in milliseconds.
fn config() -> VitConfig {
    VitConfig {
        img_size: [16, 24],
        patch_size: [8, 8],
        embed_dim: 16,
        depth: 4,
        num_heads: 2,
        init_values: Some(0.5),
        reg_tokens: 1,
        ..VitConfig::default()
    }
}

fn backbone() -> Backbone {
    Backbone::random(config(), 0, 5)
}

fn pixels(device: &Device) -> Tensor<4> {
    init::normal([BATCH, 3, 16, 24], 1.0, &mut init::rng_of(1, "pixels")).to_tensor(device)
}

fn deep(num_tokens: usize) -> PromptConfig {
    PromptConfig::new(PromptDepth::Deep, num_tokens)
}

fn methods() -> Vec<MethodConfig> {
    let shallow = PromptConfig::new(PromptDepth::Shallow, 5);
    let narrow = PromptConfig {
        project_dim: Some(6),
        ..deep(5)
    };
    let gated = PromptConfig {
        gate: true,
        ..shallow.clone()
    };
    let mut methods = vec![
        MethodConfig::vpt(deep(5)),
        MethodConfig::vpt(shallow),
        MethodConfig::vpt(narrow),
        MethodConfig::vpt(gated),
        MethodConfig {
            bias: true,
            ..MethodConfig::vpt(deep(5))
        },
        MethodConfig {
            lora: Some(LoraConfig {
                targets: LoraTarget::ALL.to_vec(),
                ..LoraConfig::default()
            }),
            ..MethodConfig::new(MethodKind::Lora)
        },
    ];
    let others = MethodKind::ALL
        .into_iter()
        .filter(|kind| kind.prompt_depth().is_none());
    methods.extend(others.map(MethodConfig::new));
    methods
}

/// The model with random values added to everything that is learned, so that what starts at zero takes part.
fn stirred(model: Classifier) -> Classifier {
    let mut tuned = model.tuned_tensors();
    for (name, tensor) in &mut tuned {
        let noise = init::normal(tensor.shape.clone(), 0.1, &mut init::rng_of(4, name));
        tensor
            .data
            .iter_mut()
            .zip(noise.data)
            .for_each(|(x, noise)| *x += noise);
    }
    model.load_tuned(&tuned).expect("its own tensors")
}

fn build(method: &MethodConfig, seed: u64, device: &Device) -> Classifier {
    Classifier::new(&backbone(), method, CLASSES, [16, 24], seed, device).expect("the method fits")
}

fn loss(logits: Tensor<2>) -> Tensor<1> {
    let weights: Vec<f32> = (0..BATCH * CLASSES).map(|i| (i as f32).sin()).collect();
    let weights = Tensor::<2>::from_data(TensorData::new(weights, [BATCH, CLASSES]), &logits.device());
    (logits * weights).sum()
}

fn host<const R: usize>(tensor: &Tensor<R>) -> HostTensor {
    HostTensor::from_tensor(tensor).expect("the device delivers")
}

/// All values, by task-file name.
fn values(model: &Classifier) -> BTreeMap<String, HostTensor> {
    named_tensors::read(model, model.config(), |_| true)
}

fn largest_difference(a: &HostTensor, b: &HostTensor) -> f32 {
    assert_eq!(a.shape, b.shape);
    let pairs = a.data.iter().zip(&b.data);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}
