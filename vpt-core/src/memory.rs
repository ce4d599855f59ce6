//! [`MemoryEstimate`]: what training and inference will need, before anything is loaded.

use crate::methods::{MethodConfig, MethodKind};
use crate::precision::Precision;
use crate::prompts::PromptDepth;
use crate::vit::VitConfig;
use crate::weights::layout_shapes;

/// Bytes of a float32 value.
const FLOAT: u128 = 4;

/// The program, the runtime of the CPU backend and decoded images.
const PROGRAM: u128 = 30_000_000;

/// Memory in bytes that a process needs on the CPU backend in float32, estimated from the architecture.
///
/// Counted are the parameters, for training their gradients and AdamW's two moments, and what each image keeps between
/// the forward and the backward pass: of every block that gradients go through its input, queries, keys and values, the
/// attention's output, the input of the second norm and that of the activation; where weights are learned, also the inputs
/// of their layers, and where scores have a bias (BEiT), three copies of them. GPUs run other kernels, hold scores of attention for a moment (up to 256 MiB, or keep all of them with the feature `fusion`), and need more. `docs/performance.md` holds
/// the estimate against measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct MemoryEstimate {
    /// A training step with AdamW.
    pub train: u128,
    /// A forward pass.
    pub infer: u128,
}

/// What is computed, as far as memory depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// Height and width of an image in pixels.
    pub image_size: [usize; 2],
    /// Images in a batch.
    pub batch_size: usize,
    /// Outputs of the head.
    pub classes: usize,
    /// In how many bits frozen weights are kept.
    pub precision: Precision,
    /// Whether blocks are computed again for their gradients.
    pub grad_checkpointing: bool,
}

impl Workload {
    /// In float32, keeping what gradients need.
    pub fn new(image_size: [usize; 2], batch_size: usize, classes: usize) -> Self {
        Self {
            image_size,
            batch_size,
            classes,
            precision: Precision::F32,
            grad_checkpointing: false,
        }
    }
}

impl MemoryEstimate {
    /// Estimates for `method` on a backbone.
    pub fn of(vit: &VitConfig, method: &MethodConfig, workload: Workload) -> Self {
        let Workload {
            image_size,
            batch_size,
            classes,
            precision,
            grad_checkpointing,
        } = workload;
        let pixels = (vit.in_chans * image_size[0] * image_size[1]) as u128 * FLOAT;
        // Shallow prompts go through every block like other tokens, deep ones only as keys and values.
        let extra = match &method.prompts {
            Some(prompts) if prompts.depth == PromptDepth::Shallow => prompts.num_tokens,
            _ => 0,
        };
        let batch = batch_size as u128;
        let sizes = Parameters::of(vit, method, classes);
        let held = PROGRAM + FLOAT * sizes.all - sizes.saved_by(precision);
        let first = vit.depth - tracked_blocks(vit, method);
        let (mut passing, mut kept, mut most_kept, mut inputs) = (0, 0, 0, 0);
        for i in 0..vit.depth {
            let block = BlockMemory::of(vit, method, i, image_size, extra);
            passing = passing.max(block.passing);
            if i >= first {
                kept += block.kept;
                most_kept = block.kept.max(most_kept);
            }
            inputs += block.input;
        }
        if grad_checkpointing {
            // The gradients of a block beside what they need: in other blocks they take the place of what is no longer needed.
            kept = kept.min(inputs + most_kept + passing);
        }
        let infer = held + batch * (2 * pixels + passing);
        let train = held + 3 * FLOAT * sizes.tuned + batch * (pixels + kept);
        Self {
            train: train.max(infer),
            infer,
        }
    }
}

/// Bytes that one block needs for an image.
struct BlockMemory {
    /// While it is passed through.
    passing: u128,
    /// Kept from the forward to the backward pass.
    kept: u128,
    /// Of that, the tokens that enter.
    input: u128,
}

impl BlockMemory {
    fn of(vit: &VitConfig, method: &MethodConfig, i: usize, image_size: [usize; 2], extra: usize) -> Self {
        let at = vit.at_block(i);
        let (dim, fc1, hidden) = (
            at.embed_dim as u128,
            at.mlp_fc1() as u128,
            at.mlp_hidden() as u128,
        );
        let patches: usize = vit.grid_in(vit.stage_of(i), image_size).iter().product();
        let tokens = (vit.num_prefix_tokens() + patches + extra) as u128;
        let seen = match vit.windows_of(i, image_size) {
            Some(windows) => (windows.window.iter().product::<usize>() + extra) as u128,
            None => tokens,
        };
        // In one block: its input and the larger of attention (queries, keys, values, output) and MLP.
        // With a bias attention is composed of operations that each keep the scores of all pairs of tokens.
        let scores = if vit.rel_pos_bias {
            at.num_heads as u128 * seen
        } else {
            0
        };
        // Tokens are copied into windows and back.
        let moved = if vit.swin.is_some() { 4 * dim } else { 0 };
        let gate = if vit.gated_mlp { 3 * hidden } else { 0 };
        let learns = method.kind.learns_layers();
        let inputs = if learns { 2 * dim + hidden } else { 0 };
        let tuner = kept_by_tuner(method, &at);
        Self {
            passing: FLOAT * tokens * (dim + (4 * dim + moved + 2 * scores).max(fc1 + hidden)),
            input: FLOAT * tokens * dim,
            kept: FLOAT * tokens * (6 * dim + moved + 3 * scores + fc1 + gate + inputs + tuner),
        }
    }
}

/// Numbers of values.
struct Parameters {
    all: u128,
    tuned: u128,
    /// Those of the blocks' linear layers that are frozen.
    frozen_linear: u128,
    /// Those of the largest such layer.
    largest: u128,
}

