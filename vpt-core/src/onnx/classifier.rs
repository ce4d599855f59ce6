//! From pixels to logits, node by node as the modules of a [`Classifier`] compute them.

use std::ops::Range;

use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use vpt_data::TaskKind;

use super::attention::Attended;
use super::graph::{Graph, Value};
use super::heads::Map;
use crate::heads::{DetectionHead, Head};
use crate::methods::{ADAPTFORMER_SCALE, Bottleneck, Ssf, Tuner};
use crate::prompts::Prompts;
use crate::vit::{Activation, Block, Readout, VisionTransformer};
use crate::{Classifier, CoreError, HostTensor};

/// An output of the graph.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// Its name.
    pub name: &'static str,
    pub value: Value,
    /// Its shape behind the batch.
    pub shape: Vec<usize>,
}

impl Answer {
    fn new(name: &'static str, value: Value, shape: &[usize]) -> Self {
        let shape = shape.to_vec();
        Self { name, value, shape }
    }
}

/// Tokens of an image on their way through the blocks.
struct Tokens {
    /// `[batch, count, D]`.
    value: Value,
    count: usize,
}

impl Graph {
    /// Pixels `[batch, channels, height, width]` to what the model answers, each part with its name and its shape behind the batch:
    /// `logits` and `probs` of an image; `boxes` and `scores` of every point; `logits` and `probs` of every pixel, classes first.
    ///
    /// # Errors
    /// [`CoreError::Setting`] for weights that are not finite.
    pub fn answers(
        &mut self,
        pixels: &Value,
        model: &Classifier,
        kind: TaskKind,
        temperature: f64,
    ) -> Result<Vec<Answer>, CoreError> {
        let tokens = self.behind_blocks(pixels, model)?;
        let classes = model.num_classes();
        match &model.head {
            Head::Linear(head) => {
                let logits = self.pooled_logits(tokens, model, head)?;
                let probs = self.probabilities(&logits, temperature, kind);
                let answer = |name, value| Answer::new(name, value, &[classes]);
                Ok(vec![answer("logits", logits), answer("probs", probs)])
            }
            Head::Detection(head) => {
                let map = self.map(tokens, model)?;
                let ([rows, columns], [height, width]) = (map.grid, model.image_size());
                let points = DetectionHead::points(map.grid, [height / rows, width / columns]);
                let [boxes, logits] = self.detection(&map, head, &points)?;
                let scores = self.node("scores", "Sigmoid", &[&logits], Vec::new());
                Ok(vec![
                    Answer::new("boxes", boxes, &[points.len(), 4]),
                    Answer::new("scores", scores, &[points.len(), classes]),
                ])
            }
            Head::Segmentation(head) => {
                let map = self.map(tokens, model)?;
                let size @ [height, width] = model.image_size();
                let logits = self.segmentation(&map, head, size)?;
                let probs = self.softmax("probs", &logits);
                Ok([("logits", logits), ("probs", probs)]
                    .map(|(name, value)| {
                        let first = self.transpose(name, &value, &[0, 3, 1, 2]);
                        Answer::new(name, first, &[classes, height, width])
                    })
                    .to_vec())
            }
        }
    }

    /// The tokens that leave the last block.
    fn behind_blocks(&mut self, pixels: &Value, model: &Classifier) -> Result<Tokens, CoreError> {
        let (vit, readout) = (&model.backbone, model.readout());
        let mut tokens = self.embed(pixels, vit)?;
        tokens.value = self.maybe_norm("norm_pre", tokens.value, vit.norm_pre.as_ref())?;
        for (i, block) in vit.blocks.iter().enumerate() {
            tokens = match &model.tuner {
                Some(Tuner::Prompts(prompts)) => self.prompted_block(i, tokens, model, prompts)?,
                tuner => {
                    let entered = self.enter(i, tokens, vit)?;
                    let rows = vit.rows_after(i, readout);
                    self.block(i, block, &entered, None, rows, tuner.as_ref())?
                }
            };
        }
        Ok(tokens)
    }

    /// Logits of an image.
    fn pooled_logits(
        &mut self,
        tokens: Tokens,
        model: &Classifier,
        head: &Linear,
    ) -> Result<Value, CoreError> {
        let mut pooled = self.pool(tokens, model)?;
        if let Some(Tuner::Mlp(hidden)) = &model.tuner {
            for (i, layer) in hidden.mlp_head.iter().enumerate() {
                let name = format!("mlp_head.{i}");
                let values = self.linear(&name, &pooled, layer)?;
                pooled = self.activation(&name, &values, Activation::Gelu);
            }
        }
        self.linear("head", &pooled, head)
    }

