//! The golden suite on the CPU backend.

mod suite;

use burn::tensor::Device;
use suite::{METHOD_CASES, MODELS, TRANSFORMERS};

#[test]
fn model_outputs_equal_timm() {
    let found = MODELS
        .iter()
        .filter(|(name, _)| suite::model_outputs(name, &Device::flex()))
        .count();
    assert!(
        found >= 10,
        "the fixtures of ten models are part of the repository"
    );
}

#[test]
fn other_image_sizes_equal_timm() {
    let mut found = 0;
    for (name, sizes) in MODELS {
        for size in sizes {
            found += usize::from(suite::image_sizes(name, size, &Device::flex()));
        }
    }
    assert!(
        found >= 4,
        "the fixtures of four image sizes are part of the repository"
    );
}

#[test]
fn prompts_equal_the_official_form() {
    let found = suite::prompt_cases()
        .into_iter()
        .filter(|case| suite::prompt_case(*case, &Device::flex()))
        .count();
    assert!(
        found >= 18,
        "the fixtures of eighteen cases are part of the repository"
    );
}

#[test]
fn methods_equal_their_references() {
    for (model, names) in METHOD_CASES {
        for name in names {
            suite::method_case(model, name, &Device::flex());
        }
    }
}

#[test]
fn models_of_transformers_give_its_outputs() {
    for name in TRANSFORMERS {
        suite::transformers_outputs(name, &Device::flex());
    }
}

#[test]
fn gradients_of_full_fine_tuning_equal_torch() {
    suite::finetune_gradients(&Device::flex());
}
