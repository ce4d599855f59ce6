//! Working into the backbone's own layers what a method adds beside them.

use super::Classifier;
use crate::methods::Tuner;

impl Classifier {
    /// The same function of the image, with updates of low rank (LoRA), scales and shifts (SSF) worked into the layers that they
    /// stand beside or behind. What no layer can take in stays a [`Tuner`]; the configuration says which biases there are now.
    pub(crate) fn folded(mut self) -> Self {
        self.tuner = match self.tuner.take() {
            Some(Tuner::Lora(lora)) => {
                lora.fold_into(&mut self.backbone);
                None
            }
            Some(Tuner::Ssf(ssf)) => ssf.fold_into(&mut self.backbone).map(Tuner::Ssf),
            other => other,
        };
        self.backbone.note_biases();
        self
    }
}
