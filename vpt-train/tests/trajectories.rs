//! Ten optimiser steps against torch (`train.sgd.*`, `train.adamw_torch.*` of the golden fixtures): loss before each step
//! and after the last, and every parameter after each step, within twenty times float32 noise.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{Module, ParamGroup};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use vpt_core::methods::{MethodConfig, MethodOptions};
use vpt_core::{Backbone, Classifier, HostTensor};
use vpt_train::{GroupOptimizer, Opt, OptimizerConfig, Sched, Targets, cross_entropy, lr_at};

const MODEL: &str = "vit_p16_32";

/// A file of the golden case: what vpt-core tests with too lies in its fixtures.
fn fixture(file: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = root.join("tests/fixtures").join(MODEL).join(file);
    if own.exists() {
        own
    } else {
        root.join("../vpt-core/tests/fixtures/golden/vpt")
            .join(MODEL)
            .join(file)
    }
}

fn backbone() -> Backbone {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../vpt-core/tests/fixtures/golden/models")
        .join(MODEL);
    Backbone::load(folder.to_str().unwrap()).unwrap()
}

/// The numbers of a safetensors file, floats and integers alike.
fn numbers(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f64>)> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let read = |(name, view): (&str, safetensors::tensor::TensorView)| {
        let values = match view.dtype() {
            Dtype::F32 => view
                .data()
                .chunks(4)
                .map(|b| f32::from_le_bytes(b.try_into().unwrap()).into())
                .collect(),
            Dtype::F64 => view
                .data()
                .chunks(8)
                .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
                .collect(),
            Dtype::I64 => view
                .data()
                .chunks(8)
                .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64)
                .collect(),
            other => panic!("{name} is {other:?}"),
        };
        (name.to_owned(), (view.shape().to_vec(), values))
    };
    file.iter().map(read).collect()
}

struct Case {
    name: String,
    meta: Value,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
    pixels: Tensor<4>,
    labels: Vec<usize>,
    class_weights: Vec<f32>,
    model: Classifier,
}

impl Case {
    fn load(name: &str) -> Self {
        let meta: Value = serde_json::from_slice(&std::fs::read(fixture("meta.json")).unwrap()).unwrap();
        let meta = meta["cases"][name].clone();
        let tensors = numbers(&fixture(&format!("{name}.safetensors")));
        let batch = numbers(&fixture("batch.safetensors"));

        let case = &meta["case"];
        let options = MethodOptions {
            num_tokens: case["num_tokens"].as_u64().unwrap().max(1) as usize,
            project_dim: case
                .get("project")
                .and_then(Value::as_u64)
                .map(|dim| dim as usize),
            ..MethodOptions::default()
        };
        let method = match case["mode"].as_str().unwrap() {
            "shallow" => "vpt-shallow",
            "deep" => "vpt-deep",
            "none" => "linear",
            other => panic!("mode {other}"),
        };
        let method = MethodConfig::parse(method, &options).unwrap();
        let device = Device::flex().autodiff();
        let f32s = |values: &[f64]| values.iter().map(|&x| x as f32).collect::<Vec<_>>();
        let (shape, pixels) = &batch["pixels"];
        let pixels = Tensor::from_data(TensorData::new(f32s(pixels), shape.clone()), &device);
        let class_weights = f32s(&batch["class_weights"].1);
        let model = Classifier::new(&backbone(), &method, class_weights.len(), [32, 32], 0, &device).unwrap();
        let tuned = tuned_of(&tensors, "input.", None);
        Self {
            name: name.to_owned(),
            meta,
            tensors,
            pixels,
            labels: batch["labels"].1.iter().map(|&x| x as usize).collect(),
            class_weights,
            model: model.load_tuned(&tuned).unwrap(),
        }
    }

    fn loss(&self, model: &Classifier, weights: Option<Vec<f32>>) -> Tensor<1> {
        let classes = self.class_weights.len();
        let targets = Targets {
            smoothing: 0.0,
            grade_spread: 0.0,
            weights: weights.unwrap_or(vec![1.0; classes]),
        };
        let rows = targets.rows(&self.labels, None);
        let targets = TensorData::new(rows, [self.labels.len(), classes]);
        let targets = Tensor::from_data(targets, &Device::flex().autodiff());
        cross_entropy(model.forward(self.pixels.clone()), targets).div_scalar(self.labels.len() as f32)
    }
}

/// Task-file tensors from the reference's names below `prefix`; with `step` those after that step.
fn tuned_of(
    tensors: &BTreeMap<String, (Vec<usize>, Vec<f64>)>,
    prefix: &str,
    step: Option<usize>,
) -> BTreeMap<String, HostTensor> {
    let get = |name: &str| {
        let (shape, values) = tensors.get(&format!("{prefix}{name}"))?;
        let (shape, values) = match step {
            Some(step) => {
                let size = values.len() / shape[0];
                (shape[1..].to_vec(), &values[step * size..(step + 1) * size])
            }
            None => (shape.clone(), &values[..]),
        };
        Some((shape, values.iter().map(|&x| x as f32).collect::<Vec<_>>()))
    };
    let mut tuned = BTreeMap::new();
    for name in [
        "head.weight",
        "head.bias",
        "prompt_proj.weight",
        "prompt_proj.bias",
    ] {
        if let Some((shape, data)) = get(name) {
            tuned.insert(name.to_owned(), HostTensor::new(shape, data));
        }
    }
    if let Some((mut shape, mut data)) = get("prompt_embeddings") {
        if let Some((deep_shape, deep)) = get("deep_prompt_embeddings") {
            shape[0] += deep_shape[0];
            data.extend(deep);
        }
        tuned.insert("prompts".to_owned(), HostTensor::new(shape, data));
    }
    tuned
}

