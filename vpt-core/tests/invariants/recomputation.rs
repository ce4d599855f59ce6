//! Blocks that are computed again for their gradients.

use vpt_core::{Entering, Precision};

use super::*;

/// The gradients of a step by name, with blocks computed again or not.
fn gradients(model: &Classifier, entering: Entering, recompute: bool) -> BTreeMap<String, HostTensor> {
    let noise = model.sample_noise(BATCH, &mut vpt_data::rng::rng(8, &[]));
    let loss = |tokens| loss(model.head_forward(model.pooled_from(tokens, &noise)));
    let mut sums = BTreeMap::<String, HostTensor>::new();
    model.backward(entering, &noise, recompute, loss, &mut |part| {
        for (name, gradient) in named_tensors::read_gradients(model, model.config(), &part) {
            match sums.get_mut(&name) {
                Some(sum) => sum
                    .data
                    .iter_mut()
                    .zip(gradient.data)
                    .for_each(|(sum, x)| *sum += x),
                None => drop(sums.insert(name, gradient)),
            }
        }
    });
    sums
}

fn assert_same(model: &Classifier, entering: &Entering, text: &str) {
    let [kept, again] = [false, true].map(|recompute| gradients(model, entering.clone(), recompute));
    assert_eq!(
        kept.keys().collect::<Vec<_>>(),
        again.keys().collect::<Vec<_>>(),
        "{text}"
    );
    for (name, expected) in &kept {
        let scale = expected.data.iter().fold(0f32, |max, x| max.max(x.abs()));
        let difference = largest_difference(&again[name], expected);
        assert!(
            difference <= 2e-6 + 2e-5 * scale,
            "{text}: {name} differs by {difference:e} of {scale:e}"
        );
    }
}

#[test]
fn gradients_are_those_of_blocks_that_are_kept() {
    let device = Device::flex().autodiff();
    let pixels = Entering::Pixels(pixels(&device));
    let random = VitConfig {
        drop_path: 0.3,
        pre_norm: true,
        ..config()
    };
    for vit in [config(), random] {
        let backbone = Backbone::random(vit, 0, 5);
        for method in methods() {
            let model = Classifier::new(&backbone, &method, CLASSES, [16, 24], 0, &device).expect("it fits");
            assert_same(&stirred(model), &pixels, &method.to_string());
        }
        for prompts in forms::prompt_variants() {
            let (text, method) = (format!("{prompts:?}"), MethodConfig::vpt(prompts));
            let model = Classifier::new(&backbone, &method, CLASSES, [16, 24], 1, &device).expect("it fits");
            assert_same(&model, &pixels, &text);
        }
    }
}

#[test]
fn of_windows_that_merge_too() {
    let device = Device::flex().autodiff();
    let swin = VitConfig {
        img_size: [32, 32],
        ..preset("swin_tiny_patch4_window7_224").expect("is known")
    };
    let backbone = Backbone::random(swin, 0, 5);
    let pixels = init::normal([BATCH, 3, 32, 32], 1.0, &mut init::rng_of(1, "pixels")).to_tensor(&device);
    for prompts in [deep(2), PromptConfig::new(PromptDepth::Shallow, 2)] {
        let (text, method) = (format!("{prompts:?}"), MethodConfig::vpt(prompts));
        let model = Classifier::new(&backbone, &method, CLASSES, [32, 32], 1, &device).expect("it fits");
        assert_same(&model, &Entering::Pixels(pixels.clone()), &text);
    }
}

#[test]
fn of_tokens_that_were_kept_too() {
    let device = Device::flex().autodiff();
    let partial = MethodConfig::parse("partial-2", &MethodOptions::default()).expect("is a method");
    let model = build(&partial, 1, &device);
    let kept = model.valid().backbone.tokens_at(pixels(&Device::flex()), 2);
    let kept = TokensAt {
        tokens: Tensor::from_inner(kept.tokens),
        ..kept
    };
    assert_same(&model, &Entering::Tokens(kept), "partial-2");
}

#[test]
fn of_weights_in_fewer_bits_too() {
    let device = Device::flex().autodiff();
    for precision in Precision::ALL {
        for method in methods() {
            let model = stirred(build(&method, 0, &device))
                .with_precision(precision)
                .expect("it is a CPU");
            let text = format!("{method} in {precision}");
            assert_same(&model, &Entering::Pixels(pixels(&device)), &text);
        }
    }
}
