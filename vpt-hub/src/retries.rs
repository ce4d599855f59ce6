//! [`Retries`]: how often and how fast something that failed is tried again.

use std::thread;
use std::time::Duration;

use crate::HubError;

/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(10);

/// How often a request is tried, and how long the pauses are: the first one as given, then each twice the one before.
///
/// Only what may pass is tried again: lost connections, timeouts, busy servers and damaged downloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Attempts in all; 0 counts as 1.
    pub attempts: u32,
    /// The pause after the first attempt.
    pub first_pause: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_pause: Duration::from_millis(300),
        }
    }
}

impl Retries {
    /// Calls `attempt` until it succeeds, fails for good, or was called often enough.
    pub(crate) fn run<T>(self, mut attempt: impl FnMut() -> Result<T, HubError>) -> Result<T, HubError> {
        let mut failures = 0;
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(error) => {
                    failures += 1;
                    self.after(failures, error)?;
                }
            }
        }
    }

    /// Pauses after the given number of failures, or hands the error back if it is the last.
    pub(crate) fn after(self, failures: u32, error: HubError) -> Result<(), HubError> {
        if failures >= self.attempts || !error.may_pass() {
            return Err(error);
        }
        tracing::debug!(failures, %error, "trying again");
        let factor = 2u32.saturating_pow(failures.saturating_sub(1));
        thread::sleep(self.first_pause.saturating_mul(factor).min(LONGEST));
        Ok(())
    }
}
