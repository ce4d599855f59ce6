//! Every family of backbones with every method: forward, backward, counts, and the way into a file and back.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use vpt_core::methods::{LoraTarget, is_added};
use vpt_core::presets::{PRESETS, Preset};
use vpt_core::prompts::{Noise, PromptForm};
use vpt_core::task_file::{BackboneInfo, Calibration, FORMAT, TaskInfo, TrainingInfo};
use vpt_core::{
    Backbone, Classifier, GlobalPool, HostTensor, MethodConfig, MethodKind, MethodOptions, TaskFile,
    TaskMetadata, VitConfig, init, named_tensors,
};

/// A member of each family.
const FAMILIES: [&str; 20] = [
    "vit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "deit3_small_patch16_224",
    "vit_small_patch14_dinov2",
    "vit_small_patch14_reg4_dinov2",
    "vit_giant_patch14_dinov2",
    "vit_giant_patch14_reg4_dinov2",
    "vit_small_patch16_dinov3",
    "vit_small_plus_patch16_dinov3_qkvb",
    "vit_base_patch16_clip_224",
    "vit_base_patch16_clip_quickgelu_224",
    "eva_large_patch14_196",
    "eva02_small_patch14_224",
    "eva02_base_patch14_224",
    "eva02_base_patch16_clip_224",
    "beitv2_base_patch16_224",
    "flexivit_small",
    "vit_base_patch16_siglip_224",
    "vit_medium_patch16_reg4_gap_256",
    "swin_tiny_patch4_window7_224",
];

const CLASSES: usize = 3;
const TOKENS: usize = 2;
const RANK: usize = 2;
/// So many channels that some are open behind a ReLU.
const CHANNELS: usize = 8;

/// The family at a size that computes in milliseconds: two rows of three patches; for Swin so many windows, shifted in
/// every second block, and a last stage in which one window is the whole image.
fn tiny(name: &str) -> VitConfig {
    let mut args = Preset::find(name).unwrap().timm_args();
    let [height, width] = args.patch_size;
    args.img_size = [2 * height, 3 * width];
    (args.embed_dim, args.depth, args.num_heads) = (24, 2, 2);
    if let Some(swin) = &mut args.swin {
        (swin.depths, swin.num_heads, swin.window_size) = (vec![2, 1], vec![2, 3], [2, 2]);
        args.depth = 3;
        args.img_size = [4 * height, 6 * width];
    }
    args.resolve()
}

/// Random weights in which LayerScale does not switch the blocks off.
fn backbone(name: &str) -> Backbone {
    let config = tiny(name);
    let config = VitConfig {
        init_values: config.init_values.map(|_| 0.5),
        ..config
    };
    Backbone::random(config, 0, 7)
}

fn method(name: &str, gate: bool) -> MethodConfig {
    let options = MethodOptions {
        num_tokens: TOKENS,
        gate,
        lora_rank: RANK,
        lora_targets: LoraTarget::ALL.to_vec(),
        adapter_dim: CHANNELS,
        ..MethodOptions::default()
    };
    MethodConfig::parse(name, &options).unwrap()
}

/// Every method, and prompts with a gate and with biases.
fn methods() -> Vec<MethodConfig> {
    let named = MethodKind::ALL.map(|kind| match kind {
        MethodKind::Partial | MethodKind::Mlp => MethodConfig::new(kind),
        kind => method(kind.name(), false),
    });
    let mut methods = named.to_vec();
    methods.push(method("vpt-shallow", true));
    methods.push(method("vpt-deep+bias", false));
    methods
}

