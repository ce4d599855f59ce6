//! A task with fewer prompts.

use serde_json::json;

use super::{Calibration, TaskFile};
use crate::CoreError;
use crate::prompts::Prompts;

impl TaskFile {
    /// The task with only the prompts `kept`: of each set (each prompted block's, or the only one) the positions of those that
    /// stay, equally many of each. What was chosen on validation images for the whole task (calibration, metrics) is no longer
    /// there.
    ///
    /// # Errors
    /// [`CoreError::Setting`] for a method without prompts, a backbone with prompts of several widths, or positions that are none.
    pub fn with_prompts(&self, kept: &[Vec<usize>]) -> Result<Self, CoreError> {
        let fail = |found: String, expected: &str| Err(CoreError::setting("prompts", found, expected));
        let method = &self.metadata.method;
        let Some(config) = &method.prompts else {
            return fail(method.to_string(), "vpt-deep or vpt-shallow");
        };
        let name = Prompts::name(0);
        let Some(prompts) = self.tensors.get(&name) else {
            return fail("none".into(), "a task file with the tensor `prompts`");
        };
        if self.tensors.contains_key(&Prompts::name(1)) {
            return fail(
                "several widths".into(),
                "a backbone whose tokens are equally wide in all blocks",
            );
        }
        let [sets, count, width] = prompts.shape[..] else {
            return fail(format!("{:?}", prompts.shape), "three dimensions");
        };
        let keep = kept.first().map_or(0, Vec::len);
        let fits = |set: &Vec<usize>| set.len() == keep && set.iter().all(|&place| place < count);
        if keep == 0 || kept.len() != sets || !kept.iter().all(fits) {
            return fail(
                format!("{kept:?}"),
                &format!("places below {count} for each of {sets} sets"),
            );
        }
        let mut pruned = self.clone();
        let rows = kept
            .iter()
            .enumerate()
            .flat_map(|(set, places)| places.iter().map(move |place| (set * count + place) * width));
        let data = rows
            .flat_map(|start| prompts.data[start..start + width].iter().copied())
            .collect();
        pruned
            .tensors
            .insert(name, crate::HostTensor::new([sets, keep, width], data));
        pruned.metadata.method.prompts = Some(crate::PromptConfig {
            num_tokens: keep,
            ..config.clone()
        });
        // Settings that are not as ours are left as they are.
        if let Some(told) = pruned.metadata.training.args.pointer_mut("/method/num_tokens") {
            *told = json!(keep);
        }
        pruned.metadata.calibration = Calibration::default();
        pruned.metadata.metrics.clear();
        Ok(pruned)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use burn::tensor::{Device, Tensor};

    use super::super::tests::{backbone, metadata, method};
    use super::*;
    use crate::{Classifier, HostTensor, MethodConfig, init};

    fn task(count: usize) -> TaskFile {
        let backbone = backbone();
        let model = Classifier::new(&backbone, &method(count), 4, [32, 32], 5, &Device::flex()).unwrap();
        TaskFile {
            tensors: model.tuned_tensors(),
            metadata: metadata(&backbone, method(count), 4),
        }
    }

    fn logits(task: &TaskFile) -> Vec<f32> {
        let model = task.apply(&backbone(), &Device::flex()).unwrap();
        let size = task.metadata.preprocess.input_size;
        let pixels = init::normal([2, 3, size[0], size[1]], 1.0, &mut init::rng_of(0, "pixels"));
        let logits: Tensor<2> = model.forward(pixels.to_tensor(&Device::flex()));
        HostTensor::from_tensor(&logits).unwrap().data
    }

    #[test]
    fn the_order_of_prompts_is_nothing_and_each_one_is_something() {
        let task = task(3);
        let sets = task.tensors["prompts"].shape[0];
        let turned = task.with_prompts(&vec![vec![2, 0, 1]; sets]).unwrap();
        for (a, b) in logits(&task).iter().zip(logits(&turned)) {
            assert!((a - b).abs() < 1e-5, "{a} and {b}");
        }
        let fewer = task.with_prompts(&vec![vec![0, 2]; sets]).unwrap();
        assert_eq!(fewer.metadata.method.prompts.as_ref().unwrap().num_tokens, 2);
        assert_eq!(fewer.tensors["prompts"].shape[1], 2);
        assert_ne!(logits(&task), logits(&fewer));
        let again = TaskFile::parse("a".as_ref(), &fewer.to_bytes(false).unwrap()).unwrap();
        assert_eq!(again.tensors, fewer.tensors);
    }

    #[test]
    fn impossible_places_and_other_methods_are_refused() {
        let task = task(3);
        let sets = task.tensors["prompts"].shape[0];
        for kept in [
            vec![],
            vec![vec![3]; sets],
            vec![vec![0]; sets + 1],
            vec![vec![]; sets],
        ] {
            assert!(task.with_prompts(&kept).is_err(), "{kept:?}");
        }
        let mut foreign = task.clone();
        foreign.metadata.training.args = json!({ "method": "vpt-deep" });
        let pruned = foreign.with_prompts(&vec![vec![0]; sets]).unwrap();
        assert_eq!(pruned.metadata.training.args, foreign.metadata.training.args);
        let linear = TaskFile {
            metadata: metadata(&backbone(), MethodConfig::linear(), 4),
            tensors: BTreeMap::new(),
        };
        assert!(linear.with_prompts(&[vec![0]]).is_err());
    }
}
