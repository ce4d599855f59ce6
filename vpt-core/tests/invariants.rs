//! What must hold for every method, whatever the numbers are.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use vpt_core::methods::{LoraConfig, LoraTarget, MethodOptions};
use vpt_core::prompts::{Noise, PromptForm};
use vpt_core::vit::{Hook, TokensAt};
use vpt_core::{
    Backbone, Classifier, GlobalPool, HostTensor, MethodConfig, MethodKind, PromptConfig, PromptDepth,
    PromptInit, PromptPool, VitConfig, init, named_tensors, preset,
};

const CLASSES: usize = 3;
const BATCH: usize = 4;

/// A model small enough to train in milliseconds.
fn config() -> VitConfig {
    VitConfig {
        img_size: [16, 24],
        patch_size: [8, 8],
        embed_dim: 16,
        depth: 4,
        num_heads: 2,
        init_values: Some(0.5),
        reg_tokens: 1,
        ..VitConfig::default()
    }
}

fn backbone() -> Backbone {
    Backbone::random(config(), 0, 5)
}

fn pixels(device: &Device) -> Tensor<4> {
    init::normal([BATCH, 3, 16, 24], 1.0, &mut init::rng_of(1, "pixels")).to_tensor(device)
}

fn deep(num_tokens: usize) -> PromptConfig {
    PromptConfig::new(PromptDepth::Deep, num_tokens)
}

fn methods() -> Vec<MethodConfig> {
    let shallow = PromptConfig::new(PromptDepth::Shallow, 5);
    let narrow = PromptConfig {
        project_dim: Some(6),
        ..deep(5)
    };
    let gated = PromptConfig {
        gate: true,
        ..shallow.clone()
    };
    let mut methods = vec![
        MethodConfig::vpt(deep(5)),
        MethodConfig::vpt(shallow),
        MethodConfig::vpt(narrow),
        MethodConfig::vpt(gated),
        MethodConfig {
            bias: true,
            ..MethodConfig::vpt(deep(5))
        },
        MethodConfig {
            lora: Some(LoraConfig {
                targets: LoraTarget::ALL.to_vec(),
                ..LoraConfig::default()
            }),
            ..MethodConfig::new(MethodKind::Lora)
        },
    ];
    let others = MethodKind::ALL
        .into_iter()
        .filter(|kind| kind.prompt_depth().is_none());
    methods.extend(others.map(MethodConfig::new));
    methods
}

/// The model with random values added to everything that is learned, so that what starts at zero takes part.
fn stirred(model: Classifier) -> Classifier {
    let mut tuned = model.tuned_tensors();
    for (name, tensor) in &mut tuned {
        let noise = init::normal(tensor.shape.clone(), 0.1, &mut init::rng_of(4, name));
        tensor
            .data
            .iter_mut()
            .zip(noise.data)
            .for_each(|(x, noise)| *x += noise);
    }
    model.load_tuned(&tuned).expect("its own tensors")
}

fn build(method: &MethodConfig, seed: u64, device: &Device) -> Classifier {
    Classifier::new(&backbone(), method, CLASSES, [16, 24], seed, device).expect("the method fits")
}

fn loss(logits: Tensor<2>) -> Tensor<1> {
    let weights: Vec<f32> = (0..BATCH * CLASSES).map(|i| (i as f32).sin()).collect();
    let weights = Tensor::<2>::from_data(TensorData::new(weights, [BATCH, CLASSES]), &logits.device());
    (logits * weights).sum()
}

fn host<const R: usize>(tensor: &Tensor<R>) -> HostTensor {
    HostTensor::from_tensor(tensor).expect("the device delivers")
}

/// All values, by task-file name.
fn values(model: &Classifier) -> BTreeMap<String, HostTensor> {
    named_tensors::read(model, model.config(), |_| true)
}

