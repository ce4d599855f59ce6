//! `vpt __probe-device`: the trial run of a device in a process of its own, so that a crashing driver costs nothing.

use anyhow::Result;
use clap::Args;
use vpt_core::device::{self, DeviceChoice};

use crate::cli::values;
use crate::exit::Exit;
use crate::session::Session;

/// Try a device
#[derive(Args, Clone, Debug)]
pub struct ProbeArgs {
    /// The device to try
    #[arg(value_parser = values::device)]
    pub choice: DeviceChoice,
}

/// Exit code 0 if the device computes what the CPU computes; on stdout what it cannot do.
pub fn run(args: &ProbeArgs, session: &Session) -> Result<Exit> {
    if let Some(reason) = device::probe(&args.choice)? {
        session.output.result(reason)?;
    }
    Ok(Exit::Success)
}
