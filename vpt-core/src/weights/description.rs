//! [`Description`]: what says which model some weights are of.

use std::path::{Path, PathBuf};

use super::config_json::{ModelConfig, Shapes, head_classes};
use super::infer::{assumed, infer_model};
use super::naming::Origin;
use super::open_clip_config;
use super::weight_files::WeightFiles;
use crate::CoreError;
use crate::presets::{Published, closest_preset};

/// Where architecture and preprocessing of some weights come from.
pub(super) enum Description {
    /// The publication of these weights.
    Published(&'static Published),
    /// A config.json beside them, with a preprocessor_config.json if there is one.
    Config(PathBuf),
    /// The text of the config.json that is part of this crate.
    BuiltIn(&'static str),
    /// The shapes of the tensors, and OpenCLIP's configuration if it is there.
    Shapes(Option<PathBuf>),
}

impl Description {
    /// What there is to say about the weights in `files`.
    pub fn of(files: &WeightFiles, published: Option<&'static Published>) -> Self {
        match (published, files.beside("config.json")) {
            (Some(published), _) if published.model().is_some() => Self::Published(published),
            (_, Some(path)) => Self::Config(path),
            (_, None) => Self::Shapes(files.beside("open_clip_config.json")),
        }
    }

    /// In words.
    pub fn name(&self) -> String {
        match self {
            Self::Published(published) => format!("its publication, {}", published.source),
            Self::Config(path) if path.with_file_name("preprocessor_config.json").is_file() => {
                "config.json and preprocessor_config.json".to_owned()
            }
            Self::Config(_) | Self::BuiltIn(_) => "config.json".to_owned(),
            Self::Shapes(None) => "the shapes of its tensors".to_owned(),
            Self::Shapes(Some(_)) => "the shapes of its tensors and open_clip_config.json".to_owned(),
        }
    }

    /// The model. `path` are the weights, `found` their tensors, `origin` whose names they had; what had to be assumed is
    /// added to `notes`.
    ///
    /// # Errors
    /// [`CoreError::Io`], [`CoreError::Key`], [`CoreError::UnknownArchitecture`], [`CoreError::ImageSize`], and
    /// [`CoreError::ModelNotFound`] for tensors that are not those of a Vision Transformer.
    pub fn model(
        &self,
        path: &Path,
        found: &Shapes,
        (origin, num_heads): (Origin, Option<usize>),
        notes: &mut Vec<String>,
    ) -> Result<ModelConfig, CoreError> {
        match self {
            Self::Published(published) => {
                if let Some((args, preprocess)) = published.model() {
                    return Ok(ModelConfig {
                        architecture: closest_preset(&args).name.to_owned(),
                        config: args.resolve(),
                        preprocess,
                        num_classes: head_classes(found),
                    });
                }
            }
            Self::Config(config) => return ModelConfig::read(config, found),
            Self::BuiltIn(text) => {
                return ModelConfig::parse(&path.with_file_name("config.json"), text, None, found);
            }
            Self::Shapes(_) => {}
        }
        let mut model = infer_model(path, found, origin, num_heads)?;
        let prepared = if let Self::Shapes(Some(open_clip)) = self {
            open_clip_config::correct(&mut model, open_clip)?;
            "as open_clip_config.json says".to_owned()
        } else {
            format!("as {} does", origin.name())
        };
        notes.push(assumed(&model, &prepared));
        Ok(model)
    }
}
