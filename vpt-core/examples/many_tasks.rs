//! Many tasks on one backbone: memory, and the speed of batches that mix them.
//!
//! `cargo run --release -p vpt-core --example many_tasks -- [MODEL] [TASKS] [TOKENS] [BATCH]`
//!
//! MODEL is an architecture (random weights); each task has random deep prompts and a head for ten classes. Prints the resident set with the
//! backbone alone and with all tasks, and images a second of batches of one task and of batches in which every image is of another, in turns.

use std::error::Error;
use std::time::Instant;

use burn::tensor::{Device, Tensor};
use vpt_core::task_file::TaskInfo;
use vpt_core::{
    Backbone, Features, HeadConfig, HostTensor, MethodConfig, PromptConfig, PromptDepth, SharedBackbone,
    SharedTask, TaskFile, init, mixed_features, preset,
};
use vpt_data::TaskKind;

const CLASSES: usize = 10;
const ROUNDS: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: usize| arguments.get(place).map_or(Ok(default), |text| text.parse());
    let name = arguments.first().map_or("vit_base_patch16_224", String::as_str);
    let (tasks, tokens, batch) = (number(1, 20)?, number(2, 10)?, number(3, 20)?);
    let config = preset(name).ok_or_else(|| format!("no architecture `{name}`"))?;
    let device = Device::flex();
    let size = config.img_size;
    let backbone = Backbone::random(config, 0, 0);
    let method = MethodConfig::vpt(PromptConfig::new(PromptDepth::Deep, tokens));
    let task = |seed| {
        let info = TaskInfo {
            name: format!("task {seed}"),
            kind: TaskKind::Classification,
            classes: (0..CLASSES).map(|class| format!("class {class}")).collect(),
        };
        let preprocess = backbone.preprocess.clone();
        TaskFile::random(&backbone, &method, HeadConfig::Linear, info, preprocess, seed)
    };
    let files = (0..tasks as u64).map(task).collect::<Result<Vec<_>, _>>()?;
    let file_bytes = files[0].to_bytes(false)?.len();
    let shared = SharedBackbone::new(backbone, &device)?;
    // Both are measured warm: what a forward pass needs for a while is in them.
    let pixels =
        init::normal([batch, 3, size[0], size[1]], 1.0, &mut init::rng_of(0, "pixels")).to_tensor(&device);
    let alone = shared.attach(&files[0])?;
    seconds(&mut || drop_values(alone.features(pixels.clone())))?;
    let before = resident_bytes()?;
    let attached = files
        .iter()
        .map(|file| shared.attach(file))
        .collect::<Result<Vec<_>, _>>()?;
    drop(files);
    let part = |image: usize| (&attached[image % tasks], vec![image]);
    let parts: Vec<(&SharedTask, Vec<usize>)> = (0..batch).map(part).collect();
    let mut mixed = || {
        mixed_features(&parts, pixels.clone())
            .into_iter()
            .try_for_each(drop_values)
    };
    seconds(&mut mixed)?;
    let after = resident_bytes()?;
    println!("{name}, {tasks} tasks of {tokens} tokens, files of {file_bytes} bytes");
    println!(
        "resident: {before} bytes with one task, {after} with {} more",
        tasks
    );
    let (mut one, mut many) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        one.push(seconds(&mut || drop_values(alone.features(pixels.clone())))?);
        many.push(seconds(&mut mixed)?);
    }
    let speed = |seconds: &mut Vec<f64>| {
        seconds.sort_by(f64::total_cmp);
        batch as f64 / seconds[seconds.len() / 2]
    };
    let (one, many) = (speed(&mut one), speed(&mut many));
    println!(
        "batches of {batch}: {one:.2} images/s of one task, {many:.2} of {} tasks, {:.3} times",
        tasks.min(batch),
        many / one
    );
    Ok(())
}

/// Waits for the values.
fn drop_values(features: Features) -> Result<(), Box<dyn Error>> {
    let read = |tensor: Tensor<2>| HostTensor::from_tensor(&tensor);
    match features {
        Features::Pooled(pooled) => read(pooled)?,
        Features::Map(map) => read(map.flatten::<2>(0, 2))?,
    };
    Ok(())
}

fn seconds(work: &mut dyn FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

/// The resident set of this process.
fn resident_bytes() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
