//! What a training run shows while it goes on: a bar on a terminal, one aligned line an epoch everywhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use vpt_data::Split;
use vpt_eval::report::format::{self, UNKNOWN, Unit};
use vpt_eval::{EpochRow, metrics};
use vpt_train::{EndReason, Observer, RunPlan, StepInfo};

use crate::banner::Banner;
use crate::output::Output;

/// Between updates of the bar's message, which cost more than its position.
const UPDATE_EVERY: Duration = Duration::from_millis(200);

/// Follows a training run on stderr.
pub struct Progress {
    output: Output,
    banner: Banner,
    bar: ProgressBar,
    metric: String,
    epochs: usize,
    steps_per_epoch: usize,
    images: usize,
    since: Instant,
    updated: Instant,
}

impl Progress {
    /// `metric` is the validation metric that chooses the best epoch.
    pub fn new(output: Output, metric: &str, banner: Banner) -> Self {
        Self {
            output,
            banner,
            bar: bar(output, 0, "{bar:30} {pos}/{len} steps, {eta} left{msg}"),
            metric: metric.to_owned(),
            epochs: 0,
            steps_per_epoch: 0,
            images: 0,
            since: Instant::now(),
            updated: Instant::now(),
        }
    }

    /// Prints above the bar.
    fn line(&self, text: &str) {
        self.bar.suspend(|| self.output.info(text));
    }

    fn titles(&self) -> String {
        let metric = format!("val {}", self.metric);
        row(
            &[
                "epoch",
                "train loss",
                "val loss",
                &metric,
                "lr",
                "images/s",
                "time",
            ],
            metric_width(&self.metric),
        )
    }
}

impl Observer for Progress {
    fn started(&mut self, plan: &RunPlan) {
        (self.epochs, self.steps_per_epoch) = (plan.epochs, plan.steps_per_epoch);
        self.bar.set_length((plan.epochs * plan.steps_per_epoch) as u64);
        let done = (plan.from.0 * plan.steps_per_epoch + plan.from.1) as u64;
        self.bar.set_position(done);
        // What an earlier process did says nothing about the speed of this one.
        self.bar.reset_eta();
        self.since = Instant::now();
        self.bar
            .suspend(|| self.banner.print(self.output, plan.parameters));
        self.line(&self.titles());
    }

    fn step(&mut self, step: &StepInfo) {
        self.images += step.images;
        self.bar
            .set_position((step.epoch * self.steps_per_epoch + step.step + 1) as u64);
        if self.updated.elapsed() < UPDATE_EVERY {
            return;
        }
        self.updated = Instant::now();
        let rate = self.images as f64 / self.since.elapsed().as_secs_f64().max(1e-9);
        let loss = step
            .loss
            .map_or(String::new(), |loss| format!(", loss {loss:.3}"));
        self.bar
            .set_message(format!("{loss}, {} images/s", format::rate(rate)));
    }

    fn progress(&mut self, split: Split, done: usize, total: usize) {
        if self.updated.elapsed() >= UPDATE_EVERY {
            self.updated = Instant::now();
            self.bar.set_message(format!(", {split} {done}/{total}"));
        }
    }

    fn epoch(&mut self, epoch: &EpochRow, is_best: bool) {
        let shown = |value: f64| match metrics::find(&self.metric) {
            Ok(metric) => Unit::of(metric).number(value),
            Err(_) => format!("{value:.4}"),
        };
        let metric = epoch
            .metrics
            .get(&self.metric)
            .map_or(UNKNOWN.to_owned(), |value| shown(*value));
        let cells = [
            format!("{}/{}", epoch.epoch, self.epochs),
            format!("{:.4}", epoch.train_loss),
            format!("{:.4}", epoch.val_loss),
            metric,
            format!("{:.1e}", epoch.lr),
            format::rate(epoch.images_per_second),
            format::duration(epoch.seconds),
        ];
        let cells = cells.each_ref().map(String::as_str);
        let best = if is_best { "  *" } else { "" };
        self.line(&(row(&cells, metric_width(&self.metric)) + best));
        (self.images, self.since) = (0, Instant::now());
    }

    fn training_finished(&mut self, reason: EndReason) {
        self.bar.finish_and_clear();
        if reason == EndReason::EarlyStop {
            self.line("stopped early: no better epoch within `--patience`");
        }
    }

    fn note(&mut self, message: &str) {
        self.line(&format!("note: {message}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A bar for `total` things, drawn on a terminal only.
pub fn bar(output: Output, total: usize, template: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::hidden());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸ "));
    }
    if output.draws_progress() {
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    bar
}

/// A bar for images that go through a model, and the callback that moves it.
pub fn images(output: Output, what: &str, total: usize) -> ProgressBar {
    let bar = bar(
        output,
        total,
        "{prefix} {bar:30} {pos}/{len} images, {per_sec}, {eta} left",
    );
    bar.set_prefix(what.to_owned());
    bar
}

/// A sign of life for work whose length nobody knows, drawn on a terminal only.
pub fn spinner(output: Output, label: &str) -> ProgressBar {
    let spinner = bar(output, 0, "{spinner} {prefix}: {wide_msg}");
    spinner.set_prefix(label.to_owned());
    spinner.enable_steady_tick(UPDATE_EVERY);
    spinner
}

fn metric_width(metric: &str) -> usize {
    metric.len() + 4
}

fn row(cells: &[&str; 7], metric_width: usize) -> String {
    let widths = [9, 10, 9, metric_width.max(8), 8, 9, 12];
    let cells = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:>width$}"));
    cells.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned() {
        let titles = row(
            &[
                "epoch",
                "train loss",
                "val loss",
                "val top1",
                "lr",
                "images/s",
                "time",
            ],
            8,
        );
        let line = row(
            &[
                "10/20",
                "0.1234",
                "1.2345",
                "98.7",
                "1.0e-3",
                "1234",
                "3 min 20 s",
            ],
            8,
        );
        assert_eq!(titles.len(), line.len());
    }
}