fn largest_difference(a: &HostTensor, b: &HostTensor) -> f32 {
    assert_eq!(a.shape, b.shape);
    let pairs = a.data.iter().zip(&b.data);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn nothing_outside_the_group_moves_and_everything_inside_does() {
    let device = Device::flex().autodiff();
    for method in methods() {
        let mut model = build(&method, 0, &device);
        let before = values(&model);
        let mut optimizer = AdamWConfig::new().with_weight_decay(0.1).init();
        for _ in 0..3 {
            let gradients = loss(model.forward(pixels(&device))).backward();
            let gradients = GradientsParams::from_grads(gradients, &model);
            model = optimizer.step(0.01, model, gradients);
        }
        let tuned = model.tuned_tensors();
        for (name, after) in values(&model) {
            let moved = after != before[&name];
            // The biases of keys shift all scores of a query alike, so they are inside and may stay.
            let must_move = tuned.contains_key(&name) && !name.ends_with("qkv.bias");
            assert!(moved || !must_move, "{method}: `{name}` should move");
            assert!(
                !moved || tuned.contains_key(&name),
                "{method}: `{name}` should not move"
            );
        }
        let moving = matches!(
            method.kind,
            MethodKind::Norm
                | MethodKind::Bitfit
                | MethodKind::Partial
                | MethodKind::Full
                | MethodKind::Scratch
        );
        let frozen = !moving && !method.bias;
        assert_eq!(method.keeps_backbone(), frozen, "{method}");
        assert_eq!(
            model.backbone_sha256() == backbone().sha256,
            frozen,
            "{method}: hash of the backbone"
        );
    }
}

#[test]
fn gradients_are_required_of_the_group_alone() {
    struct Tracked(usize);
    impl ModuleVisitor for Tracked {
        fn visit_float<const R: usize>(&mut self, param: &Param<Tensor<R>>) {
            if param.is_require_grad() {
                self.0 += param.shape().num_elements();
            }
        }
    }
    let device = Device::flex().autodiff();
    for method in methods() {
        let model = build(&method, 0, &device);
        let count = |model: &Classifier| {
            let mut tracked = Tracked(0);
            model.visit(&mut tracked);
            tracked.0
        };
        assert_eq!(count(&model), model.num_tuned(), "{method}");
        let model = model.valid();
        assert_eq!(count(&model), 0, "{method} after valid()");
        assert_eq!(
            count(&model.train()),
            build(&method, 0, &device).num_tuned(),
            "{method}"
        );
    }
}

#[test]
fn counts_follow_the_formulas() {
    let device = Device::flex();
    let (dim, depth) = (16, 4);
    let head = dim * CLASSES + CLASSES;
    let model = build(&MethodConfig::linear(), 0, &device);
    let total = model.num_total();
    let backbone_values: usize = backbone().tensors.values().map(HostTensor::numel).sum();
    assert_eq!((model.num_tuned(), total), (head, backbone_values + head));
    let count = |prompts: PromptConfig| {
        let model = build(&MethodConfig::vpt(prompts), 0, &device);
        assert_eq!(model.num_total(), backbone_values + model.num_tuned());
        model.num_tuned() - head
    };
    assert_eq!(count(PromptConfig::new(PromptDepth::Shallow, 7)), 7 * dim);
    assert_eq!(count(deep(7)), depth * 7 * dim);
    let narrow = PromptConfig {
        project_dim: Some(6),
        ..deep(7)
    };
    assert_eq!(count(narrow), depth * 7 * 6 + 6 * dim + dim);
    let last = PromptConfig {
        deep_layers: Some(3),
        last: true,
        ..deep(7)
    };
    assert_eq!(count(last), 3 * 7 * dim);
    let shared = PromptConfig {
        shared: true,
        ..deep(7)
    };
    assert_eq!(count(shared), 7 * dim);
    let full = build(&MethodConfig::new(MethodKind::Full), 0, &device);
    assert_eq!(full.num_tuned(), total);
    let bitfit = build(&MethodConfig::new(MethodKind::Bitfit), 0, &device);
    let block_biases = dim + 3 * dim + dim + dim + 4 * dim + dim;
    assert_eq!(
        bitfit.num_tuned(),
        dim + depth * block_biases + dim + dim * CLASSES + CLASSES
    );
}

/// What the papers say of ViT-B/16: 1.19 million values of AdaptFormer-64, 0.2 of SSF.
#[test]
fn additions_have_the_sizes_of_their_papers() {
    let base = preset("vit_base_patch16_224").expect("is published");
    let options = MethodOptions {
        gate: true,
        ..MethodOptions::default()
    };
    let count = |name: &str, options: &MethodOptions| {
        MethodConfig::parse(name, options)
            .expect("a method")
            .num_added(&base)
    };
    let (dim, depth, hidden) = (768, 12, 3072);
    assert_eq!(count("lora", &options), depth * 8 * (dim + 3 * dim));
    let all = MethodOptions {
        lora_rank: 4,
        lora_targets: LoraTarget::ALL.to_vec(),
        ..options.clone()
    };
    assert_eq!(
        count("lora", &all),
        depth * 4 * (4 * dim + 2 * dim + 2 * (dim + hidden))
    );
    let bottleneck = 2 * dim * 64 + 64 + dim;
    assert_eq!(count("adapter", &options), depth * 2 * bottleneck);
    assert_eq!(count("adaptformer", &options), 1_189_632);
    assert_eq!(count("adaptformer", &options), depth * bottleneck);
    assert_eq!(count("ssf", &options), 205_824);
    assert_eq!(
        count("ssf", &options),
        2 * (dim + depth * (7 * dim + hidden) + dim)
    );
    assert_eq!(count("mlp-3", &options), 2 * (dim * dim + dim));
    assert_eq!(count("vpt-shallow", &options), 10 * dim + depth - 1);
    assert_eq!(count("norm", &options), 0);
}

#[test]
fn weight_decay_leaves_out_what_timm_leaves_out() {
    let model = build(&MethodConfig::new(MethodKind::Full), 0, &Device::flex());
    let (all, without) = (model.group(), model.no_decay_group());
    for (name, info) in model.params() {
        assert!(all.matches(&info.id, None));
        let kernel = name.ends_with("weight") && info.shape.len() > 1;
        assert_eq!(without.matches(&info.id, None), !kernel, "{name}");
    }
    let model = build(&MethodConfig::vpt(deep(3)), 0, &Device::flex());
    let without = model.no_decay_group();
    let names: Vec<_> = model
        .params()
        .into_iter()
        .filter(|(_, info)| without.matches(&info.id, None))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["head.bias"], "prompts decay as in the reference");
}

