//! Where a model looks: attention rollout, and how much attention prompts get.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use ndarray::{Array1, Array2, Axis, s};
use vpt_core::{Classifier, CoreError, HostTensor, PromptConfig};
use vpt_data::Preprocess;

use crate::EvalError;

/// How much each patch contributes to what the head reads, through the attention of all blocks and past it through the
/// residual connections: attention rollout (Abnar and Zuidema 2020, arXiv 2005.00928), the mean over heads.
///
/// Prompts begin at their block with nothing of the image, so what they give is missing from the map.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// Contribution of each patch, `[rows, columns]`.
    pub patches: Array2<f32>,
    /// That of the prompts. The rest comes from the class token and registers.
    pub prompts: f32,
}

/// How much attention the prompts get.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PromptAttention {
    /// By block and head: the part of its attention that a token of the image gives to the prompts, the mean over tokens and
    /// images.
    pub tokens: Vec<Vec<f64>>,
    /// The same for the first token alone: the class token, where the model has one.
    pub first_token: Vec<Vec<f64>>,
    /// By block and prompt: the part of its attention that a token of the image gives to that prompt, the mean over heads,
    /// tokens and images. Empty where a block has no prompts.
    pub prompts: Vec<Vec<f64>>,
    /// Images that were looked at.
    pub images: usize,
}

/// Attention rollout for one image, which is `crop` after [`Preprocess::crop`].
///
/// # Errors
/// [`EvalError::Core`] for a backbone that attends within windows (Swin), or when the device fails.
pub fn rollout(
    model: &Classifier,
    crop: &RgbImage,
    preprocess: &Preprocess,
    device: &Device,
) -> Result<Rollout, EvalError> {
    whole_image(model)?;
    let model = model.valid();
    let vit = &model.backbone;
    let (num_tokens, prefix) = (vit.num_tokens(), vit.config().num_prefix_tokens());
    // [tokens, image tokens]: what each token holds of each token that entered the first block.
    let mut holds = Array2::<f32>::eye(num_tokens);
    let mut failure = None;
    let prompted = match &model.method().prompts {
        Some(prompts) => prompts.prompted_blocks(vit.blocks.len()),
        None => 0..0,
    };
    let read = model.attention(pixels(crop, preprocess, device), &mut |block, weights| {
        if prompted.contains(&block) {
            // What prompts held before is thrown away with them.
            holds = holds.slice(s![..num_tokens, ..]).to_owned();
        }
        match HostTensor::from_tensor(&weights.mean_dim(1)) {
            Ok(weights) => holds = next(&holds, &weights),
            Err(error) => failure = Some(error),
        }
    });
    if let Some(error) = failure {
        return Err(error.into());
    }
    let read = Array1::from_vec(HostTensor::from_tensor(&read)?.data);
    let holds = pad(&holds, read.len());
    let contributions = read.dot(&holds);
    let [rows, columns] = vit.config().grid_for(vit.image_size());
    let patches = contributions.iter().copied().skip(prefix).collect();
    Ok(Rollout {
        prompts: (1.0 - contributions.sum()).max(0.0),
        patches: Array2::from_shape_vec((rows, columns), patches).map_err(|error| EvalError::Mismatch {
            reason: error.to_string(),
        })?,
    })
}

/// Rejects backbones in which no block attends to the whole image: there is no chain of attention to follow.
fn whole_image(model: &Classifier) -> Result<(), CoreError> {
    match &model.config().swin {
        None => Ok(()),
        Some(swin) => {
            let [rows, columns] = swin.window_size;
            let found = format!("windows of {rows} x {columns} patches");
            let expected = "a backbone whose blocks attend to the whole image";
            Err(CoreError::setting("attention", found, expected))
        }
    }
}

/// What tokens hold behind a block whose attention is `weights`, `[.., tokens, tokens]`; tokens that are new hold nothing of
/// the image.
fn next(holds: &Array2<f32>, weights: &HostTensor) -> Array2<f32> {
    let count = weights.shape[weights.shape.len() - 1];
    let weights = Array2::from_shape_fn((count, count), |(i, j)| weights.data[i * count + j]);
    let holds = pad(holds, count);
    (weights.dot(&holds) + &holds) * 0.5
}

/// Rows of zeros below, up to `rows`.
fn pad(holds: &Array2<f32>, rows: usize) -> Array2<f32> {
    let mut padded = Array2::zeros((rows, holds.ncols()));
    padded.slice_mut(s![..holds.nrows(), ..]).assign(holds);
    padded
}

