//! Batches with boxes or masks: the same for any number of threads and any start, on their pictures.

use crate::place::Place;
use vpt_data::{
    AugmentConfig, Batch, CropMode, Dataset, Framing, Loader, LoaderConfig, Mask, OpenOptions, PixelBox,
    Places, Preprocess, decode, read_mask,
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

/// Masks drawn from the outlines of a large and a small triangle.
fn drawn() -> (Place, Dataset) {
    let (place, _) = objects();
    for number in 0..11 {
        place.text(
            &format!("labels/train/{number}.txt"),
            "0 0.1 0.1 0.9 0.2 0.4 0.9\n1 0.3 0.3 0.5 0.3 0.4 0.5\n",
        );
    }
    let dataset = place.open_masks().unwrap();
    (place, dataset)
}

fn preprocess() -> Preprocess {
    Preprocess {
        crop_mode: CropMode::Letterbox,
        ..Preprocess::imagenet(32, 32)
    }
}

fn batches(
    dataset: &Dataset,
    augment: Option<AugmentConfig>,
    change: impl FnOnce(&mut LoaderConfig),
    first: usize,
) -> Vec<Batch> {
    let mut config = LoaderConfig {
        batch_size: 4,
        shuffle: true,
        seed: 3,
        augment,
        ..LoaderConfig::default()
    };
    change(&mut config);
    let loader = Loader::new(dataset.train.clone(), dataset.classes.len(), preprocess(), config);
    loader.epoch(2, first).map(|batch| batch.unwrap()).collect()
}

#[test]
fn workers_cache_and_start_change_nothing() {
    for (_place, dataset) in [objects(), masks(), drawn()] {
        for augment in [None, Some(AugmentConfig::default())] {
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
    for batch in batches(&dataset, Some(AugmentConfig::none()), |_| {}, 0) {
        assert_eq!(
            (batch.size, batch.framed.len(), &batch.soft_targets),
            ([32, 32], batch.len(), &None)
        );
        for (at, &index) in batch.indices.iter().enumerate() {
            let sample = &dataset.train[index];
            let image = decode(&sample.path).unwrap();
            let framing = Framing::letterbox(image.dimensions().into(), [32, 32]);
            let pixels = &batch.pixels[at * 3 * 32 * 32..][..3 * 32 * 32];
            assert_eq!(pixels, preprocess().apply(&image));
            let framed = &batch.framed[at];
            assert_eq!(framed.framing, framing);
            let objects = sample.label.objects().unwrap();
            let Places::Objects(found) = &framed.places else {
                panic!("no objects")
            };
            assert_eq!(found.len(), objects.len());
            for (found, object) in found.iter().zip(objects) {
                let bbox = PixelBox::try_from(found.bbox.map(f64::from)).unwrap();
                let back = framing.to_original(&bbox);
                assert!(found.class == Some(object.class) && back.iou(&object.bbox) > 1.0 - 1e-5);
            }
        }
    }
}

#[test]
fn masks_are_those_of_their_pictures() {
    let (_place, dataset) = masks();
    let mut flipped = 0;
    let augment = AugmentConfig {
        hflip: 0.5,
        ..AugmentConfig::none()
    };
    for batch in batches(&dataset, Some(augment), |_| {}, 0) {
        for (framed, &index) in batch.framed.iter().zip(&batch.indices) {
            let mask = read_mask(&dataset.train[index]).unwrap();
            let Places::Mask(target) = &framed.places else {
                panic!("boxes")
            };
            assert_eq!(target.len(), 32 * 32);
            assert_eq!(
                target.iter().filter(|&&class| class == Mask::IGNORED).count(),
                32 * 11,
                "21 of 32 rows"
            );
            assert_eq!(*target, framed.framing.mask(&mask));
            flipped += usize::from(framed.framing != Framing::letterbox([30, 20], [32, 32]));
        }
    }
    assert!((1..9).contains(&flipped), "{flipped}");
}

#[test]
fn a_mask_that_is_gone_ends_the_epoch_with_its_name() {
    let (_place, dataset) = masks();
    std::fs::remove_file(dataset.train[4].label.mask().unwrap().path().unwrap()).unwrap();
    let loader = Loader::new(dataset.train, 2, preprocess(), LoaderConfig::default());
    let error = loader.epoch(0, 0).next().unwrap().unwrap_err();
    assert!(error.to_string().contains("masks/4.png"), "{error}");
}
