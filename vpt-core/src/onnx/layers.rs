//! The layers of a Vision Transformer but attention, from the modules that hold their parameters.

use burn::module::Param;
use burn::nn::Linear;

use super::graph::{Graph, Value};
use super::proto::AttributeProto;
use crate::CoreError;
use crate::methods::Bottleneck;
use crate::vit::{Activation, LayerNorm, LayerScale, Mlp, PatchEmbed, PatchMerging, VitConfig};

impl Graph {
    /// A linear layer on the last axis.
    pub fn linear(&mut self, name: &str, x: &Value, layer: &Linear) -> Result<Value, CoreError> {
        let weight = self.weight(&format!("{name}.weight"), &layer.weight.val())?;
        let product = self.matmul(name, x, &weight);
        match &layer.bias {
            None => Ok(product),
            Some(bias) => {
                let bias = self.weight(&format!("{name}.bias"), &bias.val())?;
                Ok(self.add(name, &product, &bias))
            }
        }
    }

    /// Layer normalisation over the last axis.
    pub fn layer_norm(&mut self, name: &str, x: &Value, norm: &LayerNorm) -> Result<Value, CoreError> {
        let weight = self.weight(&format!("{name}.weight"), &norm.weight.val())?;
        let bias = self.weight(&format!("{name}.bias"), &norm.bias.val())?;
        let attributes = vec![
            AttributeProto::int("axis", -1),
            AttributeProto::float("epsilon", norm.eps() as f32),
        ];
        Ok(self.node(name, "LayerNormalization", &[x, &weight, &bias], attributes))
    }

    /// [`Graph::layer_norm`] where there is one.
    pub fn maybe_norm(&mut self, name: &str, x: Value, norm: Option<&LayerNorm>) -> Result<Value, CoreError> {
        match norm {
            Some(norm) => self.layer_norm(name, &x, norm),
            None => Ok(x),
        }
    }

    /// LayerScale where there is one.
    pub fn maybe_scale(
        &mut self,
        name: &str,
        x: Value,
        scale: Option<&LayerScale>,
    ) -> Result<Value, CoreError> {
        let Some(scale) = scale else { return Ok(x) };
        let gamma = self.weight(&format!("{name}.gamma"), &scale.gamma.val())?;
        Ok(self.mul(name, &x, &gamma))
    }

    /// An activation of each element.
    pub fn activation(&mut self, layer: &str, x: &Value, act: Activation) -> Value {
        match act {
            Activation::Gelu => {
                // In the order of operations that programs recognise as one.
                let root = self.scalar(std::f32::consts::SQRT_2);
                let scaled = self.node(layer, "Div", &[x, &root], Vec::new());
                let erf = self.node(layer, "Erf", &[&scaled], Vec::new());
                let one = self.scalar(1.0);
                let sum = self.add(layer, &erf, &one);
                let doubled = self.mul(layer, x, &sum);
                self.scale(layer, &doubled, 0.5)
            }
            Activation::QuickGelu => {
                let scaled = self.scale(layer, x, 1.702);
                let gate = self.node(layer, "Sigmoid", &[&scaled], Vec::new());
                self.mul(layer, x, &gate)
            }
            Activation::GeluTanh => {
                // 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))
                let square = self.mul(layer, x, x);
                let cube = self.mul(layer, &square, x);
                let small = self.scale(layer, &cube, 0.044_715);
                let sum = self.add(layer, x, &small);
                let scaled = self.scale(layer, &sum, (2.0 * std::f64::consts::FRAC_1_PI).sqrt());
                let tanh = self.node(layer, "Tanh", &[&scaled], Vec::new());
                let one = self.scalar(1.0);
                let gate = self.add(layer, &tanh, &one);
                let doubled = self.mul(layer, x, &gate);
                self.scale(layer, &doubled, 0.5)
            }
            Activation::Silu => {
                let gate = self.node(layer, "Sigmoid", &[x], Vec::new());
                self.mul(layer, x, &gate)
            }
        }
    }

