//! [`DeviceChoice`]: the value of `--device`.

use std::fmt;
use std::str::FromStr;

use crate::CoreError;

/// Which device to compute on, as a user names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// A real GPU if there is one that works, else the CPU; never a software rasteriser.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An adapter by its number in the list of [`super::adapters`]; 0 (also written `gpu`) is the best one.
    Gpu(usize),
    /// The best adapter that Vulkan offers.
    Vulkan,
    /// The best adapter that Metal offers.
    Metal,
    /// The best adapter that Direct3D 12 offers.
    Dx12,
    /// An NVIDIA GPU through CUDA, by its number.
    Cuda(usize),
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Cpu => f.pad("cpu"),
            Self::Gpu(0) => f.pad("gpu"),
            Self::Gpu(index) => f.pad(&format!("gpu:{index}")),
            Self::Vulkan => f.pad("vulkan"),
            Self::Metal => f.pad("metal"),
            Self::Dx12 => f.pad("dx12"),
            Self::Cuda(0) => f.pad("cuda"),
            Self::Cuda(index) => f.pad(&format!("cuda:{index}")),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        let unknown = || CoreError::UnknownDevice {
            text: text.to_owned(),
        };
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => (name, Some(index.parse::<usize>().map_err(|_| unknown())?)),
            None => (text, None),
        };
        match (name, index) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("gpu", index) => Ok(Self::Gpu(index.unwrap_or(0))),
            ("vulkan", None) => Ok(Self::Vulkan),
            ("metal", None) => Ok(Self::Metal),
            ("dx12", None) => Ok(Self::Dx12),
            ("cuda", index) => Ok(Self::Cuda(index.unwrap_or(0))),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in [
            "auto", "cpu", "gpu", "gpu:2", "vulkan", "metal", "dx12", "cuda", "cuda:1",
        ] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        assert_eq!("gpu:0".parse::<DeviceChoice>().unwrap(), DeviceChoice::Gpu(0));
    }

    #[test]
    fn nonsense_is_refused_with_the_list() {
        for name in ["", "GPU", "gpu:", "gpu:-1", "cpu:0", "tpu", "cuda:x"] {
            let error = name.parse::<DeviceChoice>().unwrap_err();
            assert_eq!(error.to_string(), format!("unknown device `{name}`"));
            assert!(error.hint().unwrap().contains("gpu:N"));
        }
    }
}
