use vpt_data::{Preprocess, TaskKind};

use super::*;
use crate::task_file::TaskInfo;
use crate::{HeadConfig, HostTensor, MethodConfig, MethodOptions, init};

const SIZE: [usize; 2] = [32, 48];

fn backbone(seed: u64) -> Backbone {
    let config = VitConfig {
        img_size: SIZE,
        embed_dim: 24,
        depth: 3,
        num_heads: 3,
        ..VitConfig::default()
    };
    Backbone::random(config, 0, seed)
}

/// A task that learned random values.
fn task(backbone: &Backbone, method: &str, num_tokens: usize, head: HeadConfig, seed: u64) -> TaskFile {
    let options = MethodOptions {
        num_tokens,
        ..MethodOptions::default()
    };
    let info = TaskInfo {
        name: format!("{method} {seed}"),
        kind: TaskKind::Classification,
        classes: (0..4).map(|i| format!("class {i}")).collect(),
    };
    let method = MethodConfig::parse(method, &options).unwrap();
    let preprocess = Preprocess {
        input_size: SIZE,
        ..backbone.preprocess.clone()
    };
    TaskFile::random(backbone, &method, head, info, preprocess, seed).unwrap()
}

fn pixels(images: usize, device: &Device) -> Tensor<4> {
    init::normal([images, 3, SIZE[0], SIZE[1]], 1.0, &mut init::rng_of(3, "pixels")).to_tensor(device)
}

fn values(features: &Features) -> Vec<f32> {
    let tensor = match features {
        Features::Pooled(pooled) => HostTensor::from_tensor(pooled),
        Features::Map(map) => HostTensor::from_tensor(map),
    };
    tensor.unwrap().data
}

const HEAD: HeadConfig = HeadConfig::Linear;
const BOXES: HeadConfig = HeadConfig::Detection { width: 8 };

/// A batch of images of these tasks, so many of each: its pixels, and what is found of each part.
fn mixed(tasks: &[SharedTask], counts: &[usize]) -> (Tensor<4>, Vec<Features>) {
    assert!(tasks.iter().all(SharedTask::mixes));
    let pixels = pixels(counts.iter().sum(), &Device::flex());
    let mut images = 0..pixels.dims()[0];
    let of_task = |&count: &usize| images.by_ref().take(count).collect();
    let parts: Vec<(&SharedTask, Vec<usize>)> = tasks.iter().zip(counts.iter().map(of_task)).collect();
    let mixed = mixed_features(&parts, pixels.clone());
    (pixels, mixed)
}

#[test]
fn each_part_of_a_mixed_batch_is_what_its_task_makes_of_it_bit_for_bit() {
    let backbone = backbone(1);
    let shared = SharedBackbone::new(backbone.clone(), &Device::flex()).unwrap();
    let tasks = [
        ("vpt-deep", 3),
        ("vpt-deep", 3),
        ("vpt-deep", 5),
        ("linear", 1),
        ("mlp-2", 1),
    ];
    let tasks = [1, 2, 3, 4, 5].map(|seed| {
        let (method, tokens) = tasks[seed - 1];
        shared
            .attach(&task(&backbone, method, tokens, HEAD, seed as u64))
            .unwrap()
    });
    let counts = [2, 1, 3, 1, 2];
    let (pixels, mixed) = mixed(&tasks, &counts);
    let mut start = 0;
    for ((task, images), mixed) in tasks.iter().zip(counts).zip(&mixed) {
        // Products of another number of rows may be summed in another order, so the task judges the whole batch.
        let all = values(&task.features(pixels.clone()));
        let width = all.len() / 9;
        assert_eq!(values(mixed), all[start * width..(start + images) * width]);
        start += images;
    }
}

