//! The golden suite on WGPU, on whatever adapter there is; a software one (lavapipe) serves.
//!
//! A binary of its own, since a driver may take the process down. Without an adapter the tests print
//! that they are skipped; with `VPT_REQUIRE_WGPU=1` they fail instead.

#![cfg(feature = "wgpu")]
#![allow(clippy::print_stdout, reason = "tests say what they skip")]

mod adapter;
mod suite;

use adapter::device;
use suite::{METHOD_CASES, MODELS, TRANSFORMERS};

#[test]
fn model_outputs_equal_timm() {
    let Some(device) = device() else { return };
    for (name, sizes) in MODELS {
        suite::model_outputs(name, device);
        for size in sizes {
            suite::image_sizes(name, size, device);
        }
    }
}

#[test]
fn prompts_equal_the_official_form() {
    let Some(device) = device() else { return };
    for case in suite::prompt_cases() {
        suite::prompt_case(case, device);
    }
}

#[test]
fn methods_equal_their_references() {
    let Some(device) = device() else { return };
    for (model, names) in METHOD_CASES {
        for name in names {
            suite::method_case(model, name, device);
        }
    }
}

#[test]
fn models_of_transformers_give_its_outputs() {
    let Some(device) = device() else { return };
    for name in TRANSFORMERS {
        suite::transformers_outputs(name, device);
    }
}

#[test]
fn gradients_of_full_fine_tuning_equal_torch() {
    let Some(device) = device() else { return };
    suite::finetune_gradients(device);
}
