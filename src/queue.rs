//! [`Queue`]: planned runs, some of them side by side, each in a process of its own.
//!
//! The queue is on disk: a run that has its folder is finished or goes on from there, so whoever is killed and started
//! again with the same plans does what is left.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use indicatif::{MultiProgress, ProgressDrawTarget};

use crate::planned_run::{Ended, PlannedRun, device_of_children};
use crate::session::Session;
use crate::{interrupt, planned_run};

/// Where the runs of a queue are, and how many go on at once.
pub struct Queue<'a> {
    session: &'a Session,
    device: String,
    jobs: usize,
    /// The folder of the comparison's runs.
    pub own: PathBuf,
    /// A folder of runs where a finished one may serve as well.
    pub others: PathBuf,
}

impl<'a> Queue<'a> {
    /// A queue of up to `jobs` runs at once; they share the CPU threads of the session.
    pub fn new(session: &'a Session, jobs: usize, own: PathBuf, others: PathBuf) -> Result<Self> {
        Ok(Self {
            session,
            device: device_of_children(session)?,
            jobs: jobs.max(1),
            own,
            others,
        })
    }

    /// Finds or trains each run, under its label, and says in their order how they ended. Nothing if it was interrupted;
    /// then the runs that were going on are saved.
    pub fn complete(&self, runs: &[(String, PlannedRun)]) -> Result<Option<Vec<Ended>>> {
        let bars = MultiProgress::with_draw_target(match self.session.output.draws_progress() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        });
        let next = AtomicUsize::new(0);
        let ended = Mutex::new(Vec::new());
        let work = || {
            while !interrupt::requested() {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some((label, run)) = runs.get(place) else {
                    return;
                };
                let label = format!("[{}/{}] {label}", place + 1, runs.len());
                let outcome = run.complete(&planned_run::Place {
                    own: &self.own,
                    others: &self.others,
                    label: &label,
                    flags: &self.flags(),
                    output: self.session.output,
                    bars: &bars,
                });
                let mut ended = ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                ended.push((place, outcome));
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.jobs.min(runs.len()) {
                scope.spawn(work);
            }
            work();
        });
        let mut ended = ended
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        ended.sort_by_key(|(place, _)| *place);
        let ended = ended
            .into_iter()
            .map(|(_, outcome)| outcome)
            .collect::<Result<Vec<_>>>()?;
        let interrupted = ended.iter().any(|ended| matches!(ended, Ended::Interrupted));
        Ok((!interrupted && ended.len() == runs.len()).then_some(ended))
    }

    /// Global flags of the processes.
    fn flags(&self) -> Vec<String> {
        let mut flags = vec!["--device".to_owned(), self.device.clone()];
        let threads = (self.session.threads() / self.jobs).max(1);
        flags.extend(["--threads".to_owned(), threads.to_string()]);
        flags.extend_from_slice(self.session.download_flags());
        flags
    }
}
