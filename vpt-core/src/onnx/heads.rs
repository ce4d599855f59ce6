//! Heads for boxes and masks, on the map of the patches `[batch, rows, columns, channels]`.
//!
//! Convolutions, which vpt computes as linear layers on rearranged neighbours, are `Conv` in the graph.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};

use super::graph::{Graph, Value};
use super::proto::AttributeProto;
use crate::CoreError;
use crate::heads::{DetectionHead, Point, SegmentationHead, grids, interpolation};
use crate::vit::{Activation, LayerNorm};

/// A map of known height and width; channels come last.
#[derive(Debug, Clone)]
pub(super) struct Map {
    /// `[batch, rows, columns, channels]`.
    pub value: Value,
    /// Rows and columns.
    pub grid: [usize; 2],
}

impl Graph {
    /// Every box that the head sees, `[batch, points, 4]`: left, upper, right and lower edge in pixels of the input; and the logits
    /// of its classes `[batch, points, classes]`. `points` are the head's.
    pub fn detection(
        &mut self,
        map: &Map,
        head: &DetectionHead,
        points: &[Point],
    ) -> Result<[Value; 2], CoreError> {
        let maps = self.pyramid(map, head)?;
        let cls = self.over_levels("head.cls", &maps, &head.cls_conv, &head.cls_norm)?;
        let logits = self.linear("head.cls", &cls, &head.cls)?;
        let reach = self.over_levels("head.box", &maps, &head.box_conv, &head.box_norm)?;
        let reach = self.linear("head.reach", &reach, &head.reach)?;
        let reach = self.node("head.reach", "Softplus", &[&reach], Vec::new());
        let constant = |graph: &mut Self, name: &str, of: fn(&Point) -> [f32; 4]| {
            let values: Vec<f32> = points.iter().flat_map(of).collect();
            let values = TensorData::new(values, [1, points.len(), 4]);
            graph.constant(name, &Tensor::<3>::from_data(values, &Device::flex()))
        };
        let strides = constant(self, "boxes.strides", |point| {
            [-point.stride, -point.stride, point.stride, point.stride]
        })?;
        let centres = constant(self, "boxes.points", |point| [point.x, point.y, point.x, point.y])?;
        let reach = self.mul("boxes", &reach, &strides);
        Ok([self.add("boxes", &centres, &reach), logits])
    }

    /// Maps of four resolutions.
    fn pyramid(&mut self, map: &Map, head: &DetectionHead) -> Result<Vec<Map>, CoreError> {
        let (name, pyramid) = ("head.pyramid", &head.pyramid);
        let at = |part: &str| format!("{name}.{part}");
        let reduced = self.linear(&at("reduce"), &map.value, &pyramid.reduce)?;
        let base = Map {
            value: self.normed_gelu(&at("norm"), &reduced, &pyramid.norm)?,
            grid: map.grid,
        };
        let mut maps = vec![self.upsampled(&at("finer"), &base, &pyramid.finer)?, base];
        for (i, layer) in pyramid.coarser.iter().enumerate() {
            let coarser = self.halved(&at(&format!("coarser.{i}")), &maps[i + 1], layer)?;
            maps.push(coarser);
        }
        debug_assert!(maps.iter().map(|map| map.grid).eq(grids(map.grid)));
        let smooth = pyramid.smooth.iter().zip(&pyramid.smooth_norm).enumerate();
        maps.into_iter()
            .zip(smooth)
            .map(|(map, (i, (layer, norm)))| {
                let name = at(&format!("smooth.{i}"));
                let [kernel, bias] = self.kernel(&name, layer)?;
                let value = self.convolved(&name, &map.value, &kernel, &bias);
                let value = self.normed_gelu(&at(&format!("smooth_norm.{i}")), &value, norm)?;
                Ok(Map { value, ..map })
            })
            .collect()
    }

    /// What one convolution, norm and activation make of all levels, as points `[batch, points, width]`.
    fn over_levels(
        &mut self,
        name: &str,
        maps: &[Map],
        conv: &Linear,
        norm: &LayerNorm,
    ) -> Result<Value, CoreError> {
        let layer = format!("{name}_conv");
        let [kernel, bias] = self.kernel(&layer, conv)?;
        let width = conv.weight.lazy_shape()[1] as i64;
        let points: Vec<Value> = maps
            .iter()
            .map(|map| {
                let hidden = self.convolved(&layer, &map.value, &kernel, &bias);
                self.reshape(&layer, &hidden, &[0, -1, width])
            })
            .collect();
        let points = self.concat(&layer, &points.iter().collect::<Vec<_>>(), 1);
        self.normed_gelu(&format!("{name}_norm"), &points, norm)
    }

