//! Models of the Hugging Face hub: which names stand for them, and how they come here.
//!
//! Where downloads go and who hears of them is decided once for the process, by [`set_hub`].

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

pub use vpt_hub::{Hub, HubError, Progress};
use vpt_hub::{RepoFile, RepoId, Snapshot};

use crate::CoreError;
use crate::presets::{PRESETS, Published};
use crate::weights::downloads;

/// A hub and who hears how downloads go on.
struct Downloads {
    hub: Hub,
    observe: Box<dyn Fn(Progress<'_>) + Send + Sync>,
}

static DOWNLOADS: RwLock<Option<Arc<Downloads>>> = RwLock::new(None);

/// Sets for this process where models come from and where they are kept; `observe` hears how downloads go on. Without it
/// that is what the environment says ([`Hub::from_env`]).
pub fn set_hub(hub: Hub, observe: impl Fn(Progress<'_>) + Send + Sync + 'static) {
    let downloads = Downloads {
        hub,
        observe: Box::new(observe),
    };
    *DOWNLOADS.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(downloads));
}

/// A model that lies on the hub.
#[derive(Debug)]
pub(crate) struct HubModel {
    repo: RepoId,
    /// What is known of it beyond its files.
    pub published: Option<&'static Published>,
}

impl HubModel {
    /// What `spec` stands for: an id (`hf-hub:org/name`), one of [`PUBLISHED`](crate::presets::PUBLISHED), or timm's name
    /// of weights (`vit_base_patch16_224.mae`; without a tag, those that timm takes by default). None for anything else,
    /// and for what is there on the disk.
    ///
    /// # Errors
    /// [`CoreError::Hub`] for an id that cannot be one.
    pub fn find(spec: &str) -> Result<Option<Self>, CoreError> {
        let repo = if RepoId::has_prefix(spec) {
            spec.to_owned()
        } else if Path::new(spec).exists() {
            return Ok(None);
        } else if let Some(published) = Published::find(spec) {
            published.repo.to_owned()
        } else if let Some(repo) = timm_repo(spec) {
            repo
        } else {
            return Ok(None);
        };
        let repo: RepoId = repo.parse()?;
        let published = Published::of_repo(&repo.path());
        Ok(Some(Self { repo, published }))
    }

    /// The id that finds it again, `hf-hub:org/name`.
    pub fn id(&self) -> String {
        format!("hf-hub:{}", self.repo)
    }

    /// Makes sure that its files are in the cache.
    ///
    /// # Errors
    /// [`CoreError::Hub`].
    pub fn fetch(&self) -> Result<Snapshot, CoreError> {
        let downloads = DOWNLOADS.read().unwrap_or_else(PoisonError::into_inner).clone();
        let choose = |files: &[RepoFile]| downloads::choose(files.iter().map(|file| file.name.as_str()));
        Ok(match downloads {
            Some(downloads) => {
                let mut observe = |progress: Progress<'_>| (downloads.observe)(progress);
                downloads.hub.snapshot(&self.repo, choose, &mut observe)?
            }
            None => Hub::from_env().snapshot(&self.repo, choose, &mut |_| ())?,
        })
    }
}

/// The repository with the weights that timm calls `name`.
fn timm_repo(name: &str) -> Option<String> {
    let (bare, tag) = match name.split_once('.') {
        Some((bare, tag)) => (bare, Some(tag)),
        None => (name, None),
    };
    let preset = PRESETS.iter().find(|preset| preset.name == bare)?;
    match tag {
        Some(tag) => Some(format!("timm/{}.{tag}", preset.repo_name())),
        None => preset.default_repo(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(spec: &str) -> Option<String> {
        HubModel::find(spec).unwrap().map(|model| model.id())
    }

    #[test]
    fn names_stand_for_repositories() {
        for (spec, expected) in [
            ("hf-hub:facebook/dinov2-base", "hf-hub:facebook/dinov2-base"),
            ("hf_hub:a/b@v1", "hf-hub:a/b@v1"),
            ("vit_base_patch16_224.mae", "hf-hub:timm/vit_base_patch16_224.mae"),
            (
                "vit_base_patch16_224",
                "hf-hub:timm/vit_base_patch16_224.augreg2_in21k_ft_in1k",
            ),
            (
                "vit_base_patch16_clip_quickgelu_224.openai",
                "hf-hub:timm/vit_base_patch16_clip_224.openai",
            ),
            ("uni2_h", "hf-hub:MahmoodLab/UNI2-h"),
        ] {
            assert_eq!(id(spec).as_deref(), Some(expected), "{spec}");
        }
        for spec in ["vit_giant_patch14_224", "weights.pth", "nowhere", ".", "demo"] {
            assert_eq!(id(spec), None, "{spec}");
        }
        assert!(matches!(
            HubModel::find("hf-hub:no-slash"),
            Err(CoreError::Hub { .. })
        ));
        let model = HubModel::find("hf-hub:mahmoodlab/uni").unwrap().unwrap();
        assert_eq!(model.published.unwrap().name, "uni");
    }
}
