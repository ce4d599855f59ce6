//! Batches with boxes or masks: the same for any number of threads and any start, on their pictures.

use crate::place::Place;
use image::{Rgb, RgbImage};
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
        let mosaic = AugmentConfig {
            mosaic: 0.7,
            ..AugmentConfig::default()
        };
        for augment in [None, Some(AugmentConfig::default()), Some(mosaic)] {
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

/// Black pictures of 60 x 40 with a white rectangle, and boxes or masks of it.
fn rectangles(as_masks: bool) -> (Place, Dataset) {
    let place = Place::new();
    place.text(
        "data.yaml",
        "train: images/train\nval: images/train\nnames: [a]\n",
    );
    for number in 0..9_u32 {
        let (left, right) = (5 + 2 * number, 35 + 2 * number);
        let name = format!("images/train/{number}.png");
        place.picture(&name, 60, 40);
        RgbImage::from_fn(60, 40, |x, y| {
            Rgb([255 * u8::from((left..right).contains(&x) && (10..30).contains(&y)); 3])
        })
        .save(place.path().join(name))
        .unwrap();
        let [left, right] = [left, right].map(|edge| f64::from(edge) / 60.0);
        place.text(
            &format!("labels/train/{number}.txt"),
            &format!("0 {left} 0.25 {right} 0.25 {right} 0.75 {left} 0.75\n"),
        );
    }
    let dataset = if as_masks {
        place.open_masks()
    } else {
        place.open()
    };
    (place, dataset.unwrap())
}

fn mosaics(dataset: &Dataset) -> Vec<Batch> {
    let augment = AugmentConfig {
        mosaic: 1.0,
        hflip: 0.5,
        ..AugmentConfig::none()
    };
    let large = Preprocess {
        input_size: [64, 96],
        ..preprocess()
    };
    let config = LoaderConfig {
        seed: 5,
        augment: Some(augment),
        ..LoaderConfig::default()
    };
    let loader = Loader::new(dataset.train.clone(), dataset.classes.len(), large, config);
    loader.epoch(0, 0).map(|batch| batch.unwrap()).collect()
}

#[test]
fn boxes_of_a_mosaic_lie_on_what_they_are_around() {
    let (_place, dataset) = rectangles(false);
    let mut objects = 0;
    for batch in mosaics(&dataset) {
        let plane = 64 * 96;
        for (framed, pixels) in batch.framed.iter().zip(batch.pixels.chunks(3 * plane)) {
            let Places::Objects(found) = &framed.places else {
                panic!("no objects")
            };
            assert!((1..=4).contains(&found.len()), "{}", found.len());
            let mut white = vec![false; plane];
            for object in found {
                let [x0, y0, x1, y1] = object.bbox;
                assert!(x0 >= 0.0 && y0 >= 0.0 && x1 <= 96.0 && y1 <= 64.0 && x0 < x1 && y0 < y1);
                for (at, white) in white.iter_mut().enumerate() {
                    let (x, y) = ((at % 96) as f32 + 0.5, (at / 96) as f32 + 0.5);
                    *white |= x > x0 && x < x1 && y > y0 && y < y1;
                }
            }
            // But for the blurred edges.
            let wrong = (0..plane).filter(|&at| (pixels[at] > 1.0) != white[at]).count();
            assert!(wrong < plane / 20, "{wrong}");
            assert!(white.iter().filter(|white| **white).count() > plane / 20);
            objects += found.iter().filter(|object| object.class == Some(0)).count();
        }
    }
    assert_eq!(objects, 9 * 4, "of all four");
}

#[test]
fn masks_of_a_mosaic_are_those_of_their_pictures() {
    let (_place, dataset) = rectangles(true);
    for batch in mosaics(&dataset) {
        let plane = 64 * 96;
        for (framed, pixels) in batch.framed.iter().zip(batch.pixels.chunks(3 * plane)) {
            let Places::Mask(mask) = &framed.places else {
                panic!("no mask")
            };
            assert_eq!(mask.len(), plane);
            // What the pictures do not reach has their mean colour, which is gray.
            let seen = (0..plane).filter(|&at| mask[at] != Mask::IGNORED);
            let wrong = seen.filter(|&at| (pixels[at] > 1.0) != (mask[at] == 1)).count();
            assert!(wrong < plane / 20, "{wrong}");
            assert!(mask.contains(&0) && mask.contains(&1));
        }
    }
}
