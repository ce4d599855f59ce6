//! Tasks with random values on every small model with golden outputs, and what they answer: what `scripts/check_onnx.py` and
//! `scripts/check_timm_export.py` hold exports against.
//!
//! `cargo run --release -p vpt-core --example export_cases -- OUT GOLDEN...`
//!
//! For each folder of `GOLDEN/models` and each method: `OUT/MODEL/METHOD/task.safetensors`, and beside it `io.safetensors` with `pixels`,
//! `logits` and `probs`, those of boxes `boxes` and `scores`. In `pretrained` the head is the weights' own and the logits are those that the golden file has (timm's);
//! all others are what this crate computes. Each learned value is moved off its start, so that what starts at zero takes part.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, Tensor};
use vpt_core::heads::DetectionHead;
use vpt_core::methods::LoraTarget;
use vpt_core::prompts::Noise;
use vpt_core::task_file::{BackboneInfo, FORMAT, TaskInfo, TrainingInfo};
use vpt_core::weights::{SafetensorsFile, StoredFloat, encode};
use vpt_core::{
    Backbone, Calibration, Classifier, Head, HeadConfig, HostTensor, MethodConfig, MethodKind, MethodOptions,
    PromptPool, TaskFile, TaskMetadata, init,
};
use vpt_data::{CropMode, TaskKind};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const CLASSES: usize = 5;
const BATCH: usize = 3;

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let out = arguments
        .next()
        .ok_or("give a folder to write, and folders of golden files")?;
    for golden in arguments {
        let mut folders: Vec<_> = fs::read_dir(Path::new(&golden).join("models"))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        folders.sort();
        for folder in folders
            .iter()
            .filter(|folder| folder.join("config.json").is_file())
        {
            let name = folder.file_name().unwrap_or_default();
            cases(folder, &Path::new(&out).join(name))?;
        }
    }
    Ok(())
}

/// All cases of a model.
fn cases(folder: &Path, out: &Path) -> Outcome {
    let backbone = Backbone::load(&folder.to_string_lossy())?;
    let mut methods = named(&backbone)?;
    if !backbone.config.pre_norm {
        methods.retain(|(name, _)| *name != "vpt-deep-before-norm-pre");
    }
    let size = backbone.config.img_size;
    for (name, method) in &methods {
        if method.check(&backbone.config).is_err() {
            continue;
        }
        let kind = match *name {
            "bitfit" | "vpt-shallow" => TaskKind::MultiLabel,
            _ => TaskKind::Classification,
        };
        write(&backbone, method, HeadConfig::Linear, size, kind, &out.join(name))?;
    }
    // Boxes and masks: both decoders, an odd number of rows, methods of each sort.
    let stride = backbone.config.output_stride();
    let [tall, wide] = [[3, 4], [2, 2]].map(|grid| [0, 1].map(|axis| grid[axis] * stride[axis]));
    let step = stride[0].max(stride[1]);
    for (name, method, head, size) in [
        ("boxes", "vpt-deep", HeadConfig::detection(Some(8)), tall),
        (
            "boxes-shallow",
            "vpt-shallow",
            HeadConfig::detection(Some(8)),
            wide,
        ),
        ("masks", "vpt-deep", HeadConfig::segmentation(Some(8), step), tall),
        (
            "masks-linear",
            "ssf",
            HeadConfig::segmentation(Some(0), step),
            tall,
        ),
        (
            "masks-lora",
            "lora",
            HeadConfig::segmentation(Some(8), step),
            wide,
        ),
    ] {
        let method = MethodConfig::parse(method, &MethodOptions::default())?;
        let kind = match head {
            HeadConfig::Detection { .. } => TaskKind::Detection,
            _ => TaskKind::Segmentation,
        };
        if method.check(&backbone.config).is_ok() {
            write(&backbone, &method, head, size, kind, &out.join(name))?;
        }
    }
    // One more row of patches than the position embeddings were trained for.
    let patch = backbone.config.output_stride();
    let taller = [size[0] + patch[0], size[1]];
    for name in ["linear", "vpt-deep"] {
        let method = MethodConfig::parse(name, &MethodOptions::default())?;
        write(
            &backbone,
            &method,
            HeadConfig::Linear,
            taller,
            TaskKind::Classification,
            &out.join(format!("{name}-taller")),
        )?;
    }
    pretrained(folder, &backbone, out)
}