#[test]
fn seeds_decide_initial_values_and_names_decide_identities() {
    let device = Device::flex();
    for method in methods() {
        let [a, b, other] = [1, 1, 2].map(|seed| build(&method, seed, &device));
        assert_eq!(values(&a), values(&b), "{method}");
        assert_eq!(
            a.params(),
            b.params(),
            "{method}: identities match in another process"
        );
        assert_ne!(a.tuned_tensors(), other.tuned_tensors(), "{method}");
    }
}

#[test]
fn tuned_tensors_carry_the_whole_task() {
    let device = Device::flex();
    for method in methods() {
        let trained = build(&method, 1, &device);
        let fresh = build(&method, 2, &device);
        let expected = host(&trained.forward(pixels(&device)));
        assert_ne!(host(&fresh.forward(pixels(&device))), expected);
        let loaded = fresh.load_tuned(&trained.tuned_tensors()).expect("same group");
        assert_eq!(host(&loaded.forward(pixels(&device))), expected, "{method}");
    }
    let model = build(&MethodConfig::vpt(deep(5)), 0, &device);
    let other = build(&MethodConfig::vpt(deep(6)), 0, &device).tuned_tensors();
    let message = model.load_tuned(&other).expect_err("other shapes").to_string();
    assert!(message.contains("`prompts`"), "{message}");
}

