use crate::config_layers::layers;

#[test]
fn impossible_values_name_flag_value_and_range() {
    for (text, flag) in [
        ("epochs = 0", "--epochs"),
        ("batch_size = 0", "--batch-size"),
        ("lr = -1.0", "--lr"),
        ("lr = nan", "--lr"),
        ("lr = inf", "--lr"),
        ("weight_decay = -0.1", "--weight-decay"),
        ("weight_decay = \"none\"", "`--opt lbfgs`"),
        ("opt = \"lbfgs\"", "`--method linear`"),
        (
            "method = \"linear\"\nopt = \"lbfgs\"\nloss = \"focal\"",
            "`--loss focal`",
        ),
        (
            "method = \"linear\"\nopt = \"lbfgs\"\nsampling = \"balanced\"",
            "`--sampling balanced`",
        ),
        (
            "method = \"linear\"\nopt = \"lbfgs\"\nweight_decay = 0.0",
            "--weight-decay",
        ),
        (
            "method = \"linear\"\nopt = \"lbfgs\"\ntrain_on_val = true",
            "--weight-decay",
        ),
        (
            "method = \"linear\"\nopt = \"lbfgs\"\nweight_decay = 0.1\nepochs = 3",
            "--epochs",
        ),
        ("epochs = 3\nwarmup_epochs = 4", "--warmup-epochs"),
        ("clip_grad = 0.0", "--clip-grad"),
        ("ema = 1.0", "--ema"),
        ("method = \"linear\"\nopt = \"lbfgs\"\nema = 0.99", "`--ema`"),
        ("smoothing = 1.0", "--smoothing"),
        ("loss = \"focal\"\nfocal_gamma = -1.0", "--focal-gamma"),
        ("focal_gamma = 2.0", "`--loss focal`"),
        ("logit_adjustment = 0.0", "--logit-adjustment"),
        ("kind = \"multi-label\"\nsampling = \"balanced\"", "--sampling"),
        (
            "kind = \"multi-label\"\nlogit_adjustment = 1.0",
            "--logit-adjustment",
        ),
        ("kind = \"multi-label\"\nabstain = \"coverage=0.9\"", "--abstain"),
        (
            "kind = \"multi-label\"\npositive_class = \"a\"",
            "--positive-class",
        ),
        ("sampling = \"balanced\"\nshuffle = false", "`--no-shuffle`"),
        (
            "sampling = \"balanced\"\nlogit_adjustment = 1.0",
            "`--sampling balanced`",
        ),
        (
            "sampling = \"balanced\"\nclass_weights = \"effective\"",
            "`--sampling balanced`",
        ),
        (
            "class_weights = \"balanced\"\nlogit_adjustment = 1.0",
            "`--class-weights balanced`",
        ),
        ("patience = 0", "--patience"),
        ("shots = 0", "--shots"),
        ("shots_seed = 1", "--shots-seed"),
        ("repeats = 0", "--repeats"),
        ("shrink = 0", "--shrink"),
        ("kind = \"detection\"\nshrink = 64", "--shrink"),
        ("patience = 3\ntrain_on_val = true", "--patience"),
        ("read_test = false\ntrain_on_val = true", "--train-on-val"),
        (
            "operating_point = \"youden\"\ntrain_on_val = true",
            "--operating-point",
        ),
        ("grad_accum_steps = 0", "--grad-accum-steps"),
        ("eval_metric = \"accuracy\"", "--eval-metric"),
        ("val_fraction = 0.0", "--val-fraction"),
        ("val_fraction = 0.8\ntest_fraction = 0.8", "--test-fraction"),
        ("image_size = [0, 224]", "--img-size"),
        ("[augment]\nhflip = 1.5", "hflip"),
        ("[augment]\nrrc_scale = [0.9, 0.1]", "rrc_scale"),
        ("data_dir = \"\"", "--data-dir"),
    ] {
        let config = layers(&["data_dir = \"a\"", text]).expect(text);
        let error = config.validate().expect_err(text);
        assert!(error.to_string().contains(flag), "{text}: {error}");
    }
    let error = layers(&["[method]\nnum_tokens = 0"])
        .expect_err("no tokens")
        .to_string();
    assert!(error.contains("num-tokens"), "{error}");
}
