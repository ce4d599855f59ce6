//! Names a condition that several places of the crate share.
#![allow(clippy::print_stdout, reason = "how a build script speaks to cargo")]

fn main() {
    let has = |feature: &str| std::env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(gpu_kernels)");
    // Kernels of GPUs cannot read the tensors of the feature `fusion`.
    if has("WGPU") && !has("FUSION") {
        println!("cargo::rustc-cfg=gpu_kernels");
    }
}
