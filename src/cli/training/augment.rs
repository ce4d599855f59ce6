//! Flags of how training images are changed.

use clap::Args;
use toml::Value;

use crate::cli::layer::Layer;
use crate::cli::values;

/// How training images are changed before the model sees them.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Augmentation")]
pub struct AugmentArgs {
    /// Train on the images exactly as evaluation sees them
    #[arg(long)]
    pub no_aug: bool,

    /// Area of the random resized crop, as a share of the image
    #[arg(long, visible_alias = "scale", value_name = "LOW,HIGH", value_parser = values::range, conflicts_with = "no_aug")]
    pub rrc_scale: Option<[f64; 2]>,

    /// Aspect ratio of the random resized crop
    #[arg(long, visible_alias = "ratio", value_name = "LOW,HIGH", value_parser = values::range, conflicts_with = "no_aug")]
    pub rrc_ratio: Option<[f64; 2]>,

    /// Chance of a left-right flip
    #[arg(long, visible_alias = "fliplr", value_name = "P", value_parser = values::fraction, conflicts_with = "no_aug")]
    pub hflip: Option<f64>,

    /// Chance of an upside-down flip
    #[arg(long, visible_alias = "flipud", value_name = "P", value_parser = values::fraction, conflicts_with = "no_aug")]
    pub vflip: Option<f64>,

    /// Largest rotation either way, in degrees
    #[arg(long, visible_alias = "degrees", value_name = "DEGREES", value_parser = values::degrees, conflicts_with = "no_aug")]
    pub rotation: Option<f64>,

    /// Strength of brightness, contrast and saturation changes
    #[arg(long, value_name = "F", value_parser = values::fraction, conflicts_with = "no_aug")]
    pub color_jitter: Option<f64>,

    /// RandAugment: operations for an image and their magnitude (0 to 10)
    #[arg(long, value_name = "N,M", value_parser = values::rand_augment, conflicts_with = "no_aug")]
    pub rand_augment: Option<(usize, f64)>,

    /// Chance of erasing a random rectangle
    #[arg(long, visible_alias = "reprob", value_name = "P", value_parser = values::fraction, conflicts_with = "no_aug")]
    pub random_erasing: Option<f64>,

    /// Chance that a picture with boxes or a mask shares its input with three others
    #[arg(long, value_name = "P", value_parser = values::fraction, conflicts_with = "no_aug")]
    pub mosaic: Option<f64>,

    /// Mixup alpha; 0 is off
    #[arg(long, value_name = "ALPHA", value_parser = values::non_negative, conflicts_with = "no_aug")]
    pub mixup: Option<f64>,

    /// CutMix alpha; 0 is off
    #[arg(long, value_name = "ALPHA", value_parser = values::non_negative, conflicts_with = "no_aug")]
    pub cutmix: Option<f64>,

    /// Images of an epoch: each once, or each class equally often
    #[arg(long, value_name = "SAMPLING", value_parser = ["shuffle", "balanced"], help_heading = "Data")]
    pub sampling: Option<String>,

    /// Feed the training images in the same order in every epoch
    #[arg(long, conflicts_with = "sampling")]
    pub no_shuffle: bool,
}

impl AugmentArgs {
    /// What was given, into a layer of settings.
    pub fn add_to(&self, layer: &mut Layer) {
        layer.set("augment", self.no_aug.then(|| "none".to_owned()));
        layer.pair("augment.rrc_scale", self.rrc_scale);
        layer.pair("augment.rrc_ratio", self.rrc_ratio);
        layer.set("augment.hflip", self.hflip);
        layer.set("augment.vflip", self.vflip);
        layer.set("augment.rotation", self.rotation);
        layer.set("augment.color_jitter", self.color_jitter);
        let rand_augment =
            |(operations, magnitude)| vec![Value::Integer(operations as i64), Value::Float(magnitude)];
        layer.set("augment.rand_augment", self.rand_augment.map(rand_augment));
        layer.set("augment.random_erasing", self.random_erasing);
        layer.set("augment.mosaic", self.mosaic);
        layer.set("augment.mixup", self.mixup);
        layer.set("augment.cutmix", self.cutmix);
        layer.set("sampling", self.sampling.clone());
        layer.set("shuffle", self.no_shuffle.then_some(false));
    }
}
