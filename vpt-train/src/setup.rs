//! From settings, images and weights to a [`Trainer`] that is ready to go, fresh or resumed.

use std::collections::BTreeMap;
use std::fs;
use std::iter::once;
use std::path::Path;

use burn::tensor::{Tensor, TensorData};
use vpt_core::device::SelectedDevice;
use vpt_core::heads::Suppression;
use vpt_core::task_file::{BackboneInfo, Calibration, TaskInfo, TrainingInfo};
use vpt_core::{Backbone, Classifier, HeadConfig, MethodKind, PromptInit, TaskMetadata, preset};
use vpt_data::{Dataset, LeakOptions, Preprocess, Sample, Split, TaskKind};
use vpt_eval::{Finder, Results, metrics};

use crate::average::Average;
use crate::checkpoint::Checkpoints;
use crate::date::start_date;
use crate::init_from::init_from;
use crate::journal::Journal;
use crate::preview::preview;
use crate::replica::Replica;
use crate::state::Progress;
use crate::tensorboard::EventFile;
use crate::trainer::Resumed;
use crate::{
    GroupOptimizer, Objective, Observer, Opt, OptimizerConfig, RunDir, RunPlan, RunState, TrainConfig,
    TrainError, Trainer,
};

impl TrainConfig {
    /// Whether training starts from the backbone's weights, and not from random ones.
    pub fn starts_pretrained(&self) -> bool {
        self.pretrained && self.method.kind != MethodKind::Scratch
    }

    /// The backbone that these settings name; for training from scratch its architecture and preprocessing, at random values.
    ///
    /// # Errors
    /// [`TrainError::Core`] when it cannot be loaded; [`TrainError::Setting`] when a model without pretraining has no known
    /// architecture.
    pub fn load_backbone(&self) -> Result<Backbone, TrainError> {
        if self.starts_pretrained() {
            return Ok(Backbone::load(&self.model)?);
        }
        if let Some(config) = preset(&self.model) {
            return Ok(Backbone::random(config, 0, self.seed));
        }
        let known = Backbone::load(&self.model)?;
        Ok(Backbone {
            preprocess: known.preprocess,
            ..Backbone::random(known.config, 0, self.seed)
        })
    }
}

impl Trainer {
    /// A run that begins. Nothing is written before [`Trainer::fit`].
    ///
    /// # Errors
    /// [`TrainError::Setting`] for impossible settings, [`TrainError::EmptySplit`], [`TrainError::Core`] when the method
    /// or the image size does not fit the backbone, [`TrainError::Data`] when an image cannot be read.
    pub fn new(
        config: TrainConfig,
        dataset: Dataset,
        backbone: Backbone,
        device: SelectedDevice,
        run: RunDir,
    ) -> Result<Self, TrainError> {
        let progress = Progress::new(start_date(), dataset.fingerprint()?, backbone.sha256.clone());
        let mut trainer = Self::build(config, dataset, backbone, device, run, progress)?;
        let leaks = trainer.look_for_leaks().iter();
        let leaks: Vec<_> = leaks.map(|line| format!("leak between splits: {line}")).collect();
        trainer.notes.extend(leaks);
        if let Some(path) = trainer.config.init_from.clone() {
            trainer.start_from(&path)?;
        } else if trainer
            .config
            .method
            .prompts
            .as_ref()
            .is_some_and(|prompts| prompts.init == PromptInit::Patches)
        {
            trainer.start_from_patches()?;
        }
        Ok(trainer)
    }

    /// The run in the folder `run`, as far as it got: images and weights are found by its `args.toml`.
    ///
    /// # Errors
    /// As [`Trainer::resume_with`], and whatever opening the data set and the backbone may find.
    pub fn resume(run: &Path, device: SelectedDevice) -> Result<Resumed, TrainError> {
        let run = RunDir::open(run)?;
        if run.is_finished() {
            return Ok(Resumed::Finished(Box::new(Results::load(
                &run.file(RunDir::RESULTS),
            )?)));
        }
        let config = read_args(&run)?;
        let dataset = config.open_dataset()?;
        let backbone = config.load_backbone()?;
        Ok(Resumed::Ready(Box::new(Self::resume_with(
            run, dataset, backbone, device,
        )?)))
    }

