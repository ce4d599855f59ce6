//! Training holds no more after many steps than after a few, on the CPU and on whatever WGPU adapter there is.
//!
//! `VPT_STEADY_STEPS=2000 cargo test --release --workspace --test steady_memory -- --nocapture` looks longer.

#[allow(dead_code, reason = "other tests need the rest")]
mod counting;

use burn::optim::{AdamWConfig, GradientsAccumulator, GradientsParams};
use burn::tensor::Device;
use counting::{Counting, held};
use vpt_core::{Backbone, Classifier, Entering, HostTensor, MethodConfig, MethodOptions, VitConfig, init};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Steps after which kernels are compiled and moments are there.
const WARM: usize = 20;

/// What may be held more on the CPU, in bytes; the tokens of one block in a batch are 278 kB.
const SLACK: usize = 64 << 10;

/// What a driver and the queue before it may come to hold meanwhile, in main memory and on the device.
#[cfg(feature = "wgpu")]
const DRIVER_SLACK: u64 = 4 << 20;

fn steps(usual: usize) -> usize {
    let chosen = std::env::var("VPT_STEADY_STEPS").ok();
    chosen.and_then(|steps| steps.parse().ok()).unwrap_or(usual)
}

/// Trains, and says how many bytes more were held after `steps` than after a few; `reserved` are those of the device.
fn growth(device: &Device, recompute: bool, steps: usize) -> (usize, u64) {
    let config = VitConfig {
        img_size: [32, 32],
        patch_size: [4, 4],
        embed_dim: 64,
        depth: 3,
        num_heads: 2,
        ..VitConfig::default()
    };
    let method = MethodConfig::parse("vpt-deep", &MethodOptions::default()).unwrap();
    let tape = device.clone().autodiff();
    let mut model = Classifier::new(Backbone::random(config, 0, 1), &method, 3, [32, 32], 1, &tape).unwrap();
    let mut optimizer = AdamWConfig::new().init();
    let pixels = init::normal([16, 3, 32, 32], 1.0, &mut init::rng_of(1, "pixels"));
    let reserved = || vpt_core::device::reserved_bytes(device).unwrap_or_default();
    let mut before = (0, 0);
    for step in 0..WARM + steps {
        if step == WARM {
            before = (held(), reserved());
        }
        let noise = model.sample_noise(16, &mut init::rng_of(step as u64, "noise"));
        let entering = Entering::Pixels(pixels.to_tensor(&tape));
        let mut sum = GradientsAccumulator::new();
        let loss = |tokens| {
            model
                .head_forward(model.pooled_from(tokens, &noise))
                .powi_scalar(2)
                .mean()
        };
        model.backward(entering, &noise, recompute, loss, &mut |part| {
            sum.accumulate(&model, GradientsParams::from_grads(part, &model));
        });
        model = optimizer.step(1e-3, model, sum.grads());
        HostTensor::from_tensor(&model.head.last().weight.val()).unwrap();
    }
    (held().saturating_sub(before.0), reserved() - before.1)
}

/// One test: the counts are those of the whole program.
#[test]
fn training_holds_no_more_after_many_steps() {
    for recompute in [false, true] {
        let (host, _) = growth(&Device::flex(), recompute, steps(200));
        println!("CPU, recompute {recompute}: {host} bytes more");
        assert!(host <= SLACK, "recompute {recompute}: {host} bytes more");
    }
    #[cfg(feature = "wgpu")]
    on_gpu();
}

#[cfg(feature = "wgpu")]
fn on_gpu() {
    use vpt_core::device::{DeviceChoice, adapters, select};
    if adapters().is_empty() {
        let required = std::env::var("VPT_REQUIRE_WGPU").is_ok_and(|value| value == "1");
        assert!(!required, "VPT_REQUIRE_WGPU is set and there is no WGPU adapter");
        println!("skipped: no WGPU adapter");
        return;
    }
    let device = select(&DeviceChoice::Gpu(0)).unwrap().device;
    for recompute in [false, true] {
        let (host, reserved) = growth(&device, recompute, steps(30));
        println!("GPU, recompute {recompute}: {host} bytes more in main memory, {reserved} on the device");
        assert!(
            host as u64 <= DRIVER_SLACK && reserved <= DRIVER_SLACK,
            "recompute {recompute}: {host} bytes more in main memory, {reserved} on the device"
        );
    }
}
