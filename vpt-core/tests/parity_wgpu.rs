//! The check behind `vpt inspect device --check`, on whatever WGPU adapter there is; a software one
//! (lavapipe) serves.
//!
//! A binary of its own, since a driver may take the process down. Without an adapter the test prints that it
//! is skipped; with `VPT_REQUIRE_WGPU=1` it fails instead.

#![cfg(feature = "wgpu")]

use vpt_core::device::{DeviceChoice, SelectedDevice, adapters, probe, reserved_bytes, select};
use vpt_core::{Precision, ops, parity};

#[test]
fn wgpu_computes_what_the_cpu_computes() {
    let adapters = adapters();
    if adapters.is_empty() {
        let required = std::env::var("VPT_REQUIRE_WGPU").is_ok_and(|value| value == "1");
        assert!(!required, "VPT_REQUIRE_WGPU is set and there is no WGPU adapter");
        println!("skipped: no WGPU adapter");
        return;
    }
    println!("{adapters:?}");
    let gpu = DeviceChoice::Gpu(0);
    let selected = select(&gpu).unwrap();
    assert!(!selected.is_cpu && selected.name.contains(&adapters[0].name));
    assert_eq!(selected.note.is_some(), adapters[0].is_software());
    probe(&gpu).expect("the trial run passes");
    let report = parity::check(&selected).expect("the device computes");
    println!("{report:?}");
    assert!(report.passed && report.half_passed, "{report:?}");
    let half = Precision::F16.is_possible_on(&selected.device);
    assert_eq!(report.max_abs_half.is_some(), half, "{report:?}");
    let trains = half && Precision::F16.check_training(&selected.device).is_ok();
    assert_eq!(trains, half && ops::F16_GRADIENTS_ON_GPU);
    assert_eq!(report.max_abs_half_grad.is_some(), trains, "{report:?}");
    let refused = Precision::Int8.check(&selected.device).unwrap_err().to_string();
    assert!(refused.contains("--device cpu"), "{refused}");
    let reserved = reserved_bytes(&selected.device);
    assert!(
        reserved.is_some_and(|bytes| bytes > 1 << 20),
        "what the models took: {reserved:?}"
    );
    assert_eq!(reserved_bytes(&SelectedDevice::cpu().device), None);
}