/// What the method should learn, counted from the names and shapes of the backbone's tensors.
fn expected_count(method: &MethodConfig, backbone: &Backbone) -> usize {
    let VitConfig {
        depth,
        swin,
        pre_norm,
        ..
    } = &backbone.config;
    let of = |wanted: &dyn Fn(&str) -> bool| -> usize {
        let tensors = backbone.tensors.iter().filter(|(name, _)| wanted(name));
        tensors.map(|(_, tensor)| tensor.numel()).sum()
    };
    // Width of each block; the head reads what the last one makes.
    let widths = if swin.is_some() {
        vec![24, 24, 48]
    } else {
        vec![24; 2]
    };
    let last = widths[widths.len() - 1];
    let head = CLASSES * (last + 1);
    let biases = || of(&|name| name.ends_with(".bias"));
    // Inputs and outputs of every linear layer in the blocks, from the shapes of its weights.
    let ends = [
        "attn.qkv.weight",
        "attn.proj.weight",
        "mlp.fc1.weight",
        "mlp.fc2.weight",
    ];
    let linear = || {
        let layers = backbone
            .tensors
            .iter()
            .filter(|(name, _)| name.starts_with("blocks.") && ends.iter().any(|end| name.ends_with(end)));
        layers.map(|(_, tensor)| (tensor.shape[1], tensor.shape[0]))
    };
    let bottlenecks = || {
        widths
            .iter()
            .map(|width| 2 * width * CHANNELS + CHANNELS + width)
            .sum::<usize>()
    };
    head + match method.kind {
        MethodKind::VptDeep if method.bias => TOKENS * widths.iter().sum::<usize>() + biases(),
        MethodKind::VptDeep => TOKENS * widths.iter().sum::<usize>(),
        MethodKind::VptShallow if method.prompts.as_ref().unwrap().gate => TOKENS * widths[0] + depth - 1,
        MethodKind::VptShallow => TOKENS * widths[0],
        MethodKind::Lora => linear().map(|(inputs, outputs)| RANK * (inputs + outputs)).sum(),
        MethodKind::Adapter => 2 * bottlenecks(),
        MethodKind::Adaptformer => bottlenecks(),
        MethodKind::Ssf => {
            let layers: usize = linear().map(|(_, outputs)| outputs).sum();
            let norms = 2 * widths.iter().sum::<usize>() + last;
            let merged = if swin.is_some() { 4 * 24 } else { 0 };
            2 * (24 + 24 * usize::from(*pre_norm) + layers + norms + merged)
        }
        MethodKind::Norm => of(&|name| {
            let module = name.rsplit('.').nth(1).unwrap_or_default();
            module.contains("norm")
        }),
        MethodKind::Linear => 0,
        MethodKind::Mlp => last * last + last,
        MethodKind::Full | MethodKind::Scratch => of(&|_| true),
        MethodKind::Bitfit => biases(),
        MethodKind::Partial => of(&|name| {
            let last = format!("blocks.{}.", depth - 1);
            [&last, "norm.", "fc_norm.", "attn_pool."]
                .iter()
                .any(|start| name.starts_with(start))
        }),
    }
}

fn task_file(backbone: &Backbone, model: &Classifier) -> TaskFile {
    let metadata = TaskMetadata {
        format: FORMAT.into(),
        vpt_version: "0".into(),
        task: TaskInfo {
            name: "tiny".into(),
            kind: vpt_data::TaskKind::Classification,
            classes: (0..CLASSES).map(|i| i.to_string()).collect(),
        },
        head: model.head_config(),
        method: model.method().clone(),
        backbone: BackboneInfo::of(backbone),
        preprocess: backbone.preprocess.clone(),
        calibration: Calibration::default(),
        metrics: BTreeMap::new(),
        training: TrainingInfo {
            args: serde_json::json!({}),
            seed: 3,
            data_fingerprint: String::new(),
            date: String::new(),
            epoch: 1,
        },
    };
    TaskFile {
        metadata,
        tensors: model.tuned_tensors(),
    }
}

/// The model with random values added to everything that is learned, so that what starts at zero takes part.
fn stirred(model: Classifier) -> Classifier {
    let mut tuned = model.tuned_tensors();
    for (name, tensor) in &mut tuned {
        let noise = init::normal(tensor.shape.clone(), 0.05, &mut init::rng_of(4, name));
        tensor
            .data
            .iter_mut()
            .zip(noise.data)
            .for_each(|(x, noise)| *x += noise);
    }
    model.load_tuned(&tuned).unwrap()
}

fn host<const R: usize>(tensor: &Tensor<R>) -> HostTensor {
    HostTensor::from_tensor(tensor).unwrap()
}

