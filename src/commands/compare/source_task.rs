//! [`SourceTask`]: something that the backbone could do before it was tuned, and is asked to do again.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use ndarray::{Array2, Axis};
use vpt_core::task_file::TaskFile;
use vpt_core::weights::{canonical_sha256, is_classifier};
use vpt_core::{Backbone, Classifier, HostTensor};
use vpt_data::{Dataset, OpenOptions, Preprocess, Sample, Split, scenes};
use vpt_eval::{PredictOptions, Predictions, predict};

use crate::cli::DataArgs;
use crate::failure::Failure;
use crate::session::Session;
use crate::target::Target;
use crate::{progress, settings};

/// Name of the drawn pictures that the built-in backbone was pretrained with.
pub const SCENES: &str = "scenes";

/// Where the drawn pictures stand among the classes of the built-in backbone's head: behind eight classes of CIFAR-10 and
/// the 200 of Tiny ImageNet, in natural order of their names.
const SCENES_OF_DEMO: std::ops::Range<usize> = 208..299;

/// Seed of pictures that no pretraining has seen, and how many of each class.
const SEED: u64 = 2026;
const PER_CLASS: usize = 10;

/// Classes of the built-in backbone's head.
const DEMO_CLASSES: usize = 301;

/// Something that a backbone can do, with the images to show it on.
pub struct SourceTask {
    /// What reports call it.
    pub name: String,
    samples: Vec<Sample>,
    classes: Vec<String>,
    preprocess: Preprocess,
    head: Head,
    /// Stands for images and head in the name of what was measured.
    pub fingerprint: String,
}

/// How its classes are told.
enum Head {
    /// By these outputs of the head that the weights came with.
    Own(std::ops::Range<usize>),
    /// By a trained task.
    Task(Box<TaskFile>),
}

impl SourceTask {
    /// `scenes` for the built-in backbone; a run or task file that was trained on the backbone; or images whose classes are
    /// those of the weights' own head. Drawn pictures go into `cache`.
    pub fn open(given: &str, backbone: &Backbone, cache: &Path) -> Result<Self> {
        let path = Path::new(given);
        if given == SCENES && !path.exists() {
            return Self::scenes(backbone, cache);
        }
        if path.is_file() && !is_table(path) || settings::of_run(path).is_ok() {
            return Self::task(path, backbone);
        }
        let dataset = Dataset::open(path, &OpenOptions::default())?;
        if dataset.classes.len() != backbone.num_classes {
            return Err(Failure::new(format!(
                "`{given}` has {} classes, the head of the backbone `{}` has {}",
                dataset.classes.len(),
                backbone.source,
                backbone.num_classes
            ))
            .hint("give the images that the backbone's head was trained for, or a run that was trained on the backbone")
            .into());
        }
        let outputs = 0..backbone.num_classes;
        Self::with_own_head(&dataset, held_out(&dataset), outputs, backbone)
    }

    fn scenes(backbone: &Backbone, cache: &Path) -> Result<Self> {
        if backbone.num_classes != DEMO_CLASSES || backbone.sha256 != Backbone::load("demo")?.sha256 {
            return Err(Failure::usage(format!(
                "`--source-task {SCENES}` is the task of the built-in backbone, this one is `{}`",
                backbone.source
            ))
            .hint("give a run that was trained on this backbone, or the images of its head")
            .into());
        }
        let [edge, _] = backbone.preprocess.input_size;
        let dataset = scenes::draw_dataset(&cache.join(SCENES), SEED, 1, PER_CLASS, edge as u32)?;
        Self::with_own_head(&dataset, Split::Val, SCENES_OF_DEMO, backbone)
    }

    fn with_own_head(
        dataset: &Dataset,
        split: Split,
        outputs: std::ops::Range<usize>,
        backbone: &Backbone,
    ) -> Result<Self> {
        Ok(Self {
            name: dataset.name.clone(),
            samples: dataset.split(split).to_vec(),
            classes: dataset.classes.clone(),
            preprocess: backbone.preprocess.clone(),
            fingerprint: dataset.fingerprint()?,
            head: Head::Own(outputs),
        })
    }

