//! The fused kernels against Burn's own operations, values and gradients.

use burn::tensor::{DType, Device, Distribution, Tensor, Tolerance};

use super::{RotaryLayout, RotaryPlace, composed, fused};
use crate::Precision;

fn device() -> Device {
    Device::flex().autodiff()
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.5), &device()).require_grad()
}

/// Compares two functions and the gradients of all their inputs under a random output gradient.
fn compare<const N: usize>(
    inputs: [Tensor<3>; N],
    left: impl Fn(&[Tensor<3>; N]) -> Tensor<3>,
    right: impl Fn(&[Tensor<3>; N]) -> Tensor<3>,
) {
    let (y_left, y_right) = (left(&inputs), right(&inputs));
    let weight = Tensor::random(y_left.dims(), Distribution::Normal(0.0, 1.0), &device());
    let close = Tolerance::<f32>::rel_abs(1e-4, 1e-5);
    y_left.to_data().assert_approx_eq(&y_right.to_data(), close);
    let grads_left = (y_left * weight.clone()).sum().backward();
    let grads_right = (y_right * weight).sum().backward();
    for (index, input) in inputs.iter().enumerate() {
        match (input.grad(&grads_left), input.grad(&grads_right)) {
            (Some(a), Some(b)) => a
                .to_data()
                .assert_approx_eq::<f32>(&b.to_data(), Tolerance::rel_abs(1e-3, 1e-4)),
            (a, b) => panic!("input {index}: gradient {} against {}", a.is_some(), b.is_some()),
        }
    }
}

#[test]
fn linear_equals_burns() {
    for (rows, inputs, outputs) in [(1, 3, 5), (7, 48, 96), (300, 64, 193)] {
        let matrix = |x: &Tensor<3>| x.clone().reshape([inputs, outputs]);
        let vector = |x: &Tensor<3>| x.clone().reshape([outputs]);
        let burns = |x: &Tensor<3>, weight: &Tensor<3>| x.clone().matmul(matrix(weight).unsqueeze());
        compare(
            [
                random([2, rows, inputs]),
                random([1, inputs, outputs]),
                random([1, 1, outputs]),
            ],
            |[x, w, b]| fused::linear(x.clone(), matrix(w), Some(vector(b))),
            |[x, w, b]| burns(x, w) + b.clone(),
        );
        compare(
            [random([2, rows, inputs]), random([1, inputs, outputs])],
            |[x, w]| fused::linear(x.clone(), matrix(w), None),
            |[x, w]| burns(x, w),
        );
    }
}

#[test]
fn weights_in_fewer_bits_are_multiplied_as_what_they_stand_for() {
    for (inputs, outputs) in [(3, 4), (48, 144), (65, 1312)] {
        let weight = random([inputs, outputs]).inner();
        let vector = |x: &Tensor<3>| x.clone().reshape([outputs]);
        for precision in Precision::ALL {
            let stored = precision.store(weight.clone());
            let wide = stored.clone().dequantize().cast(DType::F32);
            let wide = Tensor::from_inner(wide).unsqueeze::<3>();
            let stored = Tensor::from_inner(stored);
            compare(
                [random([2, 9, inputs]), random([1, 1, outputs])],
                |[x, b]| fused::linear(x.clone(), stored.clone(), Some(vector(b))),
                |[x, b]| x.clone().matmul(wide.clone()) + b.clone(),
            );
        }
        // A value is off by no more than half a step, of which there are 127 to the largest of its block.
        let largest = weight.clone().abs().max().into_scalar::<f32>();
        let rounded = Precision::Int8.store(weight.clone()).dequantize();
        let apart = (rounded - weight).abs().max().into_scalar::<f32>();
        assert!(
            apart > 0.0 && apart <= 0.51 * largest / 127.0,
            "{apart} of {largest}"
        );
    }
}

#[test]
fn layer_norm_equals_the_composed_form() {
    for dim in [5, 48, 193] {
        let affine = |x: &Tensor<3>| x.clone().reshape([dim]);
        compare(
            [random([3, 17, dim]), random([1, 1, dim]), random([1, 1, dim])],
            |[x, g, b]| fused::layer_norm(x.clone(), affine(g), affine(b), 1e-6),
            |[x, g, b]| composed::layer_norm(x.clone(), affine(g), affine(b), 1e-6),
        );
    }
}

#[test]
fn gelu_equals_burns() {
    compare(
        [random([2, 9, 1001])],
        |[x]| fused::gelu(x.clone()),
        |[x]| burn::tensor::activation::gelu(x.clone()),
    );
}

#[test]
fn attention_equals_the_composed_form() {
    for (batch, tokens, heads, dim, rows) in [(2, 7, 3, 24, 7), (3, 5, 1, 16, 1), (1, 18, 4, 64, 18)] {
        compare(
            [random([batch, tokens, 3 * dim])],
            |[qkv]| fused::attention(qkv.clone(), None, heads, rows),
            |[qkv]| composed::attention(qkv.clone(), None, None, heads, rows),
        );
    }
}

#[test]
fn attention_with_shared_prompts_equals_the_composed_form() {
    for (count, rows) in [(1, 6), (10, 6), (10, 1)] {
        compare(
            [random([4, 6, 72]), random([1, count, 72])],
            |[qkv, prompts]| fused::attention(qkv.clone(), Some(prompts.clone()), 3, rows),
            |[qkv, prompts]| composed::attention(qkv.clone(), Some(prompts.clone()), None, 3, rows),
        );
    }
}

#[test]
fn attention_with_a_prompt_set_per_image_equals_the_composed_form() {
    compare(
        [random([4, 6, 72]), random([4, 5, 72])],
        |[qkv, prompts]| fused::attention(qkv.clone(), Some(prompts.clone()), 3, 6),
        |[qkv, prompts]| composed::attention(qkv.clone(), Some(prompts.clone()), None, 3, 6),
    );
}

#[test]
fn rotary_equals_the_composed_form() {
    for layout in [RotaryLayout::Interleaved, RotaryLayout::Halves] {
        for (first, others) in [(0, 0), (5, 0), (1, 3)] {
            let (heads, head_dim, patches) = (3, 8, 6);
            let place = RotaryPlace { first, heads, layout };
            let angles = random([1, patches, head_dim / 2]).detach();
            let table = |x: Tensor<3>| x.reshape([patches, head_dim / 2]);
            let (cos, sin) = (table(angles.clone().cos()), table(angles.sin()));
            compare(
                [random([2, first + patches + others, 3 * heads * head_dim])],
                |[qkv]| fused::rotary(qkv.clone(), cos.clone(), sin.clone(), place),
                |[qkv]| composed::rotary(qkv.clone(), cos.clone(), sin.clone(), place),
            );
        }
    }
}

#[test]
fn a_frozen_input_gets_no_gradient_and_inference_needs_no_tape() {
    let plain = Device::flex();
    let qkv = Tensor::<3>::random([2, 4, 36], Distribution::Normal(0.0, 1.0), &plain);
    let on_tape = fused::attention(Tensor::from_data(qkv.to_data(), &device()), None, 3, 4);
    let off_tape = fused::attention(qkv, None, 3, 4);
    assert_eq!(on_tape.to_data(), off_tape.to_data());
}

#[test]
fn extreme_scores_stay_finite() {
    let qkv = random([1, 3, 12]).mul_scalar(200.0);
    let out = fused::attention(qkv, None, 1, 3);
    assert!(out.to_data().iter::<f32>().all(f32::is_finite));
}