/// The methods with their options.
fn named(backbone: &Backbone) -> Outcome<Vec<(&'static str, MethodConfig)>> {
    let plain = MethodOptions {
        num_tokens: 4,
        lora_rank: 3,
        lora_targets: LoraTarget::ALL.to_vec(),
        adapter_dim: 6,
        ..MethodOptions::default()
    };
    let with = |change: &dyn Fn(&mut MethodOptions)| {
        let mut options = plain.clone();
        change(&mut options);
        options
    };
    let half = Some((backbone.config.depth / 2).max(1));
    let mut methods = Vec::new();
    let mut add = |name: &'static str, method: &str, options: &MethodOptions| -> Outcome {
        methods.push((name, MethodConfig::parse(method, options)?));
        Ok(())
    };
    for name in [
        "linear",
        "mlp-3",
        "full",
        "partial-1",
        "bitfit",
        "norm",
        "lora",
        "adapter",
        "adaptformer",
        "ssf",
        "vpt-shallow",
        "vpt-shallow+bias",
        "vpt-deep",
        "vpt-deep+bias",
    ] {
        add(name, name, &plain)?;
    }
    add(
        "vpt-shallow-gate",
        "vpt-shallow",
        &with(&|options| options.gate = true),
    )?;
    add(
        "vpt-shallow-project",
        "vpt-shallow",
        &with(&|options| options.project_dim = Some(6)),
    )?;
    add(
        "vpt-deep-project",
        "vpt-deep",
        &with(&|options| options.project_dim = Some(6)),
    )?;
    add(
        "vpt-deep-shared",
        "vpt-deep",
        &with(&|options| options.shared = true),
    )?;
    add(
        "vpt-deep-first",
        "vpt-deep",
        &with(&|options| options.deep_layers = half),
    )?;
    add(
        "vpt-deep-last",
        "vpt-deep",
        &with(&|options| (options.deep_layers, options.last) = (half, true)),
    )?;
    for (name, pool) in [
        ("vpt-deep-pool-image", PromptPool::Image),
        ("vpt-deep-pool-prompt", PromptPool::Prompt),
        ("vpt-deep-pool-image-prompt", PromptPool::ImagePrompt),
    ] {
        add(name, "vpt-deep", &with(&|options| options.pool = pool))?;
    }
    add("vpt-deep-before-norm-pre", "vpt-deep", &plain)?;
    if let Some((_, method)) = methods.last_mut()
        && let Some(prompts) = &mut method.prompts
    {
        prompts.before_norm_pre = true;
    }
    Ok(methods)
}

/// A task of random values, and what it answers to random pixels.
fn write(
    backbone: &Backbone,
    method: &MethodConfig,
    head: HeadConfig,
    size: [usize; 2],
    kind: TaskKind,
    out: &Path,
) -> Outcome {
    let device = Device::flex();
    let fresh = Classifier::with_head(backbone, method, head, CLASSES, size, 3, &device)?;
    let mut tensors = fresh.tuned_tensors();
    for (name, tensor) in &mut tensors {
        let noise = init::normal(tensor.shape.clone(), 0.1, &mut init::rng_of(4, name));
        tensor
            .data
            .iter_mut()
            .zip(noise.data)
            .for_each(|(x, noise)| *x += noise);
    }
    let mut task = task_file(backbone, method, size, kind, tensors);
    task.metadata.head = head;
    if head.is_dense() {
        task.metadata.preprocess.crop_mode = CropMode::Letterbox;
    }
    let model = task.apply(backbone, &device)?;
    let pixels = init::normal([BATCH, 3, size[0], size[1]], 1.0, &mut init::rng_of(5, "pixels"));
    let on_device: Tensor<4> = pixels.to_tensor(&device);
    let map = |model: &Classifier| model.feature_map(on_device.clone(), &Noise::none());
    let answers = match &model.head {
        Head::Linear(_) => {
            let logits = HostTensor::from_tensor(&model.forward(on_device))?;
            return save_logits(&task, pixels, logits, out);
        }
        Head::Detection(head) => {
            let [rows, columns] = model.backbone.grid();
            let points = DetectionHead::points([rows, columns], [size[0] / rows, size[1] / columns]);
            let output = head.forward(map(&model));
            let scores = HostTensor::from_tensor(&sigmoid(output.logits))?;
            let mut boxes = HostTensor::from_tensor(&output.reach)?;
            for (place, reach) in boxes.data.chunks_exact_mut(4).enumerate() {
                reach.copy_from_slice(&points[place % points.len()].bbox(reach));
            }
            [("boxes", boxes), ("scores", scores)]
        }
        Head::Segmentation(head) => {
            let logits = head.forward(map(&model), size).permute([0, 3, 1, 2]);
            let probs = HostTensor::from_tensor(&softmax(logits.clone(), 1))?;
            [("logits", HostTensor::from_tensor(&logits)?), ("probs", probs)]
        }
    };
    save(&task, pixels, answers, out)
}