    /// [`Trainer::resume`] of an unfinished run with images and weights at hand.
    ///
    /// # Errors
    /// [`TrainError::Changed`] when they are not those of the run's start, [`TrainError::State`] when the state is damaged,
    /// and those of [`Trainer::new`].
    pub fn resume_with(
        run: RunDir,
        dataset: Dataset,
        backbone: Backbone,
        device: SelectedDevice,
    ) -> Result<Self, TrainError> {
        let config = read_args(&run)?;
        let Some(state) = RunState::load(&run)? else {
            return Self::new(config, dataset, backbone, device, run);
        };
        let RunState {
            progress,
            tuned,
            average,
            best,
            optimizer,
        } = state;
        unchanged("data set", &progress.data_fingerprint, &dataset.fingerprint()?)?;
        unchanged("backbone", &progress.backbone_sha256, &backbone.sha256)?;
        let mut trainer = Self::build(config, dataset, backbone, device, run, progress)?;
        trainer.model = trainer.model.load_tuned(&tuned)?;
        trainer.optimizer = trainer.optimizer.with_state(optimizer, &trainer.device.device);
        trainer.best_tuned = best;
        if let (Some(decay), false) = (trainer.config.ema, average.is_empty()) {
            let averaged = trainer.model.clone().load_tuned(&average)?;
            trainer.average = Some(Average::new(decay, averaged.group(), &averaged));
        }
        trainer.checkpoints = Checkpoints::new(trainer.progress.best.is_none());
        Ok(trainer)
    }

    fn build(
        config: TrainConfig,
        dataset: Dataset,
        backbone: Backbone,
        device: SelectedDevice,
        run: RunDir,
        progress: Progress,
    ) -> Result<Self, TrainError> {
        let config = config.for_data(&dataset)?;
        config.validate()?;
        for split in [Split::Train, Split::Val] {
            if dataset.split(split).is_empty() {
                return Err(TrainError::EmptySplit {
                    dataset: dataset.name,
                    split,
                });
            }
        }
        if config.train_on_val && dataset.test.is_empty() {
            return Err(TrainError::EmptySplit {
                dataset: dataset.name,
                split: Split::Test,
            });
        }
        let objects = |split| dataset.class_counts(split).into_iter().sum::<usize>();
        if let Some(split) = [Split::Train, Split::Val]
            .into_iter()
            .find(|&split| objects(split) == 0)
            && config.kind() == TaskKind::Detection
        {
            return Err(TrainError::Setting {
                flag: "--data-dir",
                value: dataset.name,
                allowed: format!("objects in the {split} images: nothing can be learnt or chosen without"),
            });
        }
        let metric = metrics::find(config.main_metric())?;
        let classes = dataset.classes.len();
        let two_classes = classes == 2 || config.kind() == TaskKind::MultiLabel;
        if let Some(rule) = config.operating_point.filter(|_| !two_classes) {
            return Err(TrainError::Setting {
                flag: "--operating-point",
                value: rule.to_string(),
                allowed: format!("a threshold for two classes; the data set has {classes}"),
            });
        }
        let preprocess = config.preprocess(&backbone);
        let head = config.head(&backbone.config);
        let metadata = metadata(&config, &dataset, &backbone, (head, &preprocess), &progress)?;
        let notes = [backbone.notes.as_slice(), &dataset.notes].concat();
        let on = device.device.clone().autodiff();
        for device in once(&on).chain(&device.peers) {
            config.precision.check_training(device)?;
        }
        let (method, size, seed) = (&config.method, preprocess.input_size, config.seed);
        let model = Classifier::with_head(backbone, method, head, classes, size, seed, &on)?
            .with_precision(config.precision)?;
        let replica = |device| Replica::new(&model, device);
        Ok(Self {
            replicas: device.peers.iter().map(replica).collect(),
            finder: Finder::new(&model, Suppression::default()),
            optimizer: GroupOptimizer::new(optimizer_config(&config, &model)),
            objective: objective(&config, &dataset),
            metadata,
            journal: Journal::open(&run),
            checkpoints: Checkpoints::new(true),
            average: None,
            best_tuned: BTreeMap::new(),
            notes,
            leaks: None,
            events: None,
            config,
            dataset,
            preprocess,
            device,
            run,
            model,
            metric,
            progress,
        })
    }

