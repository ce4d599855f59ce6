//! Batches of preprocessed pictures, made ahead of the consumer.

mod cache;
mod mosaic;
mod order;

use self::cache::Cache;
use self::order::occurrences;
use crate::augment::{Mosaic, mix_batch};
use crate::resize::resize;
use crate::rng::rng;
use crate::{AugmentConfig, CropMode, DataError, Framed, Label, Preprocess, Sample, ScratchFile, decode};
use image::RgbImage;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

/// Names of the random streams, so that augmentation and mixing are unrelated.
const AUGMENT: u64 = 0x617567;
const MIX: u64 = 0x6d6978;

/// Pictures of one step, ready for the backbone; or, where they are seen through windows ([`Preprocess::windows`]), these, one picture's after
/// another's.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[batch, 3, height, width]`, normalised.
    pub pixels: Vec<f32>,
    /// Height and width in pixels.
    pub size: [usize; 2],
    /// The class, or the classes, of each picture.
    pub labels: Vec<Label>,
    /// `[batch]`: how much each picture counts in the training loss; mixed as the pictures are.
    pub weights: Vec<f32>,
    /// `[batch, classes]` after mixup or cutmix, each row summing to 1 (of several classes: to their number); otherwise nothing.
    pub soft_targets: Option<Vec<f32>>,
    /// How each picture lies in the input and what is where, if it was made with [`CropMode::Letterbox`]; otherwise nothing. Of a
    /// mosaic, what is where is said of all four pictures, and all else of the first.
    pub framed: Vec<Framed>,
    /// Which samples these are of, as positions in what [`Loader::new`] was given.
    pub indices: Vec<usize>,
}

impl Batch {
    /// How many pictures, or windows, these are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no picture (the loader never makes such a batch).
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// How batches are made.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderConfig {
    /// Pictures in a batch; the last of an epoch may have fewer. 0 counts as 1.
    pub batch_size: usize,
    /// Whether each epoch has its own random order; otherwise that of the samples.
    pub shuffle: bool,
    /// Whether each epoch, always in a random order, has every class equally often (see [`LoaderConfig::order`]).
    pub balanced: bool,
    /// How many times an epoch has each picture, differently augmented each time. 0 counts as 1.
    pub repeats: usize,
    /// Whether to leave out a last batch that is not full.
    pub drop_last: bool,
    /// Seed of order, augmentation and mixing.
    pub seed: u64,
    /// Random changes; nothing means evaluation preprocessing: of a picture that is seen through windows all of them, where training has
    /// one at a random place.
    pub augment: Option<AugmentConfig>,
    /// Threads that decode and augment, 0 = one a processor. They are the loader's own.
    pub workers: usize,
    /// Finished batches that may wait for the consumer; one more may be in the making.
    pub prefetch: usize,
    /// Bytes of decoded pictures to keep between epochs, 0 = none. Once full, other pictures are decoded each time.
    pub cache_bytes: usize,
    /// Shorter side in pixels to which larger pictures are shrunk before they are kept and augmented, none to leave them whole. Pictures
    /// with boxes or masks, whose places are in their pixels, are always whole.
    pub shrink: Option<u32>,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            batch_size: 32,
            shuffle: false,
            balanced: false,
            repeats: 1,
            drop_last: false,
            seed: 0,
            augment: None,
            workers: 0,
            prefetch: 2,
            cache_bytes: 0,
            shrink: None,
        }
    }
}

/// Makes the batches of each epoch on threads of its own, ahead of the consumer, in bounded memory.
///
/// What comes out is a function of the samples, the preprocessing, the seed and the epoch: neither the number of
/// workers nor the cache nor where one starts changes a bit.
pub struct Loader {
    source: Arc<Source>,
    config: LoaderConfig,
}

impl Loader {
    /// A loader of `samples` whose labels are below `classes`. Nothing is read before [`Loader::epoch`].
    pub fn new(samples: Vec<Sample>, classes: usize, preprocess: Preprocess, config: LoaderConfig) -> Self {
        Self::keeping_in(None, samples, classes, preprocess, config)
    }

    /// The same, whose decoded pictures are kept in a file, if there is one, instead of in memory.
    pub fn keeping_in(
        file: Option<ScratchFile>,
        samples: Vec<Sample>,
        classes: usize,
        preprocess: Preprocess,
        config: LoaderConfig,
    ) -> Self {
        let changes = |augment: &AugmentConfig| !augment.is_none() || preprocess.windows > 1;
        let augment = config.augment.clone().filter(changes);
        let cache = Cache::new(samples.len(), config.cache_bytes, file);
        let (seed, shrink) = (config.seed, config.shrink);
        let batch_size = config.batch_size.max(1);
        Self {
            source: Arc::new(Source {
                samples,
                classes,
                preprocess,
                augment,
                seed,
                shrink,
                cache,
            }),
            config: LoaderConfig { batch_size, ..config },
        }
    }

