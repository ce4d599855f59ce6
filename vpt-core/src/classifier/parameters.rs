//! The parameters of a [`Classifier`]: which of them learn, and all of them by name.

use std::borrow::Cow;
use std::collections::BTreeMap;

use burn::module::{Module, ParamGroup};

use super::{Classifier, fitting};
use crate::methods::{Tuner, is_added};
use crate::named_tensors::{self, ParamInfo};
use crate::weights::{canonical_sha256, is_classifier};
use crate::{CoreError, HostTensor};

impl Classifier {
    /// The parameters that the method learns.
    pub fn group(&self) -> ParamGroup {
        self.group_of(|name, _| self.tunes(name))
    }

    /// The learned parameters without weight decay: biases, one-dimensional parameters, and the tokens and
    /// position embeddings of the backbone (timm). Prompts do decay, as in the reference.
    pub fn no_decay_group(&self) -> ParamGroup {
        self.group_of(|name, info| self.tunes(name) && !decays(name, info))
    }

    /// The parameters of the head.
    pub fn head_group(&self) -> ParamGroup {
        self.group_of(|name, _| is_classifier(name))
    }

    /// Learned values.
    pub fn num_tuned(&self) -> usize {
        let params = self.params().into_iter();
        params
            .filter(|(name, _)| self.tunes(name))
            .map(|(_, info)| info.shape.iter().product::<usize>())
            .sum()
    }

    /// All values, learned or frozen.
    pub fn num_total(&self) -> usize {
        self.num_params()
    }

    /// The learned tensors under their task-file names: those of the backbone are timm's, those that a method adds are listed in
    /// its file in [`crate::methods`].
    pub fn tuned_tensors(&self) -> BTreeMap<String, HostTensor> {
        named_tensors::read(self, self.config(), |name| self.tunes(name))
    }

    /// Loads what [`Classifier::tuned_tensors`] gave.
    ///
    /// # Errors
    /// [`CoreError::Tensors`] when names or shapes are not those of this model's group.
    pub fn load_tuned(self, tensors: &BTreeMap<String, HostTensor>) -> Result<Self, CoreError> {
        let mut expected = self.shapes();
        expected.retain(|name, _| self.tunes(name));
        let found = tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.shape.clone()))
            .collect();
        fitting(&expected, &found, "the task")?;
        let mut model = named_tensors::load(self, |name| tensors.get(name).map(Cow::Borrowed));
        if let Some(Tuner::Prompts(prompts)) = &mut model.tuner {
            prompts.unfold();
        }
        Ok(model)
    }

    /// The backbone's tensors under timm's names.
    pub fn backbone_tensors(&self) -> BTreeMap<String, HostTensor> {
        let own = |name: &str| !is_classifier(name) && !is_added(name);
        named_tensors::read(self, self.config(), own)
    }

    /// The canonical hash of the backbone as it is now: equal to [`Backbone::sha256`](crate::Backbone::sha256) where the method
    /// [keeps it](crate::MethodConfig::keeps_backbone).
    pub fn backbone_sha256(&self) -> String {
        canonical_sha256(&self.backbone_tensors())
    }

    /// Every parameter by its task-file name.
    pub fn params(&self) -> BTreeMap<String, ParamInfo> {
        named_tensors::describe(self, self.config())
    }

    pub(super) fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        let params = self.params().into_iter();
        params.map(|(name, info)| (name, info.shape)).collect()
    }

    pub(super) fn tunes(&self, name: &str) -> bool {
        self.method.tunes(name, self.config())
    }

    fn group_of(&self, wanted: impl Fn(&str, &ParamInfo) -> bool) -> ParamGroup {
        let params = self.params().into_iter();
        let ids = params
            .filter(|(name, info)| wanted(name, info))
            .map(|(_, info)| info.id);
        ParamGroup::from_ids(ids.collect())
    }
}

/// Whether weight decay applies to a parameter.
fn decays(name: &str, info: &ParamInfo) -> bool {
    let embedding = matches!(name, "pos_embed" | "cls_token" | "dist_token" | "reg_token");
    let bias = name.ends_with("bias") || name.ends_with("relative_position_bias_table");
    info.shape.len() > 1 && !bias && !embedding
}