/// The noise of a tensor under our name: prompts are two tensors in the reference.
fn noise(noise: &Value, name: &str) -> f64 {
    let of = |name: &str| noise.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    match name {
        "prompts" => of("prompt_embeddings").max(of("deep_prompt_embeddings")),
        name => of(name),
    }
}

/// Runs a trajectory; returns the largest errors of loss and parameters, as shares of their tolerances.
fn run(case: &Case, opt: Opt) -> (f64, f64) {
    let key = match opt {
        Opt::AdamW => "adamw_torch",
        Opt::Sgd => "sgd",
        Opt::Lbfgs => unreachable!("it does not step"),
    };
    let meta = &case.meta["train"][key];
    let number = |name: &str| meta.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    let no_decay = match opt {
        Opt::AdamW => ParamGroup::from_any_predicates(vec!["bias"]),
        Opt::Sgd | Opt::Lbfgs => ParamGroup::from_path("head.Linear.bias"),
    };
    let mut optimizer = GroupOptimizer::new(OptimizerConfig {
        opt,
        momentum: number("momentum"),
        weight_decay: number("weight_decay"),
        no_decay,
        head: ParamGroup::from_predicate("head."),
        head_lr_scale: 1.0,
    });
    let (_, losses) = &case.tensors[&format!("train.{key}.loss")];
    let (_, lrs) = &case.tensors[&format!("train.{key}.lr")];
    let loss_tolerance = (20.0 * noise(&meta["noise_max_abs_f32_vs_f64"], "loss")).max(1e-4);

    let mut model = case.model.clone();
    let (mut worst_loss, mut worst_param) = (0f64, 0f64);
    for step in 0..=lrs.len() {
        let loss = case.loss(&model, None);
        let error = (f64::from(loss.clone().into_scalar::<f32>()) - losses[step]).abs();
        worst_loss = worst_loss.max(error / loss_tolerance);
        let Some(&lr) = lrs.get(step) else { break };
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(lr, model, grads);
        let expected = tuned_of(&case.tensors, &format!("train.{key}.param."), Some(step));
        let got = model.valid().tuned_tensors();
        assert_eq!(
            got.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>()
        );
        for (name, expected) in expected {
            assert_eq!(got[&name].shape, expected.shape, "{name}");
            let tolerance = (20.0 * noise(&meta["noise_max_abs_f32_vs_f64"], &name)).max(5e-5);
            for (got, expected) in got[&name].data.iter().zip(&expected.data) {
                let error = f64::from((got - expected).abs());
                worst_param = worst_param.max(error / tolerance);
            }
        }
    }
    let name = &case.name;
    println!(
        "{name} {key}: loss {:.2e}, parameters {worst_param:.3} of the tolerance",
        worst_loss * loss_tolerance
    );
    (worst_loss, worst_param)
}

fn check(name: &str) {
    let case = Case::load(name);
    for opt in [Opt::Sgd, Opt::AdamW] {
        let (loss, params) = run(&case, opt);
        assert!(
            loss < 1.0 && params < 1.0,
            "{name} {opt:?}: {loss} and {params} of the tolerances"
        );
    }
}

#[test]
fn linear() {
    check("linear");
}

#[test]
fn shallow() {
    check("shallow");
}

#[test]
fn deep() {
    check("deep");
}

#[test]
fn deep_projected() {
    check("deep_proj");
}

#[test]
fn weighted_loss() {
    for name in ["linear", "shallow", "deep", "deep_proj"] {
        let case = Case::load(name);
        for (key, weights) in [
            ("loss", None),
            ("weighted_loss", Some(case.class_weights.clone())),
        ] {
            let expected = case.tensors[&format!("expect.{key}")].1[0];
            let got = f64::from(case.loss(&case.model, weights).into_scalar::<f32>());
            assert!(
                (got - expected).abs() < 5e-5 + 1e-4 * expected.abs(),
                "{name} {key}: {got} != {expected}"
            );
        }
    }
}

#[test]
fn schedule_of_the_trajectories() {
    let case = Case::load("deep");
    let meta = &case.meta["train"]["sgd"];
    let [warmup, total] = ["warmup", "total"].map(|key| meta[key].as_u64().unwrap() as usize);
    let base = meta["base_lr"].as_f64().unwrap();
    let (_, lrs) = &case.tensors["train.sgd.lr"];
    for (step, lr) in lrs.iter().enumerate().skip(warmup) {
        assert!((lr_at(step, total, warmup, base, Sched::Cosine) - lr).abs() < 1e-12);
    }
    for step in 1..warmup {
        assert!((lr_at(step - 1, total, warmup, base, Sched::Cosine) - lrs[step]).abs() < 1e-12);
    }
}
