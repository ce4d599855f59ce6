//! What a method costs in use: latency and arithmetic, next to the backbone alone.

use anyhow::Result;
use vpt_core::{Backbone, MethodConfig, TaskMetadata};
use vpt_eval::Costs;
use vpt_train::bench::{Bench, Speed};

use super::measured::Measured;
use crate::session::Session;

/// Images in the batch that is timed; fewer where each has many tokens.
const BATCH: usize = 32;
const BATCH_OF_PLACES: usize = 8;

/// Timed steps, of which the median counts.
const STEPS: usize = 7;

/// Times the task's method and the bare backbone, each with the task's head, in turns on random images, one at a time and in batches.
/// What was measured before is not measured again.
pub fn costs(
    task: &TaskMetadata,
    backbone: &Backbone,
    session: &Session,
    measured: &mut Measured,
) -> Result<Costs> {
    let device = session.device()?;
    let (method, image_size) = (&task.method, task.preprocess.input_size);
    let (many_images, head) = match task.head.is_dense() {
        true => (
            BATCH_OF_PLACES,
            format!(", {}", serde_json::to_string(&task.head)?),
        ),
        // All heads cost alike.
        false => (BATCH, String::new()),
    };
    let mut timed = |batch: usize| {
        let [height, width] = image_size;
        let key = format!(
            "speed of {}{head} on {}, {height} x {width}, batch {batch}, {}, {} threads, vpt {}",
            serde_json::to_string(method)?,
            &backbone.sha256,
            device.name,
            session.threads(),
            env!("CARGO_PKG_VERSION"),
        );
        measured.value(&key, || {
            let head = (task.head, task.task.classes.len());
            let bench =
                |method| Bench::with_head(backbone, method, head, image_size, batch, STEPS, &device.device);
            let speeds = bench(method)?.infer_beside(&bench(&MethodConfig::linear())?)?;
            Ok(speeds.each_ref().map(Timed::of))
        })
    };
    let [one, bare_one] = timed(1)?;
    let [many, bare_many] = timed(many_images)?;
    Ok(Costs {
        latency_ms: Some(one.ms),
        batch_latency_ms: Some(many.ms),
        batch: Some(many_images),
        bare_latency_ms: Some(bare_one.ms),
        bare_batch_latency_ms: Some(bare_many.ms),
        multiply_adds: Some(many.multiply_adds),
        bare_multiply_adds: Some(bare_many.multiply_adds),
        ..Costs::default()
    })
}

/// One kind of step.
#[derive(serde::Serialize, serde::Deserialize)]
struct Timed {
    ms: f64,
    /// For one image.
    multiply_adds: u64,
}

impl Timed {
    fn of(speed: &Speed) -> Self {
        Self {
            ms: speed.seconds_per_step * 1e3,
            multiply_adds: (speed.gflop_per_image * 1e9 / 2.0).round() as u64,
        }
    }
}