    /// Logits of every pixel, `[batch, size.0, size.1, classes]`.
    pub fn segmentation(
        &mut self,
        map: &Map,
        head: &SegmentationHead,
        size: [usize; 2],
    ) -> Result<Value, CoreError> {
        let mut map = map.clone();
        if let (Some(reduce), Some(norm)) = (&head.reduce, &head.norm) {
            let reduced = self.linear("head.reduce", &map.value, reduce)?;
            map.value = self.normed_gelu("head.norm", &reduced, norm)?;
        }
        for (i, step) in head.steps.iter().enumerate() {
            let at = |part: &str| format!("head.steps.{i}.{part}");
            map = self.upsampled(&at("up"), &map, &step.up)?;
            let [kernel, bias] = self.kernel(&at("conv"), &step.conv)?;
            let value = self.convolved(&at("conv"), &map.value, &kernel, &bias);
            map.value = self.normed_gelu(&at("norm"), &value, &step.norm)?;
        }
        map.value = self.linear("head.cls", &map.value, &head.cls)?;
        self.resized(&map, head.cls.weight.lazy_shape()[1], size)
    }

    /// Bilinear interpolation, each axis one product.
    fn resized(&mut self, map: &Map, channels: usize, size: [usize; 2]) -> Result<Value, CoreError> {
        let (name, [rows, columns]) = ("resize", map.grid);
        let [height, all, channels] = [size[0], columns * channels, channels].map(|length| length as i64);
        let mut value = map.value.clone();
        if size[0] != rows {
            let weights = interpolation(rows, size[0], &Device::flex());
            let weights = self.constant("resize.rows", &weights)?;
            let flat = self.reshape(name, &value, &[0, rows as i64, all]);
            let taller = self.matmul(name, &weights, &flat);
            value = self.reshape(name, &taller, &[0, height, columns as i64, channels]);
        }
        if size[1] != columns {
            let weights = interpolation(columns, size[1], &Device::flex());
            let weights = self.constant("resize.columns", &weights)?;
            value = self.matmul(name, &weights, &value);
        }
        Ok(value)
    }

    fn normed_gelu(&mut self, name: &str, x: &Value, norm: &LayerNorm) -> Result<Value, CoreError> {
        let normed = self.layer_norm(name, x, norm)?;
        Ok(self.activation(name, &normed, Activation::Gelu))
    }

    /// Kernel `[outputs, inputs, 3, 3]` and bias of a layer on nine neighbours.
    fn kernel(&mut self, name: &str, layer: &Linear) -> Result<[Value; 2], CoreError> {
        let weight = layer.weight.val();
        let [neighbours, outputs] = weight.dims();
        let kernel = weight
            .reshape([3, 3, neighbours / 9, outputs])
            .permute([3, 2, 0, 1]);
        let bias = layer.bias.as_ref().map(Param::val);
        let bias = bias.unwrap_or_else(|| Tensor::zeros([outputs], &Device::flex()));
        Ok([
            self.weight(&format!("{name}.weight"), &kernel)?,
            self.weight(&format!("{name}.bias"), &bias)?,
        ])
    }

    /// A 3 × 3 convolution with zeros around the map.
    fn convolved(&mut self, name: &str, map: &Value, kernel: &Value, bias: &Value) -> Value {
        let first = self.transpose(name, map, &[0, 3, 1, 2]);
        let attributes = vec![
            AttributeProto::ints("kernel_shape", &[3, 3]),
            AttributeProto::ints("pads", &[1; 4]),
        ];
        let convolved = self.node(name, "Conv", &[&first, kernel, bias], attributes);
        self.transpose(name, &convolved, &[0, 2, 3, 1])
    }

    /// Twice the height and width: a transposed convolution of size and stride 2.
    fn upsampled(&mut self, name: &str, map: &Map, layer: &Linear) -> Result<Map, CoreError> {
        let spread = self.linear(name, &map.value, layer)?;
        let channels = (layer.weight.lazy_shape()[1] / 4) as i64;
        let [rows, columns] = map.grid.map(|length| length as i64);
        let squares = self.reshape(name, &spread, &[0, rows, columns, 2, 2, channels]);
        let squares = self.transpose(name, &squares, &[0, 1, 3, 2, 4, 5]);
        Ok(Map {
            value: self.reshape(name, &squares, &[0, 2 * rows, 2 * columns, channels]),
            grid: map.grid.map(|length| 2 * length),
        })
    }

    /// Half the height and width, rounded up: a convolution of size and stride 2.
    fn halved(&mut self, name: &str, map: &Map, layer: &Linear) -> Result<Map, CoreError> {
        let [below, right] = map.grid.map(|length| length % 2);
        let value = match (below, right) {
            (0, 0) => map.value.clone(),
            _ => self.pad(name, &map.value, &[0, below, right, 0]),
        };
        let grid = map.grid.map(|length| length.div_ceil(2));
        let channels = (layer.weight.lazy_shape()[0] / 4) as i64;
        let [rows, columns] = grid.map(|length| length as i64);
        let squares = self.reshape(name, &value, &[0, rows, 2, columns, 2, channels]);
        let squares = self.transpose(name, &squares, &[0, 1, 3, 2, 4, 5]);
        let gathered = self.reshape(name, &squares, &[0, rows, columns, 4 * channels]);
        Ok(Map {
            value: self.linear(name, &gathered, layer)?,
            grid,
        })
    }
}
