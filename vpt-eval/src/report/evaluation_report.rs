//! [`EvaluationReport`]: what a page about an evaluated run is made from.

use burn::tensor::Device;
use vpt_core::heads::Suppression;
use vpt_core::{Classifier, TaskMetadata};
use vpt_data::{Dataset, Split, decode};

use super::evaluation_html::{CardSection, EvaluationPage, evaluation_html};
use super::format;
use super::gallery::{Example, Gallery, most_confident_errors, random_examples};
use super::metric_tables::{SubgroupRow, SubgroupTable};
use super::places::PlacePair;
use super::thumbnail::attention_thumbnail;
use crate::metrics::THRESHOLD;
use crate::{Finder, Predictions, Results};

/// Pictures of errors, and as many others.
const EXAMPLES: usize = 12;
/// With more classes only the sums of the splits are in the data card.
const MOST_CLASSES: usize = 60;

/// A trained task, the images it was measured on, and what came out.
pub struct EvaluationReport<'a> {
    /// What was measured.
    pub results: &'a Results,
    /// On which images, and what the model said.
    pub predictions: &'a Predictions,
    /// Name of the metric in the headline.
    pub main_metric: &'a str,
    /// The document of the task file.
    pub metadata: &'a TaskMetadata,
    /// The data set.
    pub dataset: &'a Dataset,
    /// What its splits share, in words; `None` if nobody looked.
    pub leaks: Option<&'a [String]>,
    /// The model, in its inference form.
    pub model: &'a Classifier,
    /// Where it is.
    pub device: &'a Device,
    /// The commands that made the run.
    pub commands: Vec<String>,
}

impl EvaluationReport<'_> {
    /// The page: one file, for any browser, without network.
    pub fn html(self) -> String {
        evaluation_html(&EvaluationPage {
            results: self.results,
            predictions: self.predictions,
            main_metric: self.main_metric,
            subgroups: self.subgroups(),
            gallery: self.gallery(),
            data_card: self.data_card(),
            model_card: self.model_card(),
            commands: self.commands,
        })
    }

    fn subgroups(&self) -> Vec<SubgroupTable> {
        let metrics = [self.main_metric, "ece"].map(str::to_owned).to_vec();
        let mut tables: Vec<SubgroupTable> = Vec::new();
        for subgroup in &self.results.subgroups {
            let value = |name: &String| subgroup.metrics.get(name).map(|value| value.estimate);
            let row = SubgroupRow {
                name: subgroup.value.clone(),
                images: subgroup.images,
                values: metrics
                    .iter()
                    .map(|name| value(name).unwrap_or_default())
                    .collect(),
            };
            match tables.last_mut().filter(|table| table.by == subgroup.column) {
                Some(table) => table.rows.push(row),
                None => tables.push(SubgroupTable {
                    by: subgroup.column.clone(),
                    metrics: metrics.clone(),
                    rows: vec![row],
                }),
            }
        }
        tables
    }

    /// Pictures with what is there and what the model finds.
    fn pairs(&self) -> Vec<PlacePair> {
        let Some(finder) = Finder::new(self.model, Suppression::default()) else {
            return Vec::new();
        };
        let threshold = self.results.calibration.threshold.unwrap_or(THRESHOLD);
        let pre = &self.metadata.preprocess;
        let pair = |index: usize| {
            let picture = decode(&self.predictions.paths[index]).ok()?;
            let found = finder.find_in(self.model, &[picture], pre, self.device).ok()?;
            PlacePair::open(self.predictions, index, found.first()?, threshold)
        };
        random_examples(self.predictions, EXAMPLES, self.results.bootstrap.seed)
            .into_iter()
            .filter_map(pair)
            .collect()
    }

    fn gallery(&self) -> Gallery {
        if self.predictions.found.is_some() {
            return Gallery {
                pairs: self.pairs(),
                ..Gallery::default()
            };
        }
        let overlay = |index: usize| {
            let picture = decode(&self.predictions.paths[index]).ok()?;
            // A backbone that attends within windows has no rollout, and the page does without.
            attention_thumbnail(self.model, &picture, &self.metadata.preprocess, self.device).ok()
        };
        let errors = most_confident_errors(self.predictions, EXAMPLES).into_iter();
        let random = random_examples(self.predictions, EXAMPLES, self.results.bootstrap.seed).into_iter();
        Gallery {
            errors: errors
                .map(|index| Example {
                    overlay: overlay(index),
                    ..Example::open(self.predictions, index)
                })
                .collect(),
            random: random
                .map(|index| Example::open(self.predictions, index))
                .collect(),
            pairs: Vec::new(),
        }
    }

    fn data_card(&self) -> Vec<CardSection> {
        let dataset = self.dataset;
        let counts = Split::ALL.map(|split| dataset.class_counts(split));
        let row = |name: &str, numbers: [usize; 3]| {
            let numbers = numbers.map(format::count);
            [name.to_owned()].into_iter().chain(numbers).collect::<Vec<_>>()
        };
        let shown = dataset.classes.iter().enumerate();
        let mut rows: Vec<Vec<String>> = shown
            .filter(|_| dataset.classes.len() <= MOST_CLASSES)
            .map(|(class, name)| row(name, [counts[0][class], counts[1][class], counts[2][class]]))
            .collect();
        rows.push(row("all", Split::ALL.map(|split| dataset.split(split).len())));
        let images = CardSection {
            title: "Images".to_owned(),
            columns: ["class", "train", "val", "test"].map(str::to_owned).to_vec(),
            rows,
            notes: dataset.notes.clone(),
        };
        let leaks = CardSection {
            title: "What the splits share".to_owned(),
            notes: match self.leaks {
                None => vec!["Nobody looked.".to_owned()],
                Some([]) => vec![
                    "No patient, no file and no look-alike (saved again, resized, mirrored) is in two splits.".to_owned(),
                ],
                Some(found) => found.to_vec(),
            },
            ..CardSection::default()
        };
        vec![images, leaks]
    }

    fn model_card(&self) -> Vec<(String, String)> {
        let TaskMetadata {
            method,
            backbone,
            preprocess,
            calibration,
            training,
            vpt_version,
            ..
        } = self.metadata;
        let [height, width] = preprocess.input_size;
        let parameters =
            |tuned: usize, total: usize| format!("{} of {}", format::count(tuned), format::count(total));
        let results = self.results;
        let known = [
            (
                "task",
                Some(format!(
                    "{} ({})",
                    self.metadata.task.name, self.metadata.task.kind
                )),
            ),
            ("method", Some(method.to_string())),
            (
                "backbone",
                Some(format!("{} from {}", backbone.architecture, results.model)),
            ),
            ("its sha256", Some(backbone.sha256.clone())),
            (
                "tuned parameters",
                results
                    .tuned_params
                    .zip(results.total_params)
                    .map(|(tuned, total)| parameters(tuned, total)),
            ),
            ("task file", results.task_file_bytes.map(format::bytes)),
            (
                "images",
                Some(format!(
                    "{height} x {width}, {}, mean {:?}, standard deviation {:?}",
                    preprocess.interpolation, preprocess.mean, preprocess.std
                )),
            ),
            ("decisions", Some(calibration.to_string())),
            ("epoch", Some(training.epoch.to_string())),
            ("seed", Some(training.seed.to_string())),
            (
                "trained",
                Some(format!("{} with vpt {vpt_version}", training.date)),
            ),
            ("device", results.device.clone()),
            ("data sha256", results.data_fingerprint.clone()),
        ];
        known
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}
