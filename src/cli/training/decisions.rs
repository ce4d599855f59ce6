//! Flags of what a trained model decides.

use clap::Args;
use vpt_eval::{AbstainRule, CalibrationPlan, ThresholdRule};

use crate::cli::layer::Layer;
use crate::cli::values;

/// What of a model's outputs becomes a decision, chosen on validation images; shared by training and `vpt calibrate`.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Decisions")]
pub struct CalibrationArgs {
    /// Threshold for two classes, or for each of any number: `youden`, `sensitivity=0.95`, `specificity=0.9`, or `cost=5` (false alarms that a miss is worth)
    #[arg(long, value_name = "RULE", value_parser = values::rule::<ThresholdRule>)]
    pub operating_point: Option<ThresholdRule>,

    /// Leave uncertain images undecided: `coverage=0.9` decides the surest 90 %, `error=0.02` as many as 2 % errors allow
    #[arg(long, value_name = "RULE", value_parser = values::rule::<AbstainRule>)]
    pub abstain: Option<AbstainRule>,

    /// Leave probabilities as the softmax gives them instead of fitting a temperature
    #[arg(long)]
    pub no_calibration: bool,
}

impl CalibrationArgs {
    /// What is to be chosen.
    pub fn plan(self) -> CalibrationPlan {
        CalibrationPlan {
            temperature: !self.no_calibration,
            threshold: self.operating_point,
            abstain: self.abstain,
        }
    }
}

/// How the trained model's outputs become decisions. All of it is chosen on the validation images and stored in the task file.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Decisions")]
pub struct DecisionArgs {
    /// What is asked: one class for each image, its grade, where the classes have an order, or any number of classes [default: that of the task, else as the data is labelled]
    #[arg(long, value_name = "KIND", value_parser = ["classification", "ordinal", "multi-label", "detection", "segmentation"])]
    pub kind: Option<String>,

    /// The class to be found, of two: sensitivity, threshold and AUROC are about it [default: the last one]
    #[arg(long, value_name = "CLASS")]
    pub positive_class: Option<String>,

    #[command(flatten)]
    pub calibration: CalibrationArgs,
}

impl DecisionArgs {
    /// What was given, into a layer of settings.
    pub fn add_to(&self, layer: &mut Layer) {
        layer.set("kind", self.kind.clone());
        layer.set("positive_class", self.positive_class.clone());
        let chosen = self.calibration;
        layer.set("operating_point", chosen.operating_point.map(String::from));
        layer.set("abstain", chosen.abstain.map(String::from));
        layer.set("calibrate", chosen.no_calibration.then_some(false));
    }
}
