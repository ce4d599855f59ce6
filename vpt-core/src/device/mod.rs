//! Choosing the device to compute on.
//!
//! There is always a CPU. A GPU is a run-time choice of one binary: WGPU (Vulkan, Metal, Direct3D 12) with the
//! feature `wgpu`, CUDA with the feature `cuda`. A driver can crash the whole process at first use, so a program
//! may have each GPU tried in a child process first, see [`set_child_probe`].

#[cfg(feature = "wgpu")]
mod adapters;
mod choice;
mod probe;

pub use choice::DeviceChoice;
pub use probe::{PROBE_COMMAND, probe, probe_in_child, set_child_probe};

use burn::tensor::Device;
use serde::Serialize;

use crate::CoreError;

/// The device that [`select`] found.
#[derive(Debug, Clone)]
pub struct SelectedDevice {
    /// Burn's handle, without autodiff.
    pub device: Device,
    /// For people: `cpu (flex)`, `NVIDIA GeForce RTX 4090 (vulkan)`.
    pub name: String,
    /// Why it is not the one that might be expected, in one line.
    pub note: Option<String>,
    /// Whether it is the CPU backend.
    pub is_cpu: bool,
}

impl SelectedDevice {
    /// The CPU.
    pub fn cpu() -> Self {
        Self {
            device: Device::flex(),
            name: "cpu (flex)".to_owned(),
            note: None,
            is_cpu: true,
        }
    }
}

/// An adapter, for `vpt inspect device`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceSummary {
    /// Its number, the N of `gpu:N`.
    pub index: usize,
    /// As it calls itself.
    pub name: String,
    /// `vulkan`, `metal` or `dx12`.
    pub api: String,
    /// `discrete`, `integrated`, `virtual`, `other`, or `software` for one that computes on the CPU.
    pub kind: String,
    /// Name and version of the driver.
    pub driver: String,
}

impl DeviceSummary {
    /// Whether it is a software rasteriser: correct, and much slower than the CPU backend.
    pub fn is_software(&self) -> bool {
        self.kind == "software"
    }
}

/// All adapters that WGPU finds, best first; none in a build without the feature `wgpu`.
pub fn adapters() -> Vec<DeviceSummary> {
    #[cfg(feature = "wgpu")]
    return adapters::all()
        .iter()
        .map(|adapter| adapter.summary.clone())
        .collect();
    #[cfg(not(feature = "wgpu"))]
    Vec::new()
}

/// Finds and opens the device that `choice` means.
///
/// `auto` takes the best real GPU that survives its trial run (see [`probe_in_child`]) and falls back to the CPU
/// with a note; every other choice is taken at its word.
///
/// # Errors
/// [`CoreError::DeviceNotBuilt`], [`CoreError::NoAdapter`] or [`CoreError::DeviceFailed`]; none for `auto` and
/// `cpu`.
pub fn select(choice: &DeviceChoice) -> Result<SelectedDevice, CoreError> {
    match *choice {
        DeviceChoice::Cpu => Ok(SelectedDevice::cpu()),
        DeviceChoice::Auto => Ok(select_auto()),
        DeviceChoice::Cuda(index) => select_cuda(index),
        DeviceChoice::Gpu(_) | DeviceChoice::Vulkan | DeviceChoice::Metal | DeviceChoice::Dx12 => {
            select_adapter(choice)
        }
    }
}