/// How much attention the prompts get over some images, each after [`Preprocess::crop`]; `None` for a model without
/// prompts.
///
/// # Errors
/// [`EvalError::NoImages`], or [`EvalError::Core`] for a backbone that attends within windows (Swin) and when the device
/// fails.
pub fn prompt_attention(
    model: &Classifier,
    crops: impl Iterator<Item = Result<RgbImage, EvalError>>,
    preprocess: &Preprocess,
    device: &Device,
) -> Result<Option<PromptAttention>, EvalError> {
    if model.method().prompts.is_none() {
        return Ok(None);
    }
    whole_image(model)?;
    let model = model.valid();
    let num_tokens = model.backbone.num_tokens();
    let shape = (model.config().depth, model.config().num_heads);
    let (mut tokens, mut first_token) = (Array2::<f64>::zeros(shape), Array2::<f64>::zeros(shape));
    let mut prompts = vec![Vec::<f64>::new(); shape.0];
    let mut images = 0;
    for crop in crops {
        let mut outcome = Ok(());
        model.attention(pixels(&crop?, preprocess, device), &mut |block, weights| {
            let mut add = || -> Result<(), CoreError> {
                let weights = HostTensor::from_tensor(&weights)?;
                let count = weights.shape[3];
                prompts[block].resize(count - num_tokens, 0.0);
                for row in weights
                    .data
                    .chunks_exact(count * count)
                    .flat_map(|head| head.chunks_exact(count).take(num_tokens))
                {
                    for (sum, &weight) in prompts[block].iter_mut().zip(&row[num_tokens..]) {
                        *sum += f64::from(weight) / (num_tokens * shape.1) as f64;
                    }
                }
                for (head, weights) in weights.data.chunks_exact(count * count).enumerate() {
                    let given = weights.chunks_exact(count).take(num_tokens).map(|row| {
                        row[num_tokens..]
                            .iter()
                            .map(|&weight| f64::from(weight))
                            .sum::<f64>()
                    });
                    let given: Array1<f64> = given.collect();
                    tokens[[block, head]] += given.sum() / num_tokens as f64;
                    first_token[[block, head]] += given[0];
                }
                Ok(())
            };
            if outcome.is_ok() {
                outcome = add();
            }
        });
        outcome?;
        images += 1;
    }
    if images == 0 {
        return Err(EvalError::NoImages);
    }
    let rows = |sums: Array2<f64>| {
        sums.axis_iter(Axis(0))
            .map(|row| row.iter().map(|sum| sum / images as f64).collect())
            .collect()
    };
    for sum in prompts.iter_mut().flatten() {
        *sum /= images as f64;
    }
    Ok(Some(PromptAttention {
        tokens: rows(tokens),
        first_token: rows(first_token),
        prompts,
        images,
    }))
}

impl PromptAttention {
    /// The `keep` prompts of each set that get the most attention, in their order (E²VPT prunes by another measure of
    /// importance: Han et al. 2023, arXiv 2307.13770). A set counts in its own block; prompts that are shared, or flow on
    /// behind the last prompted block, in all blocks that they are in.
    pub fn most_attended(&self, config: &PromptConfig, keep: usize) -> Vec<Vec<usize>> {
        let blocks = self.prompts.len();
        let prompted = config.prompted_blocks(blocks);
        let sets: Vec<Range<usize>> = match config.shared {
            true => std::iter::once(prompted.start..blocks).collect(),
            false => prompted
                .clone()
                .map(|block| {
                    block..if block + 1 == prompted.end {
                        blocks
                    } else {
                        block + 1
                    }
                })
                .collect(),
        };
        let most = |set: Range<usize>| {
            let mut mass = vec![0.0; config.num_tokens];
            for block in &self.prompts[set] {
                mass.iter_mut().zip(block).for_each(|(sum, part)| *sum += part);
            }
            let mut order: Vec<usize> = (0..mass.len()).collect();
            order.sort_by(|&a, &b| mass[b].total_cmp(&mass[a])); // stable: of equals the earlier
            order.truncate(keep);
            order.sort_unstable();
            order
        };
        sets.into_iter().map(most).collect()
    }
}

