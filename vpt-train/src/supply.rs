//! What a [`Trainer`] is fed with: images in batches, or what was computed of them once.

use burn::module::Module;
use vpt_data::{Loader, LoaderConfig, Sample, ScratchFile, Split};
use vpt_eval::PredictOptions;
use vpt_eval::report::format;

use crate::cache::Rows;
use crate::source::{FeatureTable, Kept, LEAST_PREDICTED, Source, Validation};
use crate::{Cache, Observer, Opt, Sampling, TrainError, Trainer};

impl Trainer {
    /// How batches are made; those that are trained on are drawn, ordered and augmented as the settings say.
    pub(crate) fn batches(&self, training: bool) -> LoaderConfig {
        LoaderConfig {
            batch_size: self.config.batch_size,
            shuffle: training && self.config.shuffle,
            balanced: training && self.config.sampling == Sampling::Balanced,
            repeats: if training { self.config.repeats } else { 1 },
            drop_last: false,
            seed: self.config.seed,
            augment: training.then(|| self.config.augment.clone()),
            workers: self.config.workers,
            prefetch: 2,
            cache_bytes: 0,
            shrink: self.config.shrink,
        }
    }

    /// The images of a split; those that are trained on may include the validation images.
    pub(crate) fn samples(&self, split: Split) -> Vec<Sample> {
        let own = self.dataset.split(split);
        match split {
            Split::Train if self.config.train_on_val => [own, &self.dataset.val].concat(),
            _ => own.to_vec(),
        }
    }

    /// Images of a split in batches, to train on or not, of which none are kept: for a single pass.
    pub(crate) fn loader(&self, split: Split, training: bool) -> Loader {
        Loader::new(
            self.samples(split),
            self.dataset.classes.len(),
            self.preprocess.clone(),
            self.batches(training),
        )
    }

    /// The images of a split as `vpt eval` sees them.
    pub(crate) fn images(&self, split: Split) -> Loader {
        let (samples, classes) = (self.dataset.split(split), self.dataset.classes.len());
        self.evaluation().loader(samples, classes, &self.preprocess)
    }

    fn evaluation(&self) -> PredictOptions {
        PredictOptions {
            batch_size: self.config.batch_size.max(LEAST_PREDICTED),
            workers: self.config.workers,
        }
    }

    /// What is trained on and what is looked at after each epoch; both keep images, or what is computed of them once.
    pub(crate) fn sources(
        &mut self,
        observer: &mut dyn Observer,
    ) -> Result<(Source, Validation), TrainError> {
        let Some(kept) = self.kept(observer) else {
            let [to_train_on, to_validate] = self.config.image_bytes();
            let train = self.loader_keeping(to_train_on, self.samples(Split::Train), self.batches(true))?;
            let val = self.dataset.val.clone();
            let val = self.loader_keeping(to_validate, val, self.evaluation().batches())?;
            return Ok((Source::Images(train), Validation::Images(val)));
        };
        let train = self.feature_table(kept, Split::Train, self.batches(true), observer)?;
        let val = self.feature_table(kept, Split::Val, self.batches(false), observer)?;
        let train = match self.config.opt {
            Opt::Lbfgs => Source::Whole(train),
            Opt::AdamW | Opt::Sgd => Source::Features(train),
        };
        Ok((train, Validation::Features(val)))
    }

    /// Images in batches, of which up to so many bytes are kept from epoch to epoch.
    fn loader_keeping(
        &self,
        cache_bytes: usize,
        samples: Vec<Sample>,
        batches: LoaderConfig,
    ) -> Result<Loader, TrainError> {
        Ok(Loader::keeping_in(
            self.scratch_file()?,
            samples,
            self.dataset.classes.len(),
            self.preprocess.clone(),
            LoaderConfig {
                cache_bytes,
                ..batches
            },
        ))
    }

    /// What can be computed once for each image, if anything: what the head reads, or, within the memory for decoded images,
    /// the tokens in front of the first block that learns.
    fn kept(&mut self, observer: &mut dyn Observer) -> Option<Kept> {
        if self.finder.is_some() {
            return None;
        }
        if self.config.features_are_constant() {
            return Some(Kept::Pooled);
        }
        let blocks = match self.config.images_are_constant() {
            true => self.model.constant_blocks(),
            false => 0,
        };
        let last = blocks.checked_sub(1)?;
        let (vit, backbone) = (self.model.config(), &self.model.backbone);
        let values = backbone.num_tokens_at(last) * vit.width_of(vit.stage_of(last));
        let images = [Split::Train, Split::Val].map(|split| self.samples(split).len());
        let bytes = 4 * values * images.iter().sum::<usize>();
        let fits = bytes <= self.config.cache_bytes();
        let (size, limit) = (format::bytes(bytes as u64), self.config.cache_mb());
        let room = match self.config.cache {
            Cache::Ram => "; `--cache disk` has room for more",
            Cache::Off | Cache::Disk => "",
        };
        let note = match fits {
            true => format!(
                "nothing is learnt in the first {blocks} blocks: what they make of the images is computed once ({size})"
            ),
            false => format!(
                "nothing is learnt in the first {blocks} blocks, but what they make of the images takes {size}, more than `--cache-mb {limit}`: \
                 it is computed anew in each step{room}"
            ),
        };
        self.journal.line(&note);
        observer.note(&note);
        fits.then_some(Kept::TokensAt(blocks))
    }

    /// A file for what is kept, where that is not memory.
    fn scratch_file(&self) -> Result<Option<ScratchFile>, TrainError> {
        match self.config.cache {
            Cache::Disk => Ok(Some(ScratchFile::create_in(self.run.path())?)),
            Cache::Off | Cache::Ram => Ok(None),
        }
    }

    /// What is `kept` of the images of a split as evaluation sees them, to be trained on in `batches`.
    pub(crate) fn feature_table(
        &self,
        kept: Kept,
        split: Split,
        batches: LoaderConfig,
        observer: &mut dyn Observer,
    ) -> Result<FeatureTable, TrainError> {
        let total = self.samples(split).len();
        let file = match kept {
            Kept::Pooled => None,
            Kept::TokensAt(_) => self.scratch_file()?,
        };
        FeatureTable::compute(
            kept,
            file.map_or(Rows::Memory(Vec::new()), Rows::File),
            &self.model.valid(),
            &self.loader(split, false),
            &self.device.device,
            batches,
            &mut |done| observer.progress(split, done, total),
        )
    }
}
