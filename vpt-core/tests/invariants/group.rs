//! What a method learns, and nothing else.

use super::*;

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