fn pixels(crop: &RgbImage, preprocess: &Preprocess, device: &Device) -> Tensor<4> {
    let [height, width] = preprocess.input_size;
    let pixels = TensorData::new(preprocess.normalise(crop), [1, 3, height, width]);
    Tensor::from_data(pixels, &device.clone().without_autodiff())
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use vpt_core::presets::preset;
    use vpt_core::{Backbone, MethodConfig, PromptDepth, VitConfig};

    use super::*;

    const SIZE: [usize; 2] = [32, 48];

    fn models(family: &str) -> [Classifier; 3] {
        let config = VitConfig {
            img_size: SIZE,
            patch_size: [16, 16],
            embed_dim: 24,
            depth: 3,
            num_heads: 2,
            ..preset(family).unwrap()
        };
        let backbone = Backbone::random(config, 0, 3);
        let prompts = |depth| MethodConfig::vpt(PromptConfig::new(depth, 4));
        let methods = [
            MethodConfig::linear(),
            prompts(PromptDepth::Shallow),
            prompts(PromptDepth::Deep),
        ];
        methods.map(|method| Classifier::new(&backbone, &method, 2, SIZE, 1, &Device::flex()).unwrap())
    }

    fn picture() -> RgbImage {
        RgbImage::from_fn(48, 32, |x, y| image::Rgb([(x * 5) as u8, (y * 7) as u8, 90]))
    }

    fn preprocess() -> Preprocess {
        Preprocess::imagenet(SIZE[0], SIZE[1])
    }

    #[test]
    fn contributions_sum_to_one_and_prompts_take_their_part() {
        for family in [
            "vit_tiny_patch16_224",
            "vit_base_patch16_siglip_224",
            "vit_small_patch16_dinov3",
        ] {
            let [linear, shallow, deep] = models(family)
                .map(|model| rollout(&model, &picture(), &preprocess(), &Device::flex()).unwrap());
            for found in [&linear, &shallow, &deep] {
                assert_eq!(found.patches.dim(), (2, 3), "{family}");
                assert!(found.patches.iter().all(|share| *share > 0.0), "{family}");
                assert!(found.patches.sum() + found.prompts < 1.0 + 1e-5, "{family}");
            }
            assert!(linear.prompts < 1e-5, "{family}: {linear:?}");
            // Fresh prompts in every block hold nothing of the image; shallow ones pass on what they gathered.
            assert!(
                deep.prompts > shallow.prompts && shallow.prompts > 0.01,
                "{family}"
            );
        }
    }

    /// Two image tokens and one prompt, by hand.
    #[test]
    fn a_block_mixes_what_tokens_hold() {
        let weights = HostTensor::new([1, 1, 3, 3], vec![0.5, 0.25, 0.25, 0.0, 1.0, 0.0, 0.5, 0.5, 0.0]);
        let after = next(&Array2::eye(2), &weights);
        assert_eq!(after, array![[0.75, 0.125], [0.0, 1.0], [0.25, 0.25]]);
    }

    #[test]
    fn attention_to_prompts_is_counted_by_block_and_head() {
        let [linear, _, deep] = models("vit_tiny_patch16_224");
        let look = |model: &Classifier, count: usize| {
            let crops = (0..count).map(|_| Ok(picture()));
            prompt_attention(model, crops, &preprocess(), &Device::flex())
        };
        assert_eq!(look(&linear, 1).unwrap(), None);
        let found = look(&deep, 2).unwrap().unwrap();
        assert_eq!(found.images, 2);
        for table in [&found.tokens, &found.first_token] {
            assert_eq!((table.len(), table[0].len()), (3, 2));
            // Four prompts beside seven tokens, and weights that are all alike at random initialisation.
            let about = |share: &f64| (share - 4.0 / 11.0).abs() < 0.1;
            assert!(table.iter().flatten().all(about), "{table:?}");
        }
        assert!(matches!(look(&deep, 0), Err(EvalError::NoImages)));
        // What single prompts get is what all of them get, head by head.
        for (block, prompts) in found.prompts.iter().enumerate() {
            let all = found.tokens[block].iter().sum::<f64>() / found.tokens[block].len() as f64;
            assert!((prompts.iter().sum::<f64>() - all).abs() < 1e-6, "{prompts:?}");
        }
    }

    #[test]
    fn the_most_attended_prompts_are_kept() {
        let found = PromptAttention {
            tokens: vec![],
            first_token: vec![],
            prompts: vec![vec![0.1, 0.3, 0.2], vec![0.3, 0.1, 0.2], vec![0.0, 0.0, 0.9]],
            images: 1,
        };
        let deep = PromptConfig::new(PromptDepth::Deep, 3);
        assert_eq!(found.most_attended(&deep, 2), [[1, 2], [0, 2], [0, 2]]);
        let shallow = PromptConfig::new(PromptDepth::Shallow, 3);
        assert_eq!(found.most_attended(&shallow, 1), [[2]], "0.4, 0.4 and 1.3 in all");
        let first = PromptConfig {
            deep_layers: Some(2),
            ..deep
        };
        assert_eq!(
            found.most_attended(&first, 1),
            [[1], [2]],
            "the last set flows on"
        );
    }
}
