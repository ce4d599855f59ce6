//! Logits, features, losses and gradients of prompts, against the official form.

use std::collections::BTreeMap;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use vpt_core::prompts::{Noise, PromptForm};
use vpt_core::{Classifier, HostTensor, MethodConfig, PromptConfig, PromptDepth, PromptPool, named_tensors};

use super::fixture::{Comparison, Fixture, skip};
use super::models::backbone;

const ATOL: f32 = 5e-5;
const RTOL: f32 = 1e-4;

/// One golden case.
#[derive(Clone, Copy)]
pub struct PromptCase {
    /// The model.
    pub model: &'static str,
    /// The file of the case.
    pub name: &'static str,
}

/// All golden cases.
pub fn prompt_cases() -> Vec<PromptCase> {
    let cases: [(&str, &[&str]); 10] = [
        ("vit_p16_32", &["linear", "shallow", "deep", "deep_proj"]),
        (
            "vit_p8_64",
            &[
                "linear",
                "shallow",
                "shallow_proj",
                "deep",
                "deep_proj",
                "deep_dropout",
                "deep_proj_dropout",
                "deep_shared",
                "deep_first2",
                "deep_img_pool",
                "deep_prompt_pool",
                "deep_imgprompt_pool",
            ],
        ),
        ("dinov3_p16_48", &["shallow", "deep"]),
        ("eva02_norm_p14_42", &["shallow", "deep"]),
        ("beitv2_p16_48", &["shallow", "deep"]),
        ("siglip_p16_48", &["shallow", "deep"]),
        ("swin_p4_w4_64", &["shallow", "deep"]),
        ("dinov2_reg4_p14_56", &["linear", "shallow", "deep", "deep_proj"]),
        (
            "clip_quickgelu_p16_48",
            &["deep_after_norm_pre", "deep_before_norm_pre"],
        ),
        (
            "mae_avg_p16_48",
            &[
                "deep_original",
                "deep_img_pool",
                "deep_prompt_pool",
                "deep_imgprompt_pool",
            ],
        ),
    ];
    cases
        .into_iter()
        .flat_map(|(model, names)| names.iter().map(move |name| PromptCase { model, name }))
        .collect()
}

/// `Σ w[y] · CE / batch`, as a tensor `[1]`.
pub fn cross_entropy(logits: Tensor<2>, labels: &[i64], weights: Option<&HostTensor>) -> Tensor<1> {
    let device = logits.device();
    let batch = labels.len();
    let index = Tensor::<1, Int>::from_data(TensorData::from(labels), &device).reshape([batch, 1]);
    let picked = log_softmax(logits, 1).gather(1, index).reshape([batch]);
    let weights = match weights {
        None => vec![1.0; batch],
        Some(weights) => labels.iter().map(|&label| weights.data[label as usize]).collect(),
    };
    let weights = HostTensor::new([batch], weights).to_tensor::<1>(&device);
    -(picked * weights).sum() / batch as f64
}