    /// The normalised patches as a map.
    fn map(&mut self, tokens: Tokens, model: &Classifier) -> Result<Map, CoreError> {
        let vit = &model.backbone;
        let read = self.normalised(tokens, vit.patches(), model)?;
        let read = self.maybe_norm("fc_norm", read, vit.fc_norm.as_ref())?;
        let grid @ [rows, columns] = vit.grid();
        let shape = [0, rows as i64, columns as i64, vit.config().num_features() as i64];
        Ok(Map {
            value: self.reshape("map", &read, &shape),
            grid,
        })
    }

    /// Probabilities `[batch, classes]` as [`Calibration::probs_for`](crate::Calibration::probs_for) has them.
    pub fn probabilities(&mut self, logits: &Value, temperature: f64, kind: TaskKind) -> Value {
        let temperature = self.scalar(temperature as f32);
        let scaled = self.node("probs", "Div", &[logits, &temperature], Vec::new());
        match kind {
            TaskKind::Classification | TaskKind::Ordinal => self.softmax("probs", &scaled),
            TaskKind::MultiLabel | TaskKind::Detection | TaskKind::Segmentation => {
                self.node("probs", "Sigmoid", &[&scaled], Vec::new())
            }
        }
    }

    /// Image to tokens with position embedding.
    fn embed(&mut self, pixels: &Value, vit: &VisionTransformer) -> Result<Tokens, CoreError> {
        let mut value = self.patch_embed(pixels, &vit.patch_embed, vit.config())?;
        let count = vit.num_tokens_at(0);
        let (of_prefix, of_patches) = vit.positions();
        if let Some(positions) = of_patches {
            let positions = self.weight("pos_embed", &positions)?;
            value = self.add("pos_embed", &value, &positions);
        }
        if let Some(mut prefix) = vit.prefix() {
            if let Some(positions) = of_prefix {
                prefix = prefix + positions;
            }
            let prefix = self.weight("prefix_tokens", &prefix)?;
            let prefix = self.repeat_as("prefix_tokens", &prefix, 3, &value);
            value = self.concat("prefix_tokens", &[&prefix, &value], 1);
        }
        Ok(Tokens { value, count })
    }

    /// Tokens at the width of block `i`: merged where a stage begins.
    fn enter(&mut self, i: usize, tokens: Tokens, vit: &VisionTransformer) -> Result<Tokens, CoreError> {
        let Some(merging) = &vit.blocks[i].downsample else {
            return Ok(tokens);
        };
        let name = format!("blocks.{i}.downsample");
        let value = self.patch_merging(&name, &tokens.value, merging, tokens.count)?;
        let others = tokens.count - vit.num_tokens_at(i - 1);
        Ok(Tokens {
            value,
            count: vit.num_tokens_at(i) + others,
        })
    }

    /// Block `i` with its prompts: as keys and values where nobody reads what becomes of them, else as tokens.
    fn prompted_block(
        &mut self,
        i: usize,
        tokens: Tokens,
        model: &Classifier,
        prompts: &Prompts,
    ) -> Result<Tokens, CoreError> {
        let (vit, readout) = (&model.backbone, model.readout());
        let (block, own, name) = (
            &vit.blocks[i],
            vit.num_tokens_at(i),
            format!("blocks.{i}.prompts"),
        );
        let mut tokens = self.enter(i, tokens, vit)?;
        let mut folded = None;
        match prompts.at_block(vit, i) {
            Some(fresh) if prompts.outputs_read(vit, readout, i) => {
                tokens = self.with_prompts(&name, tokens, own, &fresh)?;
            }
            Some(fresh) => folded = Some(block.fold(fresh)),
            None => {}
        }
        let left = self.block(i, block, &tokens, folded, vit.rows_after(i, readout), None)?;
        match &prompts.gate {
            Some(gates) if i + 1 < vit.blocks.len() => {
                let gates = HostTensor::from_tensor(&sigmoid(gates.val()))?;
                let [before, after] =
                    [&tokens, &left].map(|of| self.slice(&name, &of.value, 1, own, of.count));
                let change = self.sub(&name, &after, &before);
                let change = self.scale(&name, &change, f64::from(gates.data[i]));
                let mixed = self.add(&name, &before, &change);
                let images = self.slice(&name, &left.value, 1, 0, own);
                let value = self.concat(&name, &[&images, &mixed], 1);
                Ok(Tokens { value, ..left })
            }
            _ => Ok(left),
        }
    }

    /// The first `own` tokens and the prompts `[1, P, D]` behind them.
    fn with_prompts(
        &mut self,
        name: &str,
        tokens: Tokens,
        own: usize,
        prompts: &Tensor<3>,
    ) -> Result<Tokens, CoreError> {
        let images = match tokens.count == own {
            true => tokens.value,
            false => self.slice(name, &tokens.value, 1, 0, own),
        };
        let fresh = self.weight(name, prompts)?;
        let fresh = self.repeat_as(name, &fresh, 3, &images);
        Ok(Tokens {
            value: self.concat(name, &[&images, &fresh], 1),
            count: own + prompts.dims()[1],
        })
    }

