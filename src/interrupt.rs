//! Ctrl-C: the first one asks the work to stop at a good place, the second one ends the process at once.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use crate::exit::Exit;
use crate::output::Output;

static STOP: AtomicBool = AtomicBool::new(false);

/// Handles Ctrl-C, SIGTERM and SIGHUP from now on. `notice` is what the first one says; the flag returned is true after it.
pub fn handle(output: Output, notice: &'static str) -> Result<&'static AtomicBool> {
    let handler = move || match STOP.swap(true, Ordering::SeqCst) {
        false => output.info(notice),
        true => abort(),
    };
    ctrlc::set_handler(handler).context("cannot handle Ctrl-C")?;
    Ok(&STOP)
}

/// Treats the end of stdin like a first Ctrl-C: a parent that ends, however it ends, closes it.
pub fn follow_stdin() {
    std::thread::spawn(|| {
        // Nothing is expected to be written; an error means as much as the end.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        STOP.store(true, Ordering::SeqCst);
    });
}

/// Whether Ctrl-C was pressed.
pub fn requested() -> bool {
    STOP.load(Ordering::SeqCst)
}

#[expect(
    clippy::exit,
    reason = "the second Ctrl-C means now; files are written atomically, so none is left half-written"
)]
fn abort() {
    std::process::exit(i32::from(Exit::Interrupted.code()));
}
