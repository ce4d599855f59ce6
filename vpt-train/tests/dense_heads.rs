//! Heads for boxes and masks learn what they are shown: a handful of drawn pictures, by heart.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use vpt_core::heads::{DetectionHead, Head, Suppression};
use vpt_core::prompts::Noise;
use vpt_core::{Backbone, Classifier, HeadConfig, HostTensor, MethodConfig, MethodOptions};
use vpt_eval::metrics::detection::{CocoMatches, Detection, Truth};
use vpt_train::dense::{Target, detection_loss, segmentation_loss};
use vpt_train::{GroupOptimizer, Opt, OptimizerConfig};

const SIZE: usize = 96;

/// A rectangle on noise-free grey, in one of two colours.
struct Picture {
    objects: Vec<Target>,
    pixels: Vec<f32>,
    mask: Vec<u8>,
}

fn picture(rectangles: &[(usize, [usize; 4])]) -> Picture {
    let mut pixels = vec![0.0; 3 * SIZE * SIZE];
    let mut mask = vec![0; SIZE * SIZE];
    for &(class, [x0, y0, x1, y1]) in rectangles {
        for y in y0..y1 {
            for x in x0..x1 {
                mask[y * SIZE + x] = class as u8 + 1;
                pixels[class * SIZE * SIZE + y * SIZE + x] = 2.0;
            }
        }
    }
    let target = |&(class, edges): &(usize, [usize; 4])| Target {
        class: Some(class),
        bbox: edges.map(|edge| edge as f32),
    };
    Picture {
        objects: rectangles.iter().map(target).collect(),
        pixels,
        mask,
    }
}

fn pictures() -> Vec<Picture> {
    vec![
        picture(&[(0, [10, 10, 40, 30]), (1, [50, 40, 90, 90])]),
        picture(&[(1, [20, 50, 36, 66])]),
        picture(&[(0, [5, 5, 85, 75]), (0, [80, 80, 92, 92])]),
        picture(&[]),
    ]
}

fn trained(method: &str, head: HeadConfig, classes: usize, steps: usize, lr: f64) -> (Classifier, f32) {
    let device = Device::flex().autodiff();
    let backbone = Backbone::load("demo").unwrap();
    let method = MethodConfig::parse(method, &MethodOptions::default()).unwrap();
    let mut model =
        Classifier::with_head(backbone, &method, head, classes, [SIZE, SIZE], 1, &device).unwrap();
    let points = DetectionHead::points(model.backbone.grid(), [8, 8]);
    let mut optimizer = GroupOptimizer::new(OptimizerConfig {
        opt: Opt::AdamW,
        momentum: 0.9,
        weight_decay: 1e-4,
        no_decay: model.no_decay_group(),
        head: model.no_decay_group(),
        head_lr_scale: 1.0,
    });
    let pictures = pictures();
    let objects: Vec<_> = pictures.iter().map(|picture| picture.objects.clone()).collect();
    let masks: Vec<u8> = pictures.iter().flat_map(|picture| picture.mask.clone()).collect();
    let mut last = f32::NAN;
    for _ in 0..steps {
        let map = model.feature_map(pixels(&pictures, &device), &Noise::none());
        let loss = match &model.head {
            Head::Detection(head) => detection_loss(head.forward(map), &points, &objects),
            Head::Segmentation(head) => segmentation_loss(head.forward(map, [SIZE, SIZE]), &masks),
            Head::Linear(_) => unreachable!(),
        };
        last = loss.clone().inner().into_scalar::<f32>();
        let grads = GradientsParams::from_grads(loss.div_scalar(4.0).backward(), &model);
        model = optimizer.step(lr, model, grads);
    }
    (model, last)
}

fn pixels(pictures: &[Picture], device: &Device) -> Tensor<4> {
    let values: Vec<f32> = pictures
        .iter()
        .flat_map(|picture| picture.pixels.clone())
        .collect();
    Tensor::from_data(TensorData::new(values, [pictures.len(), 3, SIZE, SIZE]), device)
}

#[test]
fn boxes_are_learnt() {
    let (model, _) = trained("vpt-deep", HeadConfig::detection(Some(32)), 2, 150, 3e-3);
    let device = Device::flex().autodiff();
    let points = DetectionHead::points(model.backbone.grid(), [8, 8]);
    let Head::Detection(head) = &model.head else {
        unreachable!()
    };
    let pictures = pictures();
    let output = head.forward(model.feature_map(pixels(&pictures, &device), &Noise::none()));
    let found = output.objects(&points, &Suppression::default()).unwrap();
    let mut truths = Vec::new();
    for (image, picture) in pictures.iter().enumerate() {
        truths.extend(picture.objects.iter().map(|object| Truth {
            image,
            class: object.class.unwrap(),
            bbox: object.bbox.map(f64::from),
            area: 1.0,
            crowd: false,
        }));
    }
    let mut detections = Vec::new();
    for (image, found) in found.into_iter().enumerate() {
        detections.extend(found.into_iter().map(|object| Detection {
            image,
            class: object.class,
            score: object.score.into(),
            bbox: object.bbox.map(f64::from),
        }));
    }
    let matches = CocoMatches::new(pictures.len(), 2, &truths, &detections).unwrap();
    let ap = matches.evaluate(&matches.ones()).ap.unwrap();
    assert!(ap > 0.9, "AP {ap}");
}

#[test]
fn masks_are_learnt() {
    let (model, loss) = trained("vpt-deep", HeadConfig::segmentation(Some(32), 8), 3, 100, 3e-3);
    let device = Device::flex().autodiff();
    let Head::Segmentation(head) = &model.head else {
        unreachable!()
    };
    let pictures = pictures();
    let logits = head.forward(
        model.feature_map(pixels(&pictures, &device), &Noise::none()),
        [SIZE, SIZE],
    );
    let logits = HostTensor::from_tensor(&logits.inner()).unwrap().data;
    let classes: Vec<u8> = logits
        .chunks_exact(3)
        .map(|row| {
            (0..3u8)
                .max_by(|&a, &b| row[usize::from(a)].total_cmp(&row[usize::from(b)]))
                .unwrap()
        })
        .collect();
    let truth: Vec<u8> = pictures.iter().flat_map(|picture| picture.mask.clone()).collect();
    let right = classes.iter().zip(&truth).filter(|(a, b)| a == b).count();
    let right = right as f64 / truth.len() as f64;
    assert!(right > 0.99 && loss < 2.0, "{right} of the pixels, loss {loss}");
}
