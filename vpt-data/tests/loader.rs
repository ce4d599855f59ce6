//! The loader: same batches for any number of threads and any start, errors in order, no thread left behind.

#![allow(clippy::unwrap_used)]

use image::{Rgb, RgbImage};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use vpt_data::{
    AugmentConfig, Batch, DataError, Loader, LoaderConfig, Preprocess, Sample, SampleWeight, ScratchFile,
    decode,
};

const CLASSES: usize = 3;

/// `count` small pictures in a folder.
fn samples(folder: &Path, count: usize) -> Vec<Sample> {
    (0..count)
        .map(|number| {
            let path = folder.join(format!("{number}.png"));
            let n = number as u32;
            RgbImage::from_fn(30 + n % 5, 26, |x, y| {
                Rgb([(x * 8) as u8, (y * 9 + n) as u8, (n * 11 % 256) as u8])
            })
            .save(&path)
            .unwrap();
            Sample {
                path,
                label: (number % CLASSES).into(),
                ..Sample::default()
            }
        })
        .collect()
}

fn preprocess() -> Preprocess {
    Preprocess::imagenet(16, 16)
}

fn strong() -> AugmentConfig {
    AugmentConfig {
        rrc_scale: [0.3, 1.0],
        rotation: 20.0,
        rand_augment: Some((2, 7.0)),
        random_erasing: 0.3,
        mixup: 0.2,
        cutmix: 1.0,
        ..AugmentConfig::default()
    }
}

fn config() -> LoaderConfig {
    LoaderConfig {
        batch_size: 4,
        shuffle: true,
        seed: 5,
        workers: 2,
        ..LoaderConfig::default()
    }
}

fn batches(loader: &Loader, epoch: usize, first: usize) -> Vec<Batch> {
    loader.epoch(epoch, first).map(|batch| batch.unwrap()).collect()
}

fn loader(samples: &[Sample], config: LoaderConfig) -> Loader {
    Loader::new(samples.to_vec(), CLASSES, preprocess(), config)
}

#[test]
fn without_augmentation_pixels_are_those_of_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 10);
    for augment in [None, Some(AugmentConfig::none())] {
        let loader = loader(
            &samples,
            LoaderConfig {
                augment,
                shuffle: false,
                ..config()
            },
        );
        let all = batches(&loader, 0, 0);
        assert_eq!(all.iter().map(Batch::len).collect::<Vec<_>>(), [4, 4, 2]);
        assert_eq!(all.len(), loader.batches_per_epoch());
        let order: Vec<usize> = all.iter().flat_map(|batch| batch.indices.clone()).collect();
        assert_eq!(order, (0..10).collect::<Vec<_>>());
        for batch in all {
            assert_eq!((batch.size, &batch.soft_targets), ([16, 16], &None));
            for ((pixels, index), label) in batch
                .pixels
                .chunks(3 * 256)
                .zip(&batch.indices)
                .zip(&batch.labels)
            {
                assert_eq!(
                    pixels,
                    preprocess().apply(&decode(&samples[*index].path).unwrap())
                );
                assert_eq!(*label, samples[*index].label);
            }
        }
    }
}

#[test]
fn workers_prefetch_and_cache_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 23);
    for augment in [None, Some(strong())] {
        let with = |workers, prefetch, cache_bytes| {
            let loader = loader(
                &samples,
                LoaderConfig {
                    augment: augment.clone(),
                    workers,
                    prefetch,
                    cache_bytes,
                    ..config()
                },
            );
            (0..2).map(|epoch| batches(&loader, epoch, 0)).collect::<Vec<_>>()
        };
        let on_disk = |cache_bytes| {
            let config = LoaderConfig {
                augment: augment.clone(),
                workers: 3,
                cache_bytes,
                ..config()
            };
            let file = ScratchFile::create_in(folder.path()).unwrap();
            let loader = Loader::keeping_in(Some(file), samples.clone(), CLASSES, preprocess(), config);
            (0..2).map(|epoch| batches(&loader, epoch, 0)).collect::<Vec<_>>()
        };
        let reference = with(1, 0, 0);
        assert!(reference == with(8, 2, 0), "8 workers");
        assert!(reference == with(0, 1, 5000), "a cache of a few pictures");
        assert!(reference == with(3, 5, usize::MAX), "a cache of all pictures");
        assert!(reference == on_disk(5000), "a file of a few pictures");
        assert!(reference == on_disk(usize::MAX), "a file of all pictures");
        assert!(reference[0] != reference[1], "epochs differ");
    }
}

#[test]
fn pictures_are_shrunk_before_they_are_augmented() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 9);
    let with = |augment: Option<AugmentConfig>, shrink, cache_bytes| {
        let config = LoaderConfig {
            augment,
            shrink,
            cache_bytes,
            ..config()
        };
        batches(&loader(&samples, config), 1, 0)
    };
    let whole = with(Some(strong()), None, 0);
    assert!(whole == with(Some(strong()), Some(26), 0), "none is larger");
    let shrunk = with(Some(strong()), Some(13), 0);
    assert!(whole != shrunk);
    // Pictures of 30 to 34 by 26 pixels take a quarter of the bytes.
    assert!(
        shrunk == with(Some(strong()), Some(13), 9 * 17 * 13 * 3),
        "all are kept"
    );
    assert!(
        with(None, None, 0) == with(None, Some(13), 0),
        "evaluation sees them whole"
    );
}