/// One case in both forms. Whether the fixture was there.
pub fn prompt_case(case: PromptCase, device: &Device) -> bool {
    let PromptCase { model, name } = case;
    let file = |name: &str| format!("vpt/{model}/{name}.safetensors");
    let (Some(backbone), Some(batch), Some(golden)) = (
        backbone(model),
        Fixture::open(&file("batch")),
        Fixture::open(&file(name)),
    ) else {
        skip(&file(name));
        return false;
    };
    let device = device.clone().autodiff();
    let depth = backbone.config.depth;
    let method = method_of(name, &golden, depth);
    let classes = golden.get("input.head.bias").numel();
    let model = Classifier::new(&backbone, &method, classes, backbone.config.img_size, 0, &device);
    let model = model
        .expect("the method fits")
        .load_tuned(&task_names(golden.below("input.")))
        .expect("the case's tensors are the group");
    let masks = golden.find("input.dropout_masks").map(|masks| {
        let masks: Tensor<4> = masks.to_tensor(&device);
        (0..masks.dims()[0])
            .map(|i| masks.clone().slice([i..i + 1]).squeeze_dim::<3>(0))
            .collect()
    });
    let noise = Noise {
        prompts: masks.unwrap_or_default(),
        ..Noise::none()
    };
    for form in [PromptForm::KeyValue, PromptForm::Plain] {
        let mut check = Comparison::new(format!("{} {name} {form:?}", case.model));
        let mut close = |what: &str, actual: &HostTensor| {
            check.close(what, actual, golden.get(&format!("expect.{what}")), ATOL, RTOL);
        };
        let mut class_tokens = Vec::new();
        let pixels = batch.get("pixels").to_tensor(&device);
        let feature = model.observed(pixels, &noise, form, &mut |_, tokens| {
            let [batch, _, dim] = tokens.dims();
            class_tokens.extend(host(&tokens.clone().slice([0..batch, 0..1, 0..dim])).data);
        });
        let shape = golden.get("expect.cls_per_block").shape.clone();
        close("cls_per_block", &HostTensor::new(shape, class_tokens));
        close("feature", &host(&feature));
        let logits = model.head_forward(feature);
        close("logits", &host(&logits));
        let weighted = cross_entropy(logits.clone(), batch.labels(), batch.find("class_weights"));
        close("weighted_loss", &host(&weighted));
        let loss = cross_entropy(logits, batch.labels(), None);
        close("loss", &host(&loss));
        let gradients = named_tensors::read_gradients(&model, model.config(), &loss.backward());
        let expected = task_names(golden.below("expect.grad."));
        assert_eq!(
            gradients.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>(),
            "only the group has gradients"
        );
        for (name, expected) in &expected {
            check.near(name, &gradients[name], expected, 1e-4, 1e-3);
        }
        check.finish();
    }
    true
}

fn host<const R: usize>(tensor: &Tensor<R>) -> HostTensor {
    HostTensor::from_tensor(tensor).expect("the device delivers")
}

/// The method that a case's name and tensors describe.
fn method_of(name: &str, golden: &Fixture, depth: usize) -> MethodConfig {
    let Some(first) = golden.find("input.prompt_embeddings") else {
        return MethodConfig::linear();
    };
    let prompt_depth = if name.starts_with("shallow") {
        PromptDepth::Shallow
    } else {
        PromptDepth::Deep
    };
    let further = golden.below("input.deep_prompt_embeddings");
    let sets = 1 + further.values().map(|sets| sets.shape[0]).sum::<usize>();
    let shared = name.ends_with("shared");
    MethodConfig::vpt(PromptConfig {
        project_dim: golden
            .find("input.prompt_proj.weight")
            .map(|weight| weight.shape[1]),
        deep_layers: (prompt_depth == PromptDepth::Deep && !shared && sets < depth).then_some(sets),
        shared,
        pool: match name {
            _ if name.ends_with("imgprompt_pool") => PromptPool::ImagePrompt,
            _ if name.ends_with("img_pool") => PromptPool::Image,
            _ if name.ends_with("prompt_pool") => PromptPool::Prompt,
            _ => PromptPool::Original,
        },
        before_norm_pre: name.ends_with("before_norm_pre"),
        ..PromptConfig::new(prompt_depth, first.shape[1])
    })
}

/// The reference's names to ours: its first set and its further sets of the same width are one tensor here. A Swin
/// Transformer has further sets for each stage.
fn task_names(mut tensors: BTreeMap<String, HostTensor>) -> BTreeMap<String, HostTensor> {
    tensors.remove("dropout_masks");
    let Some(mut first) = tensors.remove("prompt_embeddings") else {
        return tensors;
    };
    let further = tensors
        .remove("deep_prompt_embeddings")
        .or_else(|| tensors.remove("deep_prompt_embeddings_0"));
    if let Some(further) = further {
        first.shape[0] += further.shape[0];
        first.data.extend(further.data);
    }
    tensors.insert("prompts".into(), first);
    let renamed = tensors.into_iter().map(|(name, tensor)| {
        let stage = name.strip_prefix("deep_prompt_embeddings_");
        (
            stage.map_or(name.clone(), |stage| format!("prompts.{stage}")),
            tensor,
        )
    });
    renamed.collect()
}