    /// A block, of whose output the first `rows` tokens are computed, all when none. Of the tuners, adapters take part here.
    fn block(
        &mut self,
        i: usize,
        block: &Block,
        tokens: &Tokens,
        prompts: Option<Tensor<3>>,
        rows: Option<usize>,
        tuner: Option<&Tuner>,
    ) -> Result<Tokens, CoreError> {
        let name = format!("blocks.{i}");
        let at = |part: &str| format!("{name}.{part}");
        let rows = rows.unwrap_or(tokens.count);
        let normed = self.layer_norm(&at("norm1"), &tokens.value, &block.norm1)?;
        let x = match rows == tokens.count {
            true => tokens.value.clone(),
            false => self.slice(&name, &tokens.value, 1, 0, rows),
        };
        let of = Attended {
            x: &normed,
            count: tokens.count,
            prompts,
            rows,
        };
        let attended = self.attention(&at("attn"), &block.attn, of)?;
        let mut attended = self.maybe_scale(&at("ls1"), attended, block.ls1.as_ref())?;
        if let Some(Tuner::Adapter(adapters)) = tuner {
            let adapter = &adapters.blocks[i].adapter_attn;
            attended = self.adapted(&at("adapter_attn"), &attended, adapter)?;
        }
        let x = self.add(&name, &x, &attended);
        let normed = self.layer_norm(&at("norm2"), &x, &block.norm2)?;
        let fed = self.mlp(&at("mlp"), &normed, &block.mlp)?;
        let mut fed = self.maybe_scale(&at("ls2"), fed, block.ls2.as_ref())?;
        match tuner {
            Some(Tuner::Adapter(adapters)) => {
                fed = self.adapted(&at("adapter_mlp"), &fed, &adapters.blocks[i].adapter_mlp)?;
            }
            Some(Tuner::Adaptformer(adaptformer)) => {
                let (name, layers) = (at("adaptmlp"), &adaptformer.blocks[i].adaptmlp);
                let relu = |graph: &mut Self, x: &Value| graph.node(&name, "Relu", &[x], Vec::new());
                let beside = self.bottleneck(&name, &x, layers, relu)?;
                let beside = self.scale(&name, &beside, ADAPTFORMER_SCALE);
                fed = self.add(&name, &fed, &beside);
            }
            // They act elsewhere; updates of low rank are part of the weights.
            Some(Tuner::Prompts(_) | Tuner::Lora(_) | Tuner::Ssf(_) | Tuner::Mlp(_)) | None => {}
        }
        Ok(Tokens {
            value: self.add(&name, &x, &fed),
            count: rows,
        })
    }

    /// Tokens of the last block behind the final norm, scaled and shifted as SSF does where no norm could take that up.
    fn normalised(
        &mut self,
        tokens: Tokens,
        range: Range<usize>,
        model: &Classifier,
    ) -> Result<Value, CoreError> {
        let read = match range == (0..tokens.count) {
            true => tokens.value,
            false => self.slice("pool", &tokens.value, 1, range.start, range.end),
        };
        let read = self.maybe_norm("norm", read, model.backbone.norm.as_ref())?;
        let Some(Tuner::Ssf(Ssf {
            ssf_scale_1: scale,
            ssf_shift_1: shift,
            ..
        })) = &model.tuner
        else {
            return Ok(read);
        };
        let scale = self.weight("ssf_scale_1", &scale.val())?;
        let shift = self.weight("ssf_shift_1", &shift.val())?;
        let scaled = self.mul("ssf_1", &read, &scale);
        Ok(self.add("ssf_1", &scaled, &shift))
    }

    /// From the last block's tokens to what the head reads, `[batch, width · D]`.
    fn pool(&mut self, tokens: Tokens, model: &Classifier) -> Result<Value, CoreError> {
        let (vit, readout) = (&model.backbone, model.readout());
        let range = match readout {
            Readout::First(count) => 0..*count,
            Readout::Mean(range) | Readout::Map(range) => range.clone(),
        };
        let read = self.normalised(tokens, range, model)?;
        let pooled = match (readout, &vit.attn_pool) {
            (Readout::First(count), _) => {
                let width = count * vit.config().num_features();
                self.reshape("pool", &read, &[0, width as i64])
            }
            (Readout::Map(_), Some(pool)) => self.attention_pool("attn_pool", &read, pool)?,
            (Readout::Mean(_) | Readout::Map(_), _) => self.mean("pool", &read, 1),
        };
        self.maybe_norm("fc_norm", pooled, vit.fc_norm.as_ref())
    }

    /// What a half of a block adds, with its adapter: `h + up(gelu(down(h)))`.
    fn adapted(&mut self, name: &str, added: &Value, adapter: &Bottleneck) -> Result<Value, CoreError> {
        let gelu = |graph: &mut Self, x: &Value| graph.activation(name, x, Activation::Gelu);
        let beside = self.bottleneck(name, added, adapter, gelu)?;
        Ok(self.add(name, added, &beside))
    }
}
