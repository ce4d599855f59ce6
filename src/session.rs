//! [`Session`]: what the global flags decide for every command.

use std::num::NonZero;

use anyhow::Result;
use vpt_core::device::{self, DeviceChoice, SelectedDevice};

use crate::cli::GlobalArgs;
use crate::downloads;
use crate::output::Output;

/// The printer and the device choice.
#[derive(Clone, Debug)]
pub struct Session {
    /// The printer.
    pub output: Output,
    /// What `--device` says: one device, or those that share a training step.
    pub choices: Vec<DeviceChoice>,
    threads: usize,
    download_flags: Vec<String>,
}

impl Session {
    /// Applies the global flags: threads, log level, trial runs of GPUs, downloads.
    pub fn start(global: &GlobalArgs, output: Output) -> Result<Self> {
        log_to_stderr(global);
        if let Some(threads) = global.threads {
            device::set_threads(threads)?;
        }
        device::set_child_probe(true);
        downloads::start(global, output);
        let all = || std::thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Self {
            output,
            choices: global.device.clone(),
            threads: global.threads.unwrap_or_else(all),
            download_flags: downloads::flags(global),
        })
    }

    /// CPU threads that may be busy at once.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The global flags that tell another `vpt` to download as this one does.
    pub fn download_flags(&self) -> &[String] {
        &self.download_flags
    }

    /// Opens the device, the first of several, and says why if it is not the one that might be expected.
    pub fn device(&self) -> Result<SelectedDevice> {
        self.open(&self.choices[..1])
    }

    /// Opens all devices, for training.
    pub fn devices(&self) -> Result<SelectedDevice> {
        self.open(&self.choices)
    }

    /// What `--device` says, as another `vpt` is told.
    pub fn choice(&self) -> String {
        let choices: Vec<String> = self.choices.iter().map(DeviceChoice::to_string).collect();
        choices.join(",")
    }

    fn open(&self, choices: &[DeviceChoice]) -> Result<SelectedDevice> {
        let (first, others) = choices.split_first().unwrap_or((&DeviceChoice::Auto, &[]));
        let selected = device::select_all(first, others)?;
        if let Some(note) = &selected.note {
            self.output.detail(note);
        }
        Ok(selected)
    }
}

/// What libraries log: warnings, more with `-v`, or what `RUST_LOG` says. What drives GPUs is chatty, and tells of a failure that becomes an error
/// of ours, so it starts at errors.
fn log_to_stderr(global: &GlobalArgs) {
    const DRIVERS: &str = "wgpu_core=error,wgpu_hal=error,naga=error,cubecl_runtime=error";
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error".to_owned(),
        (false, 0) => format!("warn,{DRIVERS}"),
        (false, 1) => format!("info,{DRIVERS}"),
        (false, _) => "debug".to_owned(),
    };
    let filter = std::env::var("RUST_LOG")
        .ok()
        .and_then(|filter| filter.parse().ok());
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|| tracing_subscriber::EnvFilter::new(level)))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .init();
}
