//! [`Engine`]: the queue in front of the model, and the thread that empties it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use burn::tensor::Device;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::answer::Finding;
use crate::batch::{self, Work};
use crate::input::Input;
use crate::metrics::Metrics;
use crate::task::{Failure, ServedTask};

/// How batches are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batching {
    /// The most inputs of a forward pass.
    pub max_batch: usize,
    /// How long the first input waits for others.
    pub max_wait: Duration,
    /// The most inputs that wait or are computed.
    pub queue: usize,
}

/// The queue in front of the model. What it accepted is answered.
#[derive(Debug)]
pub(crate) struct Engine {
    sender: Sender<Work>,
    places: Arc<Semaphore>,
    queue: usize,
}

/// Places in the queue, for a number of inputs.
#[derive(Debug)]
pub(crate) struct Places(OwnedSemaphorePermit);

/// Why there is no place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// Not now.
    Full,
    /// Never: it has no more than so many.
    TooMany(usize),
}

impl Engine {
    /// Starts the thread; it ends when the engine is gone and all work is done.
    pub fn start(
        batching: Batching,
        device: &Device,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (sender, receiver) = channel();
        let device = device.clone().without_autodiff();
        let worker = move || {
            while let Some(work) = next_batch(&receiver, batching) {
                let start = Instant::now();
                batch::run(work, batching.max_batch, &device, &mut |inputs, tasks| {
                    metrics.batch(inputs, tasks);
                });
                metrics.computed(start.elapsed());
            }
        };
        let thread = thread::Builder::new().name("model".to_owned()).spawn(worker)?;
        let engine = Self {
            sender,
            places: Arc::new(Semaphore::new(batching.queue)),
            queue: batching.queue,
        };
        Ok((engine, thread))
    }

    /// Inputs that wait or are computed.
    pub fn waiting(&self) -> usize {
        self.queue.saturating_sub(self.places.available_permits())
    }

    /// Whether a request has no chance at the moment.
    pub fn is_full(&self) -> bool {
        self.places.available_permits() == 0
    }

    /// Takes places for so many inputs.
    pub fn reserve(&self, inputs: usize) -> Result<Places, NoPlace> {
        let count = u32::try_from(inputs).ok().filter(|_| inputs <= self.queue);
        let count = count.ok_or(NoPlace::TooMany(self.queue))?;
        let places = Arc::clone(&self.places).try_acquire_many_owned(count);
        places.map(Places).map_err(|_| NoPlace::Full)
    }

    /// Puts an image into the queue; what comes back is heard when it is done.
    pub fn submit(
        &self,
        task: Arc<ServedTask>,
        input: Arc<Input>,
        attention: bool,
        deadline: Instant,
        places: Places,
    ) -> oneshot::Receiver<Result<Finding, Failure>> {
        let (reply, answer) = oneshot::channel();
        let work = Work {
            task,
            input,
            attention,
            deadline,
            reply,
            places: places.0,
        };
        if let Err(refused) = self.sender.send(work) {
            // Whoever is gone needs no answer.
            let _ = refused.0.reply.send(Err(Failure::Stopping));
        }
        answer
    }
}

impl Places {
    /// Takes some of them out.
    pub fn split(&mut self, inputs: usize) -> Option<Self> {
        self.0.split(inputs).map(Self)
    }
}

/// Waits for work, then a little longer for work that can go along; nothing when there will be no more.
fn next_batch(receiver: &Receiver<Work>, batching: Batching) -> Option<Vec<Work>> {
    let first = receiver.recv().ok()?;
    let until = Instant::now() + batching.max_wait;
    let mut inputs = first.input.views.len();
    let mut batch = vec![first];
    while inputs < batching.max_batch {
        match receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(work) => {
                inputs += work.input.views.len();
                batch.push(work);
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    Some(batch)
}
