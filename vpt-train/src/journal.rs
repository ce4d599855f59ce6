//! `log.txt`: what happened when, kept in memory and written whole.

use std::fs;
use std::time::Instant;

use crate::{RunDir, TrainError};

/// The lines of `log.txt`.
pub struct Journal {
    text: String,
    since: Instant,
}

impl Journal {
    /// Continues the log of `run`, or begins it.
    pub fn open(run: &RunDir) -> Self {
        let text = fs::read_to_string(run.file(RunDir::LOG)).unwrap_or_default();
        Self {
            text,
            since: Instant::now(),
        }
    }

    /// Adds a line, with the seconds since this process began to train.
    pub fn line(&mut self, message: impl AsRef<str>) {
        let seconds = self.since.elapsed().as_secs_f64();
        self.text += format!("{seconds:9.1}s  {}\n", message.as_ref()).as_str();
    }

    /// Writes `log.txt`.
    ///
    /// # Errors
    /// [`TrainError::Write`].
    pub fn save(&self, run: &RunDir) -> Result<(), TrainError> {
        run.write(RunDir::LOG, self.text.as_bytes())
    }
}
