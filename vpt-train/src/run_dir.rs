//! [`RunDir`]: the folder a run writes into, held by one process at a time.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use vpt_data::atomic;

use crate::TrainError;

/// What to do when the run folder exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Take the next free name, `<name>-2`, `<name>-3`, …
    Increment,
    /// Fail: the user named this folder.
    Refuse,
    /// Delete what earlier runs left in it (`--exist-ok`).
    Replace,
}

/// `<output>/train/<name>/`, locked until dropped.
///
/// The files in it: `args.toml` (every resolved setting), `results.csv` (a row an epoch), `results.json`, `results.svg`
/// (curves), `best.safetensors` and `last.safetensors` (task files), `state/` (for `--resume`), `predictions.csv`,
/// `confusion_matrix.svg` (of boxes `PR_curve.svg`, `F1_curve.svg` and `FROC_curve.svg`), `report.html`, `labels.txt`, `train_batch0.jpg`, `log.txt`. All are written atomically, but for the
/// `events.out.tfevents.0.vpt` of `--tensorboard`, to which each epoch is added.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    lock: Option<File>,
    /// Folders that this process made, innermost first: removed again if nothing is ever written.
    made: Vec<PathBuf>,
}

/// Holds the lock; its content is nothing.
const LOCK: &str = ".lock";

/// What a run writes, for [`Existing::Replace`].
const FILES: [&str; 18] = [
    RunDir::PRECISION_RECALL,
    RunDir::F1_CONFIDENCE,
    RunDir::FROC,
    RunDir::FOUND,
    RunDir::REPORT,
    RunDir::ARGS,
    RunDir::RESULTS_CSV,
    RunDir::RESULTS,
    RunDir::CURVES,
    RunDir::BEST,
    RunDir::LAST,
    RunDir::STATE,
    RunDir::PREDICTIONS,
    RunDir::CONFUSION,
    RunDir::LABELS,
    RunDir::PREVIEW,
    RunDir::LOG,
    RunDir::EVENTS,
];

impl RunDir {
    /// Every resolved setting.
    pub const ARGS: &str = "args.toml";
    /// A row an epoch.
    pub const RESULTS_CSV: &str = "results.csv";
    /// Metrics with intervals; its presence says that the run is finished.
    pub const RESULTS: &str = "results.json";
    /// Curves over the epochs.
    pub const CURVES: &str = "results.svg";
    /// Task file of the best epoch.
    pub const BEST: &str = vpt_core::task_file::BEST_FILE;
    /// Task file of the last epoch.
    pub const LAST: &str = "last.safetensors";
    /// What `--resume` continues from.
    pub const STATE: &str = "state/state.safetensors";
    /// Class probabilities of the images reported on.
    pub const PREDICTIONS: &str = vpt_eval::Predictions::FILE;
    /// What was found in each evaluated image, for boxes and masks.
    pub const FOUND: &str = vpt_eval::Predictions::FOUND_FILE;
    /// Confusion matrix of the same images.
    pub const CONFUSION: &str = "confusion_matrix.svg";
    /// Of boxes: precision against recall.
    pub const PRECISION_RECALL: &str = "PR_curve.svg";
    /// Of boxes: F1 against the threshold.
    pub const F1_CONFIDENCE: &str = "F1_curve.svg";
    /// Of boxes: sensitivity against false alarms.
    pub const FROC: &str = "FROC_curve.svg";
    /// All of it as a page, with figures and pictures.
    pub const REPORT: &str = "report.html";
    /// Class names, one a line.
    pub const LABELS: &str = "labels.txt";
    /// Some augmented training images.
    pub const PREVIEW: &str = "train_batch0.jpg";
    /// Curves for TensorBoard (`--tensorboard`), which knows such files by their name.
    pub const EVENTS: &str = "events.out.tfevents.0.vpt";
    /// What happened when.
    pub const LOG: &str = "log.txt";

    /// Makes and locks `<output>/train/<name>`.
    ///
    /// # Errors
    /// [`TrainError::Setting`] when `name` is not one folder name, [`TrainError::RunExists`], [`TrainError::RunLocked`],
    /// [`TrainError::Write`] when the folder cannot be made. What was made by then is removed again.
    pub fn create(output: &Path, name: &str, existing: Existing) -> Result<Self, TrainError> {
        if name.is_empty() || matches!(name, "." | "..") || name.contains(['/', '\\', '\0']) {
            let allowed = "the name of one folder, without `/`".to_owned();
            return Err(TrainError::Setting {
                flag: "--experiment",
                value: name.to_owned(),
                allowed,
            });
        }
        let parent = output.join("train");
        let mut made: Vec<PathBuf> = parent
            .ancestors()
            .take_while(|path| !path.exists())
            .map(Path::to_owned)
            .collect();
        made.retain(|path| !path.as_os_str().is_empty());
        let mut run = Self {
            path: parent.clone(),
            lock: None,
            made,
        };
        fs::create_dir_all(&parent).map_err(TrainError::writing(&parent))?;
        run.path = run.make_folder(&parent, name, existing)?;
        run.acquire()?;
        if existing == Existing::Replace {
            run.clear()?;
        }
        Ok(run)
    }

    /// Locks the folder of an existing run.
    ///
    /// # Errors
    /// [`TrainError::NotARun`], [`TrainError::RunLocked`], [`TrainError::Write`].
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        if !path.join(Self::ARGS).is_file() {
            let reason = format!("it has no `{}`", Self::ARGS);
            return Err(TrainError::NotARun {
                path: path.to_owned(),
                reason,
            });
        }
        let mut run = Self {
            path: path.to_owned(),
            lock: None,
            made: Vec::new(),
        };
        run.acquire()?;
        Ok(run)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of one of the files, such as [`RunDir::BEST`].
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Whether the run ended and was reported on.
    pub fn is_finished(&self) -> bool {
        self.file(Self::RESULTS).is_file()
    }

