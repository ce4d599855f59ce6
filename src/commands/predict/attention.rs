//! `vpt predict --attention`: where the model looks, and where its backbone alone does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use vpt_core::device::SelectedDevice;
use vpt_core::{Backbone, Classifier, MethodConfig};
use vpt_data::{Preprocess, atomic, decode};
use vpt_eval::report::heat_maps_png;
use vpt_eval::rollout;

/// Writes a picture for each image: the image, the backbone alone, the task.
pub struct AttentionMaps {
    folder: PathBuf,
    /// The backbone as it was before the task.
    bare: Classifier,
    preprocess: Preprocess,
    device: SelectedDevice,
    names: BTreeSet<String>,
}

/// What was found of one image.
pub struct Found {
    /// The picture.
    pub path: PathBuf,
    /// The part of what the head reads that comes from prompts.
    pub prompts: f32,
}

impl AttentionMaps {
    /// Makes the folder.
    pub fn new(
        folder: &Path,
        backbone: &Backbone,
        preprocess: &Preprocess,
        device: &SelectedDevice,
    ) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        let method = MethodConfig::linear();
        Ok(Self {
            folder: folder.to_owned(),
            bare: Classifier::new(backbone, &method, 1, preprocess.input_size, 0, &device.device)?,
            preprocess: preprocess.clone(),
            device: device.clone(),
            names: BTreeSet::new(),
        })
    }

    /// Writes the picture of the image `path` under `model`.
    pub fn write(&mut self, model: &Classifier, path: &Path) -> Result<Found> {
        let crop = self.preprocess.crop(&decode(path)?);
        let of = |model: &Classifier| rollout(model, &crop, &self.preprocess, &self.device.device);
        let (bare, task) = (of(&self.bare)?, of(model)?);
        let png = heat_maps_png(&crop, &[&bare.patches, &task.patches])?;
        let name = self.name(path);
        let target = self.folder.join(name);
        atomic::write_bytes(&target, &png).with_context(|| format!("cannot write `{}`", target.display()))?;
        Ok(Found {
            path: target,
            prompts: task.prompts,
        })
    }

    /// A name like that of the image which no other image has got.
    fn name(&mut self, path: &Path) -> String {
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let numbered = (2..).map(|number| format!("{stem}-{number}.png"));
        let mut names = [format!("{stem}.png")].into_iter().chain(numbered);
        loop {
            if let Some(name) = names.next()
                && self.names.insert(name.clone())
            {
                return name;
            }
        }
    }
}
