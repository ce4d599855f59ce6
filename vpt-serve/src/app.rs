//! [`App`]: what every request sees, and the judging of images by tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use vpt_data::{DataError, Preprocess, decode_bytes, image_size};

use crate::answer::{Finding, Prediction, TaskAnswer};
use crate::engine::Engine;
use crate::input::Input;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::request::{Contents, Upload};
use crate::task::{Failure, ServedTask};
use crate::{Registry, ServeOptions};

/// What every request sees.
#[derive(Debug)]
pub(crate) struct App {
    pub registry: Arc<Registry>,
    pub engine: Engine,
    pub metrics: Arc<Metrics>,
    pub options: ServeOptions,
    /// Bytes of bodies that may still be read.
    pub bodies: Arc<Semaphore>,
    /// Images that may be decoded at once.
    pub decoders: Arc<Semaphore>,
    /// Whether no more requests are wanted.
    pub stopping: AtomicBool,
}

/// A task's finding that is not there yet.
type Pending = oneshot::Receiver<Result<Finding, Failure>>;

impl App {
    pub fn new(
        registry: Arc<Registry>,
        engine: Engine,
        metrics: Arc<Metrics>,
        options: ServeOptions,
    ) -> Self {
        Self {
            bodies: Arc::new(Semaphore::new(options.max_bodies_bytes)),
            decoders: Arc::new(Semaphore::new(options.decoders.max(1))),
            stopping: AtomicBool::new(false),
            registry,
            engine,
            metrics,
            options,
        }
    }

    /// Whether the server is going down.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// What each of `tasks` says of each image.
    pub async fn judge(
        &self,
        tasks: Vec<Arc<ServedTask>>,
        contents: Contents,
        attention: bool,
    ) -> Result<Vec<TaskAnswer>, Problem> {
        let judged = self.judge_images(&tasks, contents, attention);
        let predictions = timeout(self.options.timeout, judged).await;
        let mut predictions = predictions.map_err(|_| Failure::Late)??;
        let answer = |(place, task): (usize, Arc<ServedTask>)| {
            let info = &task.metadata.task;
            let predictions = std::mem::take(&mut predictions[place]);
            self.metrics.predicted(&task.name, predictions.len());
            TaskAnswer {
                task: task.name.clone(),
                kind: info.kind.to_string(),
                classes: info.classes.clone(),
                predictions,
            }
        };
        Ok(tasks.into_iter().enumerate().map(answer).collect())
    }

    /// Predictions by task, then by image.
    async fn judge_images(
        &self,
        tasks: &[Arc<ServedTask>],
        contents: Contents,
        attention: bool,
    ) -> Result<Vec<Vec<Prediction>>, Problem> {
        let deadline = Instant::now() + self.options.timeout;
        let uploads: Vec<Arc<Upload>> = contents.images.into_iter().map(Arc::new).collect();
        let mut sizes = Vec::with_capacity(uploads.len());
        for upload in &uploads {
            sizes.push(self.size(upload).await?);
        }
        let views =
            |size, task: &ServedTask| Input::num_views(size, &task.metadata.preprocess, task.is_dense());
        let counts = sizes
            .iter()
            .map(|&size| tasks.iter().map(|task| views(size, task)).sum());
        let counts: Vec<usize> = counts.collect();
        let mut places = self.engine.reserve(counts.iter().sum())?;

        let ways = Ways::of(tasks);
        let mut pending: Vec<Vec<Pending>> = tasks.iter().map(|_| Vec::new()).collect();
        for (upload, &size) in uploads.iter().zip(&sizes) {
            let inputs = self
                .prepare(Arc::clone(upload), ways.ways.clone(), attention)
                .await?;
            for ((task, &way), pending) in tasks.iter().zip(&ways.of_tasks).zip(&mut pending) {
                let own = places.split(views(size, task)).ok_or(Failure::Late)?;
                let input = Arc::clone(&inputs[way]);
                pending.push(
                    self.engine
                        .submit(Arc::clone(task), input, attention, deadline, own),
                );
            }
        }
        let mut predictions = Vec::with_capacity(tasks.len());
        for pending in pending {
            let mut of_task = Vec::with_capacity(pending.len());
            for ((pending, upload), &size) in pending.into_iter().zip(&uploads).zip(&sizes) {
                let finding = pending.await.map_err(|_| Failure::Stopping)??;
                let name = upload.name.clone();
                of_task.push(Prediction { name, size, finding });
            }
            predictions.push(of_task);
        }
        Ok(predictions)
    }

    /// Width and height of an image, which must not be too large.
    async fn size(&self, upload: &Arc<Upload>) -> Result<[u32; 2], Problem> {
        let (name, most) = (upload.name.clone(), self.options.max_pixels);
        let upload = Arc::clone(upload);
        let read = self
            .decoding(move || image_size(&upload.name, &upload.bytes))
            .await?;
        let size = read.map_err(|error| unreadable(&error))?;
        match u64::from(size[0]) * u64::from(size[1]) {
            pixels if pixels > most => Err(Problem::too_large(format!(
                "`{name}` has {} x {} pixels, at most {most} are taken",
                size[0], size[1]
            ))),
            _ => Ok(size),
        }
    }

    /// The image as each way of preparing it makes it.
    async fn prepare(
        &self,
        upload: Arc<Upload>,
        ways: Arc<[Way]>,
        attention: bool,
    ) -> Result<Vec<Arc<Input>>, Problem> {
        let prepare = move || {
            let picture = decode_bytes(&upload.name, &upload.bytes)?;
            let input = |way: &Way| Arc::new(Input::new(&picture, &way.preprocess, way.dense, attention));
            Ok(ways.iter().map(input).collect())
        };
        let prepared = self.decoding(prepare).await?;
        prepared.map_err(|error: DataError| unreadable(&error))
    }

    /// Does what takes a while where it holds up nobody, a few at a time.
    async fn decoding<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = Arc::clone(&self.decoders).acquire_owned().await;
        let turn = turn.map_err(|_| Failure::Stopping)?;
        let done = spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|_| Failure::panicked().into())
    }
}

fn unreadable(error: &DataError) -> Problem {
    match error {
        DataError::ImageTooLarge { .. } => Problem::too_large(error.to_string()),
        error => Problem::image(error.to_string()),
    }
}

/// The different ways in which tasks prepare an image.
struct Ways {
    ways: Arc<[Way]>,
    /// Which is that of each task.
    of_tasks: Vec<usize>,
}

#[derive(PartialEq)]
struct Way {
    preprocess: Preprocess,
    dense: bool,
}

impl Ways {
    fn of(tasks: &[Arc<ServedTask>]) -> Self {
        let (mut ways, mut of_tasks) = (Vec::new(), Vec::new());
        for task in tasks {
            let way = Way {
                preprocess: task.metadata.preprocess.clone(),
                dense: task.is_dense(),
            };
            let known = ways.iter().position(|other| *other == way);
            of_tasks.push(known.unwrap_or(ways.len()));
            if known.is_none() {
                ways.push(way);
            }
        }
        Self {
            ways: ways.into(),
            of_tasks,
        }
    }
}