/// Prompt options, all combinations that make sense on a class-token and on an average-pooling model.
fn prompt_variants() -> Vec<PromptConfig> {
    let mut variants = Vec::new();
    for pool in [
        PromptPool::Original,
        PromptPool::Image,
        PromptPool::Prompt,
        PromptPool::ImagePrompt,
    ] {
        let with_pool = |config: PromptConfig| PromptConfig { pool, ..config };
        variants.push(with_pool(PromptConfig::new(PromptDepth::Shallow, 3)));
        variants.push(with_pool(PromptConfig {
            gate: true,
            ..PromptConfig::new(PromptDepth::Shallow, 3)
        }));
        variants.push(with_pool(deep(3)));
        for dropout in [0.0, 0.4] {
            for last in [false, true] {
                variants.push(with_pool(PromptConfig {
                    deep_layers: Some(2),
                    last,
                    dropout,
                    ..deep(3)
                }));
                variants.push(with_pool(PromptConfig {
                    deep_layers: Some(3),
                    last,
                    dropout,
                    shared: true,
                    project_dim: Some(5),
                    ..deep(2)
                }));
            }
        }
    }
    variants
}

#[test]
fn fast_and_plain_forms_agree() {
    let device = Device::flex().autodiff();
    let average = VitConfig {
        global_pool: GlobalPool::Avg,
        fc_norm: true,
        final_norm: false,
        drop_path: 0.3,
        ..config()
    };
    let clip = VitConfig {
        pre_norm: true,
        patch_bias: false,
        reg_tokens: 0,
        ..config()
    };
    for vit in [config(), average, clip] {
        let backbone = Backbone::random(vit, 0, 3);
        for prompts in prompt_variants() {
            let text = format!("{prompts:?} on {:?}", backbone.config.global_pool);
            let method = MethodConfig::vpt(PromptConfig {
                before_norm_pre: true,
                ..prompts
            });
            let model = Classifier::new(&backbone, &method, CLASSES, [16, 24], 1, &device).expect("it fits");
            let noise = model.sample_noise(BATCH, &mut vpt_data::rng::rng(8, &[]));
            let [fast, plain] = [PromptForm::KeyValue, PromptForm::Plain].map(|form| {
                let logits = model.head_forward(model.pooled_with(pixels(&device), &noise, form));
                let gradients = loss(logits.clone()).backward();
                let mut all = named_tensors::read_gradients(&model, model.config(), &gradients);
                all.insert("logits".into(), host(&logits));
                all
            });
            assert_eq!(fast.keys().collect::<Vec<_>>(), plain.keys().collect::<Vec<_>>());
            for (name, expected) in &plain {
                let scale = expected.data.iter().fold(0f32, |max, x| max.max(x.abs()));
                let difference = largest_difference(&fast[name], expected);
                assert!(
                    difference <= 2e-6 + 2e-5 * scale,
                    "{text}: {name} differs by {difference:e} of {scale:e}"
                );
            }
        }
    }
}

