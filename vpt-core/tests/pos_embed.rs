//! Resampled position embeddings against torch, timm and scipy.

mod suite;

use serde_json::Value;
use suite::{Comparison, Fixture};
use vpt_core::vit::{PosEmbedResampling, resample_pos_embed};

#[test]
fn every_kind_equals_its_peer() {
    let file = suite::find("pos_embed/cases.json").expect("part of the repository");
    let cases: Value = serde_json::from_slice(&std::fs::read(file).expect("readable")).expect("JSON");
    let tensors = Fixture::open("pos_embed/cases.safetensors").expect("part of the repository");
    let kinds = [
        ("bicubic_antialias", PosEmbedResampling::BicubicAntialias),
        ("bicubic", PosEmbedResampling::Bicubic),
        ("bilinear_antialias", PosEmbedResampling::BilinearAntialias),
        ("bilinear", PosEmbedResampling::Bilinear),
        ("official_zoom_order1", PosEmbedResampling::AlignCorners),
    ];
    for (name, how) in kinds {
        let mut check = Comparison::new(name);
        for case in cases["cases"].as_array().expect("a list") {
            let number = |value: &Value| value.as_u64().expect("a number") as usize;
            let grid = |key: &str| [number(&case[key][0]), number(&case[key][1])];
            let id = number(&case["id"]);
            let input = tensors.get(&format!("case{id}.input"));
            let actual = resample_pos_embed(input, number(&case["prefix"]), grid("old"), grid("new"), how);
            let expected = format!("case{id}.{name}");
            check.close(&expected, &actual, tensors.get(&expected), 1e-5, 0.0);
        }
        check.finish();
    }
}