#[test]
fn a_full_cache_needs_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 9);
    let elsewhere = tempfile::tempdir().unwrap();
    for (augment, on_disk) in [(None, false), (Some(strong()), false), (Some(strong()), true)] {
        let config = LoaderConfig {
            augment,
            cache_bytes: 1 << 20,
            ..config()
        };
        let file = on_disk.then(|| ScratchFile::create_in(elsewhere.path()).unwrap());
        let loader = Loader::keeping_in(file, samples.clone(), CLASSES, preprocess(), config);
        let before = batches(&loader, 3, 0);
        let hidden = folder.path().with_extension("hidden");
        fs::rename(folder.path(), &hidden).unwrap();
        let after = batches(&loader, 3, 0);
        fs::rename(&hidden, folder.path()).unwrap();
        assert!(before == after);
    }
}

#[test]
fn a_resumed_epoch_has_the_same_tail() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 18);
    let loader = loader(
        &samples,
        LoaderConfig {
            augment: Some(strong()),
            ..config()
        },
    );
    let all = batches(&loader, 7, 0);
    for first in [1, 3, 4, 5, 9] {
        assert!(
            batches(&loader, 7, first)[..] == all[first.min(all.len())..],
            "from {first}"
        );
    }
}

#[test]
fn every_sample_comes_once_an_epoch_in_an_order_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 21);
    let order = |config: LoaderConfig, epoch| -> Vec<usize> {
        batches(&loader(&samples, config), epoch, 0)
            .into_iter()
            .flat_map(|batch| batch.indices)
            .collect()
    };
    let first = order(config(), 0);
    assert_eq!(first.iter().copied().collect::<BTreeSet<_>>(), (0..21).collect());
    assert_eq!(first.len(), 21);
    assert_ne!(first, order(config(), 1));
    assert_ne!(first, order(LoaderConfig { seed: 6, ..config() }, 0));
    assert_eq!(first, order(config(), 0));
    let dropped = LoaderConfig {
        drop_last: true,
        ..config()
    };
    assert_eq!(loader(&samples, dropped.clone()).batches_per_epoch(), 5);
    assert_eq!(order(dropped, 0), first[..20]);
}

#[test]
fn mixing_gives_soft_targets() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 8);
    let loader = loader(
        &samples,
        LoaderConfig {
            augment: Some(strong()),
            ..config()
        },
    );
    for batch in batches(&loader, 0, 0) {
        let targets = batch.soft_targets.expect("mixup and cutmix are on");
        assert_eq!(targets.len(), batch.labels.len() * CLASSES);
        assert!(
            targets
                .chunks(CLASSES)
                .all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5)
        );
    }
}

#[test]
fn weights_come_with_their_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let mut samples = samples(folder.path(), 10);
    for (index, sample) in samples.iter_mut().enumerate() {
        sample.weight = SampleWeight::new(index as f32 + 0.5).unwrap();
    }
    for batch in batches(&loader(&samples, config()), 3, 0) {
        let expected: Vec<f32> = batch.indices.iter().map(|&index| index as f32 + 0.5).collect();
        assert_eq!(batch.weights, expected);
    }
    let augment = Some(strong());
    let mixed = loader(&samples, LoaderConfig { augment, ..config() });
    for batch in batches(&mixed, 3, 0) {
        let sum: f32 = batch.indices.iter().map(|&index| index as f32 + 0.5).sum();
        assert!(
            (batch.weights.iter().sum::<f32>() - sum).abs() < 1e-4,
            "none is lost"
        );
    }
}

#[test]
fn a_bad_image_ends_the_epoch_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 12);
    fs::write(&samples[6].path, b"not a picture").unwrap();
    fs::write(&samples[9].path, b"nor this").unwrap();
    for workers in [1, 4] {
        let loader = loader(
            &samples,
            LoaderConfig {
                shuffle: false,
                workers,
                ..config()
            },
        );
        let mut epoch = loader.epoch(0, 0);
        assert_eq!(epoch.next().unwrap().unwrap().indices, [0, 1, 2, 3]);
        let error: DataError = epoch.next().unwrap().unwrap_err();
        assert!(error.to_string().contains("6.png"), "{error}");
        assert!(epoch.next().is_none());
    }
    fs::remove_file(&samples[0].path).unwrap();
    let error = loader(
        &samples,
        LoaderConfig {
            shuffle: false,
            ..config()
        },
    )
    .epoch(0, 0)
    .next()
    .unwrap()
    .unwrap_err();
    assert!(error.to_string().contains("0.png"), "{error}");
}

#[test]
fn dropping_early_ends_the_threads() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 40);
    for prefetch in [0, 1, 3] {
        let loader = loader(
            &samples,
            LoaderConfig {
                batch_size: 2,
                prefetch,
                ..config()
            },
        );
        for taken in 0..4 {
            let mut epoch = loader.epoch(0, 0);
            for _ in 0..taken {
                epoch.next().unwrap().unwrap();
            }
            drop(epoch);
        }
    }
}

#[test]
fn works_inside_a_rayon_pool_whose_only_thread_waits() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 10);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let loader = loader(&samples, config());
    assert_eq!(pool.install(|| batches(&loader, 0, 0)).len(), 3);
}

#[test]
fn no_samples_no_batches() {
    let loader = loader(&[], config());
    assert_eq!((loader.batches_per_epoch(), loader.epoch(0, 0).count()), (0, 0));
}
