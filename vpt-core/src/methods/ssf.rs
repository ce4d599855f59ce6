//! SSF: a learned scale and shift of the channels behind every operation (Lian et al. 2022, arXiv 2210.08823).
//!
//! Behind the projection of the patches, each block's norms and linear layers, and the final norm; in a Swin Transformer also
//! behind the norms of the patch embedding and of merged patches. Names are those of the official code:
//! `blocks.0.ssf_scale_1` (norm1), `blocks.0.attn.ssf_scale_2` (proj), `blocks.0.mlp.ssf_shift_1` (fc1), `ssf_scale_1` (norm).

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, s};

use super::added::{AddedTensor, Start};
use crate::vit::{Adapt, LayerNorm, Site, VisionTransformer, VitConfig, placeholder};

/// Standard deviation of the initial scales (around 1) and shifts (around 0).
const STD: f64 = 0.02;

/// Whether the parameter is learned beside the head: scales and shifts.
pub(super) fn tunes(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.starts_with("ssf_scale_") || last.starts_with("ssf_shift_")
}

/// What is added to a backbone: two values for each channel of each place.
pub(super) fn added(vit: &VitConfig) -> Vec<AddedTensor> {
    let mut tensors = Vec::new();
    let mut places = |prefix: &str, widths: &[usize]| {
        for (place, &width) in (1..).zip(widths) {
            let scale = Start::Normal { mean: 1.0, std: STD };
            let shift = Start::Normal { mean: 0.0, std: STD };
            tensors.push(AddedTensor::new(
                format!("{prefix}ssf_scale_{place}"),
                [width],
                scale,
            ));
            tensors.push(AddedTensor::new(
                format!("{prefix}ssf_shift_{place}"),
                [width],
                shift,
            ));
        }
    };
    let dim = vit.embed_dim;
    let embedded = 1 + usize::from(vit.pre_norm);
    places("patch_embed.", &[dim; 2][..embedded]);
    for i in 0..vit.depth {
        let at = vit.at_block(i);
        let dim = at.embed_dim;
        if vit.merges_before(i) {
            places(&format!("blocks.{i}.downsample."), &[2 * dim]);
        }
        places(&format!("blocks.{i}."), &[dim, dim]);
        places(&format!("blocks.{i}.attn."), &[3 * dim, dim]);
        places(&format!("blocks.{i}.mlp."), &[at.mlp_fc1(), dim]);
    }
    places("", &[vit.num_features()]);
    tensors
}

/// The scales and shifts of a backbone; fields are named as in the official code.
#[derive(Module, Debug)]
pub struct Ssf {
    /// Behind the projection of the patches and the norm before the first block, if any.
    pub patch_embed: Ssf2,
    /// Those of each block.
    pub blocks: Vec<SsfBlock>,
    /// Scale behind the final norm, `[D]`.
    pub ssf_scale_1: Param<Tensor<1>>,
    /// Shift behind the final norm, `[D]`.
    pub ssf_shift_1: Param<Tensor<1>>,
}

/// The scales and shifts of a block.
#[derive(Module, Debug)]
pub struct SsfBlock {
    /// Behind the norm of merged patches, where patches are merged.
    pub downsample: Option<Ssf2>,
    /// Scale behind `norm1`.
    pub ssf_scale_1: Param<Tensor<1>>,
    /// Shift behind `norm1`.
    pub ssf_shift_1: Param<Tensor<1>>,
    /// Scale behind `norm2`.
    pub ssf_scale_2: Param<Tensor<1>>,
    /// Shift behind `norm2`.
    pub ssf_shift_2: Param<Tensor<1>>,
    /// Behind `qkv` and `proj`.
    pub attn: Ssf2,
    /// Behind `fc1` and `fc2`.
    pub mlp: Ssf2,
}

