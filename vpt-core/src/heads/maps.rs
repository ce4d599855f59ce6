//! Operations of dense heads on maps `[batch, height, width, channels]`.
//!
//! Channels come last, so that every one of them is a linear layer on rearranged neighbours: convolutions of Burn are slow on some
//! backends, products of matrices are fast on all.

use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData, s};

use crate::ops;

/// A 3 × 3 convolution with zeros around the map: `[.., inputs] → [.., outputs]` by a layer `[9 · inputs → outputs]`, whose inputs are
/// the neighbours row by row, each with its channels.
pub fn conv3x3(map: Tensor<4>, layer: &Linear) -> Tensor<4> {
    let [_, height, width, _] = map.dims();
    let padded = padded(map, [1, 1], [1, 1]);
    let neighbours = (0..9).map(|place| {
        let (down, right) = (place / 3, place % 3);
        padded
            .clone()
            .slice(s![.., down..down + height, right..right + width, ..])
    });
    ops::linear(Tensor::cat(neighbours.collect(), 3), layer)
}

/// Doubles height and width: `[b, h, w, inputs] → [b, 2 h, 2 w, outputs]` by a layer `[inputs → 4 · outputs]`, a transposed convolution of size and
/// stride 2.
pub fn upsample2(map: Tensor<4>, layer: &Linear) -> Tensor<4> {
    let [batch, height, width, _] = map.dims();
    let spread = ops::linear(map, layer);
    let outputs = spread.dims()[3] / 4;
    spread
        .reshape([batch, height, width, 2, 2, outputs])
        .permute([0, 1, 3, 2, 4, 5])
        .reshape([batch, 2 * height, 2 * width, outputs])
}

/// Halves height and width, rounded up: `[b, h, w, inputs] → [b, ⌈h / 2⌉, ⌈w / 2⌉, outputs]` by a layer `[4 · inputs → outputs]`, a
/// convolution of size and stride 2.
pub fn halve(map: Tensor<4>, layer: &Linear) -> Tensor<4> {
    let [batch, height, width, inputs] = map.dims();
    let map = padded(map, [0, height % 2], [0, width % 2]);
    let (rows, columns) = (height.div_ceil(2), width.div_ceil(2));
    let gathered = map
        .reshape([batch, rows, 2, columns, 2, inputs])
        .permute([0, 1, 3, 2, 4, 5])
        .reshape([batch, rows, columns, 4 * inputs]);
    ops::linear(gathered, layer)
}

/// The map with rows and columns of zeros before and after it.
fn padded(map: Tensor<4>, rows: [usize; 2], columns: [usize; 2]) -> Tensor<4> {
    let widened = |map: Tensor<4>, axis: usize, [before, after]: [usize; 2]| {
        let zeros = |count: usize| {
            let mut shape = map.dims();
            shape[axis] = count;
            Tensor::zeros(shape, &map.device())
        };
        match [before, after] {
            [0, 0] => map,
            [0, after] => Tensor::cat(vec![map.clone(), zeros(after)], axis),
            [before, after] => Tensor::cat(vec![zeros(before), map.clone(), zeros(after)], axis),
        }
    };
    widened(widened(map, 1, rows), 2, columns)
}

/// Bilinear interpolation to `size` (`[height, width]`), pixel centres at one half and edges repeated, as PyTorch's `interpolate` with
/// `align_corners=False`.
pub fn resize_bilinear(map: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let [batch, height, width, channels] = map.dims();
    let device = map.device();
    // Each axis is one product with all else side by side.
    let map = match size[0] == height {
        true => map,
        false => weights(height, size[0], &device)
            .matmul(
                map.permute([1, 0, 2, 3])
                    .reshape([height, batch * width * channels]),
            )
            .reshape([size[0], batch, width, channels])
            .permute([1, 0, 2, 3]),
    };
    match size[1] == width {
        true => map,
        false => weights(width, size[1], &device)
            .matmul(
                map.permute([2, 0, 1, 3])
                    .reshape([width, batch * size[0] * channels]),
            )
            .reshape([size[1], batch, size[0], channels])
            .permute([1, 2, 0, 3]),
    }
}

