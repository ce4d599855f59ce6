//! Downloads of models: where they go, and a bar for each file.

use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;
use vpt_core::hub::{self, Hub, Progress};
use vpt_eval::report::format;

use crate::cli::GlobalArgs;
use crate::output::Output;
use crate::progress;

/// Sets for the process what the environment and the global flags say of the hub.
pub fn start(global: &GlobalArgs, output: Output) {
    let mut hub = Hub::from_env();
    if let Some(folder) = &global.cache_dir {
        hub = hub.with_cache_dir(folder);
    }
    if global.offline {
        hub = hub.with_offline(true);
    }
    let shown = Mutex::new(None);
    hub::set_hub(hub, move |progress| {
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        show(&mut shown, output, progress);
    });
}

/// The flags that say the same to another `vpt`.
pub fn flags(global: &GlobalArgs) -> Vec<String> {
    let offline = global.offline.then(|| "--offline".to_owned());
    let cache = global.cache_dir.iter();
    let cache = cache.flat_map(|folder| ["--cache-dir".to_owned(), folder.to_string_lossy().into_owned()]);
    offline.into_iter().chain(cache).collect()
}

/// Moves the bar of the file, a fresh one where another file begins.
fn show(shown: &mut Option<(String, ProgressBar)>, output: Output, progress: Progress<'_>) {
    if !matches!(shown, Some((file, _)) if file == progress.file) {
        let Progress { file, total, .. } = progress;
        if !output.draws_progress() {
            output.info(format!("downloading {file}, {}", format::bytes(total)));
        }
        let template = "{prefix} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
        let bar = progress::bar(output, total as usize, template);
        bar.set_prefix(file.to_owned());
        // What an earlier run left says nothing about the speed of this one.
        bar.set_position(progress.received);
        bar.reset_eta();
        *shown = Some((file.to_owned(), bar));
    }
    if let Some((_, bar)) = shown {
        bar.set_position(progress.received);
        if progress.received == progress.total {
            bar.finish_and_clear();
            *shown = None;
        }
    }
}
