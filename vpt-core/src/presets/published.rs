//! [`Published`]: open medical backbones, by name.
//!
//! To add one, add an entry to [`PUBLISHED`].

use vpt_data::{CropMode, IMAGENET_MEAN, IMAGENET_STD, Interpolation, Preprocess};

use super::TimmArgs;
use crate::Activation;

/// A backbone that its authors publish on the Hugging Face hub.
#[derive(Debug, Clone, Copy)]
pub struct Published {
    /// The name that `--model` takes.
    pub name: &'static str,
    /// The repository, `organisation/name`.
    pub repo: &'static str,
    /// What it was trained on.
    pub about: &'static str,
    /// Under which conditions; most ask to accept them on the repository's page.
    pub licence: &'static str,
    /// The publication.
    pub source: &'static str,
    /// Architecture and preprocessing as published, for repositories whose config.json does not say them; none where it
    /// does.
    model: Option<fn() -> (TimmArgs, Preprocess)>,
}

/// All of them.
pub static PUBLISHED: &[Published] = &[
    Published {
        name: "retfound_cfp",
        repo: "YukunZhou/RETFound_mae_natureCFP",
        about: "colour photographs of the retina, MAE",
        licence: "CC BY-NC 4.0",
        source: "Zhou et al., Nature 622, 2023",
        model: Some(retfound),
    },
    Published {
        name: "retfound_oct",
        repo: "YukunZhou/RETFound_mae_natureOCT",
        about: "optical coherence tomography of the retina, MAE",
        licence: "CC BY-NC 4.0",
        source: "Zhou et al., Nature 622, 2023",
        model: Some(retfound),
    },
    Published {
        name: "uni",
        repo: "MahmoodLab/UNI",
        about: "histopathology, DINOv2",
        licence: "CC BY-NC-ND 4.0",
        source: "Chen et al., Nature Medicine 30, 2024",
        model: Some(uni),
    },
    Published {
        name: "uni2_h",
        repo: "MahmoodLab/UNI2-h",
        about: "histopathology, DINOv2",
        licence: "CC BY-NC-ND 4.0",
        source: "Chen et al., Nature Medicine 30, 2024",
        model: Some(uni2_h),
    },
    Published {
        name: "virchow",
        repo: "paige-ai/Virchow",
        about: "histopathology, DINOv2",
        licence: "Apache-2.0",
        source: "Vorontsov et al., Nature Medicine 30, 2024",
        model: Some(virchow),
    },
    Published {
        name: "virchow2",
        repo: "paige-ai/Virchow2",
        about: "histopathology, DINOv2",
        licence: "CC BY-NC-ND 4.0",
        source: "Zimmermann et al., arXiv 2408.00738",
        model: Some(virchow2),
    },
    Published {
        name: "phikon_v2",
        repo: "owkin/phikon-v2",
        about: "histopathology, DINOv2",
        licence: "Owkin, non-commercial",
        source: "Filiot et al., arXiv 2409.09173",
        model: None,
    },
    Published {
        name: "rad_dino",
        repo: "microsoft/rad-dino",
        about: "chest X-rays, DINOv2",
        licence: "MIT, for research",
        source: "Pérez-García et al., Nature Machine Intelligence 7, 2025",
        model: None,
    },
    Published {
        name: "biomed_clip",
        repo: "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
        about: "figures of biomedical articles, CLIP",
        licence: "MIT, for research",
        source: "Zhang et al., NEJM AI 2(1), 2025",
        model: None,
    },
];

impl Published {
    /// The entry called `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        PUBLISHED.iter().find(|published| published.name == name)
    }

    /// The entry of a repository of the hub.
    pub fn of_repo(repo: &str) -> Option<&'static Self> {
        PUBLISHED
            .iter()
            .find(|published| published.repo.eq_ignore_ascii_case(repo))
    }

    /// Architecture and preprocessing, where the repository does not say them.
    pub fn model(&self) -> Option<(TimmArgs, Preprocess)> {
        self.model.map(|model| model())
    }
}

fn large() -> TimmArgs {
    TimmArgs {
        embed_dim: 1024,
        depth: 24,
        num_heads: 16,
        ..TimmArgs::default()
    }
}

fn retfound() -> (TimmArgs, Preprocess) {
    (large(), Preprocess::imagenet(224, 224))
}

fn uni() -> (TimmArgs, Preprocess) {
    let args = TimmArgs {
        init_values: Some(1e-5),
        ..large()
    };
    (args, resized(Interpolation::Bilinear))
}

fn uni2_h() -> (TimmArgs, Preprocess) {
    let args = TimmArgs {
        patch_size: [14; 2],
        embed_dim: 1536,
        depth: 24,
        num_heads: 24,
        init_values: Some(1e-5),
        mlp_ratio: 2.666_67 * 2.0,
        gated_mlp: true,
        act: Activation::Silu,
        reg_tokens: 8,
        no_embed_class: true,
        ..TimmArgs::default()
    };
    (args, resized(Interpolation::Bilinear))
}

fn virchow() -> (TimmArgs, Preprocess) {
    let args = TimmArgs {
        patch_size: [14; 2],
        embed_dim: 1280,
        depth: 32,
        num_heads: 16,
        init_values: Some(1e-5),
        mlp_ratio: 5.3375,
        gated_mlp: true,
        act: Activation::Silu,
        ..TimmArgs::default()
    };
    (args, resized(Interpolation::Bicubic))
}

fn virchow2() -> (TimmArgs, Preprocess) {
    let (args, preprocess) = virchow();
    let args = TimmArgs {
        reg_tokens: 4,
        ..args
    };
    (args, preprocess)
}

/// The shorter side to 224 pixels, then the centre; ImageNet's colours.
fn resized(interpolation: Interpolation) -> Preprocess {
    Preprocess {
        input_size: [224; 2],
        mean: IMAGENET_MEAN,
        std: IMAGENET_STD,
        interpolation,
        crop_pct: 1.0,
        crop_mode: CropMode::Center,
        windows: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_found_however_they_are_written() {
        assert_eq!(Published::of_repo("mahmoodlab/uni").unwrap().name, "uni");
        assert!(Published::of_repo("timm/uni").is_none());
    }
}