    /// A block's feed-forward half.
    pub fn mlp(&mut self, name: &str, x: &Value, mlp: &Mlp) -> Result<Value, CoreError> {
        let act = format!("{name}.act");
        let hidden = self.linear(&format!("{name}.fc1"), x, &mlp.fc1)?;
        let hidden = match mlp.is_gated() {
            false => self.activation(&act, &hidden, mlp.act()),
            true => {
                let width = mlp.fc1.weight.lazy_shape()[1] / 2;
                let [gate, value] = self.split(&act, &hidden, -1, width);
                let gate = self.activation(&act, &gate, mlp.act());
                self.mul(&act, &gate, &value)
            }
        };
        let hidden = self.maybe_norm(&format!("{name}.norm"), hidden, mlp.norm.as_ref())?;
        self.linear(&format!("{name}.fc2"), &hidden, &mlp.fc2)
    }

    /// An adapter's two layers, with what stands between them.
    pub fn bottleneck(
        &mut self,
        name: &str,
        x: &Value,
        layers: &Bottleneck,
        act: impl FnOnce(&mut Self, &Value) -> Value,
    ) -> Result<Value, CoreError> {
        let hidden = self.linear(&format!("{name}.down_proj"), x, &layers.down_proj)?;
        let hidden = act(self, &hidden);
        self.linear(&format!("{name}.up_proj"), &hidden, &layers.up_proj)
    }

    /// Image to patch tokens, `[batch, channels, height, width] → [batch, patches, D]`: a convolution.
    pub fn patch_embed(
        &mut self,
        pixels: &Value,
        embed: &PatchEmbed,
        config: &VitConfig,
    ) -> Result<Value, CoreError> {
        let name = "patch_embed.proj";
        let (dim, [height, width]) = (config.embed_dim, config.patch_size);
        let kernel = embed.proj.weight.val().transpose();
        let kernel = kernel.reshape([dim, config.in_chans, height, width]);
        let kernel = self.weight(&format!("{name}.weight"), &kernel)?;
        let bias = embed.proj.bias.as_ref().map(Param::val);
        let bias = bias
            .map(|bias| self.weight(&format!("{name}.bias"), &bias))
            .transpose()?;
        let inputs: Vec<_> = [Some(pixels), Some(&kernel), bias.as_ref()]
            .into_iter()
            .flatten()
            .collect();
        let sizes = [height, width];
        let attributes = ["kernel_shape", "strides"].map(|name| AttributeProto::ints(name, &sizes));
        let map = self.node(name, "Conv", &inputs, attributes.to_vec());
        let flat = self.reshape(name, &map, &[0, dim as i64, -1]);
        Ok(self.transpose(name, &flat, &[0, 2, 1]))
    }

    /// Four patches become one, `[batch, patches + others, D] → [batch, patches / 4 + others, 2 D]`; `count` is the number of
    /// tokens.
    pub fn patch_merging(
        &mut self,
        name: &str,
        tokens: &Value,
        merging: &PatchMerging,
        count: usize,
    ) -> Result<Value, CoreError> {
        let [rows, columns] = merging.grid();
        let (own, dim) = (rows * columns, merging.reduction.weight.lazy_shape()[0] / 4);
        let patches = self.slice(name, tokens, 1, 0, own);
        let [height, width, channels] = [rows, columns, dim].map(|length| length as i64);
        let map = self.reshape(name, &patches, &[0, height, width, channels]);
        let map = match (rows % 2, columns % 2) {
            (0, 0) => map,
            (below, right) => self.pad(name, &map, &[0, below, right, 0]),
        };
        let [height, width] = [rows, columns].map(|length| length.div_ceil(2) as i64);
        let squares = self.reshape(name, &map, &[0, height, 2, width, 2, channels]);
        let squares = self.transpose(name, &squares, &[0, 1, 3, 4, 2, 5]);
        let mut merged = self.reshape(name, &squares, &[0, height * width, 4 * channels]);
        if count > own {
            let others = self.slice(name, tokens, 1, own, count);
            let fourfold = self.concat(name, &[&others; 4], 2);
            merged = self.concat(name, &[&merged, &fourfold], 1);
        }
        let normed = self.layer_norm(&format!("{name}.norm"), &merged, &merging.norm)?;
        self.linear(&format!("{name}.reduction"), &normed, &merging.reduction)
    }
}