    /// What the splits share, in words; nothing if that is not to be looked for.
    pub(crate) fn look_for_leaks(&mut self) -> &[String] {
        let (dataset, look) = (&self.dataset, self.config.leak_check);
        self.leaks.get_or_insert_with(|| match look {
            true => dataset.leaks(LeakOptions::default()).summary(),
            false => Vec::new(),
        })
    }

    /// `--init-from`.
    fn start_from(&mut self, path: &Path) -> Result<(), TrainError> {
        let tuned = self.model.tuned_tensors();
        let (tuned, head_taken, note) =
            init_from(path, tuned, &self.dataset.classes, &self.progress.backbone_sha256)?;
        self.model = self.model.clone().load_tuned(&tuned)?;
        self.progress.head_ready = head_taken;
        self.notes.push(note);
        Ok(())
    }

    /// Prompts that start as patch tokens of the training images.
    fn start_from_patches(&mut self) -> Result<(), TrainError> {
        let loader = self.loader(Split::Train, false);
        let mut failure = None;
        let batches = loader
            .epoch(0, 0)
            .map_while(|batch| batch.map_err(|error| failure = Some(error)).ok());
        let pixels = batches.map(|batch| {
            let [height, width] = batch.size;
            let shape = [batch.labels.len(), 3, height, width];
            Tensor::from_data(TensorData::new(batch.pixels, shape), &self.device.device)
        });
        let model = self.model.clone().init_prompts_from(pixels, self.config.seed)?;
        if let Some(error) = failure {
            return Err(error.into());
        }
        self.model = model;
        Ok(())
    }

    /// Writes what a run folder has from the beginning, and tells the observer what is to come.
    pub(crate) fn begin(&mut self, observer: &mut dyn Observer) -> Result<RunPlan, TrainError> {
        let plan = self.plan();
        if !self.run.file(RunDir::ARGS).exists() {
            self.run.write(RunDir::ARGS, self.args(&plan)?.as_bytes())?;
        }
        let labels = self.dataset.classes.join("\n") + "\n";
        self.run.write(RunDir::LABELS, labels.as_bytes())?;
        if !self.run.file(RunDir::PREVIEW).exists() {
            self.write_preview()?;
        }
        if self.config.tensorboard {
            self.events = Some(EventFile::begin(&self.run, &self.progress.history)?);
        }
        let (epoch, step) = plan.from;
        self.journal.line(match (epoch, step) {
            (0, 0) => format!(
                "start: {} on {}, {}",
                self.config.method, self.metadata.task.name, self.device.name
            ),
            _ => format!(
                "resume at epoch {}, step {}, {}",
                epoch + 1,
                step + 1,
                self.device.name
            ),
        });
        if !self.run.file(RunDir::STATE).exists() {
            // So that a run that is resumed before its first checkpoint still has its first day's date.
            self.save_state(std::time::Instant::now())?;
        }
        observer.started(&plan);
        for note in &self.notes {
            self.journal.line(note);
            observer.note(note);
        }
        Ok(plan)
    }

    fn plan(&self) -> RunPlan {
        let draws = self.batches(true).draws(self.samples(Split::Train).len());
        let batches = draws.div_ceil(self.config.batch_size);
        RunPlan {
            run: self.run.path().to_owned(),
            images: Split::ALL.map(|split| self.dataset.split(split).len()),
            classes: self.dataset.classes.len(),
            epochs: self.config.epochs,
            steps_per_epoch: match self.config.opt {
                Opt::Lbfgs => 1,
                Opt::AdamW | Opt::Sgd => batches.div_ceil(self.config.grad_accum_steps),
            },
            from: (
                self.progress.epoch,
                self.progress.batch.div_ceil(self.config.grad_accum_steps),
            ),
            parameters: (self.model.num_tuned(), self.model.num_total()),
            cached_features: self.config.features_are_constant(),
        }
    }

