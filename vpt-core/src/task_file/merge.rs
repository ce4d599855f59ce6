//! Weights and a task that changed them, as one backbone that needs no task file.

use std::borrow::Cow;
use std::mem;

use burn::tensor::Device;

use super::TaskFile;
use crate::vit::{PosEmbedResampling, resample_bias_table, resample_pos_embed};
use crate::weights::{canonical_sha256, is_classifier};
use crate::{Backbone, CoreError, HostTensor, MethodKind, Tuner};

impl TaskFile {
    /// The backbone with the task's tensors in the place of its own, its head for the task's classes, and position
    /// embeddings (or biases by relative position) for the task's image size: what timm calls a fine-tuned model. Updates of low
    /// rank (LoRA), scales and shifts (SSF) become part of the weights.
    ///
    /// Logits are those of [`TaskFile::apply`] up to the rounding of what is worked in and of the position embeddings; exactly
    /// those where nothing is worked in and the image size did not change.
    ///
    /// # Errors
    /// [`CoreError::OtherBackbone`] for another backbone; [`CoreError::Setting`] for a method that adds what the backbone's layout
    /// has no place for: prompts, adapters, hidden layers of a head, and scales in front of a pooling that a norm follows.
    pub fn merge<'a>(&self, backbone: impl Into<Cow<'a, Backbone>>) -> Result<Backbone, CoreError> {
        let backbone = backbone.into();
        self.check_backbone(&backbone)?;
        let method = &self.metadata.method;
        if self.metadata.head.is_dense() {
            let allowed = "a task of whole images: no other library has this head; send the task file itself";
            return Err(CoreError::setting("task.kind", self.metadata.task.kind, allowed));
        }
        let mut merged = match method.kind {
            MethodKind::Lora | MethodKind::Ssf => self.folded_into(backbone.into_owned())?,
            _ if method.num_added(&backbone.config) > 0 => {
                let allowed = "a method whose outcome is a backbone; what this one adds lives in its task file, or in \
                               an ONNX graph (`vpt export --format onnx`)";
                return Err(CoreError::setting("method", method, allowed));
            }
            _ => {
                let mut merged = backbone.into_owned();
                merged.tensors.retain(|name, _| !is_classifier(name));
                merged.tensors.extend(self.tensors.clone());
                merged
            }
        };
        if merged.config.distilled {
            without_distillation_head(&mut merged);
        }
        merged.num_classes = self.metadata.task.classes.len();
        merged.preprocess = self.metadata.preprocess.clone();
        "merged".clone_into(&mut merged.source);

        let size = merged.preprocess.input_size;
        let (old, new) = (merged.config.grid_size(), merged.config.grid_for(size));
        if let Some(pos_embed) = merged.tensors.get_mut("pos_embed") {
            let prefix = merged.config.num_embedded_prefix_tokens();
            *pos_embed =
                resample_pos_embed(pos_embed, prefix, old, new, PosEmbedResampling::BicubicAntialias);
        }
        for i in 0..merged.config.depth {
            let name = format!("blocks.{i}.attn.relative_position_bias_table");
            if let Some(table) = merged.tensors.get_mut(&name) {
                let old = merged.config.bias_grid(i, merged.config.img_size);
                *table = resample_bias_table(table, old, merged.config.bias_grid(i, size));
            }
        }
        merged.config.img_size = size;
        merged.sha256 = canonical_sha256(&merged.tensors);
        Ok(merged)
    }

    /// The backbone's tensors with what the method learned beside them worked in, and the head.
    fn folded_into(&self, mut backbone: Backbone) -> Result<Backbone, CoreError> {
        let whole = Backbone {
            tensors: mem::take(&mut backbone.tensors),
            ..backbone.clone()
        };
        let model = self.apply(whole, &Device::flex())?.folded();
        if let Some(Tuner::Ssf(_)) = &model.tuner {
            let allowed = "another method, for a backbone without a norm before its pooling: the last scales of this one have \
                           no place in it, but in an ONNX graph (`vpt export --format onnx`)";
            return Err(CoreError::setting("method", &self.metadata.method, allowed));
        }
        backbone.config = model.config().clone();
        backbone.tensors = model.backbone_tensors();
        // Of what the method learned only the head is left.
        backbone.tensors.extend(model.tuned_tensors());
        Ok(backbone)
    }
}

