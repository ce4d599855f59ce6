//! What a method costs in use: latency and arithmetic, next to the backbone alone.

use anyhow::Result;
use vpt_core::{Backbone, MethodConfig};
use vpt_eval::Costs;
use vpt_train::bench::{Bench, Speed};

use super::measured::Measured;
use crate::session::Session;

/// Images in the batch that is timed.
const BATCH: usize = 32;

/// Timed steps, of which the median counts.
const STEPS: usize = 7;

/// Times `method` and the bare backbone on random images of `image_size`, one at a time and in batches. What was measured
/// before is not measured again.
pub fn costs(
    method: &MethodConfig,
    backbone: &Backbone,
    image_size: [usize; 2],
    session: &Session,
    measured: &mut Measured,
) -> Result<Costs> {
    let device = session.device()?;
    let mut speed = |method: &MethodConfig, batch: usize| {
        let [height, width] = image_size;
        let key = format!(
            "speed of {} on {}, {height} x {width}, batch {batch}, {}, {} threads, vpt {}",
            serde_json::to_string(method)?,
            &backbone.sha256,
            device.name,
            session.threads(),
            env!("CARGO_PKG_VERSION"),
        );
        measured.value(&key, || {
            let speed = Bench::new(backbone, method, image_size, batch, STEPS, &device.device)?.infer()?;
            Ok(Timed::of(&speed))
        })
    };
    let bare = MethodConfig::linear();
    let (one, many) = (speed(method, 1)?, speed(method, BATCH)?);
    let (bare_one, bare_many) = (speed(&bare, 1)?, speed(&bare, BATCH)?);
    Ok(Costs {
        latency_ms: Some(one.ms),
        batch_latency_ms: Some(many.ms),
        batch: Some(BATCH),
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