#[test]
fn what_comes_before_the_learned_blocks_can_be_kept() {
    let device = Device::flex().autodiff();
    let last = PromptConfig {
        deep_layers: Some(2),
        last: true,
        dropout: 0.4,
        ..deep(5)
    };
    let cases = methods().into_iter().map(|method| match method.kind {
        MethodKind::Partial => (method, 3),
        MethodKind::Linear | MethodKind::Mlp => (method, 4),
        _ => (method, 0),
    });
    for (method, blocks) in cases.chain([(MethodConfig::vpt(last), 2)]) {
        let model = build(&method, 1, &device);
        assert_eq!(model.constant_blocks(), blocks, "{method}");
        if blocks == 0 {
            continue;
        }
        let rng = || vpt_data::rng::rng(8, &[]);
        let kept = model.valid().backbone.tokens_at(pixels(&Device::flex()), blocks);
        let kept = TokensAt {
            tokens: host(&kept.tokens).to_tensor(&device),
            ..kept
        };
        assert_eq!(
            host(&model.forward_from(kept.clone())),
            host(&model.forward(pixels(&device))),
            "{method}"
        );
        let [whole, from] = [
            model.forward_train(pixels(&device), &mut rng()),
            model.forward_train_from(kept, &mut rng()),
        ]
        .map(|logits| {
            let gradients = loss(logits.clone()).backward();
            let mut all = named_tensors::read_gradients(&model, model.config(), &gradients);
            all.insert("logits".into(), host(&logits));
            all
        });
        assert!(whole == from, "{method}: logits and gradients, bit for bit");
    }
    let random = VitConfig {
        drop_path: 0.1,
        ..config()
    };
    let backbone = Backbone::random(random, 0, 5);
    let partial = MethodConfig::new(MethodKind::Partial);
    let model = Classifier::new(&backbone, &partial, CLASSES, [16, 24], 1, &device).expect("it fits");
    assert_eq!(
        model.constant_blocks(),
        0,
        "stochastic depth may skip any block but the first"
    );
}

#[test]
fn methods_without_prompts_need_only_the_class_row_in_the_last_block() {
    let device = Device::flex();
    for method in methods().into_iter().filter(|method| method.prompts.is_none()) {
        let model = stirred(build(&method, 0, &device));
        let mut rows = Vec::new();
        let fast = model.observed(
            pixels(&device),
            &Noise::none(),
            PromptForm::KeyValue,
            &mut |_, x| {
                rows.push(x.dims()[1]);
            },
        );
        assert_eq!(rows, [8, 8, 8, 1], "{method}");
        let plain = model.pooled_with(pixels(&device), &Noise::none(), PromptForm::Plain);
        let difference = largest_difference(&host(&fast), &host(&plain));
        assert!(difference < 2e-5, "{method}: {difference}");
    }
}

/// What begins at zero changes nothing: the logits are those of the same head on the bare backbone, to the bit.
#[test]
fn additions_begin_as_nothing() {
    let device = Device::flex();
    let bare = host(&build(&MethodConfig::linear(), 0, &device).forward(pixels(&device)));
    for kind in [MethodKind::Lora, MethodKind::Adapter, MethodKind::Adaptformer] {
        let model = build(&MethodConfig::new(kind), 0, &device);
        assert_eq!(host(&model.forward(pixels(&device))), bare, "{kind}");
        let changed = host(&stirred(model).forward(pixels(&device)));
        assert!(largest_difference(&changed, &bare) > 1e-3, "{kind}");
    }
}

/// What is shown of attention is what the method made of it.
#[test]
fn attention_is_that_of_the_tuned_model() {
    let device = Device::flex();
    let shown = |model: &Classifier| {
        let mut last = None;
        model.attention(pixels(&device), &mut |_, weights| last = Some(host(&weights)));
        last.expect("there are blocks")
    };
    let bare = shown(&build(&MethodConfig::linear(), 0, &device));
    for kind in [
        MethodKind::Lora,
        MethodKind::Adapter,
        MethodKind::Adaptformer,
        MethodKind::Ssf,
    ] {
        let model = stirred(build(&MethodConfig::new(kind), 0, &device));
        assert!(largest_difference(&shown(&model), &bare) > 1e-4, "{kind}");
    }
}

