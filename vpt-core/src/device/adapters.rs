//! The adapters that WGPU finds, and opening one.

use std::future::Future;
use std::pin::pin;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use burn::tensor::wgpu::{WgpuBackend, wgpu};
use burn::tensor::{Device, DeviceKind};

use super::{DeviceChoice, DeviceSummary};
use crate::CoreError;

/// An adapter and how Burn addresses it.
#[derive(Debug, Clone)]
pub(super) struct Adapter {
    pub summary: DeviceSummary,
    pub api: WgpuBackend,
    kind: DeviceKind,
}

/// The graphics APIs of this platform, best first. OpenGL is left out: what only it offers lacks the compute
/// shaders, and asking for it makes some drivers write to the terminal.
const APIS: &[(WgpuBackend, wgpu::Backend)] = if cfg!(target_os = "macos") {
    &[(WgpuBackend::Metal, wgpu::Backend::Metal)]
} else {
    &[
        (WgpuBackend::Vulkan, wgpu::Backend::Vulkan),
        (WgpuBackend::Dx12, wgpu::Backend::Dx12),
    ]
};

/// All adapters, best first: real GPUs before software, discrete before integrated, in the order of the APIs.
/// Found once per process: drivers do not like to be asked from several threads.
pub(super) fn all() -> &'static [Adapter] {
    static FOUND: LazyLock<Vec<Adapter>> = LazyLock::new(|| {
        let mut found: Vec<Adapter> = APIS.iter().flat_map(|&(api, backend)| on(api, backend)).collect();
        found.sort_by_key(|adapter| rank(adapter.summary.kind.as_str()));
        for (index, adapter) in found.iter_mut().enumerate() {
            adapter.summary.index = index;
        }
        found
    });
    &FOUND
}

/// The adapter that `choice` means; for `auto` the best one that is no software.
pub(super) fn find(choice: &DeviceChoice) -> Result<&'static Adapter, CoreError> {
    let all = all();
    let found = match *choice {
        DeviceChoice::Gpu(index) => all.get(index),
        DeviceChoice::Vulkan => all.iter().find(|adapter| adapter.api == WgpuBackend::Vulkan),
        DeviceChoice::Metal => all.iter().find(|adapter| adapter.api == WgpuBackend::Metal),
        DeviceChoice::Dx12 => all.iter().find(|adapter| adapter.api == WgpuBackend::Dx12),
        DeviceChoice::Auto => all.first().filter(|best| !best.summary.is_software()),
        DeviceChoice::Cpu | DeviceChoice::Cuda(_) => None,
    };
    found.ok_or_else(|| {
        let names: Vec<_> = all.iter().map(ToString::to_string).collect();
        let reason = match (names.as_slice(), choice) {
            ([], _) => "no graphics driver offers a GPU".to_owned(),
            (names, DeviceChoice::Auto) => {
                format!("there is no GPU but the software adapter {}", names.join(", "))
            }
            (names, _) => format!("there is only {}", names.join(", ")),
        };
        CoreError::NoAdapter {
            choice: choice.to_string(),
            reason,
        }
    })
}

fn rank(kind: &str) -> usize {
    const ORDER: [&str; 5] = ["discrete", "integrated", "virtual", "other", "software"];
    ORDER
        .iter()
        .position(|&other| other == kind)
        .unwrap_or(ORDER.len())
}

/// The adapters of one graphics API.
fn on(api: WgpuBackend, backend: wgpu::Backend) -> Vec<Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: backend.into(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut counts = [0; 3];
    let mut next = |i: usize| {
        counts[i] += 1;
        counts[i] - 1
    };
    let adapters = block_on(instance.enumerate_adapters(backend.into()));
    adapters
        .iter()
        .map(wgpu::Adapter::get_info)
        .map(|info| {
            let (name, kind) = match info.device_type {
                wgpu::DeviceType::DiscreteGpu => ("discrete", DeviceKind::DiscreteGpu(next(0))),
                wgpu::DeviceType::IntegratedGpu => ("integrated", DeviceKind::IntegratedGpu(next(1))),
                wgpu::DeviceType::VirtualGpu => ("virtual", DeviceKind::VirtualGpu(next(2))),
                wgpu::DeviceType::Cpu => ("software", DeviceKind::Cpu),
                // The driver does not say, and Burn has no way to address such a one but as the default.
                wgpu::DeviceType::Other => ("other", DeviceKind::DefaultDevice),
            };
            let summary = DeviceSummary {
                index: 0,
                name: info.name,
                api: info.backend.to_string(),
                kind: name.to_owned(),
                driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            };
            Adapter { summary, api, kind }
        })
        .collect()
}

impl Adapter {
    /// Opens the adapter; later calls get the device that is already open.
    pub(super) fn open(&self) -> Result<Device, CoreError> {
        type Opened = Vec<(WgpuBackend, DeviceKind, Device)>;
        static OPENED: Mutex<Opened> = Mutex::new(Vec::new());
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., device)) = opened
            .iter()
            .find(|(api, kind, _)| (api, kind) == (&self.api, &self.kind))
        {
            return Ok(device.clone());
        }
        let device = Device::wgpu_options()
            .graphics_api(self.api)
            .device_kind(self.kind.clone())
            .init()
            .map_err(|error| CoreError::DeviceFailed {
                device: self.to_string(),
                reason: error.to_string(),
            })?;
        opened.push((self.api, self.kind.clone(), device.clone()));
        Ok(device)
    }
}

impl std::fmt::Display for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.summary.name, self.summary.api)
    }
}

/// Waits for a future that native graphics APIs complete at once.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}
