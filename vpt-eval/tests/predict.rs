//! `predict` on a small random model and drawn images.

#![allow(clippy::unwrap_used)]

use vpt_core::{Backbone, Classifier, MethodConfig, VitConfig};
use vpt_data::{Dataset, Split};
use vpt_eval::{EvalError, PredictOptions, Predictions, predict};

struct Fixture {
    _dir: tempfile::TempDir,
    dataset: Dataset,
    backbone: Backbone,
    device: burn::tensor::Device,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let dataset = vpt_data::fundus::draw_dataset(dir.path(), 1, [1, 1, 3], 32).unwrap();
        let config = VitConfig {
            img_size: [32, 32],
            embed_dim: 16,
            depth: 1,
            num_heads: 2,
            ..vpt_core::preset("vit_tiny_patch16_224").unwrap()
        };
        let mut backbone = Backbone::random(config, 0, 3);
        backbone.preprocess.input_size = [32, 32];
        Self {
            _dir: dir,
            dataset,
            backbone,
            device: burn::tensor::Device::flex(),
        }
    }

    fn model(&self, outputs: usize) -> Classifier {
        Classifier::new(
            &self.backbone,
            &MethodConfig::linear(),
            outputs,
            [32, 32],
            1,
            &self.device,
        )
        .unwrap()
    }

    fn predict(
        &self,
        model: &Classifier,
        batch_size: usize,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Predictions, EvalError> {
        let Self {
            dataset,
            backbone,
            device,
            ..
        } = self;
        let opts = PredictOptions {
            batch_size,
            workers: 1,
        };
        let samples = dataset.split(Split::Test);
        predict(
            model,
            &opts.loader(samples, dataset.classes.len(), &backbone.preprocess),
            &dataset.classes,
            device,
            progress,
        )
    }
}

#[test]
fn batch_size_changes_nothing_and_progress_ends_at_all() {
    let fixture = Fixture::new();
    let classes = fixture.dataset.classes.len();
    let model = fixture.model(classes);
    let mut heard = Vec::new();
    let one = fixture
        .predict(&model, 4, &mut |done, all| heard.push((done, all)))
        .unwrap();
    let images = fixture.dataset.test.len();
    assert_eq!(one.len(), images);
    assert_eq!(heard.last(), Some(&(images, images)));
    assert_eq!(heard.len(), images.div_ceil(4));
    assert!(one.images_per_second().unwrap() > 0.0);

    let other = fixture.predict(&model, images, &mut |_, _| {}).unwrap();
    assert_eq!((&one.paths, &one.labels), (&other.paths, &other.labels));
    assert!(
        one.logits
            .iter()
            .zip(&other.logits)
            .all(|(a, b)| (a - b).abs() < 1e-4)
    );
}

#[test]
fn a_model_of_other_classes_is_refused() {
    let fixture = Fixture::new();
    let error = fixture.predict(&fixture.model(9), 4, &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, EvalError::Outputs { found: 9, .. }), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn a_diverged_model_names_the_image() {
    let fixture = Fixture::new();
    let model = fixture.model(fixture.dataset.classes.len());
    let mut tuned = model.tuned_tensors();
    tuned.get_mut("head.bias").unwrap().data[1] = f32::NAN;
    let error = fixture
        .predict(&model.load_tuned(&tuned).unwrap(), 4, &mut |_, _| {})
        .unwrap_err();
    let first = fixture.dataset.test[0].path.display().to_string();
    assert!(error.to_string().contains(&first), "{error}");
    assert!(error.to_string().contains(&fixture.dataset.classes[1]), "{error}");
}