impl Parameters {
    fn of(vit: &VitConfig, method: &MethodConfig, classes: usize) -> Self {
        let mut counts = Self {
            all: 0,
            tuned: 0,
            frozen_linear: 0,
            largest: 0,
        };
        for (name, shape) in layout_shapes(vit, classes) {
            let count: u128 = shape.iter().map(|&axis| axis as u128).product();
            counts.all += count;
            if method.tunes(&name, vit) {
                counts.tuned += count;
            } else if name.starts_with("blocks.") && shape.len() == 2 {
                counts.frozen_linear += count;
                counts.largest = count.max(counts.largest);
            }
        }
        let added = method.num_added(vit) as u128;
        counts.all += added;
        counts.tuned += added;
        counts
    }

    /// Bytes that frozen weights do not take in `precision`, less the layer that is widened while it is multiplied.
    fn saved_by(&self, precision: Precision) -> u128 {
        let bytes = |weights: u128, each: f64| (weights as f64 * each) as u128;
        let saved = bytes(self.frozen_linear, FLOAT as f64 - precision.bytes());
        match precision {
            Precision::F32 => 0,
            _ => saved.saturating_sub(FLOAT * self.largest),
        }
    }
}

/// Values that what a method adds to a block keeps of each token: inputs of its layers, and products that are scaled.
fn kept_by_tuner(method: &MethodConfig, at: &VitConfig) -> u128 {
    let dim = at.embed_dim;
    let kept = match (method.kind, &method.lora, method.adapter) {
        (MethodKind::Lora, Some(lora), _) => {
            lora.layers(at).iter().map(|[inputs, _]| inputs + lora.rank).sum()
        }
        (MethodKind::Adapter, _, Some(adapter)) => 2 * (dim + 2 * adapter.dim),
        (MethodKind::Adaptformer, _, Some(adapter)) => dim + 2 * adapter.dim,
        (MethodKind::Ssf, ..) => 7 * dim + at.mlp_fc1(),
        _ => 0,
    };
    kept as u128
}

/// Blocks that gradients go through: those from the first learned parameter on.
fn tracked_blocks(vit: &VitConfig, method: &MethodConfig) -> usize {
    match method.kind {
        MethodKind::Linear | MethodKind::Mlp => 0,
        MethodKind::Partial => method.partial_blocks.min(vit.depth),
        MethodKind::VptDeep | MethodKind::VptShallow if !method.bias => match &method.prompts {
            Some(prompts) => vit.depth - prompts.prompted_blocks(vit.depth).start,
            None => vit.depth,
        },
        _ => vit.depth,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MethodOptions, preset};

    fn estimate(method: &str, batch: usize) -> MemoryEstimate {
        let vit = preset("vit_tiny_patch16_224").unwrap();
        let method = MethodConfig::parse(method, &MethodOptions::default()).unwrap();
        MemoryEstimate::of(&vit, &method, Workload::new([224, 224], batch, 2))
    }

    /// A ViT-Ti/16 at 224 pixels has 197 tokens of width 192: a block keeps ten times that for an image, sixteen times
    /// where it learns its weights.
    #[test]
    fn an_image_costs_what_its_blocks_keep() {
        let per_image = |method| estimate(method, 2).train - estimate(method, 1).train;
        let (row, pixels) = (4 * 197 * 192, 4 * 3 * 224 * 224);
        assert_eq!(per_image("vpt-deep"), pixels + 12 * 10 * row);
        assert_eq!(per_image("bitfit"), per_image("vpt-deep"));
        assert_eq!(per_image("vpt-deep+bias"), per_image("vpt-deep"));
        assert_eq!(per_image("lora"), pixels + 12 * (10 * row + 4 * 197 * (192 + 8)));
        assert_eq!(
            per_image("adapter"),
            pixels + 12 * (10 * row + 4 * 197 * 2 * (192 + 128))
        );
        assert_eq!(per_image("full"), pixels + 12 * 16 * row);
        assert_eq!(per_image("partial-2"), pixels + 2 * 16 * row);
        assert_eq!(per_image("vpt-shallow"), pixels + 12 * 10 * 4 * 207 * 192);
        assert_eq!(per_image("linear"), 2 * pixels + 9 * row);
    }

    /// Of the twelve blocks of a ViT-Ti/16 everything but one input is computed again; of its weights 12 · 12 · 192² are linear layers.
    #[test]
    fn less_is_kept_where_blocks_are_computed_again_and_weights_have_fewer_bits() {
        let vit = preset("vit_tiny_patch16_224").unwrap();
        let method = MethodConfig::parse("vpt-deep", &MethodOptions::default()).unwrap();
        let of = |workload| MemoryEstimate::of(&vit, &method, workload).train;
        let plain = |batch| Workload::new([224, 224], batch, 2);
        let again = |batch| Workload {
            grad_checkpointing: true,
            ..plain(batch)
        };
        let (row, pixels) = (4 * 197 * 192, 4 * 3 * 224 * 224);
        assert_eq!(of(again(9)) - of(again(8)), pixels + (12 + 10 + 9) * row);
        let half = Workload {
            precision: Precision::F16,
            ..plain(8)
        };
        let weights = 12 * 192 * 192;
        assert_eq!(of(plain(8)) - of(half), 12 * weights * 2 - 4 * 4 * 192 * 192);
    }

    #[test]
    fn learned_parameters_cost_four_times_themselves() {
        let params = 5_717_416 - 1000 * 193 + 2 * 193;
        let full = estimate("full", 1).train - estimate("full", 0).train;
        assert_eq!(estimate("full", 1).train - full, PROGRAM + 16 * params);
        let linear = estimate("linear", 0).train;
        assert_eq!(linear, PROGRAM + 4 * params + 12 * 2 * 193);
    }
}
