//! Block outputs, features, logits and gradients of whole models, against timm and torch.

use burn::tensor::Device;
use vpt_core::prompts::{Noise, PromptForm};
use vpt_core::vit::Hook;
use vpt_core::{Backbone, Classifier, HostTensor, MethodConfig, MethodKind, named_tensors};

use super::fixture::{Comparison, Fixture, find, skip};
use super::prompts::cross_entropy;

/// Recommended tolerances of the fixtures for outputs.
const ATOL: f32 = 5e-5;
const RTOL: f32 = 1e-4;

fn host<const R: usize>(tensor: &burn::tensor::Tensor<R>) -> HostTensor {
    HostTensor::from_tensor(tensor).expect("the device delivers")
}

/// The backbone of a golden model, if it is there.
pub fn backbone(name: &str) -> Option<Backbone> {
    let folder = find(&format!("models/{name}/model.safetensors"))?;
    let folder = folder.parent().expect("a file has a folder");
    Some(Backbone::load(&folder.display().to_string()).expect("a golden model loads"))
}

/// Every intermediate output of a model at its own image size. Whether the fixture was there.
pub fn model_outputs(name: &str, device: &Device) -> bool {
    let (Some(backbone), Some(io)) = (
        backbone(name),
        Fixture::open(&format!("models/{name}/io.safetensors")),
    ) else {
        skip(&format!("models/{name}"));
        return false;
    };
    let pixels = io.get("pixels").to_tensor::<4>(device);
    let model =
        Classifier::with_pretrained_head(&backbone, backbone.config.img_size, device).expect("it fits");
    let vit = &model.backbone;
    let mut check = Comparison::new(name);
    let mut close = |what: &str, actual: &HostTensor| {
        if let Some(expected) = io.find(what) {
            check.close(what, actual, expected, ATOL, RTOL);
        }
    };
    close(
        "patch_embed",
        &host(&vit.patch_embed.forward(pixels.clone(), Hook::none())),
    );
    close("embed", &host(&vit.embed(pixels.clone(), Hook::none())));
    close("embed_norm_pre", &host(&vit.tokens(pixels.clone(), Hook::none())));
    close("features", &host(&vit.forward_features(pixels.clone())));
    let mut outputs = Vec::new();
    model.observed(
        pixels.clone(),
        &Noise::none(),
        PromptForm::Plain,
        &mut |_, tokens| {
            outputs.push(host(tokens));
        },
    );
    for (i, output) in outputs.iter().enumerate() {
        close(&format!("block.{i}"), output);
    }
    close("pooled", &host(&model.pooled(pixels.clone())));
    close("logits", &host(&model.forward(pixels.clone())));
    close("logits", &host(&model.forward_plain(pixels)));
    check.finish();
    true
}

/// Tokens and pooled feature of a model of Hugging Face transformers.
pub fn transformers_outputs(name: &str, device: &Device) {
    let io = Fixture::open(&format!("models/{name}/io.safetensors")).expect("part of the repository");
    let backbone = backbone(name).expect("part of the repository");
    let (method, size) = (MethodConfig::linear(), backbone.config.img_size);
    let model = Classifier::new(&backbone, &method, 2, size, 0, device).expect("it fits");
    let pixels = io.get("pixels").to_tensor::<4>(device);
    let mut check = Comparison::new(name);
    let features = host(&model.backbone.forward_features(pixels.clone()));
    check.close("features", &features, io.get("features"), ATOL, RTOL);
    let pooled = host(&model.pooled(pixels));
    check.close("pooled", &pooled, io.get("pooled"), ATOL, RTOL);
    check.finish();
}

/// Features and logits of a model at another image size, `"64x96"`. Whether the fixture was there.
pub fn image_sizes(name: &str, size: &str, device: &Device) -> bool {
    let file = format!("models/{name}/io_{size}.safetensors");
    let (Some(backbone), Some(io)) = (backbone(name), Fixture::open(&file)) else {
        skip(&file);
        return false;
    };
    let pixels = io.get("pixels");
    let image_size = [pixels.shape[2], pixels.shape[3]];
    let pixels = pixels.to_tensor::<4>(device);
    let model = Classifier::with_pretrained_head(&backbone, image_size, device).expect("it fits");
    let mut check = Comparison::new(format!("{name} at {size}"));
    let outputs = [
        ("embed", host(&model.backbone.embed(pixels.clone(), Hook::none()))),
        ("features", host(&model.backbone.forward_features(pixels.clone()))),
        ("pooled", host(&model.pooled(pixels.clone()))),
        ("logits", host(&model.forward(pixels))),
    ];
    for (what, actual) in &outputs {
        check.close(what, actual, io.get(what), ATOL, RTOL);
    }
    check.finish();
    assert_eq!(
        model.backbone_sha256(),
        backbone.sha256,
        "the hash does not depend on the image size"
    );
    true
}

/// Gradients of every parameter under full fine-tuning. Whether the fixture was there.
pub fn finetune_gradients(device: &Device) -> bool {
    let file = "finetune/vit_p16_32/grads.safetensors";
    let (Some(backbone), Some(expected)) = (backbone("vit_p16_32"), Fixture::open(file)) else {
        skip(file);
        return false;
    };
    let device = device.clone().autodiff();
    let method = MethodConfig::new(MethodKind::Full);
    let classes = backbone.num_classes;
    let model =
        Classifier::new(&backbone, &method, classes, backbone.config.img_size, 0, &device).expect("it fits");
    let model = model
        .load_tuned(&backbone.tensors)
        .expect("the weights' own tensors");
    let logits = model.forward(expected.get("pixels").to_tensor(&device));
    let loss = cross_entropy(logits, expected.labels(), None);
    let mut check = Comparison::new("full fine-tuning of vit_p16_32");
    check.close("loss", &host(&loss), expected.get("loss"), ATOL, RTOL);
    let gradients = named_tensors::read_gradients(&model, model.config(), &loss.backward());
    let wanted = expected.below("grad.");
    assert_eq!(
        gradients.keys().collect::<Vec<_>>(),
        wanted.keys().collect::<Vec<_>>()
    );
    for (name, expected) in &wanted {
        check.near(name, &gradients[name], expected, 1e-4, 1e-3);
    }
    check.finish();
    true
}
