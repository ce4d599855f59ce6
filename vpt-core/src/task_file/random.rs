//! Tasks that learned random values.

use std::collections::BTreeMap;

use burn::tensor::Device;
use vpt_data::Preprocess;

use super::{BackboneInfo, Calibration, FORMAT, TaskFile, TaskInfo, TaskMetadata, TrainingInfo};
use crate::{Backbone, Classifier, CoreError, HeadConfig, MethodConfig, init};

/// Standard deviation of the values.
const DEVIATION: f64 = 0.1;

impl TaskFile {
    /// A task that learned random values, for tests and benchmarks: a function of `seed`.
    ///
    /// # Errors
    /// As [`Classifier::with_head`].
    pub fn random(
        backbone: &Backbone,
        method: &MethodConfig,
        head: HeadConfig,
        task: TaskInfo,
        preprocess: Preprocess,
        seed: u64,
    ) -> Result<Self, CoreError> {
        let (classes, size) = (task.classes.len(), preprocess.input_size);
        let model = Classifier::with_head(backbone, method, head, classes, size, seed, &Device::flex())?;
        let mut rng = init::rng_of(seed, "learned");
        let learned = model.tuned_tensors().into_iter().map(|(name, tensor)| {
            let values = init::normal(tensor.shape, DEVIATION, &mut rng);
            (name, values)
        });
        Ok(Self {
            tensors: learned.collect(),
            metadata: TaskMetadata {
                format: FORMAT.to_owned(),
                vpt_version: env!("CARGO_PKG_VERSION").to_owned(),
                task,
                head,
                method: method.clone(),
                backbone: BackboneInfo::of(backbone),
                preprocess,
                calibration: Calibration::default(),
                metrics: BTreeMap::new(),
                training: TrainingInfo {
                    args: serde_json::json!({}),
                    seed,
                    data_fingerprint: String::new(),
                    date: "1970-01-01T00:00:00Z".to_owned(),
                    epoch: 0,
                },
            },
        })
    }
}