/// The scales and shifts of one or two places.
#[derive(Module, Debug)]
pub struct Ssf2 {
    /// Scale at the first place.
    pub ssf_scale_1: Param<Tensor<1>>,
    /// Shift at the first place.
    pub ssf_shift_1: Param<Tensor<1>>,
    /// Scale at the second place, if there is one.
    pub ssf_scale_2: Option<Param<Tensor<1>>>,
    /// Shift at the second place, if there is one.
    pub ssf_shift_2: Option<Param<Tensor<1>>>,
}

impl Ssf2 {
    fn new(first: usize, second: Option<usize>, device: &Device) -> Self {
        let channels = |width| placeholder([width], device);
        Self {
            ssf_scale_1: channels(first),
            ssf_shift_1: channels(first),
            ssf_scale_2: second.map(channels),
            ssf_shift_2: second.map(channels),
        }
    }

    fn first(&self, x: Tensor<3>) -> Tensor<3> {
        scaled(x, &self.ssf_scale_1, &self.ssf_shift_1)
    }

    fn second(&self, x: Tensor<3>) -> Tensor<3> {
        match (&self.ssf_scale_2, &self.ssf_shift_2) {
            (Some(scale), Some(shift)) => scaled(x, scale, shift),
            _ => x,
        }
    }
}

impl Ssf {
    /// Scales and shifts whose values are to be loaded.
    pub fn new(vit: &VitConfig, device: &Device) -> Self {
        let channels = |width| placeholder([width], device);
        let block = |i: usize| {
            let at = vit.at_block(i);
            let dim = at.embed_dim;
            SsfBlock {
                downsample: vit.merges_before(i).then(|| Ssf2::new(2 * dim, None, device)),
                ssf_scale_1: channels(dim),
                ssf_shift_1: channels(dim),
                ssf_scale_2: channels(dim),
                ssf_shift_2: channels(dim),
                attn: Ssf2::new(3 * dim, Some(dim), device),
                mlp: Ssf2::new(at.mlp_fc1(), Some(dim), device),
            }
        };
        let dim = vit.embed_dim;
        Self {
            patch_embed: Ssf2::new(dim, vit.pre_norm.then_some(dim), device),
            blocks: (0..vit.depth).map(block).collect(),
            ssf_scale_1: channels(vit.num_features()),
            ssf_shift_1: channels(vit.num_features()),
        }
    }
}

impl Ssf {
    /// Works scales and shifts into the layers that they stand behind. The ones behind the final norm are left where the model has
    /// no such norm: they stand before the pooling then, and behind it a norm that would undo them.
    pub(crate) fn fold_into(mut self, vit: &mut VisionTransformer) -> Option<Self> {
        self.patch_embed.fold_into_patches(vit);
        if let Some(norm) = &mut vit.norm_pre {
            self.patch_embed.fold_second_into_norm(norm);
        }
        for (of, block) in self.blocks.iter_mut().zip(&mut vit.blocks) {
            if let (Some(of), Some(downsample)) = (&mut of.downsample, &mut block.downsample) {
                fold_into_norm(&mut downsample.norm, &mut of.ssf_scale_1, &mut of.ssf_shift_1);
            }
            fold_into_norm(&mut block.norm1, &mut of.ssf_scale_1, &mut of.ssf_shift_1);
            of.attn
                .fold_into_layers(&mut block.attn.qkv, &mut block.attn.proj);
            fold_into_norm(&mut block.norm2, &mut of.ssf_scale_2, &mut of.ssf_shift_2);
            of.mlp.fold_into_layers(&mut block.mlp.fc1, &mut block.mlp.fc2);
        }
        match &mut vit.norm {
            Some(norm) => {
                fold_into_norm(norm, &mut self.ssf_scale_1, &mut self.ssf_shift_1);
                None
            }
            None => Some(self),
        }
    }
}

