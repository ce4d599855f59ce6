//! What a method trains with unless told otherwise. One table, tuned by experiment.

use vpt_core::methods::{MethodConfig, MethodKind};
use vpt_data::{AugmentConfig, TaskKind};

use crate::HeadInit;

/// The settings that depend on the method.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images per step.
    pub batch_size: usize,
    /// Peak learning rate of AdamW.
    pub lr: f64,
    /// Peak learning rate of the head, where it is another.
    pub head_lr: Option<f64>,
    /// How the head starts.
    pub head_init: HeadInit,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Epochs over which the learning rate rises.
    pub warmup_epochs: f64,
    /// Limit of the gradient's norm.
    pub clip_grad: Option<f64>,
    /// Label smoothing.
    pub smoothing: f64,
    /// Smallest area of the random crop of training images. None trains on them exactly as evaluation sees them; a linear
    /// probe then computes the features of each image once.
    pub crop: Option<f64>,
}

impl Recipe {
    /// The augmentation: that of [`AugmentConfig::default`] with this crop, or none.
    pub fn augment(&self) -> AugmentConfig {
        self.crop.map_or_else(AugmentConfig::none, crop_of)
    }
}

/// [`AugmentConfig::default`] with random crops of at least this share of the image's area, the flatter the smaller.
pub(crate) fn crop_of(area: f64) -> AugmentConfig {
    let flattest = f64::midpoint(area, 1.0);
    AugmentConfig {
        rrc_scale: [area, 1.0],
        rrc_ratio: [flattest, 1.0 / flattest],
        ..AugmentConfig::default()
    }
}

/// The recipe of `method`. Prompts want many steps at a high rate, and images close to what evaluation sees; a head that is
/// fitted first helps short trainings (`docs/results.md`). Biases beside them bear less. What is small and begins as nothing takes
/// the rates of its paper. A whole backbone wants few steps at a low rate, and can use stronger crops; it has the recipe of timm's
/// `train.py`, which a search found best for it on sign_digits (`docs/results.md`).
#[rustfmt::skip]
#[allow(clippy::too_many_arguments, reason = "a table of rows")]
pub fn recipe(method: &MethodConfig) -> Recipe {
    const fn row(epochs: usize, batch_size: usize, lr: f64, head_lr: Option<f64>, head_init: HeadInit, weight_decay: f64,
                 warmup_epochs: f64, clip_grad: Option<f64>, smoothing: f64, crop: Option<f64>) -> Recipe {
        Recipe { epochs, batch_size, lr, head_lr, head_init, weight_decay, warmup_epochs, clip_grad, smoothing, crop }
    }
    use HeadInit::{Normal, Probe};
    match method.kind {
        //                           epochs  batch  lr    head lr     head    decay  warm-up  clip       smooth  crop
        MethodKind::VptDeep | MethodKind::VptShallow if method.bias
                               => row(100,   32,    5e-3, Some(1e-2), Probe,  1e-3,  5.0,     Some(5.0), 0.0,    Some(0.9)),
        MethodKind::VptDeep | MethodKind::VptShallow
                               => row(100,   32,    2e-2, None,       Probe,  1e-3,  5.0,     Some(5.0), 0.0,    Some(0.9)),
        MethodKind::Linear     => row(100,   32,    1e-2, None,       Normal, 1e-4,  5.0,     None,      0.0,    None),
        MethodKind::Full       => row(50,    32,    1e-3, None,       Normal, 5e-2, 10.0,     Some(1.0), 0.1,    Some(0.7)),
        MethodKind::Lora | MethodKind::Adapter | MethodKind::Adaptformer | MethodKind::Norm | MethodKind::Bitfit
                               => row(100,   32,    2e-3, Some(1e-2), Normal, 1e-3,  5.0,     Some(5.0), 0.0,    Some(0.9)),
        MethodKind::Ssf        => row(100,   32,    5e-3, Some(1e-2), Normal, 1e-3,  5.0,     Some(5.0), 0.0,    Some(0.9)),
        MethodKind::Mlp        => row(100,   32,    3e-3, None,       Normal, 1e-4,  5.0,     None,      0.0,    None),
        MethodKind::Scratch    => row(100,   32,    1e-3, None,       Normal, 5e-2, 10.0,     Some(1.0), 0.0,    Some(0.5)),
        MethodKind::Partial    => row(50,    32,    1e-3, None,       Normal, 1e-2,  5.0,     Some(1.0), 0.0,    Some(0.7)),
    }
}

/// The recipe of `method` for tasks of that kind.
pub(crate) fn recipe_for(method: &MethodConfig, kind: TaskKind) -> Recipe {
    match kind.is_dense() {
        true => places_recipe(method),
        false => recipe(method),
    }
}

/// The recipe of `method` for boxes and masks, whose heads start from nothing and have several layers: few images a step, and one rate for
/// all heads.
pub fn places_recipe(method: &MethodConfig) -> Recipe {
    let lr = match method.kind {
        MethodKind::VptDeep | MethodKind::VptShallow | MethodKind::Ssf => 5e-3,
        MethodKind::Linear | MethodKind::Mlp => 2e-3,
        MethodKind::Lora
        | MethodKind::Adapter
        | MethodKind::Adaptformer
        | MethodKind::Norm
        | MethodKind::Bitfit => 1e-3,
        MethodKind::Partial | MethodKind::Scratch => 5e-4,
        MethodKind::Full => 2e-4,
    };
    Recipe {
        epochs: 50,
        batch_size: 8,
        lr,
        head_lr: (method.kind != MethodKind::Linear).then_some(2e-3),
        head_init: HeadInit::Normal,
        weight_decay: recipe(method).weight_decay.max(1e-4),
        warmup_epochs: 2.0,
        clip_grad: Some(5.0),
        smoothing: 0.0,
        crop: Some(0.5),
    }
}
