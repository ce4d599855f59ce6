//! Devices that share each step.

use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use vpt_core::device::{DeviceChoice, SelectedDevice, adapters, select_all};
use vpt_train::{Silent, TrainConfig, Trainer};

use crate::bench::{Bench, assert_same_run, backbone, cpu, finished, history};

/// The CPU, twice.
fn two_cpus() -> SelectedDevice {
    SelectedDevice {
        peers: vec![Device::flex()],
        ..cpu()
    }
}

fn run(bench: &Bench, name: &str, config: &TrainConfig, device: SelectedDevice) {
    let trainer = Trainer::new(
        config.clone(),
        bench.dataset(),
        backbone(),
        device,
        bench.run_dir(name),
    );
    finished(
        trainer
            .unwrap()
            .fit(&mut Silent, &AtomicBool::new(false))
            .unwrap(),
    );
}

/// That both runs took the same steps, but for rounding.
fn assert_alike(bench: &Bench, one: &str, other: &str) {
    let rows = history(bench, one).into_iter().zip(history(bench, other));
    for (a, b) in rows {
        let apart = (a.train_loss - b.train_loss).abs();
        assert!(apart < 1e-4, "{other}: {a:?} {b:?}");
        assert!((a.val_loss - b.val_loss).abs() < 1e-3, "{other}: {a:?} {b:?}");
    }
}

#[test]
fn a_step_is_the_same_however_many_share_it() {
    let bench = Bench::new();
    for method in ["vpt-deep", "vpt-shallow", "lora", "linear", "full"] {
        // Fifteen images leave a last batch of three, and one share of it with a single image.
        let config = TrainConfig {
            grad_accum_steps: 2,
            ..bench.config(method)
        };
        let again = TrainConfig {
            grad_checkpointing: true,
            ..config.clone()
        };
        let [alone, shared, recomputed] = ["alone", "shared", "again"].map(|how| format!("{method}-{how}"));
        bench.run(&alone, &config);
        run(&bench, &shared, &config, two_cpus());
        run(&bench, &recomputed, &again, two_cpus());
        assert_alike(&bench, &alone, &shared);
        assert_alike(&bench, &alone, &recomputed);
        let repeated = format!("{method}-repeated");
        run(&bench, &repeated, &config, two_cpus());
        assert_same_run(&bench, &shared, &repeated);
    }
}

#[test]
fn a_gpu_and_the_cpu_share_a_step() {
    if adapters().is_empty() {
        println!("skipped: no WGPU adapter");
        return;
    }
    let bench = Bench::new();
    let config = bench.config("vpt-deep");
    bench.run("alone", &config);
    let both = select_all(&DeviceChoice::Cpu, &[DeviceChoice::Gpu(0)]).unwrap();
    assert!(both.name.starts_with("cpu (flex) + "), "{}", both.name);
    run(&bench, "both", &config, both);
    assert_alike(&bench, "alone", "both");
}

#[test]
fn each_device_is_named_once() {
    for others in [
        [DeviceChoice::Cpu].as_slice(),
        &[DeviceChoice::Auto],
        &[DeviceChoice::Gpu(0), DeviceChoice::Gpu(0)],
    ] {
        let error = select_all(&DeviceChoice::Cpu, others).unwrap_err();
        assert!(error.to_string().contains("different devices"), "{error}");
    }
}