impl Ssf2 {
    /// The first place into the projection of the patches. One that has no bias leaves the shift to the position embeddings.
    fn fold_into_patches(&mut self, vit: &mut VisionTransformer) {
        let own = vit.config().num_embedded_prefix_tokens();
        let proj = &mut vit.patch_embed.proj;
        let (scale, shift) = (&mut self.ssf_scale_1, &mut self.ssf_shift_1);
        if let (None, Some(positions)) = (&proj.bias, &mut vit.pos_embed) {
            let whole = positions.val();
            let patches = whole.clone().slice(s![.., own..]) + shift.val().unsqueeze::<3>();
            let moved = match own {
                0 => patches,
                _ => Tensor::cat(vec![whole.slice(s![.., ..own]), patches], 1),
            };
            *positions = Param::from_tensor(moved);
            scale_outputs(proj, scale);
            rest(scale, shift);
        } else {
            fold_into_linear(proj, scale, shift);
        }
    }

    fn fold_second_into_norm(&mut self, norm: &mut LayerNorm) {
        if let (Some(scale), Some(shift)) = (&mut self.ssf_scale_2, &mut self.ssf_shift_2) {
            fold_into_norm(norm, scale, shift);
        }
    }

    fn fold_into_layers(&mut self, first: &mut Linear, second: &mut Linear) {
        fold_into_linear(first, &mut self.ssf_scale_1, &mut self.ssf_shift_1);
        if let (Some(scale), Some(shift)) = (&mut self.ssf_scale_2, &mut self.ssf_shift_2) {
            fold_into_linear(second, scale, shift);
        }
    }
}

type Channels = Param<Tensor<1>>;

/// Scale and shift become part of the norm, and do nothing any more.
fn fold_into_norm(norm: &mut LayerNorm, scale: &mut Channels, shift: &mut Channels) {
    norm.weight = Param::from_tensor(norm.weight.val() * scale.val());
    norm.bias = Param::from_tensor(norm.bias.val() * scale.val() + shift.val());
    rest(scale, shift);
}

/// Scale and shift become part of the layer, and do nothing any more. A layer that has no bias gets one.
fn fold_into_linear(layer: &mut Linear, scale: &mut Channels, shift: &mut Channels) {
    scale_outputs(layer, scale);
    let bias = match &layer.bias {
        Some(bias) => bias.val() * scale.val() + shift.val(),
        None => shift.val(),
    };
    layer.bias = Some(Param::from_tensor(bias));
    rest(scale, shift);
}

/// Weights are `[inputs, outputs]`.
fn scale_outputs(layer: &mut Linear, scale: &Channels) {
    layer.weight = Param::from_tensor(layer.weight.val() * scale.val().unsqueeze::<2>());
}

/// A scale and a shift that change nothing.
fn rest(scale: &mut Channels, shift: &mut Channels) {
    *scale = Param::from_tensor(scale.val().ones_like());
    *shift = Param::from_tensor(shift.val().zeros_like());
}

impl Adapt for Ssf {
    fn adapt(&self, block: usize, site: Site, _input: Tensor<3>, output: Tensor<3>) -> Tensor<3> {
        let of = &self.blocks[block];
        match site {
            Site::PatchEmbed => self.patch_embed.first(output),
            Site::NormPre => self.patch_embed.second(output),
            Site::MergeNorm => match &of.downsample {
                Some(downsample) => downsample.first(output),
                None => output,
            },
            Site::Norm1 => scaled(output, &of.ssf_scale_1, &of.ssf_shift_1),
            Site::Qkv => of.attn.first(output),
            Site::Proj => of.attn.second(output),
            Site::Norm2 => scaled(output, &of.ssf_scale_2, &of.ssf_shift_2),
            Site::Fc1 => of.mlp.first(output),
            Site::Fc2 => of.mlp.second(output),
            Site::Norm => scaled(output, &self.ssf_scale_1, &self.ssf_shift_1),
            Site::Attn | Site::Mlp => output,
        }
    }
}

/// `x · scale + shift` in each channel.
fn scaled(x: Tensor<3>, scale: &Param<Tensor<1>>, shift: &Param<Tensor<1>>) -> Tensor<3> {
    x * scale.val().unsqueeze::<3>() + shift.val().unsqueeze::<3>()
}
