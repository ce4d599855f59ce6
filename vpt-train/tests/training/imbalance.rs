//! Unequal classes: what makes up for them trains to something else, resumes to the same bytes, and repeats no picture.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use vpt_data::{AugmentConfig, Batch, Loader, LoaderConfig, Preprocess};
use vpt_train::{Cache, ClassWeights, Loss, RunDir, Sampling, TrainConfig};

use crate::bench::{Bench, assert_same_run, history};

/// 9, 4 and 2 training images of the three classes.
fn bench() -> Bench {
    let bench = Bench::with(&[("train", 9), ("val", 3), ("test", 2)]);
    for (class, keep) in [(1, 4), (2, 2)] {
        for image in keep..9 {
            let file = format!("train/class{class}/{image}.png");
            fs::remove_file(bench.images().join(file)).unwrap();
        }
    }
    bench
}

#[test]
fn every_remedy_changes_the_run_and_resumes() {
    let bench = bench();
    for method in ["vpt-deep", "linear"] {
        let plain = TrainConfig {
            epochs: 2,
            augment: match method {
                "linear" => AugmentConfig::none(),
                _ => bench.config(method).augment,
            },
            ..bench.config(method)
        };
        assert_eq!(plain.features_are_constant(), method == "linear");
        let remedies = [
            ("plain", plain.clone()),
            (
                "focal",
                TrainConfig {
                    loss: Loss::Focal,
                    ..plain.clone()
                },
            ),
            (
                "balanced-sampling",
                TrainConfig {
                    sampling: Sampling::Balanced,
                    ..plain.clone()
                },
            ),
            (
                "logit-adjustment",
                TrainConfig {
                    logit_adjustment: Some(1.0),
                    ..plain.clone()
                },
            ),
            (
                "balanced-weights",
                TrainConfig {
                    class_weights: ClassWeights::Balanced,
                    ..plain.clone()
                },
            ),
            (
                "effective-weights",
                TrainConfig {
                    class_weights: ClassWeights::Effective,
                    ..plain.clone()
                },
            ),
        ];
        let mut losses = BTreeSet::new();
        for (name, config) in remedies {
            let (whole, pieces) = (format!("{method}-{name}"), format!("{method}-{name}-pieces"));
            bench.run(&whole, &config);
            // 15 images in batches of 4: 4 steps an epoch.
            bench.run_in_pieces(&pieces, &config, &[2, 7]);
            assert_same_run(&bench, &whole, &pieces);
            assert!(bench.path(&whole).join(RunDir::RESULTS).exists());
            losses.insert(history(&bench, &whole)[1].val_loss.to_bits());
        }
        assert_eq!(losses.len(), 6, "{method}: no two alike");
    }
}

#[test]
fn images_and_cached_features_are_drawn_alike() {
    let bench = bench();
    let cached = TrainConfig {
        augment: AugmentConfig::none(),
        sampling: Sampling::Balanced,
        ..bench.config("linear")
    };
    bench.run("cached", &cached);
    let images = TrainConfig {
        cache: Cache::Off,
        ..cached
    };
    bench.run("images", &images);
    for (a, b) in history(&bench, "cached").iter().zip(history(&bench, "images")) {
        assert!((a.train_loss - b.train_loss).abs() < 1e-5, "{a:?} {b:?}");
        assert!((a.val_loss - b.val_loss).abs() < 1e-5, "{a:?} {b:?}");
    }
}

fn batches(bench: &Bench, config: LoaderConfig, first: usize) -> Vec<Batch> {
    let samples = bench.dataset().train;
    let loader = Loader::new(samples, 3, Preprocess::imagenet(16, 16), config);
    loader.epoch(5, first).map(|batch| batch.unwrap()).collect()
}

/// The pictures of each sample, in the order of the epoch.
fn pictures(batches: &[Batch]) -> BTreeMap<usize, Vec<&[f32]>> {
    let mut pictures = BTreeMap::<_, Vec<_>>::new();
    for batch in batches {
        for (index, picture) in batch.indices.iter().zip(batch.pixels.chunks(3 * 16 * 16)) {
            pictures.entry(*index).or_default().push(picture);
        }
    }
    pictures
}

#[test]
fn an_image_that_comes_again_looks_different_and_the_first_time_as_ever() {
    let bench = bench();
    let balanced = LoaderConfig {
        batch_size: 4,
        balanced: true,
        seed: 3,
        augment: Some(AugmentConfig {
            rrc_scale: [0.3, 1.0],
            color_jitter: 0.4,
            ..AugmentConfig::default()
        }),
        workers: 1,
        ..LoaderConfig::default()
    };
    let drawn = batches(&bench, balanced.clone(), 0);
    assert_eq!(drawn.iter().map(Batch::len).sum::<usize>(), 15);
    for class in 0..3 {
        let labels = drawn.iter().flat_map(|batch| &batch.labels);
        assert_eq!(
            labels.filter(|label| label.has(class)).count(),
            5,
            "class {class}"
        );
    }
    let eight = LoaderConfig {
        workers: 8,
        ..balanced.clone()
    };
    assert!(drawn == batches(&bench, eight, 0), "threads change nothing");
    assert!(
        drawn[2..] == batches(&bench, balanced.clone(), 2),
        "nor does a later start"
    );

    let shuffle = LoaderConfig {
        balanced: false,
        shuffle: true,
        ..balanced
    };
    let once = batches(&bench, shuffle, 0);
    let (once, drawn) = (pictures(&once), pictures(&drawn));
    assert!(
        drawn.values().any(|pictures| pictures.len() > 2),
        "2 images for 5 draws"
    );
    for (index, pictures) in drawn {
        assert!(pictures[0] == once[&index][0], "the first time");
        let different: BTreeSet<Vec<u32>> = pictures
            .iter()
            .map(|picture| picture.iter().map(|value| value.to_bits()).collect())
            .collect();
        assert_eq!(different.len(), pictures.len(), "sample {index}");
    }
}
