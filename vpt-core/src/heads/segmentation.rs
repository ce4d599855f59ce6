//! [`SegmentationHead`]: a class for every pixel.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

use super::SegmentationDecoder;
use super::config::{HEAD_START, he, linear_tensors, norm_tensors};
use super::maps::{conv3x3, resize_bilinear, upsample2};
use super::pyramid::EPS;
use crate::methods::AddedTensor;
use crate::ops;
use crate::vit::{LayerNorm, linear};

/// From tokens to pixels: perhaps steps that double the map, one linear layer to the classes, bilinear interpolation.
#[derive(Module, Debug)]
pub struct SegmentationHead {
    /// `[D → width]`, before the steps.
    pub reduce: Option<Linear>,
    /// Behind it.
    pub norm: Option<LayerNorm>,
    /// Each doubles height and width and halves the channels.
    pub steps: Vec<UpStep>,
    /// `[channels → classes]`.
    pub cls: Linear,
}

/// Doubles height and width.
#[derive(Module, Debug)]
pub struct UpStep {
    /// `[inputs → 4 outputs]`.
    pub up: Linear,
    /// `[9 outputs → outputs]`.
    pub conv: Linear,
    /// Behind both.
    pub norm: LayerNorm,
}

/// Channels before and behind each step: halved, but not below eight.
fn channels(width: usize, steps: usize) -> impl Iterator<Item = [usize; 2]> {
    let behind = move |step: usize| (width >> step).max(width.min(8));
    (0..steps).map(move |step| [behind(step), behind(step + 1)])
}

/// The head's parameters.
pub(super) fn added(inputs: usize, decoder: SegmentationDecoder, num_classes: usize) -> Vec<AddedTensor> {
    let mut tensors = Vec::new();
    let mut last = inputs;
    if let SegmentationDecoder::Progressive { width, steps } = decoder {
        tensors.extend(linear_tensors("head.reduce", inputs, width, he(inputs)));
        tensors.extend(norm_tensors("head.norm", width));
        last = width;
        for (i, [before, behind]) in channels(width, steps).enumerate() {
            let name = format!("head.steps.{i}");
            tensors.extend(linear_tensors(
                &format!("{name}.up"),
                before,
                4 * behind,
                he(before),
            ));
            tensors.extend(linear_tensors(
                &format!("{name}.conv"),
                9 * behind,
                behind,
                he(9 * behind),
            ));
            tensors.extend(norm_tensors(&format!("{name}.norm"), behind));
            last = behind;
        }
    }
    tensors.extend(linear_tensors("head.cls", last, num_classes, HEAD_START));
    tensors
}

/// Multiply-adds on a map of `grid` with `inputs` channels, without the interpolation at the end.
pub(super) fn macs(
    grid: [usize; 2],
    inputs: usize,
    decoder: SegmentationDecoder,
    num_classes: usize,
) -> u128 {
    let mut places = grid.iter().product::<usize>() as u128;
    let SegmentationDecoder::Progressive { width, steps } = decoder else {
        return places * (inputs * num_classes) as u128;
    };
    let (mut macs, mut last) = (places * (inputs * width) as u128, width);
    for [before, behind] in channels(width, steps) {
        macs += places * (before * 4 * behind) as u128;
        places *= 4;
        macs += places * (9 * behind * behind) as u128;
        last = behind;
    }
    macs + places * (last * num_classes) as u128
}

impl SegmentationHead {
    /// A head on `inputs` channels whose parameters are to be loaded.
    pub fn new(inputs: usize, decoder: SegmentationDecoder, num_classes: usize, device: &Device) -> Self {
        let SegmentationDecoder::Progressive { width, steps } = decoder else {
            return Self {
                reduce: None,
                norm: None,
                steps: Vec::new(),
                cls: linear(inputs, num_classes, true, device),
            };
        };
        let step = |[before, behind]: [usize; 2]| UpStep {
            up: linear(before, 4 * behind, true, device),
            conv: linear(9 * behind, behind, true, device),
            norm: LayerNorm::new(behind, EPS, device),
        };
        let last = channels(width, steps).last().map_or(width, |[_, behind]| behind);
        Self {
            reduce: Some(linear(inputs, width, true, device)),
            norm: Some(LayerNorm::new(width, EPS, device)),
            steps: channels(width, steps).map(step).collect(),
            cls: linear(last, num_classes, true, device),
        }
    }

    /// From the backbone's map `[batch, h, w, D]` to logits of every pixel, `[batch, size.0, size.1, classes]`.
    pub fn forward(&self, map: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        let map = match (&self.reduce, &self.norm) {
            (Some(reduce), Some(norm)) => ops::gelu(norm.forward(ops::linear(map, reduce))),
            _ => map,
        };
        let finer = |map, step: &UpStep| {
            let up = upsample2(map, &step.up);
            ops::gelu(step.norm.forward(conv3x3(up, &step.conv)))
        };
        let map = self.steps.iter().fold(map, finer);
        resize_bilinear(ops::linear(map, &self.cls), size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::{Head, HeadConfig};
    use crate::vit::VitConfig;
    use crate::{init, named_tensors};

    #[test]
    fn heads_have_the_parameters_that_they_say_and_answer_for_every_pixel() {
        let device = Device::flex();
        for (decoder, parameters) in [
            (SegmentationDecoder::Linear, 12 * 3 + 3),
            (
                SegmentationDecoder::Progressive { width: 16, steps: 2 },
                (12 * 16 + 16 + 32)
                    + (16 * 32 + 32 + 72 * 8 + 8 + 16)
                    + (8 * 32 + 32 + 72 * 8 + 8 + 16)
                    + (8 * 3 + 3),
            ),
        ] {
            let config = HeadConfig::Segmentation { decoder };
            let mut start = AddedTensor::initial(Head::added(&config, 12, 3), 3);
            let head = SegmentationHead::new(12, decoder, 3, &device);
            let expected = named_tensors::describe(&head, &VitConfig::default());
            let head = named_tensors::load(head, |name| {
                let tensor = start.remove(&format!("head.{name}"))?;
                assert_eq!(tensor.shape, expected[name].shape, "{name}");
                Some(std::borrow::Cow::Owned(tensor))
            });
            assert!(start.is_empty(), "{:?}", start.keys());
            assert_eq!(head.num_params(), parameters);
            let map = init::normal([2, 3, 5, 12], 1.0, &mut init::rng_of(0, "map")).to_tensor(&device);
            assert_eq!(head.forward(map, [48, 77]).dims(), [2, 48, 77, 3]);
        }
    }
}
