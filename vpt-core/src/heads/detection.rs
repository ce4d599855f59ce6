//! [`DetectionHead`]: objects from the tokens of a plain Vision Transformer, without anchors (FCOS, Tian et al. 2019).

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::softplus;
use burn::tensor::{Device, Tensor};

use super::config::{HEAD_START, he, linear_tensors, norm_tensors};
use super::maps::conv3x3;
use super::pyramid::{self, EPS, SimplePyramid, grids};
use crate::methods::{AddedTensor, Start};
use crate::ops;
use crate::vit::{LayerNorm, linear};

/// How likely every class is at every point before anything is learned (focal loss, Lin et al. 2017).
const PRIOR: f64 = 0.01;

/// How far a box reaches from its point before anything is learned, in strides.
const REACH: f64 = 4.0;

/// Says for each point of a pyramid how likely an object of each class is there, and how far its box reaches.
///
/// Both answers have one hidden convolution, shared by all levels. There is no separate centreness: the likelihood is trained to
/// be the overlap of box and object (quality focal loss, Li et al. 2020).
#[derive(Module, Debug)]
pub struct DetectionHead {
    /// Maps of four resolutions.
    pub pyramid: SimplePyramid,
    /// `[9 width → width]`, before the classes.
    pub cls_conv: Linear,
    /// Behind it.
    pub cls_norm: LayerNorm,
    /// `[width → classes]`.
    pub cls: Linear,
    /// `[9 width → width]`, before the boxes.
    pub box_conv: Linear,
    /// Behind it.
    pub box_norm: LayerNorm,
    /// `[width → 4]`.
    pub reach: Linear,
}

/// What the head says of a batch; points in the order of [`DetectionHead::points`].
#[derive(Debug, Clone)]
pub struct DetectionOutput {
    /// `[batch, points, classes]`; a sigmoid makes likelihoods of them.
    pub logits: Tensor<3>,
    /// `[batch, points, 4]`: how far the box reaches to the left, up, to the right and down, in strides of the point; positive.
    pub reach: Tensor<3>,
}

/// Where a prediction is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// From the left edge of the input, in pixels.
    pub x: f32,
    /// From its upper edge.
    pub y: f32,
    /// Distance to the next point of the same level, in pixels.
    pub stride: f32,
    /// Its level, 0 the finest.
    pub level: usize,
}

impl Point {
    /// Left, upper, right and lower edge in pixels of the input of a box that reaches so far to the left, up, to the right and down,
    /// in strides.
    ///
    /// # Panics
    /// For less than four numbers.
    pub fn bbox(&self, reach: &[f32]) -> [f32; 4] {
        [
            self.x - reach[0] * self.stride,
            self.y - reach[1] * self.stride,
            self.x + reach[2] * self.stride,
            self.y + reach[3] * self.stride,
        ]
    }
}

/// The head's parameters.
pub(super) fn added(inputs: usize, width: usize, num_classes: usize) -> Vec<AddedTensor> {
    let constant = |value: f64| Start::Normal {
        mean: value as f32,
        std: 0.0,
    };
    let mut tensors = pyramid::added("head.pyramid", inputs, width);
    for part in ["cls", "box"] {
        tensors.extend(linear_tensors(
            &format!("head.{part}_conv"),
            9 * width,
            width,
            he(9 * width),
        ));
        tensors.extend(norm_tensors(&format!("head.{part}_norm"), width));
    }
    let last = |name: &str, outputs: usize, bias: f64| {
        let [weight, mut shift] =
            <[AddedTensor; 2]>::try_from(linear_tensors(name, width, outputs, HEAD_START))
                .expect("a layer has a weight and a bias");
        shift.start = constant(bias);
        [weight, shift]
    };
    tensors.extend(last("head.cls", num_classes, -((1.0 - PRIOR) / PRIOR).ln()));
    // The inverse of softplus.
    tensors.extend(last("head.reach", 4, REACH.exp_m1().ln()));
    tensors
}

/// Multiply-adds on a map of `grid` with `inputs` channels.
pub(super) fn macs(grid: [usize; 2], inputs: usize, width: usize, num_classes: usize) -> u128 {
    let places: usize = grids(grid)
        .iter()
        .map(|grid| grid.iter().product::<usize>())
        .sum();
    let of_place = 2 * 9 * width * width + width * (num_classes + 4);
    pyramid::macs(grid, inputs, width) + places as u128 * of_place as u128
}