    fn task(path: &Path, backbone: &Backbone) -> Result<Self> {
        let target = Target::open(path)?;
        let metadata = &target.task.metadata;
        target.task.check_backbone(backbone)?;
        if metadata.head.is_dense() {
            return Err(Failure::usage(format!(
                "the source task `{}` is {}",
                path.display(),
                metadata.task.kind
            ))
            .hint("give one of whole images")
            .into());
        }
        let own = |name: &String| backbone.tensors.contains_key(name) && !is_classifier(name);
        if target.task.tensors.keys().any(own) {
            return Err(Failure::usage(format!(
                "the source task `{}` was trained with {}, which changes the backbone itself",
                path.display(),
                metadata.method
            ))
            .hint("give one that leaves it as it is, such as `--method linear` or `vpt-deep`")
            .into());
        }
        let dataset = target.dataset(&DataArgs::default())?;
        Ok(Self {
            name: metadata.task.name.clone(),
            samples: dataset.split(held_out(&dataset)).to_vec(),
            classes: metadata.task.classes.clone(),
            preprocess: metadata.preprocess.clone(),
            fingerprint: format!(
                "{} {}",
                dataset.fingerprint()?,
                canonical_sha256(&target.task.tensors)
            ),
            head: Head::Task(Box::new(target.task)),
        })
    }

    /// What the backbone says to its source task's images once `changed` tensors have taken the place of its own.
    pub fn predict(
        &self,
        backbone: &Backbone,
        changed: &BTreeMap<String, HostTensor>,
        session: &Session,
    ) -> Result<Predictions> {
        let device = session.device()?.device;
        let backbone = with(backbone, changed);
        let size = self.preprocess.input_size;
        let model = match &self.head {
            Head::Own(_) => Classifier::with_pretrained_head(backbone, size, &device)?,
            Head::Task(task) => {
                let (method, seed) = (&task.metadata.method, task.metadata.training.seed);
                Classifier::new(backbone, method, self.classes.len(), size, seed, &device)?
                    .load_tuned(&task.tensors)?
            }
        };
        let outputs = match &self.head {
            Head::Own(outputs) => outputs.clone(),
            Head::Task(_) => 0..self.classes.len(),
        };
        if outputs.end > model.num_classes() {
            return Err(Failure::new(format!(
                "the head of `{}` has {} outputs, its description speaks of {}",
                self.name,
                model.num_classes(),
                outputs.end
            ))
            .hint("mend `num_classes` in the config.json of the backbone")
            .into());
        }
        let bar = progress::images(session.output, "source task", self.samples.len());
        let names: Vec<String> = (0..model.num_classes()).map(|class| class.to_string()).collect();
        let said = predict(
            &model,
            &PredictOptions::default().loader(&self.samples, names.len(), &self.preprocess),
            &names,
            &device,
            &mut |done, _| bar.set_position(done as u64),
        )?;
        bar.finish_and_clear();
        let columns: Vec<usize> = outputs.collect();
        let logits: Array2<f32> = said.logits.select(Axis(1), &columns);
        Ok(Predictions::of(&self.classes, &self.samples, logits)?)
    }
}

/// The backbone with other tensors in the place of its own.
pub fn with(backbone: &Backbone, changed: &BTreeMap<String, HostTensor>) -> Backbone {
    let mut backbone = backbone.clone();
    for (name, tensor) in changed {
        backbone.tensors.insert(name.clone(), tensor.clone());
    }
    backbone
}

/// Images that nothing was learnt from.
fn held_out(dataset: &Dataset) -> Split {
    match dataset.test.is_empty() {
        true => Split::Val,
        false => Split::Test,
    }
}

/// Whether a file lists images, rather than being a task.
fn is_table(path: &Path) -> bool {
    path.extension()
        .and_then(|ending| ending.to_str())
        .is_some_and(|ending| ["csv", "tsv", "npz"].contains(&ending.to_ascii_lowercase().as_str()))
}