    /// Writes one of the files atomically.
    ///
    /// # Errors
    /// [`TrainError::Write`] with the file's path; the file is then what it was before.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), TrainError> {
        self.write_with(name, |file| file.write_all(bytes))
    }

    /// Writes one of the files atomically, piece by piece.
    ///
    /// # Errors
    /// As [`RunDir::write`].
    pub fn write_with(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), TrainError> {
        let path = self.file(name);
        let folder = path.parent().unwrap_or(&self.path);
        fs::create_dir_all(folder).map_err(TrainError::writing(folder))?;
        atomic::write(&path, write).map_err(TrainError::writing(&path))
    }

    fn make_folder(&mut self, parent: &Path, name: &str, existing: Existing) -> Result<PathBuf, TrainError> {
        for attempt in 1.. {
            let path = if attempt == 1 {
                parent.join(name)
            } else {
                parent.join(format!("{name}-{attempt}"))
            };
            match (fs::create_dir(&path), existing) {
                (Ok(()), _) => {
                    self.made.insert(0, path.clone());
                    return Ok(path);
                }
                (Err(error), _) if error.kind() != io::ErrorKind::AlreadyExists || path.is_file() => {
                    return Err(TrainError::writing(&path)(error));
                }
                (Err(_), Existing::Increment) => {}
                (Err(_), Existing::Refuse) => return Err(TrainError::RunExists { path }),
                (Err(_), Existing::Replace) => return Ok(path),
            }
        }
        unreachable!("the loop has no end")
    }

    fn acquire(&mut self) -> Result<(), TrainError> {
        let path = self.file(LOCK);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = file.map_err(TrainError::writing(&path))?;
        match file.try_lock() {
            Ok(()) => self.lock = Some(file),
            Err(TryLockError::WouldBlock) => {
                return Err(TrainError::RunLocked {
                    path: self.path.clone(),
                });
            }
            // Some network file systems have no locks; training there is better than refusing to.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(TrainError::writing(&path)(error)),
        }
        Ok(())
    }

    fn clear(&self) -> Result<(), TrainError> {
        for name in FILES {
            let path = self.file(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(TrainError::writing(&path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for RunDir {
    /// A folder into which nothing was written is removed, so that a run that fails at once leaves nothing behind.
    fn drop(&mut self) {
        let held = self.lock.take().is_some();
        let Some(newest) = self.made.first() else { return };
        if held && *newest == self.path {
            let entries = fs::read_dir(&self.path).map_or(usize::MAX, Iterator::count);
            if entries > 1 {
                return;
            }
            let _ = fs::remove_file(self.file(LOCK));
        }
        for folder in &self.made {
            // Fails, as it should, where something else lies in it.
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_incremented_refused_or_replaced() {
        let output = tempfile::tempdir().expect("a temporary folder");
        let create = |existing| RunDir::create(output.path(), "flowers", existing);
        let first = create(Existing::Increment).expect("is free");
        first.write(RunDir::STATE, b"x").expect("is writable");
        assert!(first.path().ends_with("train/flowers"));
        let second = create(Existing::Increment).expect("takes the next name");
        second.write(RunDir::ARGS, b"x").expect("is writable");
        assert!(second.path().ends_with("train/flowers-2"));
        assert!(
            create(Existing::Increment)
                .expect("and the next")
                .path()
                .ends_with("train/flowers-3")
        );

        let error = create(Existing::Refuse).expect_err("exists");
        assert!(matches!(error, TrainError::RunExists { .. }), "{error}");
        assert!(error.hint().expect("has a hint").contains("--resume"));

        let error = create(Existing::Replace).expect_err("is in use");
        assert!(matches!(error, TrainError::RunLocked { .. }), "{error}");
        drop(first);
        let again = create(Existing::Replace).expect("is free again");
        assert!(
            !again.file(RunDir::STATE).exists(),
            "what the earlier run left is gone"
        );
        let error = RunDir::open(again.path()).expect_err("no args.toml");
        assert!(matches!(error, TrainError::NotARun { .. }), "{error}");
        drop(again);

        let opened = RunDir::open(second.path()).expect_err("is in use");
        assert!(matches!(opened, TrainError::RunLocked { .. }), "{opened}");
    }

    #[test]
    fn a_folder_nothing_was_written_to_disappears() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let output = root.path().join("a/b");
        drop(RunDir::create(&output, "x", Existing::Increment).expect("is free"));
        assert_eq!(fs::read_dir(root.path()).expect("is there").count(), 0);

        let run = RunDir::create(&output, "x", Existing::Increment).expect("is free");
        run.write(RunDir::LOG, b"hello").expect("is writable");
        let path = run.path().to_owned();
        drop(run);
        assert!(path.join(RunDir::LOG).is_file());
        drop(RunDir::create(&output, "x", Existing::Replace).expect("exists"));
        assert!(path.is_dir(), "a folder that was there before stays");
    }

    #[test]
    fn bad_names_and_bad_places_are_errors_that_name_them() {
        let root = tempfile::tempdir().expect("a temporary folder");
        for name in ["", "..", "a/b"] {
            let error =
                RunDir::create(root.path(), name, Existing::Increment).expect_err("not a folder name");
            assert!(error.to_string().contains("--experiment"), "{error}");
        }
        let file = root.path().join("file");
        fs::write(&file, "x").expect("is writable");
        let error = RunDir::create(&file, "x", Existing::Increment).expect_err("a file is in the way");
        assert!(error.to_string().contains("file"), "{error}");
        assert_eq!(fs::read_dir(root.path()).expect("is there").count(), 1);
    }
}
