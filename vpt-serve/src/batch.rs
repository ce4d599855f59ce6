//! One turn of the engine: work that waited together goes through the backbone together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use vpt_core::{SharedTask, mixed_features};

use crate::answer::Finding;
use crate::input::Input;
use crate::task::{Failure, Output, ServedTask};

/// An image that a task is to judge.
#[derive(Debug)]
pub(crate) struct Work {
    /// The task.
    pub task: Arc<ServedTask>,
    /// The image, which other tasks may be asked about too.
    pub input: Arc<Input>,
    /// Whether to say where the task looked.
    pub attention: bool,
    /// When nobody will wait any longer.
    pub deadline: Instant,
    /// Who waits; gone if the client is.
    pub reply: oneshot::Sender<Result<Finding, Failure>>,
    /// Its places in the queue, free when it is done.
    pub places: OwnedSemaphorePermit,
}

impl Work {
    /// Whether somebody still waits; says so to one that waited too long.
    fn still_wanted(self) -> Option<Self> {
        if self.deadline <= Instant::now() {
            // Whoever is gone needs no answer.
            let _ = self.reply.send(Err(Failure::Late));
            return None;
        }
        (!self.reply.is_closed()).then_some(self)
    }
}

/// Answers all of `work`, with batches of at most `max_batch` inputs. `observe` hears of each batch: its inputs and its tasks.
pub(crate) fn run(work: Vec<Work>, max_batch: usize, device: &Device, observe: &mut dyn FnMut(usize, usize)) {
    let wanted = work.into_iter().filter_map(Work::still_wanted).collect();
    for group in groups(wanted) {
        let found = guarded(&group, max_batch, device, observe);
        match found {
            Ok(found) => answer(group, found),
            // One of them may be to blame: each by itself, so that it fails alone.
            Err(_) if group.len() > 1 => {
                for work in group {
                    let alone = [work];
                    let found = guarded(&alone, max_batch, device, observe);
                    answer(alone.into(), found.unwrap_or_else(|failure| vec![Err(failure)]));
                }
            }
            Err(failure) => answer(group, vec![Err(failure)]),
        }
    }
}

fn answer(group: Vec<Work>, found: Vec<Result<Finding, Failure>>) {
    for (work, found) in group.into_iter().zip(found) {
        drop(work.places);
        // Whoever is gone needs no answer.
        let _ = work.reply.send(found);
    }
}

/// Work that can share a forward pass, tasks with as many prompts as each other side by side.
fn groups(work: Vec<Work>) -> Vec<Vec<Work>> {
    let mut groups: Vec<Vec<Work>> = Vec::new();
    for work in work {
        let fits = |group: &&mut Vec<Work>| {
            let first = &group[0].task;
            Arc::ptr_eq(first, &work.task) || first.shared.mixes_with(&work.task.shared)
        };
        match groups.iter_mut().find(fits) {
            Some(group) => group.push(work),
            None => groups.push(vec![work]),
        }
    }
    for group in &mut groups {
        group.sort_by_key(|work| {
            let prompts = work.task.metadata.method.prompts.as_ref();
            (
                prompts.map_or(0, |prompts| prompts.num_tokens),
                Arc::as_ptr(&work.task),
            )
        });
    }
    groups
}

/// [`findings`], where a panic is a failure like any other.
fn guarded(
    group: &[Work],
    max_batch: usize,
    device: &Device,
    observe: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Result<Finding, Failure>>, Failure> {
    let findings = || findings(group, max_batch, device, observe);
    catch_unwind(AssertUnwindSafe(findings)).unwrap_or_else(|_| Err(Failure::panicked()))
}

/// What is found of each work of a group.
fn findings(
    group: &[Work],
    max_batch: usize,
    device: &Device,
    observe: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Result<Finding, Failure>>, Failure> {
    let views = group
        .iter()
        .enumerate()
        .flat_map(|(work, of)| (0..of.input.views.len()).map(move |view| View { work, view }));
    let views: Vec<View> = views.collect();
    let mut outputs: Vec<Vec<Output>> = group.iter().map(|_| Vec::new()).collect();
    for views in views.chunks(max_batch.max(1)) {
        let batch = Batch::new(group, views);
        observe(views.len(), batch.parts.len());
        for (view, output) in views.iter().zip(batch.outputs(device)?) {
            outputs[view.work].push(output);
        }
    }
    let found = outputs.into_iter().zip(group);
    Ok(found
        .map(|(outputs, work)| work.task.finding(outputs, &work.input, work.attention, device))
        .collect())
}

/// A view of the image of one work of the group.
#[derive(Clone, Copy)]
struct View {
    work: usize,
    view: usize,
}

/// Inputs of one forward pass, each once, and which of them each task judges.
struct Batch<'a> {
    inputs: Vec<&'a [f32]>,
    parts: Vec<(&'a ServedTask, Vec<usize>)>,
}

impl<'a> Batch<'a> {
    fn new(group: &'a [Work], views: &[View]) -> Self {
        let (mut inputs, mut parts) = (Vec::<&[f32]>::new(), Vec::<(&ServedTask, Vec<usize>)>::new());
        for &View { work, view } in views {
            let input = group[work].input.views[view].as_slice();
            let known = inputs.iter().position(|other| std::ptr::eq(*other, input));
            let place = known.unwrap_or_else(|| {
                inputs.push(input);
                inputs.len() - 1
            });
            let task: &ServedTask = &group[work].task;
            match parts.last_mut() {
                Some((last, places)) if std::ptr::eq(*last, task) => places.push(place),
                _ => parts.push((task, vec![place])),
            }
        }
        Self { inputs, parts }
    }

    /// What the heads say of each view, in their order.
    fn outputs(self, device: &Device) -> Result<Vec<Output>, Failure> {
        let Some((first, _)) = self.parts.first() else {
            return Ok(Vec::new());
        };
        let [height, width] = first.shared.model().image_size();
        let shape = [self.inputs.len(), 3, height, width];
        let pixels = Tensor::<4>::from_data(TensorData::new(self.inputs.concat(), shape), device);
        let features = match first.shared.mixes() {
            true => {
                let parts = self
                    .parts
                    .iter()
                    .map(|(task, places)| (&task.shared, places.clone()));
                let parts: Vec<(&SharedTask, Vec<usize>)> = parts.collect();
                mixed_features(&parts, pixels)
            }
            // A group of one task, whose images are all different.
            false => vec![first.shared.features(pixels)],
        };
        let mut outputs = Vec::new();
        for ((task, _), features) in self.parts.iter().zip(features) {
            outputs.extend(task.outputs(features)?);
        }
        Ok(outputs)
    }
}
