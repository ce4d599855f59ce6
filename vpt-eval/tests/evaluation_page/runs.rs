//! Runs to make pages of.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use rand::RngExt;
use vpt_core::{Backbone, Calibration, Classifier, MethodConfig, VitConfig};
use vpt_data::{Label, TaskKind};
use vpt_eval::metrics::temperature::fit_temperature;
use vpt_eval::report::{
    CardSection, EvaluationPage, Example, Gallery, SubgroupRow, SubgroupTable, attention_thumbnail,
    evaluation_html, most_confident_errors, random_examples,
};
use vpt_eval::{Bootstrap, Estimate, Predictions, Results};

pub const HOSTILE: &str =
    "<script>alert('x')</script> \"quoted\" & a very long name, which nobody should ever give to a class";

pub fn bootstrap() -> Bootstrap {
    Bootstrap {
        resamples: 200,
        ..Bootstrap::default()
    }
}

/// Logits around the label; `skill` is how far they are apart, `sure` by what they are too large.
pub fn predictions(classes: &[&str], labels: Vec<usize>, skill: f32, sure: f32) -> Predictions {
    let mut noise = vpt_data::rng::rng(11, &[]);
    let logits = Array2::from_shape_fn((labels.len(), classes.len()), |(i, class)| {
        let bell: f32 = (0..6).map(|_| noise.random::<f32>() - 0.5).sum::<f32>() * 1.4;
        sure * (bell + if labels[i] == class { skill } else { 0.0 })
    });
    let paths = labels.iter().enumerate();
    let paths = paths
        .map(|(i, label)| PathBuf::from(format!("/data/test/{label}/{i:04}.png")))
        .collect();
    Predictions::new(
        classes.iter().map(|&name| name.to_owned()).collect(),
        paths,
        labels,
        logits,
    )
    .unwrap()
}

pub fn results(predictions: &Predictions) -> Results {
    Results {
        task: "brain tumours <MRI>".into(),
        split: "test".into(),
        method: "vpt-deep".into(),
        model: "vit_small_patch16_dinov3".into(),
        seed: Some(42),
        date: Some("2026-11-25T16:00:00Z".into()),
        ..Results::from_predictions(predictions, &bootstrap())
    }
}

pub fn page<'a>(predictions: &'a Predictions, results: &'a Results) -> EvaluationPage<'a> {
    EvaluationPage {
        results,
        predictions,
        main_metric: "balanced_accuracy",
        subgroups: Vec::new(),
        gallery: Gallery::default(),
        data_card: Vec::new(),
        model_card: Vec::new(),
        commands: Vec::new(),
    }
}

pub fn plain_page(predictions: &Predictions) -> String {
    let results = results(predictions);
    evaluation_html(&page(predictions, &results))
}