fn largest_difference(a: &HostTensor, b: &HostTensor) -> f32 {
    let pairs = a.data.iter().zip(&b.data);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn every_family_learns_with_every_method() {
    let device = Device::flex().autodiff();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("task.safetensors");
    for family in FAMILIES {
        let backbone = backbone(family);
        let size = backbone.config.img_size;
        let mut rng = init::rng_of(1, family);
        let pixels = init::normal([2, 3, size[0], size[1]], 1.0, &mut rng).to_tensor::<4>(&device);
        for method in methods() {
            let gated = method.prompts.as_ref().is_some_and(|prompts| prompts.gate);
            let case = format!("{family} with {method}{}", if gated { ", gated" } else { "" });
            let fresh = Classifier::new(&backbone, &method, CLASSES, size, 3, &device).unwrap();
            assert_eq!(fresh.num_tuned(), expected_count(&method, &backbone), "{case}");
            assert_eq!(
                method.num_added(&backbone.config),
                fresh
                    .params()
                    .iter()
                    .filter(|(name, _)| is_added(name))
                    .map(|(_, info)| info.shape.iter().product::<usize>())
                    .sum::<usize>(),
                "{case}"
            );
            let model = stirred(fresh);

            let logits = model.forward(pixels.clone());
            assert_eq!(logits.dims(), [2, CLASSES], "{case}");
            let plain = host(&model.forward_plain(pixels.clone()));
            let difference = largest_difference(&host(&logits), &plain);
            assert!(difference < 1e-5, "{case}: {difference} from the plain form");

            let gradients = logits.clone().powi_scalar(2).sum().backward();
            let gradients = named_tensors::read_gradients(&model, model.config(), &gradients);
            let tuned = model.tuned_tensors();
            assert!(gradients.keys().eq(tuned.keys()), "{case}");
            for (name, gradient) in &gradients {
                let used = gradient.data.iter().any(|value| *value != 0.0);
                let finite = gradient.data.iter().all(|value| value.is_finite());
                assert!(used && finite, "{case}: gradient of `{name}`");
            }

            task_file(&backbone, &model).save(&path, false).unwrap();
            let back = TaskFile::load(&path).unwrap().apply(&backbone, &device).unwrap();
            let again = back.forward(pixels.clone());
            assert_eq!(host(&again).f32_bytes(), host(&logits).f32_bytes(), "{case}");
        }
    }
}

#[test]
fn every_family_is_saved_and_found_again() {
    for family in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        let backbone = Backbone::random(tiny(family), CLASSES, 7);
        backbone.save(folder.path(), false).unwrap();
        let back = Backbone::load(folder.path().to_str().unwrap()).unwrap();
        assert_eq!(back.config, backbone.config, "{family}");
        assert_eq!(back.sha256, backbone.sha256, "{family}");
    }
}

/// Nothing in a file backs up the image size of a model without position embeddings.
#[test]
fn images_of_absurd_sizes_are_refused_before_anything_is_reserved() {
    for family in FAMILIES {
        let backbone = backbone(family);
        let [height, width] = backbone.config.patch_size;
        let size = [height << 14, width << 14];
        let error = Classifier::new(
            &backbone,
            &MethodConfig::linear(),
            CLASSES,
            size,
            3,
            &Device::flex(),
        );
        let error = error.err().unwrap().to_string();
        assert!(
            error.contains("img_size") && error.contains("patches"),
            "{family}: {error}"
        );
    }
}

/// Prompts reach a pooling that reads patches only through attention, and the class token likewise.
#[test]
fn prompts_change_what_every_family_sees() {
    let device = Device::flex();
    for family in FAMILIES {
        let backbone = backbone(family);
        let size = backbone.config.img_size;
        let pixels =
            init::normal([1, 3, size[0], size[1]], 1.0, &mut init::rng_of(1, family)).to_tensor(&device);
        let pooled = |name| {
            let model = Classifier::new(&backbone, &method(name, false), CLASSES, size, 3, &device).unwrap();
            host(&model.pooled_with(Tensor::<4>::clone(&pixels), &Noise::none(), PromptForm::KeyValue))
        };
        let difference = largest_difference(&pooled("linear"), &pooled("vpt-deep"));
        assert!(difference > 1e-6, "{family}: {difference}");
    }
}

#[test]
fn the_table_has_every_pooling_and_every_kind_of_block() {
    let kinds = |config: &VitConfig| {
        (
            config.global_pool == GlobalPool::Map,
            config.gated_mlp,
            config.mlp_norm,
            config.attn_norm,
            config.rope.is_some(),
            config.rel_pos_bias,
            config.pos_embed,
            config.pre_norm,
            config.reg_tokens > 0,
            config.distilled,
            config.swin.is_some(),
        )
    };
    let covered: Vec<_> = FAMILIES.iter().map(|name| kinds(&tiny(name))).collect();
    for preset in PRESETS {
        let own = kinds(&preset.timm_args().resolve());
        assert!(
            covered.contains(&own),
            "{} is like none of the table",
            preset.name
        );
    }
}
