//! [`Trainer`]: the training loop.

use std::collections::BTreeMap;
use std::iter::once;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Gradients, Tensor};
use vpt_core::device::{SelectedDevice, computing};
use vpt_core::prompts::Noise;
use vpt_core::vit::TokensAt;
use vpt_core::{Calibration, Classifier, HostTensor, TaskMetadata};
use vpt_data::{DataError, Dataset, Loader, Preprocess, Split, TaskKind, rng};
use vpt_eval::metrics::{Metric, evaluate};
use vpt_eval::{EpochRow, EvalError, Finder, Predictions, Results, find, predict};

use crate::average::Average;
use crate::best::is_better;
use crate::checkpoint::Checkpoints;
use crate::dense::place_loss;
use crate::journal::Journal;
use crate::meter::LossMeter;
use crate::observer::StepInfo;
use crate::replica::Replica;
use crate::source::{DeviceInput, Source, TrainBatch, Truth, Validation};
use crate::state::{Best, EndReason, Progress};
use crate::tensorboard::EventFile;
use crate::{
    GroupOptimizer, HeadInit, Objective, Observer, Opt, RunDir, RunPlan, TrainConfig, TrainError,
    clip_global_norm, lr_at,
};

/// Trains one model on one data set into one run folder.
pub struct Trainer {
    pub(crate) config: TrainConfig,
    pub(crate) dataset: Dataset,
    pub(crate) preprocess: Preprocess,
    pub(crate) device: SelectedDevice,
    pub(crate) run: RunDir,
    pub(crate) model: Classifier,
    /// The model on further devices.
    pub(crate) replicas: Vec<Replica>,
    pub(crate) optimizer: GroupOptimizer,
    pub(crate) objective: Objective,
    /// Reads what the model says of places in an image; `None` for tasks of whole images.
    pub(crate) finder: Option<Finder>,
    pub(crate) metric: &'static Metric,
    pub(crate) progress: Progress,
    /// `--ema`, once training has begun.
    pub(crate) average: Option<Average<Classifier>>,
    /// Tuned tensors of the best epoch, as they were trained.
    pub(crate) best_tuned: BTreeMap<String, HostTensor>,
    /// Metadata of the task files but for epoch and metrics.
    pub(crate) metadata: TaskMetadata,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) journal: Journal,
    /// What the splits share, once somebody looked.
    pub(crate) leaks: Option<Vec<String>>,
    /// `--tensorboard`, once the run has begun.
    pub(crate) events: Option<EventFile>,
    /// For the observer, once there is one.
    pub(crate) notes: Vec<String>,
}

/// How a call of [`Trainer::fit`] ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Trained, evaluated, written.
    Finished(Box<Finished>),
    /// Stopped on request; everything is saved, and [`Trainer::resume`] continues.
    Interrupted {
        /// The run folder.
        run: PathBuf,
        /// Finished epochs.
        epochs: usize,
    },
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The run folder; [`RunDir`] names its files.
    pub run: PathBuf,
    /// Best epoch, from 1.
    pub best_epoch: usize,
    /// What was measured on `split`.
    pub results: Results,
    /// Test, or val where there is no test split.
    pub split: Split,
    /// Why training ended.
    pub reason: EndReason,
}

/// What [`Trainer::resume`] found.
pub enum Resumed {
    /// Nothing is left to do.
    Finished(Box<Results>),
    /// Call [`Trainer::fit`].
    Ready(Box<Trainer>),
}