/// A page with everything on it. Pictures are drawn ones, or real ones where an environment variable names a folder.
pub fn full_page(predictions: &Predictions, threshold: Option<f64>) -> String {
    let labels: Vec<usize> = predictions.labels.iter().filter_map(Label::class).collect();
    let calibration = Calibration {
        temperature: fit_temperature(&predictions.logits, &labels).value,
        threshold,
        ..Calibration::default()
    };
    let predictions = &predictions
        .clone()
        .decided_by(TaskKind::Classification, calibration);
    let results = results(predictions);
    let config = VitConfig {
        img_size: [96, 96],
        embed_dim: 24,
        depth: 2,
        num_heads: 2,
        ..vpt_core::preset("vit_tiny_patch16_224").unwrap()
    };
    let mut backbone = Backbone::random(config, 0, 3);
    backbone.preprocess.input_size = [96, 96];
    let device = burn::tensor::Device::flex();
    let model = Classifier::new(&backbone, &MethodConfig::linear(), 2, [96, 96], 1, &device).unwrap();
    let example = |index: usize| {
        let picture = vpt_data::decode(&predictions.paths[index]).ok();
        let overlay = picture
            .map(|picture| attention_thumbnail(&model, &picture, &backbone.preprocess, &device).unwrap());
        Example {
            overlay,
            ..Example::open(predictions, index)
        }
    };
    let gallery = Gallery {
        pairs: vec![],
        errors: most_confident_errors(predictions, 12)
            .into_iter()
            .map(example)
            .collect(),
        random: random_examples(predictions, 12, 7)
            .into_iter()
            .map(|index| Example::open(predictions, index))
            .collect(),
    };
    let estimate = |value: f64| Estimate {
        value: Some(value),
        ci_low: Some(value - 0.05),
        ci_high: Some(value + 0.03),
        ..Estimate::default()
    };
    let group = |name: &str, images, value| SubgroupRow {
        name: name.to_owned(),
        images,
        values: vec![estimate(value), Estimate::default()],
    };
    let text = |pairs: &[&str]| pairs.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    evaluation_html(&EvaluationPage {
        gallery,
        subgroups: vec![SubgroupTable {
            by: "scanner".into(),
            metrics: text(&["top1", "log_loss"]),
            rows: vec![group("A <1.5 T>", 120, 0.81), group("B", 80, 0.77)],
        }],
        data_card: vec![
            CardSection {
                title: "Images".into(),
                columns: text(&["class", "train", "val", "test"]),
                rows: predictions
                    .classes
                    .iter()
                    .map(|class| vec![class.clone(), "1,200".into(), "150".into(), "150".into()])
                    .collect(),
                notes: Vec::new(),
            },
            CardSection {
                title: "Leaks".into(),
                notes: text(&["3 test images are also in train: left out of all numbers."]),
                ..CardSection::default()
            },
        ],
        model_card: [
            ("backbone", "vit_small_patch16_dinov3"),
            (
                "sha256",
                "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            ),
            ("method", "vpt-deep, 10 prompts"),
            ("tuned parameters", "47,620 of 21.6 M"),
            ("task file", "192 kB"),
            ("preprocessing", "224 × 224, bicubic, crop 0.9"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        commands: text(&[
            "vpt train --data-dir brain --model vit_small_patch16_dinov3 --method vpt-deep --num-tokens 10 --epochs 30 --experiment mri",
            "vpt eval runs/train/mri --split test --report report.html",
        ]),
        ..page(predictions, &results)
    })
}

/// Two classes, drawn pictures of the back of the eye.
pub fn two_classes(folder: &Path) -> Predictions {
    let labels: Vec<usize> = (0..240).map(|i| usize::from(i % 3 == 0)).collect();
    let mut predictions = predictions(&["normal", HOSTILE], labels, 1.1, 2.5);
    let dataset = vpt_data::fundus::draw_dataset(folder, 1, [1, 1, 6], 96).unwrap();
    let pictures: Vec<PathBuf> = dataset
        .split(vpt_data::Split::Test)
        .iter()
        .map(|sample| sample.path.clone())
        .collect();
    for (i, path) in predictions.paths.iter_mut().enumerate() {
        path.clone_from(&pictures[i % pictures.len()]);
    }
    predictions
}

pub fn four_classes(folder: &Path) -> Predictions {
    let names = ["glioma", "meningioma", "notumor", "pituitary"];
    let mut found: Vec<(PathBuf, usize)> = Vec::new();
    if let Some(real) = std::env::var_os("VPT_EXAMPLE_IMAGES") {
        for (label, name) in names.iter().enumerate() {
            let mut files: Vec<_> = fs::read_dir(Path::new(&real).join(name))
                .unwrap()
                .map(|file| file.unwrap().path())
                .collect();
            files.sort();
            found.extend(files.into_iter().map(|file| (file, label)));
        }
    } else {
        found.extend((0..300).map(|i| (folder.join(format!("missing/{i}.png")), i % 4)));
    }
    let labels = found.iter().map(|(_, label)| *label).collect();
    let mut predictions = predictions(&names, labels, 1.6, 1.8);
    predictions.paths = found.into_iter().map(|(path, _)| path).collect();
    predictions
}
