//! Logits, loss and gradients of the methods that add parameters, against PEFT and plain torch modules.

use burn::tensor::Device;
use vpt_core::methods::{MethodOptions, is_added};
use vpt_core::{Classifier, HostTensor, MethodConfig, named_tensors};

use super::fixture::{Comparison, Fixture};
use super::models::backbone;
use super::prompts::cross_entropy;

const ATOL: f32 = 5e-5;
const RTOL: f32 = 1e-4;

/// The model and the file of each case.
pub const METHOD_CASES: [(&str, &[&str]); 3] = [
    (
        "vit_p8_64",
        &[
            "lora",
            "lora_all",
            "adapter",
            "adaptformer",
            "ssf",
            "norm",
            "mlp3",
            "gated",
        ],
    ),
    (
        "dinov2_swiglu_reg4_p14_42",
        &["lora_all", "adapter", "adaptformer", "ssf", "gated"],
    ),
    ("swin_p4_w4_64", &["lora_all", "adapter", "adaptformer", "ssf"]),
];

/// One case in both forms.
pub fn method_case(model: &str, name: &str, device: &Device) {
    let open = |name: &str| {
        Fixture::open(&format!("methods/{model}/{name}.safetensors")).expect("part of the repository")
    };
    let (batch, golden) = (open("batch"), open(name));
    let backbone = backbone(model).expect("part of the repository");
    let device = device.clone().autodiff();
    let (size, classes) = (backbone.config.img_size, golden.get("input.head.bias").numel());
    let fresh =
        Classifier::new(&backbone, &method_of(name), classes, size, 0, &device).expect("the method fits");
    let learned = golden.below("input.");
    let is_learned = |name: &str| learned.contains_key(name);
    assert!(
        fresh
            .params()
            .keys()
            .filter(|name| is_added(name))
            .all(|name| is_learned(name)),
        "{model} {name}: the reference learns all that is added"
    );
    let tuned = fresh
        .load_tuned(&learned)
        .expect("the case's tensors are the group");
    for plain in [false, true] {
        let pixels = batch.get("pixels").to_tensor(&device);
        let logits = match plain {
            true => tuned.forward_plain(pixels),
            false => tuned.forward(pixels),
        };
        let mut check = Comparison::new(format!("{model} {name}, plain: {plain}"));
        check.close("logits", &host(&logits), golden.get("expect.logits"), ATOL, RTOL);
        let loss = cross_entropy(logits, batch.labels(), None);
        check.close("loss", &host(&loss), golden.get("expect.loss"), ATOL, RTOL);
        let gradients = named_tensors::read_gradients(&tuned, tuned.config(), &loss.backward());
        let expected = golden.below("expect.grad.");
        assert!(
            gradients.keys().eq(expected.keys()),
            "only the group has gradients"
        );
        for (name, expected) in &expected {
            check.near(name, &gradients[name], expected, 1e-4, 1e-3);
        }
        check.finish();
    }
}

/// As `scripts/export_methods.py` has it.
fn method_of(name: &str) -> MethodConfig {
    use vpt_core::methods::LoraTarget;

    let options = MethodOptions {
        num_tokens: 4,
        gate: true,
        lora_rank: 3,
        lora_alpha: 12.0,
        lora_targets: match name {
            "lora" => vec![LoraTarget::Qkv],
            _ => LoraTarget::ALL.to_vec(),
        },
        adapter_dim: 6,
        ..MethodOptions::default()
    };
    let method = match name {
        "lora_all" => "lora",
        "mlp3" => "mlp-3",
        "gated" => "vpt-shallow",
        other => other,
    };
    MethodConfig::parse(method, &options).expect("a method")
}

fn host<const R: usize>(tensor: &burn::tensor::Tensor<R>) -> HostTensor {
    HostTensor::from_tensor(tensor).expect("the device delivers")
}
