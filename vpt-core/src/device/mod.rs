//! Choosing the device to compute on.
//!
//! There is always a CPU. A GPU is a run-time choice of one binary: WGPU (Vulkan, Metal, Direct3D 12) with
//! the feature `wgpu`, CUDA with the feature `cuda`. A driver can crash the whole process at first use, so a
//! program may have each GPU tried in a child process first, see [`set_child_probe`].

#[cfg(feature = "wgpu")]
mod adapters;
mod choice;
mod probe;

pub use choice::DeviceChoice;
pub use probe::{PROBE_COMMAND, probe, probe_in_child, set_child_probe};

use std::iter::once;

use burn::tensor::Device;
use serde::Serialize;

use crate::{CoreError, ops};

/// The device that [`select()`] found.
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
    /// Further devices, which share the work of a training step.
    pub peers: Vec<Device>,
}

impl SelectedDevice {
    /// The CPU.
    pub fn cpu() -> Self {
        Self {
            device: Device::flex(),
            name: "cpu (flex)".to_owned(),
            note: None,
            is_cpu: true,
            peers: Vec::new(),
        }
    }
}

/// Bytes that this process has reserved on a GPU; `None` for the CPU, whose memory is that of the process.
///
/// What is freed stays reserved for what comes next, so this is close to the most that was ever in use.
pub fn reserved_bytes(device: &Device) -> Option<u64> {
    device.memory_pool_usage().map(|usage| usage.bytes_reserved)
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
/// `auto` takes the best real GPU that survives its trial run (see [`probe_in_child`]) and falls back to the
/// CPU with a note; every other choice is taken at its word.
///
/// # Errors
/// [`CoreError::DeviceNotBuilt`], [`CoreError::NoAdapter`] or [`CoreError::DeviceFailed`]; none for `auto`
/// and `cpu`.
pub fn select(choice: &DeviceChoice) -> Result<SelectedDevice, CoreError> {
    match choice {
        DeviceChoice::Cpu => Ok(SelectedDevice::cpu()),
        DeviceChoice::Auto if cfg!(feature = "wgpu") => Ok(tried(choice).unwrap_or_else(fall_back)),
        DeviceChoice::Auto => Ok(fall_back(not_built(choice, "wgpu"))),
        _ => {
            exists(choice)?;
            tried(choice)
        }
    }
}

/// Opens a device after its trial run, and passes on what that had to say.
fn tried(choice: &DeviceChoice) -> Result<SelectedDevice, CoreError> {
    let note = probe_in_child(choice)?;
    let selected = open(choice)?;
    Ok(SelectedDevice {
        note: note.or(selected.note),
        ..selected
    })
}

/// The device that `first` means, with those of `others` as its peers.
///
/// # Errors
/// As [`select()`]; [`CoreError::Setting`] for a device that is named twice, or `auto` among several.
pub fn select_all(first: &DeviceChoice, others: &[DeviceChoice]) -> Result<SelectedDevice, CoreError> {
    let mut all = vec![*first];
    for choice in others {
        if all.contains(choice) || [*first, *choice].contains(&DeviceChoice::Auto) {
            let named: Vec<String> = once(first).chain(others).map(DeviceChoice::to_string).collect();
            let expected = "different devices by their names, such as `gpu:0,gpu:1`";
            return Err(CoreError::setting("device", named.join(","), expected));
        }
        all.push(*choice);
    }
    let mut selected = select(first)?;
    for choice in others {
        let peer = select(choice)?;
        selected.name = format!("{} + {}", selected.name, peer.name);
        selected.peers.push(peer.device);
        selected.note = selected.note.or(peer.note);
    }
    Ok(selected)
}

/// The CPU in place of a GPU, and the reason. A child process tells its reason as text.
fn fall_back(error: CoreError) -> SelectedDevice {
    let text = match error {
        CoreError::NoAdapter { reason, .. } => reason,
        CoreError::DeviceNotBuilt { .. } => "this build has no GPU support".to_owned(),
        other => other.to_string(),
    };
    let reason = text
        .split_once("no adapter for device `auto`: ")
        .map_or(text.as_str(), |(_, reason)| reason);
    SelectedDevice {
        note: Some(format!("{reason}; using the CPU")),
        ..SelectedDevice::cpu()
    }
}

/// Does `work`, many operations on `device` in turn. For the CPU by one of the threads that compute: to any other, each operation would
/// mean to wake one of them and to wait for it.
pub fn computing<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> R {
    match ops::on_cpu_backend(device) {
        true => rayon::scope(|_| work()),
        false => work(),
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

/// Whether this build and this machine have what `choice` names; CUDA cannot say before it is tried.
fn exists(choice: &DeviceChoice) -> Result<(), CoreError> {
    match choice {
        DeviceChoice::Cuda(_) if cfg!(feature = "cuda") => Ok(()),
        DeviceChoice::Cuda(_) => Err(not_built(choice, "cuda")),
        #[cfg(feature = "wgpu")]
        _ => adapters::find(choice).map(drop),
        #[cfg(not(feature = "wgpu"))]
        _ => Err(not_built(choice, "wgpu")),
    }
}

fn not_built(choice: &DeviceChoice, feature: &'static str) -> CoreError {
    CoreError::DeviceNotBuilt {
        choice: choice.to_string(),
        feature,
    }
}

/// Opens the device that `choice` means, whatever it does to this process; `auto` is the best real GPU here.
fn open(choice: &DeviceChoice) -> Result<SelectedDevice, CoreError> {
    match *choice {
        DeviceChoice::Cpu => Ok(SelectedDevice::cpu()),
        DeviceChoice::Cuda(index) => open_cuda(index),
        _ => open_adapter(choice),
    }
}

#[cfg(feature = "wgpu")]
fn open_adapter(choice: &DeviceChoice) -> Result<SelectedDevice, CoreError> {
    let adapter = adapters::find(choice)?;
    let software = adapter.summary.is_software();
    Ok(SelectedDevice {
        device: adapter.open()?,
        name: adapter.to_string(),
        note: software.then(|| format!("{adapter} is a software adapter, slower than `--device cpu`")),
        is_cpu: false,
        peers: Vec::new(),
    })
}

#[cfg(not(feature = "wgpu"))]
fn open_adapter(choice: &DeviceChoice) -> Result<SelectedDevice, CoreError> {
    Err(not_built(choice, "wgpu"))
}

/// CUDA has no fallible way in: without a driver, the first use panics. The trial run finds out.
#[cfg(feature = "cuda")]
fn open_cuda(index: usize) -> Result<SelectedDevice, CoreError> {
    let name = format!("NVIDIA GPU {index} (cuda)");
    Ok(SelectedDevice {
        device: Device::cuda(index),
        name,
        note: None,
        is_cpu: false,
        peers: Vec::new(),
    })
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(index: usize) -> Result<SelectedDevice, CoreError> {
    Err(not_built(&DeviceChoice::Cuda(index), "cuda"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_computes_on_the_threads_that_share_its_operations() {
        let inside = || rayon::current_thread_index().is_some();
        assert!(!inside() && computing(&Device::flex(), inside));
        assert!(computing(&Device::flex().autodiff(), inside));
    }

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
    fn the_reason_for_falling_back_is_told_once() {
        let reason = "no graphics driver offers a GPU";
        let direct = CoreError::NoAdapter {
            choice: "auto".into(),
            reason: reason.into(),
        };
        let child = CoreError::DeviceFailed {
            device: "auto".into(),
            reason: direct.to_string(),
        };
        for error in [direct, child] {
            let selected = fall_back(error);
            assert!(selected.is_cpu);
            assert_eq!(selected.note.unwrap(), format!("{reason}; using the CPU"));
        }
        let crash = CoreError::DeviceFailed {
            device: "auto".into(),
            reason: "it crashed with signal 11".into(),
        };
        assert_eq!(
            fall_back(crash).note.unwrap(),
            "device `auto` failed its trial run: it crashed with signal 11; using the CPU"
        );
    }

    #[cfg(feature = "wgpu")]
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