/// `[to, from]`: what each of `to` places takes from `from` values.
pub fn weights(from: usize, to: usize, device: &Device) -> Tensor<2> {
    let mut matrix = vec![0.0f32; to * from];
    for (place, row) in matrix.chunks_exact_mut(from).enumerate() {
        let centre = (place as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        let centre = centre.clamp(0.0, (from - 1) as f64);
        let below = centre.floor() as usize;
        let share = centre - below as f64;
        row[below] += (1.0 - share) as f32;
        row[(below + 1).min(from - 1)] += share as f32;
    }
    Tensor::from_data(TensorData::new(matrix, [to, from]), device)
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::tensor::module::{conv_transpose2d, conv2d, interpolate};
    use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, InterpolateMode, InterpolateOptions};

    use super::*;
    use crate::{HostTensor, init};

    fn drawn<const R: usize>(shape: [usize; R], name: &str) -> Tensor<R> {
        init::normal(shape, 1.0, &mut init::rng_of(7, name)).to_tensor(&Device::flex())
    }

    fn layer(inputs: usize, outputs: usize) -> Linear {
        Linear {
            weight: Param::from_tensor(drawn([inputs, outputs], "weight")),
            bias: Some(Param::from_tensor(drawn([outputs], "bias"))),
        }
    }

    fn channels_first(map: Tensor<4>) -> Tensor<4> {
        map.permute([0, 3, 1, 2])
    }

    fn assert_close(ours: Tensor<4>, theirs: Tensor<4>) {
        assert_eq!(ours.dims(), theirs.dims());
        let apart = HostTensor::from_tensor(&(ours - theirs).abs().max())
            .unwrap()
            .data[0];
        assert!(apart < 1e-4, "{apart}");
    }

    #[test]
    fn convolution_is_that_of_burn() {
        let (map, layer) = (drawn([2, 5, 4, 3], "map"), layer(27, 6));
        // `[3, 3, in, out]` as `[out, in, 3, 3]`.
        let kernel = layer.weight.val().reshape([3, 3, 3, 6]).permute([3, 2, 0, 1]);
        let bias = layer.bias.as_ref().map(Param::val);
        let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        let theirs = conv2d(channels_first(map.clone()), kernel, bias, options);
        assert_close(channels_first(conv3x3(map, &layer)), theirs);
    }

    #[test]
    fn doubling_is_a_transposed_convolution() {
        let (map, layer) = (drawn([2, 3, 4, 5], "map"), layer(5, 4 * 2));
        let kernel = layer.weight.val().reshape([5, 2, 2, 2]).permute([0, 3, 1, 2]);
        let options = ConvTransposeOptions::new([2, 2], [0, 0], [0, 0], [1, 1], 1);
        let theirs = conv_transpose2d(channels_first(map.clone()), kernel, None, options);
        let bias = layer.bias.as_ref().map(Param::val).unwrap();
        let bias = bias
            .reshape([2, 2, 2])
            .permute([2, 0, 1])
            .reshape([1, 2, 2, 2])
            .repeat(&[1, 1, 3, 4]);
        assert_close(channels_first(upsample2(map, &layer)), theirs + bias);
    }

    #[test]
    fn halving_is_a_convolution_with_stride() {
        let (map, layer) = (drawn([2, 5, 3, 3], "map"), layer(12, 4));
        let kernel = layer.weight.val().reshape([2, 2, 3, 4]).permute([3, 2, 0, 1]);
        let bias = layer.bias.as_ref().map(Param::val);
        let even = channels_first(padded(map.clone(), [0, 1], [0, 1]));
        let theirs = conv2d(even, kernel, bias, ConvOptions::new([2, 2], [0, 0], [1, 1], 1));
        assert_close(channels_first(halve(map, &layer)), theirs);
    }

    #[test]
    fn bilinear_is_that_of_burn() {
        for size in [[9, 11], [5, 4], [2, 7]] {
            let map = drawn([2, 5, 4, 3], "map");
            let options = InterpolateOptions::new(InterpolateMode::Bilinear)
                .with_align_corners(false)
                .with_output_size(size);
            let theirs = interpolate(channels_first(map.clone()), options);
            assert_close(channels_first(resize_bilinear(map, size)), theirs);
        }
    }
}
