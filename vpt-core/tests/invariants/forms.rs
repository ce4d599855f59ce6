//! Faster forms of the same computation.

use vpt_core::{Entering, Precision};

use super::*;

/// Prompt options, all combinations that make sense on a class-token and on an average-pooling model.
pub fn prompt_variants() -> Vec<PromptConfig> {
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
fn for_inference_a_model_answers_the_same() {
    let device = Device::flex();
    let variants = prompt_variants().into_iter().map(MethodConfig::vpt);
    let answer = |model: &Classifier| host(&model.forward(pixels(&device)));
    for method in methods().into_iter().chain(variants) {
        for precision in [Precision::F32, Precision::Int8] {
            let text = format!("{method:?} in {precision}");
            let model = stirred(build(&method, 1, &device.clone().autodiff()));
            let model = model.with_precision(precision).expect("the CPU has it");
            let inference = model.for_inference();
            assert_eq!(answer(&inference), answer(&model.valid()), "{text}");
            let further = stirred(model);
            let reloaded = inference
                .load_tuned(&further.tuned_tensors())
                .expect("the same method");
            assert_eq!(
                answer(&reloaded.for_inference()),
                answer(&further.valid()),
                "{text}"
            );
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
        let noise = model.sample_noise(BATCH, &mut vpt_data::rng::rng(8, &[]));
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
        let [whole, from] = [Entering::Pixels(pixels(&device)), Entering::Tokens(kept)].map(|entering| {
            let logits = model.head_forward(model.pooled_from(model.enter(entering), &noise));
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