/// The weights' own head as a task, and the logits of the library that they come from.
fn pretrained(folder: &Path, backbone: &Backbone, out: &Path) -> Outcome {
    let io = folder.join("io.safetensors");
    if !io.is_file() {
        return Ok(());
    }
    let mut io = SafetensorsFile::read(&io)?.tensors;
    let (Some(pixels), Some(logits)) = (io.remove("pixels"), io.remove("logits")) else {
        return Ok(());
    };
    if backbone.config.distilled || backbone.num_classes == 0 {
        return Ok(());
    }
    let head = ["head.weight", "head.bias"];
    let tensors = head.map(|name| (name.to_owned(), backbone.tensors[name].clone()));
    let method = MethodConfig::new(MethodKind::Linear);
    let size = backbone.config.img_size;
    let task = task_file(
        backbone,
        &method,
        size,
        TaskKind::Classification,
        BTreeMap::from(tensors),
    );
    save_logits(&task, pixels, logits, &out.join("pretrained"))
}

/// A task of whole images.
fn save_logits(task: &TaskFile, pixels: HostTensor, logits: HostTensor, out: &Path) -> Outcome {
    let (kind, calibration) = (task.metadata.task.kind, &task.metadata.calibration);
    let rows = logits.data.chunks_exact(logits.shape[1]);
    let probs = rows.flat_map(|row| calibration.probs_for(kind, row));
    let probs = HostTensor::new(logits.shape.clone(), probs.map(|prob| prob as f32).collect());
    save(task, pixels, [("logits", logits), ("probs", probs)], out)
}

fn save(task: &TaskFile, pixels: HostTensor, answers: [(&str, HostTensor); 2], out: &Path) -> Outcome {
    fs::create_dir_all(out)?;
    task.save(&out.join("task.safetensors"), false)?;
    let [first, second] = answers;
    let tensors = [("pixels", pixels), first, second];
    let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor));
    let bytes = encode(&BTreeMap::from(tensors), &BTreeMap::new(), StoredFloat::F32)?;
    fs::write(out.join("io.safetensors"), bytes)?;
    Ok(())
}

fn task_file(
    backbone: &Backbone,
    method: &MethodConfig,
    size: [usize; 2],
    kind: TaskKind,
    tensors: BTreeMap<String, HostTensor>,
) -> TaskFile {
    let mut preprocess = backbone.preprocess.clone();
    preprocess.input_size = size;
    let classes = tensors.get("head.bias").map_or(CLASSES, HostTensor::numel);
    let metadata = TaskMetadata {
        format: FORMAT.into(),
        vpt_version: env!("CARGO_PKG_VERSION").into(),
        task: TaskInfo {
            name: "random".into(),
            kind,
            classes: (0..classes).map(|class| format!("class {class}")).collect(),
        },
        head: HeadConfig::Linear,
        method: method.clone(),
        backbone: BackboneInfo::of(backbone),
        preprocess,
        calibration: Calibration {
            temperature: 1.7,
            ..Calibration::default()
        },
        metrics: BTreeMap::new(),
        training: TrainingInfo {
            args: serde_json::json!({}),
            seed: 3,
            data_fingerprint: String::new(),
            date: String::new(),
            epoch: 1,
        },
    };
    TaskFile { metadata, tensors }
}
