//! [`TrainConfig`]: every setting of a training run, and nothing about where its results go.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vpt_core::methods::MethodConfig;
use vpt_core::{Backbone, HeadConfig, Precision, VitConfig};
use vpt_data::{AugmentConfig, ColumnNames, CropMode, OpenOptions, Preprocess, TaskKind};
use vpt_eval::{AbstainRule, CalibrationPlan, ThresholdRule};

use crate::defaults::{Recipe, places_recipe, recipe};
use crate::{Cache, ClassWeights, HeadInit, Loss, Opt, Sampling, Sched};

/// Patches along each side of the input for boxes and masks, if no image size is given.
const PLACES_GRID: usize = 32;

/// Every setting of a training run. The run folder's `args.toml` is this, so `-c args.toml` repeats a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Folder (or file) of the data set.
    pub data_dir: PathBuf,
    /// Name of the task; the data set's own name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// What is asked of the model; what the data says if absent ([`TrainConfig::for_data`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<TaskKind>,
    /// The classes in their order, where natural order is not meant; the data must have exactly these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// Backbone: a built-in name, a folder with `model.safetensors` and `config.json`, or a weight file.
    pub model: String,
    /// Whether the backbone's weights are used; without them its architecture starts at random values.
    pub pretrained: bool,
    /// Height and width in pixels that the backbone reads; the backbone's own size if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_size: Option<[usize; 2]>,
    /// Channels of the maps of a head for boxes or masks; what is usual if absent, one linear layer for masks at 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_width: Option<usize>,
    /// How many times larger than a whole picture the pixels of masks are looked for, window by window; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<usize>,
    /// Task file whose prompts (or other tuned tensors) and, where the classes agree, head are the starting point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_from: Option<PathBuf>,
    /// Passes over the training images.
    pub epochs: usize,
    /// Images per forward pass.
    pub batch_size: usize,
    /// Batches per optimiser step; their gradients are averaged over their images.
    pub grad_accum_steps: usize,
    /// Whether blocks are computed again for their gradients instead of keeping what they need: less memory, more time.
    #[serde(default)]
    pub grad_checkpointing: bool,
    /// In how many bits frozen weights are kept, on the CPU.
    #[serde(default)]
    pub precision: Precision,
    /// Update rule.
    pub opt: Opt,
    /// Peak learning rate.
    pub lr: f64,
    /// Peak learning rate of the head; `lr` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_lr: Option<f64>,
    /// How the head starts.
    pub head_init: HeadInit,
    /// Momentum of SGD.
    pub momentum: f64,
    /// Weight decay of everything but biases and norms; if absent, validation chooses it ([`Opt::Lbfgs`] alone can do so).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Epochs (may be a fraction) over which the learning rate rises linearly.
    pub warmup_epochs: f64,
    /// Learning rate after warm-up.
    pub sched: Sched,
    /// Limit of the gradient's norm over all tuned parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_grad: Option<f64>,
    /// How much of itself a running mean of what is learned keeps at each step; that mean is then what is validated and stored. None if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// What training makes small.
    pub loss: Loss,
    /// γ of the focal loss; 2 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub focal_gamma: Option<f64>,
    /// For grades: how far the target of a grade spreads to its neighbours, a standard deviation in grades.
    pub grade_spread: f64,
    /// Label smoothing, a share from 0 to below 1.
    pub smoothing: f64,
    /// How classes are weighted in the training loss.
    pub class_weights: ClassWeights,
    /// τ of the logit adjustment; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logit_adjustment: Option<f64>,
    /// Validation metric that chooses the best epoch (ties: the lower validation loss); that of the kind if absent
    /// ([`TrainConfig::main_metric`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_metric: Option<String>,
    /// Epochs without a better one after which training stops; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// Seed of everything random but the splits.
    pub seed: u64,
    /// Seed of the splits, where the data set has none, and of the choice of `shots`. Apart from `seed`, so that runs
    /// over several seeds train and test on the same images.
    pub split_seed: u64,
    /// Whether the training images are shuffled anew each epoch.
    pub shuffle: bool,
    /// Which training images make up an epoch.
    pub sampling: Sampling,
    /// Threads that decode and augment; 0 takes all cores.
    pub workers: usize,
    /// Where decoded images are kept, and what the frozen blocks below all that is learnt make of images that are not augmented.
    pub cache: Cache,
    /// MiB that are kept at most ([`TrainConfig::cache_mb`] otherwise).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_mb: Option<usize>,
    /// Shorter side in pixels to which larger training images are shrunk before they are kept and augmented; none keeps them whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shrink: Option<u32>,
    /// Training images per class; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shots: Option<usize>,
    /// Seed of the choice of `shots`; `split_seed` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shots_seed: Option<u64>,
    /// How many times an epoch shows each training image, differently augmented each time.
    pub repeats: usize,
    /// Train on the validation images too. Nothing then chooses the epoch, and the last one counts.
    pub train_on_val: bool,
    /// Whether the test images are read after training. Without, results are of the validation images.
    pub read_test: bool,
    /// Share of the images that validate, where the data set does not say.
    pub val_fraction: f64,
    /// Share of the images that test, where the data set has no split folders.
    pub test_fraction: f64,
    /// Leave out unreadable images instead of stopping.
    pub skip_bad_images: bool,
    /// Look for images that the splits share before training.
    pub leak_check: bool,
    /// Cut the images into this many parts and test on one of them, for cross-validation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folds: Option<usize>,
    /// Which part is the test, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<usize>,
    /// Class that is to be found, of two: it becomes the last, of which sensitivity, threshold and AUROC speak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive_class: Option<String>,
    /// Whether a temperature is fitted on the validation images, so that probabilities can be believed.
    pub calibrate: bool,
    /// Threshold chosen on the validation images, for two classes, or for each of any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating_point: Option<ThresholdRule>,
    /// When to leave a decision to somebody else, chosen on the validation images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abstain: Option<AbstainRule>,
    /// Write curves for TensorBoard too.
    pub tensorboard: bool,
    /// Store task files as float16; all metrics are measured after rounding.
    pub half: bool,
    /// Tuning method.
    pub method: MethodConfig,
    /// Augmentation of the training images.
    pub augment: AugmentConfig,
    /// Which columns of a table are what, where their names do not say.
    pub columns: ColumnNames,
}