#[test]
fn each_image_of_a_mixed_batch_is_judged_as_if_it_were_alone() {
    let backbone = backbone(1);
    let shared = SharedBackbone::new(backbone.clone(), &Device::flex()).unwrap();
    let files = [
        task(&backbone, "vpt-deep", 3, HEAD, 1),
        task(&backbone, "vpt-deep", 5, BOXES, 3),
        task(&backbone, "linear", 1, HEAD, 4),
    ];
    let tasks = files.each_ref().map(|file| shared.attach(file).unwrap());
    let counts = [2, 1, 3];
    let (pixels, mixed) = mixed(&tasks, &counts);
    let mut start = 0;
    for (((task, file), images), mixed) in tasks.iter().zip(&files).zip(counts).zip(&mixed) {
        for image in 0..images {
            let own = pixels.clone().slice(s![start + image..=start + image]);
            let alone = values(&task.features(own));
            let part = &values(mixed)[image * alone.len()..][..alone.len()];
            let apart = part.iter().zip(&alone).map(|(a, b)| (a - b).abs());
            let largest = apart.fold(0.0, f32::max);
            assert!(largest < 5e-6, "{}: {largest}", file.metadata.task.name);
        }
        start += images;
    }
}

#[test]
fn an_image_that_several_tasks_judge_is_embedded_once_and_judged_the_same() {
    let (device, backbone) = (Device::flex(), backbone(1));
    let shared = SharedBackbone::new(backbone.clone(), &device).unwrap();
    let task = |method, tokens, seed| {
        let file = task(&backbone, method, tokens, HEAD, seed);
        shared.attach(&file).unwrap()
    };
    let tasks = [task("vpt-deep", 3, 1), task("linear", 1, 2)];
    let two = pixels(2, &device);
    let parts = [(&tasks[0], vec![1, 0]), (&tasks[1], vec![1])];
    let once = mixed_features(&parts, two.clone());
    let rows = Tensor::from_data([1, 0, 1], &device);
    let repeated = mixed_features(
        &[(&tasks[0], vec![0, 1]), (&tasks[1], vec![2])],
        two.select(0, rows),
    );
    for (once, repeated) in once.iter().zip(&repeated) {
        assert_eq!(values(once), values(repeated));
    }
}

#[test]
fn a_shared_task_is_the_task_file_applied() {
    let (device, backbone) = (Device::flex(), backbone(1));
    let shared = SharedBackbone::new(backbone.clone(), &device).unwrap();
    let pixels = pixels(2, &device);
    for (method, mixes) in [
        ("vpt-deep", true),
        ("linear", true),
        ("vpt-shallow", false),
        ("lora", false),
        ("norm", false),
        ("full", false),
        ("vpt-deep+bias", false),
    ] {
        let file = task(&backbone, method, 4, HEAD, 7);
        let task = shared.attach(&file).unwrap();
        assert_eq!(task.mixes(), mixes, "{method}");
        let expected = Features::Pooled(file.apply(&backbone, &device).unwrap().pooled(pixels.clone()));
        assert_eq!(
            values(&task.features(pixels.clone())),
            values(&expected),
            "{method}"
        );
    }
}

#[test]
fn tasks_leave_the_backbone_as_it_is() {
    let (device, backbone) = (Device::flex(), backbone(1));
    let shared = SharedBackbone::new(backbone.clone(), &device).unwrap();
    let frozen = task(&backbone, "vpt-deep", 4, HEAD, 1);
    let logits = |task: &SharedTask| values(&task.features(pixels(1, &device)));
    let before = logits(&shared.attach(&frozen).unwrap());
    let full = shared.attach(&task(&backbone, "full", 1, HEAD, 2)).unwrap();
    assert_ne!(full.model().backbone_sha256(), backbone.sha256);
    let after = shared.attach(&frozen).unwrap();
    assert_eq!(logits(&after), before);
    assert_eq!(after.model().backbone_sha256(), backbone.sha256);
}

#[test]
fn a_task_of_another_backbone_is_refused_with_both_hashes() {
    let shared = SharedBackbone::new(backbone(1), &Device::flex()).unwrap();
    let other = backbone(2);
    let error = shared
        .attach(&task(&other, "linear", 1, HEAD, 1))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&shared.sha256()[..8]) && error.contains(&other.sha256[..8]),
        "{error}"
    );
}