    /// How many batches an epoch has.
    pub fn batches_per_epoch(&self) -> usize {
        let samples = self.config.draws(self.source.samples.len());
        if self.config.drop_last {
            samples / self.config.batch_size
        } else {
            samples.div_ceil(self.config.batch_size)
        }
    }

    /// What it loads.
    pub fn samples(&self) -> &[Sample] {
        &self.source.samples
    }

    /// How its batches are made.
    pub fn config(&self) -> &LoaderConfig {
        &self.config
    }

    /// The batches of `epoch` from number `first_batch` on; those before are not even decoded.
    ///
    /// After an error there are no more batches. Dropping the iterator stops the work behind it.
    ///
    /// # Errors
    /// Of the first picture, in order, that cannot be read.
    pub fn epoch(&self, epoch: usize, first_batch: usize) -> Epoch {
        let batches: Vec<Vec<Draw>> = self
            .draws(epoch)
            .chunks(self.config.batch_size)
            .take(self.batches_per_epoch())
            .skip(first_batch)
            .map(<[Draw]>::to_vec)
            .collect();
        let left = batches.len();
        let (source, workers) = (Arc::clone(&self.source), self.config.workers);
        let (sender, receiver) = sync_channel(self.config.prefetch);
        let produce = move || {
            let pool = match pool(workers) {
                Ok(pool) => pool,
                Err(error) => return drop(sender.send(Err(error))),
            };
            for (number, draws) in (first_batch..).zip(batches) {
                let batch = pool.install(|| source.batch(epoch, number, &draws));
                let failed = batch.is_err();
                // Nobody listens any more when the iterator was dropped.
                if sender.send(batch).is_err() || failed {
                    return;
                }
            }
        };
        match thread::Builder::new().name("vpt-loader".into()).spawn(produce) {
            Ok(producer) => Epoch {
                receiver: Some(receiver),
                producer: Some(producer),
                failure: None,
                left,
            },
            Err(error) => Epoch {
                receiver: None,
                producer: None,
                failure: Some(no_threads(error)),
                left,
            },
        }
    }

    /// What `epoch` is made of, in its order.
    fn draws(&self, epoch: usize) -> Vec<Draw> {
        // Only what has one class can be drawn class by class.
        let class = |sample: &Sample| sample.label.class().unwrap_or_default();
        let labels: Vec<usize> = self.source.samples.iter().map(class).collect();
        let order = self.config.order(&labels, epoch);
        let occurrences = occurrences(&order, labels.len());
        let draws = order.into_iter().zip(occurrences);
        draws
            .map(|(index, occurrence)| Draw { index, occurrence })
            .collect()
    }
}

/// One place in an epoch.
#[derive(Clone, Copy)]
struct Draw {
    /// Position of the sample.
    index: usize,
    /// How many times the sample came before in the epoch.
    occurrence: u64,
}

/// A pool of its own for each epoch: training keeps the global one busy, and waiting for work in a pool whose threads
/// wait for batches would never end.
fn pool(workers: usize) -> Result<ThreadPool, DataError> {
    ThreadPoolBuilder::new()
        .num_threads(workers)
        .thread_name(|number| format!("vpt-loader-{number}"))
        .build()
        .map_err(|error| no_threads(io::Error::other(error)))
}

fn no_threads(source: io::Error) -> DataError {
    DataError::Threads { source }
}

/// Iterator over the batches of an epoch, see [`Loader::epoch`].
pub struct Epoch {
    receiver: Option<Receiver<Result<Batch, DataError>>>,
    producer: Option<JoinHandle<()>>,
    /// What went wrong before there was a producer.
    failure: Option<DataError>,
    left: usize,
}

impl Iterator for Epoch {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        if let Some(failure) = self.failure.take() {
            self.left = 0;
            return Some(Err(failure));
        }
        let Ok(batch) = self.receiver.as_ref()?.recv() else {
            // The producer ends early only by a panic, which is a bug that must not pass as the end of the data.
            self.left = 0;
            return match self.producer.take()?.join() {
                Err(panic) => resume_unwind(panic),
                Ok(()) => None,
            };
        };
        if batch.is_err() {
            self.left = 0;
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left > 0), Some(self.left))
    }
}