#[test]
fn training_noise_is_a_function_of_its_generator() {
    let device = Device::flex();
    let noisy = MethodConfig::vpt(PromptConfig {
        dropout: 0.5,
        ..deep(4)
    });
    let model = build(&noisy, 0, &device);
    let logits = |step| host(&model.forward_train(pixels(&device), &mut vpt_data::rng::rng(9, &[step])));
    assert_eq!(logits(1), logits(1));
    assert_ne!(logits(1), logits(2));
    let quiet = build(&MethodConfig::vpt(deep(4)), 0, &device);
    let trained = quiet.forward_train(pixels(&device), &mut vpt_data::rng::rng(9, &[]));
    assert_eq!(host(&trained), host(&quiet.forward(pixels(&device))));
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let vit = VitConfig {
        img_size: [64, 64],
        patch_size: [8, 8],
        embed_dim: 96,
        num_heads: 3,
        depth: 2,
        ..VitConfig::default()
    };
    let backbone = Backbone::random(vit, 0, 5);
    let device = Device::flex().autodiff();
    for method in [MethodConfig::vpt(deep(10)), MethodConfig::new(MethodKind::Full)] {
        let gradients = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads").install(|| {
                let model =
                    Classifier::new(&backbone, &method, CLASSES, [64, 64], 1, &device).expect("it fits");
                let mut rng = init::rng_of(1, "pixels");
                let pixels = init::normal([BATCH, 3, 64, 64], 1.0, &mut rng).to_tensor(&device);
                let gradients = loss(model.forward(pixels)).backward();
                named_tensors::read_gradients(&model, model.config(), &gradients)
            })
        };
        let one = gradients(1);
        assert!(one == gradients(2) && one == gradients(5), "{method}");
    }
}

#[test]
fn prompts_from_patches_are_tokens_of_the_task() {
    let device = Device::flex();
    let method = MethodConfig::vpt(PromptConfig {
        init: PromptInit::Patches,
        ..deep(3)
    });
    let batches = || (0..3).map(|i| pixels(&device) * f64::from(i + 1));
    let model = build(&method, 0, &device)
        .init_prompts_from(batches(), 7)
        .expect("batches of the task");
    let prompts = &model.tuned_tensors()["prompts"];
    assert_eq!(prompts.shape, [4, 3, 16]);
    let mut entering = vec![Vec::new(); 5];
    let bare = build(&MethodConfig::linear(), 0, &device);
    for pixels in batches() {
        entering[0].extend(host(&bare.backbone.tokens(pixels.clone(), Hook::none())).data);
        bare.observed(pixels, &Noise::none(), PromptForm::Plain, &mut |i, tokens| {
            entering[i + 1].extend(host(tokens).data);
        });
    }
    for (block, set) in prompts.data.chunks_exact(3 * 16).enumerate() {
        for prompt in set.chunks_exact(16) {
            let found = entering[block].chunks_exact(16).any(|token| token == prompt);
            assert!(
                found,
                "block {block}: each prompt is one of the tokens that enter it"
            );
        }
    }
    let again = build(&method, 0, &device)
        .init_prompts_from(batches(), 7)
        .expect("batches of the task");
    assert_eq!(model.tuned_tensors(), again.tuned_tensors());
    assert!(build(&method, 0, &device).init_prompts_from([], 7).is_err());
}

#[test]
fn impossible_requests_are_errors() {
    let device = Device::flex();
    let linear = MethodConfig::linear();
    let message = |result: Result<Classifier, vpt_core::CoreError>| {
        result.expect_err("an impossible request").to_string()
    };
    let backbone = backbone();
    let odd = Classifier::new(&backbone, &linear, 2, [16, 20], 0, &device);
    assert!(message(odd).contains("16x20"));
    let none = Classifier::new(&backbone, &linear, 0, [16, 24], 0, &device);
    assert!(message(none).contains("classes"));
    let headless = Classifier::with_pretrained_head(&backbone, [16, 24], &device);
    assert!(message(headless).contains("head.weight"));
    let mut broken = backbone.clone();
    broken.tensors.remove("blocks.2.mlp.fc1.bias");
    let broken = Classifier::new(&broken, &linear, 2, [16, 24], 0, &device);
    assert!(message(broken).contains("blocks.2.mlp.fc1.bias"));
    let many = MethodConfig::vpt(PromptConfig {
        deep_layers: Some(5),
        ..deep(2)
    });
    assert!(message(Classifier::new(&backbone, &many, 2, [16, 24], 0, &device)).contains("1 to 4"));
}
