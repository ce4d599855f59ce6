//! The kernels of GPUs against those of the CPU, operation by operation: values and gradients. On whatever adapter there is; a
//! software one (lavapipe) serves.
//!
//! A binary of its own, since a driver may take the process down. Without an adapter the tests print
//! that they are skipped; with `VPT_REQUIRE_WGPU=1` they fail instead.

#![cfg(feature = "wgpu")]
#![allow(clippy::print_stdout, reason = "tests say what they skip")]

mod adapter;

use burn::tensor::{Device, Distribution, Tensor, TensorData, Tolerance};
use vpt_core::{CoreError, HostTensor, ops};

/// What an operation makes of its inputs, and the gradient of each under a given gradient of the output.
fn results<const N: usize>(
    inputs: &[TensorData; N],
    weight: &TensorData,
    device: &Device,
    operation: &dyn Fn(&[Tensor<3>; N]) -> Tensor<3>,
) -> (TensorData, [TensorData; N]) {
    let device = device.clone().autodiff();
    let inputs = inputs
        .each_ref()
        .map(|data| Tensor::<3>::from_data(data.clone(), &device).require_grad());
    let output = operation(&inputs);
    let gradients = (output.clone() * Tensor::from_data(weight.clone(), &device))
        .sum()
        .backward();
    let gradients = inputs.map(|input| input.grad(&gradients).expect("every input counts").into_data());
    (output.into_data(), gradients)
}

/// Compares an operation on the adapter with the same on the CPU.
fn compare<const N: usize>(
    gpu: &Device,
    shapes: [[usize; 3]; N],
    output: [usize; 3],
    operation: impl Fn(&[Tensor<3>; N]) -> Tensor<3>,
) {
    let cpu = Device::flex();
    let random = |shape| Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.5), &cpu).into_data();
    let (inputs, weight) = (shapes.map(random), random(output));
    let (expected, expected_gradients) = results(&inputs, &weight, &cpu, &operation);
    let (found, found_gradients) = results(&inputs, &weight, gpu, &operation);
    found.assert_approx_eq::<f32>(&expected, Tolerance::rel_abs(1e-4, 1e-5));
    for (found, expected) in found_gradients.iter().zip(&expected_gradients) {
        found.assert_approx_eq::<f32>(expected, Tolerance::rel_abs(1e-3, 1e-4));
    }
}

#[test]
fn layer_norm() {
    let Some(gpu) = adapter::device() else { return };
    for dim in [5, 48, 64, 193] {
        compare(
            gpu,
            [[3, 17, dim], [1, 1, dim], [1, 1, dim]],
            [3, 17, dim],
            |[x, gamma, beta]| {
                let vector = |x: &Tensor<3>| x.clone().reshape([dim]);
                ops::layer_norm(x.clone(), vector(gamma), vector(beta), 1e-6)
            },
        );
    }
}

#[test]
fn gelu() {
    let Some(gpu) = adapter::device() else { return };
    compare(gpu, [[2, 9, 1001]], [2, 9, 1001], |[x]| ops::gelu(x.clone()));
}

#[test]
fn attention() {
    let Some(gpu) = adapter::device() else { return };
    for (batch, tokens, heads, dim, rows) in [(2, 7, 3, 24, 7), (3, 5, 1, 16, 1), (1, 70, 4, 64, 70)] {
        compare(gpu, [[batch, tokens, 3 * dim]], [batch, rows, dim], |[qkv]| {
            ops::attention(qkv.clone(), None, None, heads, rows)
        });
    }
}

#[test]
fn attention_with_prompts() {
    let Some(gpu) = adapter::device() else { return };
    for (sets, count, rows) in [(1, 1, 6), (1, 10, 6), (1, 10, 1), (4, 5, 6), (4, 70, 2)] {
        compare(
            gpu,
            [[4, 6, 72], [sets, count, 72]],
            [4, rows, 24],
            |[qkv, prompts]| ops::attention(qkv.clone(), Some(prompts.clone()), None, 3, rows),
        );
    }
}

/// As of an image of 1040 × 1040 pixels with patches of 16: four heads have 286 MB of scores, more than are held at a time, and more than a
/// buffer of a software adapter holds.
#[test]
fn attention_of_more_scores_than_are_held_at_a_time() {
    let Some(gpu) = adapter::device() else { return };
    compare(
        gpu,
        [[1, 4226, 48], [1, 10, 48]],
        [1, 4226, 16],
        |[qkv, prompts]| ops::attention(qkv.clone(), Some(prompts.clone()), None, 4, 4226),
    );
}

#[test]
fn more_than_the_device_has_room_for_is_an_error_that_says_so() {
    let Some(gpu) = adapter::device() else { return };
    let terabytes = Tensor::<2>::zeros([1 << 20, 1 << 20], gpu);
    let error = HostTensor::from_tensor(&terabytes).unwrap_err();
    assert!(matches!(error, CoreError::DeviceMemory { .. }), "{error}");
}

#[test]
fn tensors_need_not_lie_row_by_row() {
    let Some(gpu) = adapter::device() else { return };
    compare(gpu, [[4, 6, 24]], [6, 4, 24], |[x]| {
        ops::gelu(x.clone().swap_dims(0, 1))
    });
    compare(gpu, [[6, 2, 72], [1, 72, 3]], [2, 6, 24], |[qkv, prompts]| {
        let (qkv, prompts) = (qkv.clone().swap_dims(0, 1), prompts.clone().swap_dims(1, 2));
        ops::attention(qkv, Some(prompts), None, 3, 6)
    });
}

#[test]
fn extreme_scores_stay_finite() {
    let Some(gpu) = adapter::device() else { return };
    let qkv = Tensor::<3>::random([1, 3, 12], Distribution::Normal(0.0, 300.0), gpu);
    let out = ops::attention(qkv, None, None, 1, 3);
    assert!(out.into_data().iter::<f32>().all(f32::is_finite));
}

#[test]
fn there_may_be_more_rows_than_workgroups_along_one_axis() {
    let Some(gpu) = adapter::device() else { return };
    let x = Tensor::<2>::random([70_000, 16], Distribution::Normal(0.0, 1.5), &Device::flex()).into_data();
    let normalised = |device: &Device| {
        let (gamma, beta) = (Tensor::ones([16], device), Tensor::zeros([16], device));
        ops::layer_norm(Tensor::<2>::from_data(x.clone(), device), gamma, beta, 1e-6).into_data()
    };
    normalised(gpu).assert_approx_eq::<f32>(&normalised(&Device::flex()), Tolerance::rel_abs(1e-4, 1e-5));
}