impl DetectionHead {
    /// A head on `inputs` channels whose parameters are to be loaded.
    pub fn new(inputs: usize, width: usize, num_classes: usize, device: &Device) -> Self {
        let norm = || LayerNorm::new(width, EPS, device);
        Self {
            pyramid: SimplePyramid::new(inputs, width, device),
            cls_conv: linear(9 * width, width, true, device),
            cls_norm: norm(),
            cls: linear(width, num_classes, true, device),
            box_conv: linear(9 * width, width, true, device),
            box_norm: norm(),
            reach: linear(width, 4, true, device),
        }
    }

    /// From the backbone's map `[batch, h, w, D]`.
    pub fn forward(&self, map: Tensor<4>) -> DetectionOutput {
        let hidden =
            |map: Tensor<4>, conv: &Linear, norm: &LayerNorm| ops::gelu(norm.forward(conv3x3(map, conv)));
        let (logits, reach) = self
            .pyramid
            .forward(map)
            .into_iter()
            .map(|map| {
                let cls = ops::linear(hidden(map.clone(), &self.cls_conv, &self.cls_norm), &self.cls);
                let reach = ops::linear(hidden(map, &self.box_conv, &self.box_norm), &self.reach);
                (as_points(cls), as_points(reach))
            })
            .unzip();
        DetectionOutput {
            logits: Tensor::cat(logits, 1),
            reach: softplus(Tensor::cat(reach, 1), 1.0),
        }
    }

    /// The points of all levels, the finest first, row by row, for a backbone whose map is `grid` (`[h, w]`) of patches of `patch` pixels
    /// (`[height, width]`). Where patches are not square, a point's stride is the mean of their sides.
    pub fn points(grid: [usize; 2], patch: [usize; 2]) -> Vec<Point> {
        let level = |(level, [rows, columns]): (usize, [usize; 2])| {
            let step = patch.map(|edge| edge as f32 / 2.0 * (1 << level) as f32);
            let stride = f32::midpoint(step[0], step[1]);
            (0..rows * columns).map(move |place| Point {
                x: ((place % columns) as f32 + 0.5) * step[1],
                y: ((place / columns) as f32 + 0.5) * step[0],
                stride,
                level,
            })
        };
        grids(grid).into_iter().enumerate().flat_map(level).collect()
    }
}

/// `[batch, h, w, C] → [batch, h · w, C]`.
fn as_points(map: Tensor<4>) -> Tensor<3> {
    let [batch, height, width, channels] = map.dims();
    map.reshape([batch, height * width, channels])
}

#[cfg(test)]
mod tests {
    use burn::tensor::activation::sigmoid;

    use super::*;
    use crate::heads::{Head, HeadConfig};
    use crate::vit::VitConfig;
    use crate::{HostTensor, init, named_tensors};

    fn head(classes: usize) -> DetectionHead {
        let config = HeadConfig::Detection { width: 8 };
        let device = Device::flex();
        let mut start = AddedTensor::initial(Head::added(&config, 12, classes), 3);
        let head = DetectionHead::new(12, 8, classes, &device);
        let expected = named_tensors::describe(&head, &VitConfig::default());
        assert_eq!(expected.len(), start.len());
        let head = named_tensors::load(head, |name| {
            let tensor = start.remove(&format!("head.{name}"))?;
            assert_eq!(tensor.shape, expected[name].shape, "{name}");
            Some(std::borrow::Cow::Owned(tensor))
        });
        assert!(start.is_empty(), "{:?}", start.keys());
        head
    }

    #[test]
    fn every_point_has_an_answer_and_starts_at_the_prior() {
        let map = init::normal([2, 3, 5, 12], 1.0, &mut init::rng_of(0, "map")).to_tensor(&Device::flex());
        let output = head(2).forward(map);
        let points = DetectionHead::points([3, 5], [16, 16]);
        assert_eq!(points.len(), 6 * 10 + 15 + 6 + 2);
        assert_eq!(output.logits.dims(), [2, points.len(), 2]);
        assert_eq!(output.reach.dims(), [2, points.len(), 4]);
        let mean = |x: Tensor<3>| HostTensor::from_tensor(&x.mean()).unwrap().data[0];
        assert!((mean(sigmoid(output.logits)) - 0.01).abs() < 0.005);
        assert!((mean(output.reach) - 4.0).abs() < 0.2);
    }

    #[test]
    fn points_lie_in_the_middle_of_their_cells() {
        let points = DetectionHead::points([3, 5], [16, 8]);
        let at = |index: usize| (points[index].x, points[index].y, points[index].level);
        assert_eq!(at(0), (2.0, 4.0, 0));
        assert_eq!(at(11), (6.0, 12.0, 0));
        assert_eq!(at(60), (4.0, 8.0, 1));
        assert_eq!(points[60].stride, 12.0);
        assert_eq!(at(75), (8.0, 16.0, 2));
        assert_eq!(at(81), (16.0, 32.0, 3));
    }
}