/// Lets the CPU backend use `threads` threads. Once per process, before anything was computed or decoded.
///
/// # Errors
/// [`CoreError::Setting`] for 0, or when the threads are already running.
pub fn set_threads(threads: usize) -> Result<(), CoreError> {
    if threads == 0 {
        return Err(CoreError::setting("threads", threads, "at least 1"));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build_global()
        .map_err(|_| CoreError::setting("threads", threads, "to be set before the first computation"))
}

#[cfg(feature = "wgpu")]
fn select_auto() -> SelectedDevice {
    let Some(best) = adapters::all().first() else {
        return with_note("no GPU found, using the CPU".to_owned());
    };
    if best.summary.is_software() {
        return with_note(format!(
            "no GPU found but the software adapter {best}, using the CPU"
        ));
    }
    let choice = DeviceChoice::Gpu(0);
    match probe_in_child(&choice).and_then(|()| select_adapter(&choice)) {
        Ok(selected) => selected,
        Err(error) => with_note(format!("{error}; using the CPU")),
    }
}

#[cfg(not(feature = "wgpu"))]
fn select_auto() -> SelectedDevice {
    with_note("this build has no GPU support, using the CPU".to_owned())
}

/// The CPU, with the reason.
fn with_note(note: String) -> SelectedDevice {
    SelectedDevice {
        note: Some(note),
        ..SelectedDevice::cpu()
    }
}

/// An adapter that was asked for, be it a software one.
#[cfg(feature = "wgpu")]
fn select_adapter(choice: &DeviceChoice) -> Result<SelectedDevice, CoreError> {
    use burn::tensor::wgpu::WgpuBackend;

    let all = adapters::all();
    let first_on = |api: WgpuBackend| all.iter().find(|adapter| adapter.api == api);
    let adapter = match *choice {
        DeviceChoice::Gpu(index) => all.get(index),
        DeviceChoice::Vulkan => first_on(WgpuBackend::Vulkan),
        DeviceChoice::Metal => first_on(WgpuBackend::Metal),
        _ => first_on(WgpuBackend::Dx12),
    };
    let Some(adapter) = adapter else {
        let names: Vec<_> = all.iter().map(ToString::to_string).collect();
        let reason = match names.as_slice() {
            [] => "no graphics driver offers any".to_owned(),
            names => format!("there is only {}", names.join(", ")),
        };
        return Err(CoreError::NoAdapter {
            choice: choice.to_string(),
            reason,
        });
    };
    probe_in_child(choice)?;
    let note = adapter.summary.is_software();
    Ok(SelectedDevice {
        device: adapter.open()?,
        name: adapter.to_string(),
        note: note.then(|| format!("{adapter} is a software adapter, slower than `--device cpu`")),
        is_cpu: false,
    })
}

#[cfg(not(feature = "wgpu"))]
fn select_adapter(choice: &DeviceChoice) -> Result<SelectedDevice, CoreError> {
    Err(CoreError::DeviceNotBuilt {
        choice: choice.to_string(),
        feature: "wgpu",
    })
}

#[cfg(feature = "cuda")]
fn select_cuda(index: usize) -> Result<SelectedDevice, CoreError> {
    let choice = DeviceChoice::Cuda(index);
    // CUDA has no fallible way in: without a driver, the first use panics. The trial run finds out.
    probe_in_child(&choice)?;
    Ok(SelectedDevice {
        device: Device::cuda(index),
        name: format!("NVIDIA GPU {index} (cuda)"),
        note: None,
        is_cpu: false,
    })
}

#[cfg(not(feature = "cuda"))]
fn select_cuda(index: usize) -> Result<SelectedDevice, CoreError> {
    Err(CoreError::DeviceNotBuilt {
        choice: DeviceChoice::Cuda(index).to_string(),
        feature: "cuda",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there() {
        let selected = select(&DeviceChoice::Cpu).unwrap();
        assert!(selected.is_cpu && selected.note.is_none());
        assert_eq!(selected.name, "cpu (flex)");
    }

    #[test]
    fn auto_never_takes_a_software_adapter() {
        let selected = select(&DeviceChoice::Auto).unwrap();
        match adapters().iter().any(|adapter| !adapter.is_software()) {
            true => assert!(!selected.is_cpu || selected.note.is_some()),
            false => assert!(selected.is_cpu && selected.note.unwrap().contains("using the CPU")),
        }
    }

    #[test]
    fn an_adapter_that_is_not_there_is_an_error_with_a_hint() {
        let error = select(&DeviceChoice::Gpu(99)).unwrap_err();
        assert!(error.to_string().contains("gpu:99"), "{error}");
        assert!(error.hint().is_some());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_device_that_was_not_built_names_its_feature() {
        let error = select(&DeviceChoice::Cuda(0)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "device `cuda` needs the Cargo feature `cuda`, which this build lacks"
        );
    }

    #[test]
    fn no_threads_are_refused() {
        assert!(set_threads(0).is_err());
    }
}