/// A distilled model's logits are the mean of two heads, one on the class token and one on the distillation token. The task has
/// one, on the class token: twice that, and zeros.
fn without_distillation_head(merged: &mut Backbone) {
    for part in ["weight", "bias"] {
        let Some(head) = merged.tensors.get_mut(&format!("head.{part}")) else {
            continue;
        };
        head.data.iter_mut().for_each(|x| *x *= 2.0);
        let zeros = HostTensor::full(head.shape.clone(), 0.0);
        merged.tensors.insert(format!("head_dist.{part}"), zeros);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use burn::tensor::{Device, Tensor};

    use super::super::tests::{backbone, metadata, method};
    use super::*;
    use crate::{Classifier, HostTensor, MethodConfig, MethodOptions, VitConfig, init, preset};

    /// A task of `name` at 48×48 whose tensors differ from the backbone's.
    fn task(name: &str, backbone: &Backbone) -> TaskFile {
        let method = MethodConfig::parse(name, &MethodOptions::default()).unwrap();
        let model = Classifier::new(backbone, &method, 4, [48, 48], 5, &Device::flex()).unwrap();
        let moved = |(name, mut tensor): (String, HostTensor)| {
            tensor.data.iter_mut().for_each(|value| *value += 0.01);
            (name, tensor)
        };
        let tensors: BTreeMap<_, _> = model.tuned_tensors().into_iter().map(moved).collect();
        let mut metadata = metadata(backbone, method, 4);
        metadata.preprocess.input_size = [48, 48];
        TaskFile { metadata, tensors }
    }

    fn logits(model: &Classifier) -> Vec<f32> {
        let pixels = init::normal([2, 3, 48, 48], 1.0, &mut init::rng_of(0, "pixels"));
        let logits: Tensor<2> = model.forward(pixels.to_tensor(&Device::flex()));
        HostTensor::from_tensor(&logits).unwrap().data
    }

    #[test]
    fn merged_weights_predict_what_backbone_and_task_predict() {
        let plain = backbone();
        let config = VitConfig {
            img_size: [32, 32],
            embed_dim: 24,
            depth: 2,
            num_heads: 2,
            ..preset("beitv2_base_patch16_224").unwrap()
        };
        let beit = Backbone::random(config, 0, 1);
        let distilled = VitConfig {
            distilled: true,
            ..plain.config.clone()
        };
        let distilled = Backbone::random(distilled, 0, 1);
        let methods = ["full", "linear", "bitfit", "norm", "partial-1", "lora", "ssf"];
        let of = |backbone| methods.map(|name| (name, backbone));
        let cases = [&plain, &beit, &distilled].map(of);
        for (name, backbone) in cases.into_iter().flatten() {
            if name == "ssf" && !backbone.config.final_norm {
                let refused = task(name, backbone).merge(backbone).unwrap_err();
                assert!(
                    refused.to_string().contains("norm before its pooling"),
                    "{refused}"
                );
                continue;
            }
            let task = task(name, backbone);
            let merged = task.merge(backbone).unwrap();
            assert_eq!((merged.num_classes, merged.config.img_size), (4, [48, 48]));
            assert_ne!(merged.sha256, backbone.sha256);
            let folder = tempfile::tempdir().unwrap();
            merged.save(folder.path(), false).unwrap();
            let loaded = Backbone::load(folder.path().to_str().unwrap()).unwrap();
            let alone = Classifier::with_pretrained_head(&loaded, [48, 48], &Device::flex()).unwrap();
            let together = task.apply(backbone, &Device::flex()).unwrap();
            for (alone, together) in logits(&alone).iter().zip(logits(&together)) {
                assert!((alone - together).abs() < 1e-5, "{name}: {alone} and {together}");
            }
        }
    }

    #[test]
    fn prompts_and_other_backbones_are_refused() {
        let backbone = backbone();
        let prompts = TaskFile {
            metadata: metadata(&backbone, method(3), 4),
            tensors: BTreeMap::new(),
        };
        assert!(
            prompts
                .merge(&backbone)
                .unwrap_err()
                .to_string()
                .contains("vpt-deep")
        );
        let other = Backbone::random(backbone.config.clone(), 0, 2);
        assert!(matches!(
            task("full", &backbone).merge(&other),
            Err(CoreError::OtherBackbone { .. })
        ));
    }
}