impl TrainConfig {
    /// The defaults of `method`, for the built-in backbone and no data set yet.
    pub fn defaults_for(method: MethodConfig) -> Self {
        let recipe = recipe(&method);
        let open = OpenOptions::default();
        Self {
            data_dir: PathBuf::new(),
            task: None,
            kind: None,
            classes: None,
            model: "demo".into(),
            pretrained: true,
            image_size: None,
            head_width: None,
            windows: None,
            init_from: None,
            epochs: recipe.epochs,
            batch_size: recipe.batch_size,
            grad_accum_steps: 1,
            grad_checkpointing: false,
            precision: Precision::F32,
            opt: Opt::AdamW,
            lr: recipe.lr,
            head_lr: recipe.head_lr,
            head_init: recipe.head_init,
            momentum: 0.9,
            weight_decay: Some(recipe.weight_decay),
            warmup_epochs: recipe.warmup_epochs,
            sched: Sched::Cosine,
            clip_grad: recipe.clip_grad,
            ema: None,
            loss: Loss::CrossEntropy,
            focal_gamma: None,
            grade_spread: 0.0,
            smoothing: recipe.smoothing,
            class_weights: ClassWeights::None,
            logit_adjustment: None,
            eval_metric: None,
            patience: None,
            seed: 42,
            split_seed: open.seed,
            shuffle: true,
            sampling: Sampling::Shuffle,
            workers: 0,
            cache: Cache::Ram,
            cache_mb: None,
            shrink: None,
            shots: None,
            shots_seed: None,
            repeats: 1,
            train_on_val: false,
            read_test: true,
            val_fraction: open.val_fraction,
            test_fraction: open.test_fraction,
            skip_bad_images: false,
            leak_check: true,
            folds: None,
            fold: None,
            positive_class: None,
            calibrate: true,
            operating_point: None,
            abstain: None,
            tensorboard: false,
            half: false,
            method,
            augment: recipe.augment(),
            columns: ColumnNames::default(),
        }
    }

    /// These defaults for boxes or masks.
    pub(crate) fn for_places(self) -> Self {
        let Recipe {
            epochs,
            batch_size,
            lr,
            head_lr,
            head_init,
            weight_decay,
            warmup_epochs,
            clip_grad,
            smoothing,
            ..
        } = places_recipe(&self.method);
        Self {
            epochs,
            batch_size,
            lr,
            head_lr,
            head_init,
            weight_decay: Some(weight_decay),
            warmup_epochs,
            clip_grad,
            smoothing,
            augment: places_recipe(&self.method).augment(),
            ..self
        }
    }

    /// What is asked of the model: classification where nothing says.
    pub fn kind(&self) -> TaskKind {
        self.kind.unwrap_or_default()
    }

    /// Name of the metric that chooses the best epoch and is reported first.
    pub fn main_metric(&self) -> &str {
        self.eval_metric.as_deref().unwrap_or(match self.kind() {
            TaskKind::Classification => "top1",
            TaskKind::Ordinal => "qwk",
            TaskKind::MultiLabel => "auroc",
            TaskKind::Detection => "ap",
            TaskKind::Segmentation => "miou",
        })
    }

    /// How images are prepared for `backbone`.
    pub fn preprocess(&self, backbone: &Backbone) -> Preprocess {
        let own = &backbone.preprocess;
        let dense = self.kind().is_dense();
        let usual = match dense {
            // A backbone that merges patches (Swin) is at its own size already.
            true => {
                let patch = backbone.config.patch_size;
                std::array::from_fn(|axis| (patch[axis] * PLACES_GRID).max(own.input_size[axis]))
            }
            false => own.input_size,
        };
        Preprocess {
            input_size: self.image_size.unwrap_or(usual),
            crop_mode: if dense { CropMode::Letterbox } else { own.crop_mode },
            windows: self.windows.unwrap_or(1),
            ..own.clone()
        }
    }

    /// The head for a backbone like that.
    pub fn head(&self, vit: &VitConfig) -> HeadConfig {
        match self.kind() {
            TaskKind::Classification | TaskKind::Ordinal | TaskKind::MultiLabel => HeadConfig::Linear,
            TaskKind::Detection => HeadConfig::detection(self.head_width),
            TaskKind::Segmentation => {
                let [height, width] = vit.output_stride();
                HeadConfig::segmentation(self.head_width, height.max(width))
            }
        }
    }

    /// Why results are not of test images, where they are not.
    pub fn why_no_test(&self) -> &'static str {
        match self.read_test {
            true => "there are no test images",
            false => "the test images are not read",
        }
    }

    /// What is chosen on the validation images after training.
    pub fn calibration_plan(&self) -> CalibrationPlan {
        CalibrationPlan {
            temperature: self.calibrate,
            threshold: self.operating_point,
            abstain: self.abstain,
        }
    }

    /// Whether every forward pass below the head gives the same features, so that they can be computed once.
    pub fn features_are_constant(&self) -> bool {
        self.images_are_constant() && self.method.kind.is_head_alone()
    }

    /// Whether what does not change of the model makes the same of an image in every epoch, and may be kept.
    pub fn images_are_constant(&self) -> bool {
        self.cache != Cache::Off && self.augment.is_none()
    }
}
