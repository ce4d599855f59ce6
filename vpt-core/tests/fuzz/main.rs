//! Every reader of foreign files, fed with damaged ones for a while: an error that names the file or a usable result,
//! never a panic, and never much more memory than the file has.
//!
//! `VPT_FUZZ_SECONDS` says for how long each reader is tried (2), `VPT_FUZZ_SEED` where to begin (0). A failure prints the
//! seed with which it is the first case.

#[path = "../counting/mod.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod counting;
mod mutation;
#[path = "../other_libraries/mod.rs"]
mod other_libraries;
mod seeds;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use burn::tensor::Device;
use counting::{Counting, peak_of};
use mutation::{Kind, damaged};
use vpt_core::{Backbone, CoreError, TaskFile, init};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Memory that reading a file may take: so much, and so many times its size.
const MOST: usize = 64 << 20;
const TIMES: usize = 16;

/// Time that reading a small file may take on a busy machine.
const LONGEST: Duration = Duration::from_secs(10);

/// The count of memory is that of the whole program.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A number from the environment.
fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect(name))
}

/// Writes `files` into a folder, damages those that have a kind, one at a time, and reads the folder with `read`.
fn fuzz(name: &str, files: &[(&str, Vec<u8>, Option<Kind>)], read: fn(&Path) -> Result<(), CoreError>) {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let put = |file: &str, bytes: &[u8]| fs::write(folder.path().join(file), bytes).unwrap();
    for (file, bytes, _) in files {
        put(file, bytes);
    }
    read(folder.path()).unwrap_or_else(|error| panic!("{name}: the undamaged files: {error}"));
    let size: usize = files.iter().map(|(_, bytes, _)| bytes.len()).sum();
    let targets: Vec<_> = files
        .iter()
        .filter_map(|(file, bytes, kind)| Some((file, bytes, (*kind)?)))
        .collect();

    let end = Instant::now() + Duration::from_secs(variable("VPT_FUZZ_SECONDS", 2));
    let mut slowest = (Duration::ZERO, 0);
    let (mut seed, mut readable, mut cases) = (variable("VPT_FUZZ_SEED", 0), 0, 0);
    while cases == 0 || Instant::now() < end {
        let mut rng = init::rng_of(seed, name);
        let (file, bytes, kind) = targets[(seed % targets.len() as u64) as usize];
        let bad = damaged(bytes, kind, &mut rng);
        put(file, &bad);
        let started = Instant::now();
        let (peak, outcome) = peak_of(|| catch_unwind(AssertUnwindSafe(|| read(folder.path()))));
        let repeat = format!("VPT_FUZZ_SEED={seed} repeats it (damaged: {file})");
        match outcome {
            Err(_) => panic!("{name}: a panic; {repeat}"),
            Ok(Ok(())) => readable += 1,
            Ok(Err(error)) => {
                let text = format!("{error} ({:?})", error.hint());
                let named = text.contains(&*folder.path().to_string_lossy());
                assert!(named, "{name}: an error that names no file; {repeat}: {text}");
            }
        }
        let took = started.elapsed();
        assert!(took < LONGEST, "{name}: took {took:?}; {repeat}");
        slowest = slowest.max((took, seed));
        let most = MOST + TIMES * (size + bad.len());
        assert!(peak <= most, "{name}: {peak} bytes in memory; {repeat}");
        put(file, bytes);
        seed = seed.wrapping_add(1);
        cases += 1;
    }
    let (took, seed) = slowest;
    println!(
        "{name}: {cases} damaged files, {readable} of them readable, the slowest in {} ms (seed {seed})",
        took.as_millis()
    );
}

/// Reads all of the folder.
fn model(folder: &Path) -> Result<(), CoreError> {
    let backbone = Backbone::load(&folder.to_string_lossy())?;
    assert_eq!(backbone.sha256.len(), 64);
    Ok(())
}

fn weights(name: &str, file: &str, bytes: Vec<u8>, kind: Kind) {
    fuzz(name, &[(file, bytes, Some(kind))], model);
}

#[test]
fn safetensors() {
    let bytes = seeds::safetensors(&seeds::backbone().tensors);
    weights("safetensors", "model.safetensors", bytes, Kind::Safetensors);
}

#[test]
fn shards_of_safetensors() {
    let [index, first, second] = seeds::shards();
    let files = [
        ("model.safetensors.index.json", index, Some(Kind::Plain)),
        ("a.safetensors", first, Some(Kind::Safetensors)),
        ("b.safetensors", second, None),
    ];
    fuzz("shards", &files, model);
}

#[test]
fn numpy_archives() {
    weights("npz", "weights.npz", seeds::npz(), Kind::Zip);
}

#[test]
fn pytorch_checkpoints() {
    weights("pytorch", "weights.pth", seeds::pytorch(), Kind::Zip);
}

#[test]
fn old_pytorch_checkpoints() {
    weights("old pytorch", "weights.pth", seeds::old_pytorch(), Kind::Plain);
}

#[test]
fn configs_of_timm() {
    config_of_timm("timm config", &seeds::backbone());
}

/// The arguments of timm's other classes.
#[test]
fn configs_of_other_families() {
    for family in [
        "eva02_base_patch14_224",
        "vit_small_plus_patch16_dinov3",
        "beitv2_base_patch16_224",
        "swin_tiny_patch4_window7_224",
    ] {
        config_of_timm(family, &seeds::backbone_of(family));
    }
}

fn config_of_timm(name: &str, backbone: &Backbone) {
    let files = [
        ("model.safetensors", seeds::safetensors(&backbone.tensors), None),
        ("config.json", seeds::timm_config(backbone), Some(Kind::Plain)),
    ];
    fuzz(name, &files, model);
}

#[test]
fn configs_of_transformers() {
    let [config, preprocessor] = seeds::transformers_configs();
    let files = [
        ("model.safetensors", seeds::transformers_weights(), None),
        ("config.json", config, Some(Kind::Plain)),
        ("preprocessor_config.json", preprocessor, Some(Kind::Plain)),
    ];
    fuzz("transformers config", &files, model);
}

#[test]
fn configs_of_open_clip() {
    let bytes = seeds::safetensors(&seeds::backbone().tensors);
    let files = [
        ("model.safetensors", bytes, None),
        (
            "open_clip_config.json",
            seeds::open_clip_config(),
            Some(Kind::Plain),
        ),
    ];
    fuzz("open_clip config", &files, model);
}

#[test]
fn task_files() {
    let files = [("task.safetensors", seeds::task(), Some(Kind::Safetensors))];
    fuzz("task", &files, |folder| {
        let task = TaskFile::load(&folder.join("task.safetensors"))?;
        // The task may not fit the backbone, which is no fault of the file's.
        let _ = task.apply(seeds::backbone(), &Device::flex());
        Ok(())
    });
}
