use std::path::Path;

use super::*;

fn parsed(document: &Value, preprocessor: Option<&Value>) -> Result<ModelConfig, CoreError> {
    let path = Path::new("m/config.json");
    let preprocessor = preprocessor
        .map(|document| Object::top(path, document))
        .transpose()?;
    parse(
        &Object::top(path, document)?,
        preprocessor.as_ref(),
        &Shapes::new(),
    )
}

#[test]
fn defaults_are_those_of_the_configuration_classes() {
    let vit = parsed(&json!({"model_type": "vit"}), None).unwrap();
    assert_eq!(vit.architecture, "vit_base_patch16_224");
    assert_eq!((vit.config.norm_eps, vit.config.mlp_hidden()), (1e-12, 3072));
    let registers = json!({"model_type": "dinov2_with_registers", "patch_size": 14, "image_size": 518});
    let registers = parsed(&registers, None).unwrap().config;
    assert_eq!(
        (registers.reg_tokens, registers.num_pos_embed_tokens()),
        (4, 37 * 37)
    );
    let clip =
        json!({"model_type": "clip", "vision_config": {"hidden_size": 1024, "num_attention_heads": 16}});
    let clip = parsed(&clip, None).unwrap();
    assert_eq!((clip.config.embed_dim, clip.config.patch_bias), (1024, false));
    assert_eq!(clip.preprocess.mean, CLIP_MEAN);
}

#[test]
fn preprocessing_is_read_in_all_its_forms() {
    let colours = json!({"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.5, 0.5]});
    let of = |more: Value| {
        let mut document = colours.clone();
        for (key, value) in more.as_object().unwrap() {
            document[key] = value.clone();
        }
        parsed(&json!({"model_type": "vit"}), Some(&document))
            .unwrap()
            .preprocess
    };
    let squashed = of(json!({"size": {"height": 224, "width": 192}, "resample": 2}));
    assert_eq!(
        (squashed.input_size, squashed.crop_mode, squashed.interpolation),
        ([224, 192], CropMode::Squash, Interpolation::Bilinear)
    );
    assert_eq!(of(json!({"size": 384})).input_size, [384, 384]);
    let cropped = of(json!({
        "size": {"shortest_edge": 256}, "do_center_crop": true, "crop_size": {"height": 224, "width": 224},
    }));
    assert_eq!((cropped.input_size, cropped.crop_pct), ([224, 224], 0.875));
    assert_eq!(cropped.interpolation, Interpolation::Bicubic);
    assert_eq!(cropped.mean, [0.1, 0.2, 0.3]);
}

#[test]
fn what_cannot_be_built_is_said() {
    for (document, part) in [
        (
            json!({"model_type": "swinv2"}),
            "`model_type`: expected one of `vit`",
        ),
        (
            json!({"model_type": "dinov3_vit", "mlp_bias": false}),
            "`mlp_bias`: expected true",
        ),
        (
            json!({"model_type": "swin", "use_absolute_embeddings": true}),
            "`use_absolute_embeddings`: expected false",
        ),
        (
            json!({"model_type": "swin", "depths": [2, 2]}),
            "`model_args.num_heads`: expected for each stage a divisor of its width",
        ),
        (
            json!({"model_type": "vit", "hidden_act": "relu"}),
            "`hidden_act`: expected `gelu`",
        ),
        (
            json!({"model_type": "vit", "hidden_size": -1}),
            "`hidden_size`: expected an integer",
        ),
        (
            json!({"model_type": "vit", "num_attention_heads": 7}),
            "a divisor of embed_dim",
        ),
    ] {
        let error = parsed(&document, None).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let error = parsed(&json!({"model_type": "vit"}), Some(&json!({"resample": 9}))).unwrap_err();
    assert!(
        error.to_string().contains("`resample`: expected 0, 1, 2 or 3"),
        "{error}"
    );
}