impl Trainer {
    /// Trains to the end, or until `stop` is set: then the step in progress is finished and everything saved.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] when the loss is no number (best and state of the last checkpoint stay), and whatever can
    /// go wrong in reading images and writing the run folder.
    pub fn fit(mut self, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<Outcome, TrainError> {
        let plan = self.begin(observer)?;
        let started = Instant::now();
        let probe = self.config.head_init == HeadInit::Probe && self.finder.is_none();
        if probe && !self.progress.head_ready {
            self.probe_head(observer)?;
        }
        if self.config.kind() == TaskKind::Segmentation && !self.progress.head_ready {
            self.prior_head()?;
        }
        if let (Some(decay), None) = (self.config.ema, &self.average) {
            self.average = Some(Average::new(decay, self.model.group(), &self.model));
        }
        let (train, val) = self.sources(observer)?;
        // Both are part of what training costs.
        self.progress.seconds += started.elapsed().as_secs_f64();
        while self.progress.ended.is_none() {
            let started = Instant::now();
            let mut meter = self.loss_meter();
            if let Source::Whole(table) = &train {
                self.solve(table)?;
                observer.step(&self.step_info(table.labels().len(), 0.0, &meter));
            }
            let mut batches = train.epoch(self.progress.epoch, self.progress.batch);
            while let Some(batches) = next_batches(&mut batches, self.config.grad_accum_steps)? {
                let lr = self.lr(&plan, self.progress.step);
                let (count, images) = (batches.len(), batches.iter().map(TrainBatch::len).sum());
                self.update_replicas()?;
                let (loss, grads) = computing(&self.device.device, || self.gradients(batches, images));
                self.model = self.optimizer.step(lr, self.model, grads);
                if let Some(average) = &mut self.average {
                    average.add(&self.model, self.progress.step);
                }
                meter.add(loss, images, lr, &mut self.progress)?;
                self.progress.count_step(count, images);
                observer.step(&self.step_info(images, lr, &meter));
                let stopping = stop.load(Ordering::Relaxed);
                if stopping || self.checkpoints.due_within_epoch() {
                    meter.read(&mut self.progress)?;
                    self.save_state(started)?;
                }
                if stopping {
                    return self.interrupted();
                }
            }
            meter.read(&mut self.progress)?;
            self.progress.count_device_memory(&self.device);
            self.progress.seconds += started.elapsed().as_secs_f64();
            let (row, is_best) = self.close_epoch(&plan, &val, observer)?;
            if let Some(events) = &mut self.events {
                events.add(&row)?;
            }
            observer.epoch(&row, is_best);
            let stopping = stop.load(Ordering::Relaxed);
            if stopping || self.progress.ended.is_some() || self.checkpoints.due() {
                self.checkpoint()?;
            }
            if stopping {
                return self.interrupted();
            }
        }
        self.finish(observer)
    }

    /// Learning rate of the step `step` (from 0); 0 where there are no steps of a chosen length.
    fn lr(&self, plan: &RunPlan, step: usize) -> f64 {
        if self.config.opt == Opt::Lbfgs {
            return 0.0;
        }
        let steps = plan.steps_per_epoch;
        let warmup = (self.config.warmup_epochs * steps as f64).round() as usize;
        lr_at(
            step,
            steps * self.config.epochs,
            warmup,
            self.config.lr,
            self.config.sched,
        )
    }

    /// Where main memory is the device's memory, reading a loss is free; elsewhere it would stall the device.
    fn loss_meter(&self) -> LossMeter {
        let read_every = if self.device.is_cpu { 1 } else { 16 };
        LossMeter::new(read_every, self.progress.images, self.config.clip_grad)
    }

    /// Loss, summed over the images of `batches`, and the gradient of their mean.
    pub(crate) fn gradients(&self, batches: Vec<TrainBatch>, images: usize) -> (Tensor<1>, GradientsParams) {
        let mut accumulator = GradientsAccumulator::new();
        let mut losses = Vec::with_capacity(batches.len());
        // Each device is told what to compute before anyone waits for another's results.
        let mut of_others = Vec::new();
        for (part, batch) in batches.into_iter().enumerate() {
            let mut rng = rng::rng(self.config.seed, &[NOISE, self.progress.step as u64, part as u64]);
            let noise = self.model.sample_noise(batch.len(), &mut rng);
            let shares = batch.shares(1 + self.replicas.len()).into_iter();
            for (number, ((rows, share), (model, device))) in shares.zip(self.models()).enumerate() {
                let noise = noise.of_images(rows, device);
                let mut add = |grads| {
                    let grads = GradientsParams::from_grads(grads, model);
                    match number {
                        0 => accumulator.accumulate(&self.model, grads),
                        _ => of_others.push(grads),
                    }
                };
                losses.push(self.backward(model, device, share, images, &noise, &mut add));
            }
        }
        let device = &self.device.device;
        for grads in of_others {
            accumulator.accumulate(&self.model, grads.to_device(device, &self.model));
        }
        let losses = losses.into_iter().map(|loss| loss.to_device(device)).collect();
        let grads = match self.config.clip_grad {
            Some(limit) => clip_global_norm(&self.model, accumulator.grads(), limit),
            None => accumulator.grads(),
        };
        (Tensor::cat(losses, 0).sum(), grads)
    }

    /// The model on each device, the first one first.
    fn models(&self) -> impl Iterator<Item = (&Classifier, &Device)> {
        let replicas = self
            .replicas
            .iter()
            .map(|replica| (&replica.model, &replica.device));
        once((&self.model, &self.device.device)).chain(replicas)
    }

    /// Shows what was learned to the models on other devices.
    fn update_replicas(&mut self) -> Result<(), TrainError> {
        if self.replicas.is_empty() {
            return Ok(());
        }
        let tuned = self.model.tuned_tensors();
        for replica in &mut self.replicas {
            replica.follow(&tuned)?;
        }
        Ok(())
    }

    /// The loss of a batch on `model`, summed over its images; `add` gets the gradients of what it adds to the mean over `images`.
    fn backward(
        &self,
        model: &Classifier,
        device: &Device,
        batch: TrainBatch,
        images: usize,
        noise: &Noise,
        add: &mut dyn FnMut(Gradients),
    ) -> Tensor<1> {
        let TrainBatch { input, truth } = batch;
        let mut summed = Tensor::zeros([1], device);
        let mut share = |loss: Tensor<1>| {
            summed = loss.clone().inner();
            loss.div_scalar(images as f32)
        };
        match input.on(&device.clone().autodiff()) {
            DeviceInput::Features(features) => {
                let loss = self.class_loss(model.head_forward(features), &truth);
                add(share(loss).backward());
            }
            DeviceInput::Entering(entering) => {
                let recompute = self.config.grad_checkpointing;
                let loss = |tokens| share(self.loss(model, tokens, &truth, noise));
                model.backward(entering, noise, recompute, loss, add);
            }
        }
        summed
    }

    /// The loss of tokens in front of a block of `model`, summed over their images.
    fn loss(&self, model: &Classifier, tokens: TokensAt, truth: &Truth, noise: &Noise) -> Tensor<1> {
        if let Some(finder) = &self.finder {
            let output = finder.output_of(model, model.feature_map_from(tokens, noise));
            return place_loss(output, finder.points(), &truth.framed);
        }
        let logits = model.head_forward(model.pooled_from(tokens, noise));
        self.class_loss(logits, truth)
    }

    /// The loss of logits `[batch, classes]`, summed over the images.
    fn class_loss(&self, logits: Tensor<2>, truth: &Truth) -> Tensor<1> {
        let soft = truth.soft_targets.as_deref();
        self.objective.loss(logits, &truth.labels, soft, &truth.weights)
    }

    /// About the step that was just counted.
    fn step_info(&self, images: usize, lr: f64, meter: &LossMeter) -> StepInfo {
        let Progress { epoch, batch, .. } = self.progress;
        let step = batch.div_ceil(self.config.grad_accum_steps) - 1;
        StepInfo {
            epoch,
            step,
            images,
            lr,
            loss: meter.mean(&self.progress),
        }
    }

    /// Validates, compares with the best epoch so far, and moves on to the next.
    fn close_epoch(
        &mut self,
        plan: &RunPlan,
        val: &Validation,
        observer: &mut dyn Observer,
    ) -> Result<(EpochRow, bool), TrainError> {
        let started = Instant::now();
        let (predictions, val_loss) = self.validate(val, observer)?;
        let metrics = evaluate(&predictions);
        let lr = self.lr(plan, self.progress.step.saturating_sub(1));
        let val_loss = val_loss.or(metrics.get("log_loss").copied()).unwrap_or(f64::NAN);
        if !val_loss.is_finite() {
            return Err(self.not_finite(val_loss, lr));
        }
        let Some(&metric) = metrics.get(self.metric.name) else {
            let allowed = "a metric that is defined on the validation images".to_owned();
            return Err(TrainError::Setting {
                flag: "--eval-metric",
                value: self.metric.name.into(),
                allowed,
            });
        };
        let best = Best {
            epoch: self.progress.epoch,
            metric,
            val_loss,
        };
        // Images that were trained on say nothing about which epoch is the best.
        let is_best = self.config.train_on_val || is_better(&best, self.progress.best.as_ref(), self.metric);
        let row = EpochRow {
            epoch: self.progress.epoch + 1,
            seconds: self.progress.seconds + started.elapsed().as_secs_f64(),
            lr,
            weight_decay: (self.config.opt == Opt::Lbfgs).then(|| self.config.l2(self.progress.epoch)),
            train_loss: self.progress.loss_sum / self.progress.images.max(1) as f64,
            val_loss,
            metrics,
            images_per_second: self.progress.images as f64 / self.progress.seconds.max(1e-9),
        };
        if is_best {
            self.best_tuned = self.learned().tuned_tensors();
            self.progress.best = Some(best);
            self.checkpoints.best_changed = true;
        }
        self.progress.close_epoch(row.clone(), is_best, &self.config);
        self.journal.line(format!(
            "epoch {}: train loss {:.4}, val loss {:.4}, val {} {:.4}{}",
            row.epoch,
            row.train_loss,
            row.val_loss,
            self.metric.name,
            metric,
            if is_best { ", best" } else { "" }
        ));
        Ok((row, is_best))
    }

    /// Predictions on the validation images, and their loss where it is none of the metrics.
    fn validate(
        &self,
        val: &Validation,
        observer: &mut dyn Observer,
    ) -> Result<(Predictions, Option<f64>), TrainError> {
        let model = self.as_stored(self.learned())?;
        let table = match val {
            Validation::Images(images) if self.finder.is_some() => {
                let (predictions, loss) = self.find(&model, images, Split::Val, false, observer)?;
                return Ok((predictions, Some(loss)));
            }
            Validation::Images(images) => {
                return Ok((self.predict(&model, images, Split::Val, observer)?, None));
            }
            Validation::Features(table) => table,
        };
        let logits = table.logits(&model, &self.device.device)?;
        let predictions = Predictions::of(&self.dataset.classes, &self.dataset.val, logits)?;
        Ok((
            predictions.decided_by(self.config.kind(), Calibration::default()),
            None,
        ))
    }

    /// What has been learned, off the tape.
    pub(crate) fn learned(&self) -> Classifier {
        match &self.average {
            Some(average) => average.model().clone(),
            None => self.model.valid(),
        }
    }

    /// The model as its task file will hold it: with `--half`, tuned tensors are rounded.
    fn as_stored(&self, model: Classifier) -> Result<Classifier, TrainError> {
        if !self.config.half {
            return Ok(model);
        }
        let tuned = model.tuned_tensors().into_iter();
        let rounded = tuned.map(|(name, tensor)| (name, tensor.rounded_to_half()));
        Ok(model.load_tuned(&rounded.collect())?)
    }

    /// Finds boxes or masks in a split, as `vpt eval` does, and says what the loss of an image, or of a window on one, is on average.
    pub(crate) fn find(
        &self,
        model: &Classifier,
        images: &Loader,
        split: Split,
        contours: bool,
        observer: &mut dyn Observer,
    ) -> Result<(Predictions, f64), TrainError> {
        let samples = images.samples();
        let points = self.finder.as_ref().map_or(&[][..], Finder::points);
        let (mut loss, mut views) = (0.0, 0);
        let predictions = find(
            model,
            images,
            &self.dataset.classes,
            contours,
            &self.device.device,
            &mut |batch| {
                loss +=
                    f64::from(place_loss(batch.output.clone(), points, batch.framed).into_scalar::<f32>());
                views += batch.framed.len();
                observer.progress(split, batch.done, samples.len());
            },
        )?;
        Ok((
            predictions.described(&self.dataset.columns, samples),
            loss / views.max(1) as f64,
        ))
    }

    /// Runs a split through `model`, as `vpt eval` does.
    pub(crate) fn predict(
        &self,
        model: &Classifier,
        images: &Loader,
        split: Split,
        observer: &mut dyn Observer,
    ) -> Result<Predictions, TrainError> {
        if self.finder.is_some() {
            return Ok(self.find(model, images, split, true, observer)?.0);
        }
        let predictions = predict(
            model,
            images,
            &self.dataset.classes,
            &self.device.device,
            &mut |done, total| observer.progress(split, done, total),
        );
        let as_configured = |predictions: Predictions| {
            predictions
                .decided_by(self.config.kind(), Calibration::default())
                .described(&self.dataset.columns, images.samples())
        };
        let predictions = predictions.map(as_configured);
        predictions.map_err(|error| match error {
            EvalError::NonFinite { value, .. } => self.not_finite(value.into(), self.config.lr),
            error => error.into(),
        })
    }

    fn not_finite(&self, loss: f64, lr: f64) -> TrainError {
        let Progress { epoch, step, .. } = self.progress;
        TrainError::NotFinite {
            loss,
            epoch: epoch + 1,
            step,
            lr,
            clip_grad: self.config.clip_grad,
        }
    }

    fn interrupted(self) -> Result<Outcome, TrainError> {
        Ok(Outcome::Interrupted {
            run: self.run.path().to_owned(),
            epochs: self.progress.epoch,
        })
    }
}

/// Stream of [`rng::rng`] for dropout and stochastic depth.
const NOISE: u64 = 0x006e_6f69_7365;

/// The next `count` batches (fewer at the end of the epoch), or `None` after the last.
fn next_batches(
    batches: &mut dyn Iterator<Item = Result<TrainBatch, DataError>>,
    count: usize,
) -> Result<Option<Vec<TrainBatch>>, DataError> {
    let batches: Vec<_> = batches.take(count).collect::<Result<_, _>>()?;
    Ok(if batches.is_empty() { None } else { Some(batches) })
}