    /// `args.toml`: the settings, under a comment on what they met.
    fn args(&self, plan: &RunPlan) -> Result<String, TrainError> {
        let [train, val, test] = plan.images;
        Ok(format!(
            "# vpt {} on {}\n# data set sha256 {}: {} classes, {train} train, {val} val, {test} test images\n\
             # backbone sha256 {}: {} of {} parameters are tuned\n# repeat with: vpt train -c {}\n{}",
            env!("CARGO_PKG_VERSION"),
            self.device.name,
            self.progress.data_fingerprint,
            plan.classes,
            self.progress.backbone_sha256,
            plan.parameters.0,
            plan.parameters.1,
            RunDir::ARGS,
            self.config.to_toml()?,
        ))
    }

    fn write_preview(&self) -> Result<(), TrainError> {
        let path = self.run.file(RunDir::PREVIEW);
        let Some(batch) = self.loader(Split::Train, true).epoch(0, 0).next() else {
            return Ok(());
        };
        let jpeg = preview(&batch?, &self.preprocess);
        let jpeg = jpeg.map_err(|error| TrainError::writing(&path)(std::io::Error::other(error)))?;
        self.run.write(RunDir::PREVIEW, &jpeg)
    }
}

fn read_args(run: &RunDir) -> Result<TrainConfig, TrainError> {
    let path = run.file(RunDir::ARGS);
    TrainConfig::from_toml(&fs::read_to_string(&path).map_err(TrainError::reading(&path))?)
}

fn unchanged(what: &'static str, then: &str, now: &str) -> Result<(), TrainError> {
    if then == now {
        return Ok(());
    }
    Err(TrainError::Changed {
        what,
        then: then.to_owned(),
        now: now.to_owned(),
    })
}

/// The loss for the images that are trained on.
fn objective(config: &TrainConfig, dataset: &Dataset) -> Objective {
    let mut counts = dataset.class_counts(Split::Train);
    let mut samples: Vec<&Sample> = dataset.train.iter().collect();
    if config.train_on_val {
        let more = dataset.class_counts(Split::Val);
        counts
            .iter_mut()
            .zip(more)
            .for_each(|(count, more)| *count += more);
        samples.extend(&dataset.val);
    }
    let weights: Vec<f32> = samples.iter().map(|sample| sample.weight.get()).collect();
    Objective::new(config, &counts, &weights)
}

pub(crate) fn optimizer_config(config: &TrainConfig, model: &Classifier) -> OptimizerConfig {
    OptimizerConfig {
        opt: config.opt,
        momentum: config.momentum,
        weight_decay: config.weight_decay.unwrap_or(0.0),
        no_decay: model.no_decay_group(),
        head: model.head_group(),
        head_lr_scale: config.head_lr.map_or(1.0, |head_lr| head_lr / config.lr),
    }
}

fn metadata(
    config: &TrainConfig,
    dataset: &Dataset,
    backbone: &Backbone,
    (head, preprocess): (HeadConfig, &Preprocess),
    progress: &Progress,
) -> Result<TaskMetadata, TrainError> {
    let args = serde_json::to_value(config).map_err(|error| TrainError::Config {
        reason: error.to_string(),
    })?;
    Ok(TaskMetadata {
        format: vpt_core::task_file::FORMAT.into(),
        vpt_version: env!("CARGO_PKG_VERSION").into(),
        task: TaskInfo {
            name: dataset.name.clone(),
            kind: config.kind(),
            classes: dataset.classes.clone(),
        },
        head,
        method: config.method.clone(),
        backbone: BackboneInfo::of(backbone),
        preprocess: preprocess.clone(),
        calibration: Calibration::default(),
        metrics: BTreeMap::new(),
        training: TrainingInfo {
            args,
            seed: config.seed,
            data_fingerprint: progress.data_fingerprint.clone(),
            date: progress.date.clone(),
            epoch: 0,
        },
    })
}