impl Drop for Epoch {
    /// Waits for the batch in the making, so that no thread outlives the epoch.
    fn drop(&mut self) {
        // Without a receiver the producer's next send fails and it ends.
        self.receiver = None;
        if let Some(producer) = self.producer.take() {
            let _ = producer.join();
        }
    }
}

/// One row of a batch.
struct View {
    /// `[3, height, width]`.
    pixels: Vec<f32>,
    /// What is where in it, if anybody asks.
    framed: Option<Framed>,
}

/// What batches are made from.
struct Source {
    samples: Vec<Sample>,
    classes: usize,
    preprocess: Preprocess,
    augment: Option<AugmentConfig>,
    seed: u64,
    shrink: Option<u32>,
    cache: Cache,
}

impl Source {
    /// Makes batch `number` of `epoch`, in parallel on the pool of the caller.
    fn batch(&self, epoch: usize, number: usize, draws: &[Draw]) -> Result<Batch, DataError> {
        let size = self.preprocess.input_size;
        let results: Vec<Result<Vec<View>, DataError>> =
            draws.par_iter().map(|&draw| self.views(epoch, draw)).collect();
        let mut pixels = Vec::with_capacity(draws.len() * 3 * size[0] * size[1]);
        let (mut framed, mut indices) = (Vec::new(), Vec::new());
        for (draw, views) in draws.iter().zip(results) {
            // The first error in the order of the draws, not in time.
            for view in views? {
                pixels.extend_from_slice(&view.pixels);
                framed.extend(view.framed);
                indices.push(draw.index);
            }
        }
        let labels: Vec<Label> = indices
            .iter()
            .map(|&index| self.samples[index].label.clone())
            .collect();
        let mut weights: Vec<f32> = indices
            .iter()
            .map(|&index| self.samples[index].weight.get())
            .collect();
        let soft_targets = self.augment.as_ref().and_then(|augment| {
            let mut rng = rng(self.seed, &[MIX, epoch as u64, number as u64]);
            mix_batch(
                augment,
                &mut pixels,
                size,
                &mut weights,
                &labels,
                self.classes,
                &mut rng,
            )
        });
        Ok(Batch {
            pixels,
            size,
            labels,
            weights,
            soft_targets,
            framed,
            indices,
        })
    }

    /// The picture, its shorter side no longer than is wanted.
    fn shrunk(&self, image: RgbImage) -> Result<RgbImage, DataError> {
        let (width, height) = image.dimensions();
        let shorter = width.min(height);
        let Some(side) = self.shrink.filter(|&side| side < shorter) else {
            return Ok(image);
        };
        let [width, height] = [width, height].map(|edge| {
            let scaled = u64::from(edge) * u64::from(side) / u64::from(shorter);
            scaled as u32
        });
        Ok(resize(&image, width, height, self.preprocess.interpolation))
    }

    /// One picture, augmented anew each time that it comes in an epoch; or each window on it.
    fn views(&self, epoch: usize, Draw { index, occurrence }: Draw) -> Result<Vec<View>, DataError> {
        let Sample { path, label, .. } = &self.samples[index];
        let windows = self.preprocess.windows > 1;
        let changes = |augment: &&AugmentConfig| !augment.keeps_pictures() || windows;
        let augment = self.augment.as_ref().filter(changes);
        let mut rng = match occurrence {
            0 => rng(self.seed, &[AUGMENT, epoch as u64, index as u64]),
            again => rng(self.seed, &[AUGMENT, epoch as u64, index as u64, again]),
        };
        if self.preprocess.crop_mode == CropMode::Letterbox {
            let (size, samples) = (self.preprocess.input_size, self.samples.len());
            if let Some(augment) = augment
                && let Some(mosaic) = Mosaic::draw(augment, size, index, samples, &mut rng)
            {
                return Ok(vec![self.mosaic(augment, &mosaic, &mut rng)?]);
            }
            let image = self.cache.get(index, || decode(path))?;
            let views = match augment {
                Some(augment) => vec![augment.frame(&image, &self.preprocess, &mut rng)],
                None => self.preprocess.views(&image),
            };
            let framed = |(pixels, framing)| {
                let framed = Some(Framed::new(label, framing, self.preprocess.input_size)?);
                Ok(View { pixels, framed })
            };
            return views.into_iter().map(framed).collect();
        }
        let pixels = if let Some(augment) = augment {
            let image = self.cache.get(index, || self.shrunk(decode(path)?))?;
            augment.apply(&image, &self.preprocess, &mut rng)
        } else {
            let cropped = self
                .cache
                .get(index, || Ok(self.preprocess.crop(&decode(path)?)))?;
            self.preprocess.normalise(&cropped)
        };
        Ok(vec![View { pixels, framed: None }])
    }
}
