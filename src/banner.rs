//! [`Banner`]: what is about to be trained, in a few lines.

use vpt_core::Backbone;
use vpt_core::device::SelectedDevice;
use vpt_data::{Dataset, Split};
use vpt_eval::report::format;
use vpt_train::{Opt, TrainConfig};

use crate::output::Output;
use crate::tables;

/// Classes that are counted one by one.
const CLASSES_SHOWN: usize = 8;

/// How many times larger a class may be than another before the user is told.
const IMBALANCE: usize = 4;

/// Backbones that see fewer pixels a side than this gain much from a larger input: pictures rarely fit.
const SMALL_INPUT: usize = 128;

/// What a run is made of.
pub struct Banner {
    device: String,
    data: String,
    per_class: String,
    backbone: String,
    method: String,
    training: String,
    imbalance: Option<String>,
    small_input: Option<String>,
}

impl Banner {
    /// Collects what there is to say.
    pub fn new(
        config: &TrainConfig,
        dataset: &Dataset,
        backbone: &Backbone,
        device: &SelectedDevice,
    ) -> Self {
        let [train, val, test] = Split::ALL.map(|split| dataset.split(split).len());
        let counts = dataset.class_counts(Split::Train);
        let [height, width] = config.image_size.unwrap_or(backbone.preprocess.input_size);
        let prompts = config
            .method
            .prompts
            .as_ref()
            .map_or(String::new(), |p| format!(", {} tokens", p.num_tokens));
        Self {
            device: device.name.clone(),
            data: format!(
                "{}: {} classes, {train} train, {val} val, {test} test images",
                dataset.name,
                dataset.classes.len()
            ),
            per_class: per_class(&dataset.classes, &counts),
            backbone: format!(
                "{} ({}), {height} x {width} pixels",
                config.model, backbone.architecture
            ),
            method: format!("{}{prompts}", config.method),
            training: training(config, train),
            imbalance: imbalance(config, &dataset.classes, &counts),
            small_input: small_input(config, dataset, backbone),
        }
    }

    /// The lines, for a model of so many parameters.
    pub fn text(&self, tuned: usize, total: usize) -> String {
        let share = format::percent(100.0 * tuned as f64 / total.max(1) as f64);
        let (tuned, total) = (format::count(tuned), format::count(total));
        tables::pairs(&[
            ("device", self.device.clone()),
            ("data", self.data.clone()),
            ("", self.per_class.clone()),
            ("backbone", self.backbone.clone()),
            (
                "method",
                format!("{}: tunes {tuned} of {total} parameters ({share})", self.method),
            ),
            ("training", self.training.clone()),
        ])
    }

    /// Prints the lines, and what the user should know about the data.
    pub fn print(&self, output: Output, (tuned, total): (usize, usize)) {
        output.info(self.text(tuned, total));
        if let Some(warning) = &self.imbalance {
            output.warn(warning);
        }
        if let Some(tip) = &self.small_input {
            output.tip(tip);
        }
    }
}

fn training(config: &TrainConfig, images: usize) -> String {
    let (epochs, lr) = (config.epochs, config.lr);
    let batch = config.batch_size * config.grad_accum_steps;
    match (config.opt, config.weight_decay) {
        (Opt::AdamW, _) => format!("{epochs} epochs of {images} images, batch {batch}, AdamW at {lr:e}"),
        (Opt::Sgd, _) => format!("{epochs} epochs of {images} images, batch {batch}, SGD at {lr:e}"),
        (Opt::Lbfgs, Some(decay)) => format!("L-BFGS on {images} images, weight decay {decay:e}"),
        (Opt::Lbfgs, None) => format!("L-BFGS on {images} images, {epochs} strengths of weight decay"),
    }
}

fn per_class(classes: &[String], counts: &[usize]) -> String {
    let shown = classes
        .iter()
        .zip(counts)
        .take(CLASSES_SHOWN)
        .map(|(class, count)| format!("{class} {count}"));
    let mut shown = shown.collect::<Vec<_>>().join(", ");
    if classes.len() > CLASSES_SHOWN {
        let (least, most) = (
            counts.iter().min().unwrap_or(&0),
            counts.iter().max().unwrap_or(&0),
        );
        shown = format!("{shown}, … ({least} to {most} train images a class)");
    }
    shown
}

fn imbalance(config: &TrainConfig, classes: &[String], counts: &[usize]) -> Option<String> {
    let least = (0..counts.len()).min_by_key(|&class| counts[class])?;
    let most = (0..counts.len()).max_by_key(|&class| counts[class])?;
    let uneven = counts[most] >= IMBALANCE * counts[least].max(1) && config.balancing().is_empty();
    // Of boxes and pixels some are always more.
    let uneven = uneven && !config.kind().is_dense();
    uneven.then(|| {
        format!(
            "class `{}` has {} training images, class `{}` {}: consider `--class-weights balanced` and `--eval-metric balanced_accuracy`",
            classes[most], counts[most], classes[least], counts[least]
        )
    })
}

/// What a larger input would show, where the user left its size to a backbone that sees little of the pictures.
fn small_input(config: &TrainConfig, dataset: &Dataset, backbone: &Backbone) -> Option<String> {
    if config.image_size.is_some() || config.kind().is_dense() {
        return None;
    }
    let [height, width] = backbone.preprocess.input_size;
    let seen = height.min(width);
    let edge = dataset.usual_edge()? as usize;
    (seen < SMALL_INPUT && 2 * edge > 3 * seen).then(|| {
        format!(
            "the images have {edge} pixels on the shorter side, this backbone sees {seen} of them: `--img-size {}` shows it more, in about four times the time",
            2 * seen
        )
    })
}
