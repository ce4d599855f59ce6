//! [`Sources`]: the files that tasks are read from, and read again when they change.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use vpt_core::CoreError;
use vpt_core::task_file::BEST_FILE;

use crate::{Registry, ServeError};

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// The files that tasks are read from, and read again when they change.
#[derive(Debug, Default)]
pub struct Sources {
    named: BTreeMap<String, PathBuf>,
    folders: Vec<PathBuf>,
    known: BTreeMap<String, Seen>,
}

/// A file as it was when it was last read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    /// When it was changed, and its size; nothing if that cannot be told.
    stamp: Option<(SystemTime, u64)>,
}

/// What became of a task.
#[derive(Debug)]
pub enum Change {
    /// It is served for the first time.
    Added(String),
    /// Another file is served under that name.
    Replaced(String),
    /// It is served no longer.
    Removed(String),
    /// A file is not served; what was served under that name still is.
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        error: ServeError,
    },
}

impl Sources {
    /// Adds a task file, a run folder, or a folder of them; `name` instead of that of the file.
    ///
    /// # Errors
    /// [`ServeError::Read`] for a path that is nothing of the kind, [`ServeError::SameName`].
    pub fn add(&mut self, name: Option<&str>, path: &Path) -> Result<(), ServeError> {
        let read = |source| ServeError::Read {
            path: path.to_owned(),
            source,
        };
        let is_folder = fs::metadata(path).map_err(read)?.is_dir();
        let file = match is_folder {
            true if path.join(BEST_FILE).is_file() => path.join(BEST_FILE),
            true => {
                fs::read_dir(path).map_err(read)?;
                self.folders.push(path.to_owned());
                return Ok(());
            }
            false => path.to_owned(),
        };
        let name = name.map_or_else(|| name_of(&file), str::to_owned);
        match self.named.insert(name.clone(), file.clone()) {
            Some(first) if first != file => Err(ServeError::SameName {
                name,
                first,
                second: file,
            }),
            _ => Ok(()),
        }
    }

    /// The files that there are now, by the names of their tasks. Named ones come before those of folders.
    pub fn files(&self) -> BTreeMap<String, PathBuf> {
        let mut files = self.named.clone();
        for folder in &self.folders {
            for file in task_files(folder) {
                files.entry(name_of(&file)).or_insert(file);
            }
        }
        files
    }

    /// Whether this file was given by itself, and must be served.
    pub fn is_named(&self, path: &Path) -> bool {
        self.named.values().any(|named| named == path)
    }

    /// Reads what is new or changed, and forgets what is gone.
    pub fn refresh(&mut self, registry: &Registry) -> Vec<Change> {
        let files = self.files();
        let mut changes = Vec::new();
        let gone: Vec<String> = self
            .known
            .keys()
            .filter(|name| !files.contains_key(*name))
            .cloned()
            .collect();
        for name in gone {
            self.known.remove(&name);
            if registry.remove(&name) {
                changes.push(Change::Removed(name));
            }
        }
        for (name, path) in files {
            let seen = Seen::of(&path);
            if self.known.get(&name) == Some(&seen) {
                continue;
            }
            self.known.insert(name.clone(), seen);
            changes.push(match put(registry, &name, &path) {
                Ok(false) => Change::Added(name),
                Ok(true) => Change::Replaced(name),
                Err(error) => Change::Refused { path, error },
            });
        }
        changes
    }

    /// Refreshes once a second until `stop`; `observe` hears of every change.
    pub fn watch(mut self, registry: &Registry, stop: &dyn Fn() -> bool, observe: &dyn Fn(Change)) {
        let mut since = Duration::ZERO;
        let pause = Duration::from_millis(50);
        while !stop() {
            std::thread::sleep(pause);
            since += pause;
            if since >= EVERY {
                since = Duration::ZERO;
                self.refresh(registry).into_iter().for_each(observe);
            }
        }
    }
}

impl Seen {
    fn of(path: &Path) -> Self {
        let metadata = fs::metadata(path).ok();
        let stamp = metadata.and_then(|file| Some((file.modified().ok()?, file.len())));
        Self {
            path: path.to_owned(),
            stamp,
        }
    }
}

impl Change {
    /// Whether it is a file of another kind, which lies in folders for other reasons.
    pub fn is_no_task(&self) -> bool {
        let Self::Refused { error, .. } = self else {
            return false;
        };
        matches!(error, ServeError::Core(CoreError::NotTaskFile { .. }))
    }
}

fn put(registry: &Registry, name: &str, path: &Path) -> Result<bool, ServeError> {
    let bytes = fs::read(path).map_err(|source| ServeError::Read {
        path: path.to_owned(),
        source,
    })?;
    registry.put(name, path, &bytes)
}

/// The task files and the runs in a folder.
fn task_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let file = |path: PathBuf| match path.is_dir() {
        true => Some(path.join(BEST_FILE)).filter(|best| best.is_file()),
        false => Some(path).filter(|path| path.extension().is_some_and(|ending| ending == "safetensors")),
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| file(entry.path())).collect();
    files.sort();
    files
}

/// The name of a file without its ending, or of the run whose best it is.
fn name_of(file: &Path) -> String {
    let of_run = file.file_name().is_some_and(|name| name == BEST_FILE);
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let name = match absolute.parent().and_then(Path::file_name).filter(|_| of_run) {
        Some(run) => Some(run),
        None => absolute.file_stem(),
    };
    name.unwrap_or_default().to_string_lossy().into_owned()
}
