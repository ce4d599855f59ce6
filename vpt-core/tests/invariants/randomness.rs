//! Seeds decide, and nothing else does.

use super::*;

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
