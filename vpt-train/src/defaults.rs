//! What a method trains with unless told otherwise. One table, tuned by experiment.

use vpt_core::methods::MethodKind;

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
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Epochs over which the learning rate rises.
    pub warmup_epochs: f64,
    /// Limit of the gradient's norm.
    pub clip_grad: Option<f64>,
    /// Whether training images are augmented. A linear probe without augmentation sees each image once (cached features).
    pub augment: bool,
}

/// The recipe of `method`. Prompts want many steps at a high rate; a whole backbone wants few at a low one.
#[rustfmt::skip]
pub fn recipe(method: MethodKind) -> Recipe {
    const fn row(epochs: usize, batch_size: usize, lr: f64, head_lr: Option<f64>, weight_decay: f64, warmup_epochs: f64,
                 clip_grad: Option<f64>, augment: bool) -> Recipe {
        Recipe { epochs, batch_size, lr, head_lr, weight_decay, warmup_epochs, clip_grad, augment }
    }
    match method {
        //                           epochs  batch  lr    head lr      decay  warm-up  clip       augment
        MethodKind::VptDeep    => row(100,   32,    1e-2, Some(5e-3),  1e-3,  5.0,     Some(5.0), true),
        MethodKind::VptShallow => row(100,   32,    1e-2, Some(5e-3),  1e-3,  5.0,     Some(5.0), true),
        MethodKind::Linear     => row(100,   32,    1e-2, None,        1e-4,  5.0,     None,      false),
        MethodKind::Full       => row(50,    32,    5e-4, None,        5e-2,  5.0,     Some(1.0), true),
        MethodKind::Bitfit     => row(100,   32,    2e-3, Some(5e-3),  1e-3,  5.0,     Some(5.0), true),
        MethodKind::Partial    => row(50,    32,    1e-3, None,        1e-2,  5.0,     Some(1.0), true),
    }
}
