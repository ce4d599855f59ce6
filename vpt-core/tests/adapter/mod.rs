//! The adapter that tests on WGPU share.

use std::sync::OnceLock;

use burn::tensor::Device;

/// The adapter, initialised once; none, with a word, where there is none.
pub fn device() -> Option<&'static Device> {
    static DEVICE: OnceLock<Option<Device>> = OnceLock::new();
    let device = DEVICE.get_or_init(|| match Device::wgpu_options().init() {
        Ok(device) => Some(device),
        Err(error) => {
            let required = std::env::var("VPT_REQUIRE_WGPU").is_ok_and(|value| value == "1");
            assert!(
                !required,
                "VPT_REQUIRE_WGPU is set and there is no adapter: {error:?}"
            );
            println!("skipped: no WGPU adapter ({error:?})");
            None
        }
    });
    device.as_ref()
}
