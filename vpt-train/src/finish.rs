//! After the last step: the best epoch is evaluated, the test images are read for the first and only time, and reported on.

use std::fs;

use burn::module::Module;
use ndarray::Array2;
use vpt_core::{Calibration, Classifier, TaskFile};
use vpt_data::Split;
use vpt_eval::report::{EvaluationReport, ThresholdCurves};
use vpt_eval::{Bootstrap, Predictions, Results, peak_memory_bytes, report};

use crate::trainer::{Finished, Outcome};
use crate::{EndReason, Observer, RunDir, RunState, TrainError, Trainer};

impl Trainer {
    /// Evaluates `best.safetensors`, chooses its calibration on the validation images, and writes everything that a finished run has; `results.json` comes last.
    pub(crate) fn finish(mut self, observer: &mut dyn Observer) -> Result<Outcome, TrainError> {
        let reason = self.progress.ended.unwrap_or(EndReason::Complete);
        observer.training_finished(reason);
        let best_epoch = self.progress.best.as_ref().map_or(0, |best| best.epoch + 1);
        let best = self.run.file(RunDir::BEST);
        let model = self.model.valid().load_tuned(&TaskFile::load(&best)?.tensors)?;

        let split = match self.config.read_test && !self.dataset.test.is_empty() {
            true => Split::Test,
            false => Split::Val,
        };
        if split == Split::Val {
            observer.note(&format!(
                "{}: results are of the validation images, which also chose the epoch",
                self.config.why_no_test()
            ));
        }
        let mut validation = None;
        let mut calibration = Calibration::default();
        if self.config.train_on_val {
            observer.note(
                "the validation images were trained on: the last epoch counts, and nothing is calibrated",
            );
        } else {
            let predictions = self.predict(&model, &self.images(Split::Val), Split::Val, observer)?;
            let (fitted, notes) = self.config.calibration_plan().fit(&predictions);
            for note in &notes {
                observer.note(note);
            }
            (calibration, validation) = (fitted, Some(predictions));
        }
        self.metadata.calibration = calibration.clone();
        self.save_best()?;

        let mut predictions = match (split, validation) {
            (Split::Val, Some(validation)) => validation,
            _ => self.predict(&model, &self.images(split), split, observer)?,
        };
        predictions.calibration = calibration;
        let results = self.results(&predictions, split, best_epoch);

        predictions.save_in(self.run.path())?;
        if !results.confusion_matrix.is_empty() {
            let confusion = matrix(&results.confusion_matrix);
            let svg = report::confusion_svg(&confusion, &self.dataset.classes, false);
            self.run.write(RunDir::CONFUSION, svg.as_bytes())?;
        }
        if let Some(curves) = ThresholdCurves::of(&predictions, &results) {
            for (name, svg) in [
                (RunDir::PRECISION_RECALL, curves.precision_recall_svg()),
                (RunDir::F1_CONFIDENCE, curves.f1_confidence_svg()),
                (RunDir::FROC, curves.froc_svg()),
            ] {
                if let Some(svg) = svg {
                    self.run.write(name, svg.as_bytes())?;
                }
            }
        }
        self.run.write(
            RunDir::CURVES,
            report::curves_svg(&self.progress.history).as_bytes(),
        )?;
        let value = results.value(self.metric.name).unwrap_or(f64::NAN);
        let name = self.metric.name;
        self.journal.line(format!(
            "best epoch {best_epoch}: {split} {name} {value:.4} on {} images",
            predictions.len()
        ));
        self.journal.save(&self.run)?;
        let page = self.report(&predictions, &results, &model, best_epoch);
        self.run.write(RunDir::REPORT, page.as_bytes())?;
        results.save(&self.run.file(RunDir::RESULTS))?;
        self.shrink_state()?;

        observer.finished(&results);
        let run = self.run.path().to_owned();
        Ok(Outcome::Finished(Box::new(Finished {
            run,
            best_epoch,
            results,
            split,
            reason,
        })))
    }

    fn report(
        &mut self,
        predictions: &Predictions,
        results: &Results,
        model: &Classifier,
        best_epoch: usize,
    ) -> String {
        self.look_for_leaks();
        let mut metadata = self.metadata.clone();
        metadata.training.epoch = best_epoch;
        let run = self.run.path().display();
        EvaluationReport {
            results,
            predictions,
            main_metric: self.metric.name,
            metadata: &metadata,
            dataset: &self.dataset,
            leaks: self.leaks.as_deref().filter(|_| self.config.leak_check),
            model,
            device: &self.device.device,
            commands: vec![
                format!("vpt train -c {run}/{}", RunDir::ARGS),
                format!("vpt eval {run}"),
            ],
        }
        .html()
    }

    fn results(&self, predictions: &Predictions, split: Split, best_epoch: usize) -> Results {
        let progress = &self.progress;
        let bytes = fs::metadata(self.run.file(RunDir::BEST)).map(|file| file.len());
        Results {
            task: self.metadata.task.name.clone(),
            split: split.to_string(),
            method: self.config.method.to_string(),
            model: self.config.model.clone(),
            seed: Some(self.config.seed),
            device: Some(self.device.name.clone()),
            tuned_params: Some(self.model.num_tuned()),
            total_params: Some(self.model.num_total()),
            task_file_bytes: bytes.ok(),
            train_seconds: Some(progress.history.iter().map(|row| row.seconds).sum()),
            train_images_per_second: Some(progress.train_images as f64 / progress.train_seconds.max(1e-9)),
            peak_memory_bytes: peak_memory_bytes(),
            device_memory_bytes: progress.device_memory_bytes,
            epochs: Some(progress.history.len()),
            best_epoch: Some(best_epoch),
            backbone_sha256: Some(progress.backbone_sha256.clone()),
            data_fingerprint: Some(progress.data_fingerprint.clone()),
            date: Some(progress.date.clone()),
            ..Results::from_predictions(predictions, &Bootstrap::default())
        }
    }

    /// A finished run needs no optimiser, which for full fine-tuning is three times the size of the model.
    fn shrink_state(&self) -> Result<(), TrainError> {
        RunState::without_tensors(self.progress.clone()).save(&self.run)
    }
}

fn matrix(rows: &[Vec<usize>]) -> Array2<usize> {
    let columns = rows.first().map_or(0, Vec::len);
    Array2::from_shape_fn((rows.len(), columns), |(row, column)| rows[row][column])
}
