//! Batches with boxes or masks: the same for any number of threads and any start, on their pictures.

use crate::place::Place;
use vpt_data::{
    Batch, ClassMask, Dataset, DenseAugment, DenseConfig, DenseTarget, Fit, Letterbox, Loader, LoaderConfig,
    OpenOptions, Preprocess, decode, read_mask,
};

fn objects() -> (Place, Dataset) {
    let place = Place::new();
    place.text(
        "data.yaml",
        "train: images/train\nval: images/train\nnames: [a, b]\n",
    );
    for number in 0..11 {
        place.picture(&format!("images/train/{number}.png"), 40 + number, 30);
        place.text(
            &format!("labels/train/{number}.txt"),
            "0 0.5 0.5 0.5 0.5\n1 0.2 0.2 0.1 0.1\n",
        );
    }
    let dataset = place.open().unwrap();
    (place, dataset)
}

fn masks() -> (Place, Dataset) {
    let place = Place::new();
    for number in 0..9 {
        place.picture(&format!("train/images/{number}.png"), 30, 20);
        place.mask(&format!("train/masks/{number}.png"), 30, 20, |x, y| {
            u8::from(x + y > 20 + number)
        });
    }
    let options = OpenOptions {
        val_fraction: 0.0,
        ..OpenOptions::default()
    };
    let dataset = Dataset::open(place.path(), &options).unwrap();
    (place, dataset)
}

fn batches(
    dataset: &Dataset,
    augment: Option<DenseAugment>,
    change: impl FnOnce(&mut LoaderConfig),
    first: usize,
) -> Vec<Batch> {
    let mut config = LoaderConfig {
        batch_size: 4,
        shuffle: true,
        seed: 3,
        dense: Some(DenseConfig {
            fit: Fit::Letterbox,
            augment,
        }),
        ..LoaderConfig::default()
    };
    change(&mut config);
    let loader = Loader::new(
        dataset.train.clone(),
        dataset.classes.len(),
        Preprocess::imagenet(32, 32),
        config,
    );
    loader.epoch(2, first).map(|batch| batch.unwrap()).collect()
}

#[test]
fn workers_cache_and_start_change_nothing() {
    for (_place, dataset) in [objects(), masks()] {
        for augment in [None, Some(DenseAugment::default())] {
            let with = |workers, cache_bytes, first| {
                let change = |config: &mut LoaderConfig| {
                    (config.workers, config.cache_bytes) = (workers, cache_bytes);
                };
                batches(&dataset, augment.clone(), change, first)
            };
            let reference = with(1, 0, 0);
            assert!(reference == with(4, 0, 0) && reference == with(3, 5000, 0));
            assert!(reference[1..] == with(2, usize::MAX, 1)[..]);
            let other = batches(&dataset, augment.clone(), |config| config.seed = 4, 0);
            assert!(reference != other);
        }
    }
}

#[test]
fn without_augmentation_targets_are_those_of_the_letterbox() {
    let (_place, dataset) = objects();
    for batch in batches(&dataset, Some(DenseAugment::none()), |_| {}, 0) {
        assert_eq!(
            (batch.size, batch.dense.len(), &batch.soft_targets),
            ([32, 32], batch.len(), &None)
        );
        for (at, &index) in batch.indices.iter().enumerate() {
            let sample = &dataset.train[index];
            let image = decode(&sample.path).unwrap();
            let letterbox = Letterbox::new(image.dimensions().into(), [32, 32], Fit::Letterbox);
            let pixels = &batch.pixels[at * 3 * 32 * 32..][..3 * 32 * 32];
            assert_eq!(pixels, letterbox.apply(&image, &Preprocess::imagenet(32, 32)));
            let dense = &batch.dense[at];
            assert_eq!(dense.letterbox, letterbox);
            let objects = sample.label.objects().unwrap();
            let found = dense.target.boxes().unwrap();
            assert_eq!(found.len(), objects.len());
            for (found, object) in found.iter().zip(objects) {
                let back = letterbox.to_original(&found.bbox);
                assert!(found.class == object.class && back.iou(&object.bbox) > 1.0 - 1e-9);
            }
        }
    }
}

#[test]
fn masks_are_those_of_their_pictures() {
    let (_place, dataset) = masks();
    let mut flipped = 0;
    let augment = DenseAugment {
        hflip: 0.5,
        ..DenseAugment::none()
    };
    for batch in batches(&dataset, Some(augment), |_| {}, 0) {
        for (dense, &index) in batch.dense.iter().zip(&batch.indices) {
            let mask = read_mask(&dataset.train[index]).unwrap();
            let DenseTarget::Mask(target) = &dense.target else {
                panic!("boxes")
            };
            assert_eq!(target.len(), 32 * 32);
            assert_eq!(
                ClassMask {
                    width: 32,
                    height: 32,
                    classes: target.clone()
                }
                .counts(2)
                .1,
                32 * 11,
                "21 of 32 rows"
            );
            assert_eq!(*target, dense.letterbox.mask_to_input(&mask));
            assert_eq!(dense.letterbox.mask_to_original(target), mask);
            flipped += usize::from(dense.letterbox != Letterbox::new([30, 20], [32, 32], Fit::Letterbox));
        }
    }
    assert!((1..9).contains(&flipped), "{flipped}");
}

#[test]
fn a_mask_that_is_gone_ends_the_epoch_with_its_name() {
    let (_place, dataset) = masks();
    std::fs::remove_file(dataset.train[4].label.mask().unwrap().path()).unwrap();
    let config = LoaderConfig {
        dense: Some(DenseConfig::default()),
        ..LoaderConfig::default()
    };
    let loader = Loader::new(dataset.train, 2, Preprocess::imagenet(32, 32), config);
    let error = loader.epoch(0, 0).next().unwrap().unwrap_err();
    assert!(error.to_string().contains("masks/4.png"), "{error}");
}
