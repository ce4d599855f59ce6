//! [`Backbone`]: pretrained weights on the host.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rayon::prelude::*;
use vpt_data::{CropMode, Interpolation, Preprocess, atomic};

use super::config_json::{ModelConfig, Shapes};
use super::description::Description;
use super::layout::{Init, layout, shapes};
use super::naming::{Renamed, fits_timm, timm_eva_tensors, timm_swin_name, to_timm};
use super::safetensors_file::{SafetensorsFile, StoredFloat, write_tensors};
use super::weight_file::WeightFile;
use super::weight_files::WeightFiles;
use super::{TensorMismatch, canonical_sha256};
use crate::hub::HubModel;
use crate::presets::{PRESETS, Published, TimmArgs, TimmClass, closest_preset};
use crate::{CoreError, HostTensor, VitConfig, init};

/// Name of the weights that are part of this crate.
pub const BUILTIN: &str = "demo";

static BUILTIN_WEIGHTS: &[u8] = include_bytes!("../../assets/demo/model.safetensors");
static BUILTIN_CONFIG: &str = include_str!("../../assets/demo/config.json");

/// A backbone as a file holds it: hyper-parameters, preprocessing and tensors under timm's names, on the
/// host.
#[derive(Debug, Clone, PartialEq)]
pub struct Backbone {
    /// timm's name of the architecture.
    pub architecture: String,
    /// Hyper-parameters.
    pub config: VitConfig,
    /// The preprocessing that the weights were trained with.
    pub preprocess: Preprocess,
    /// Classes of the weights' own head (`head.*`), 0 without one.
    pub num_classes: usize,
    /// All tensors, float32, in timm's names and shapes.
    pub tensors: BTreeMap<String, HostTensor>,
    /// [`canonical_sha256`] of the tensors.
    pub sha256: String,
    /// Where it was found: `demo`, the path of a file, an id of the hub, or `random`.
    pub source: String,
    /// What its architecture and preprocessing are taken from: files beside the weights, a publication, or the shapes of the
    /// tensors.
    pub described_by: String,
    /// What was left out of the file or assumed about it, one sentence each.
    pub notes: Vec<String>,
}

impl Backbone {
    /// Loads weights: `demo` (part of this crate), a folder with weights and their config.json, one weight file, or a model
    /// of the Hugging Face hub (`hf-hub:org/name`, timm's names, and those of [`PUBLISHED`](crate::presets::PUBLISHED)),
    /// which is downloaded once, as [`set_hub`](crate::hub::set_hub) says. Files
    /// are safetensors (also in shards), PyTorch checkpoints or NumPy archives, with the names of timm, Hugging Face
    /// transformers, OpenCLIP or Google's releases. Without a config.json beside it, the architecture is inferred from the
    /// shapes of the tensors; [`Backbone::notes`] then says what was assumed.
    ///
    /// # Errors
    /// [`CoreError::ModelNotFound`], [`CoreError::Hub`], [`CoreError::Io`], [`CoreError::Safetensors`],
    /// [`CoreError::WeightFile`], the errors of [`ModelConfig::read`], and [`CoreError::Tensors`] when the tensors are not
    /// exactly those of the architecture.
    pub fn load(spec: &str) -> Result<Self, CoreError> {
        if spec == BUILTIN {
            return Self::builtin();
        }
        match HubModel::find(spec)? {
            Some(model) => Self::from_hub(&model),
            None => {
                let files = WeightFiles::find(spec)?;
                let source = fs::canonicalize(&files.path).unwrap_or_else(|_| files.path.clone());
                Self::read(&files, source.display().to_string(), None)
            }
        }
    }

    /// Downloads what is not in the cache, and reads it.
    fn from_hub(model: &HubModel) -> Result<Self, CoreError> {
        let snapshot = model.fetch()?;
        let folder = snapshot.folder.display().to_string();
        let files = WeightFiles::find(&folder)?;
        let mut backbone = Self::read(&files, model.id(), model.published)?;
        backbone.notes.extend(snapshot.note);
        Ok(backbone)
    }

    /// Reads weights and what describes them.
    fn read(
        files: &WeightFiles,
        source: String,
        published: Option<&'static Published>,
    ) -> Result<Self, CoreError> {
        let description = Description::of(files, published);
        Self::assemble(&files.path, files.read()?, &description, source)
    }

    /// The weights that are part of this crate.
    ///
    /// # Errors
    /// None in a crate that was built from an undamaged source.
    pub fn builtin() -> Result<Self, CoreError> {
        let path = Path::new("demo/model.safetensors");
        let SafetensorsFile { tensors, metadata } = SafetensorsFile::parse(path, BUILTIN_WEIGHTS)?;
        let file = WeightFile { tensors, metadata };
        Self::assemble(path, file, &Description::BuiltIn(BUILTIN_CONFIG), BUILTIN.into())
    }

    /// A freshly initialised model, for training from scratch and for tests: timm's initialisation
    /// (normal with deviation 0.02 for linear layers and position embeddings, zero biases, norms of one,
    /// PyTorch's uniform one for the patches), each tensor a function of `seed` and its name alone.
    /// Preprocessing is that of AugReg weights: mean and deviation 0.5, crop 0.9.
    pub fn random(config: VitConfig, num_classes: usize, seed: u64) -> Self {
        let tensors: BTreeMap<_, _> = layout(&config, num_classes)
            .into_par_iter()
            .map(|(name, slot)| {
                let mut rng = init::rng_of(seed, &name);
                let tensor = match slot.init {
                    Init::Constant(value) => HostTensor::full(slot.shape, value),
                    Init::Normal(deviation) => init::normal(slot.shape, deviation, &mut rng),
                    Init::Uniform(bound) => init::uniform(slot.shape, bound, &mut rng),
                };
                (name, tensor)
            })
            .collect();
        let preprocess = Preprocess {
            input_size: config.img_size,
            mean: [0.5; 3],
            std: [0.5; 3],
            interpolation: Interpolation::Bicubic,
            crop_pct: 0.9,
            crop_mode: CropMode::Center,
            windows: 1,
        };
        let architecture = TimmArgs::of(&config).map_or(PRESETS[0].name, |args| closest_preset(&args).name);
        Self {
            architecture: architecture.to_owned(),
            config,
            preprocess,
            num_classes,
            sha256: canonical_sha256(&tensors),
            tensors,
            source: "random".to_owned(),
            described_by: "its hyper-parameters".to_owned(),
            notes: Vec::new(),
        }
    }

    /// Writes `model.safetensors` (float16 if `half`) and `config.json` in timm's form into the folder `dir`,
    /// which is made if it does not exist. Each file appears whole or not at all. Keys whose biases [timm has no place
    /// for](Backbone::unfit_for_timm) keep the names that the weights have here.
    ///
    /// # Errors
    /// [`CoreError::Io`]; [`CoreError::Setting`] for values that are not finite in the stored type.
    pub fn save(&self, dir: &Path, half: bool) -> Result<(), CoreError> {
        let stored = if half { StoredFloat::F16 } else { StoredFloat::F32 };
        // `format` is what timm and transformers look for.
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        let of_timm = match TimmArgs::of(&self.config).map(|args| args.class) {
            // timm's Swin counts blocks stage by stage.
            Some(TimmClass::Swin) => self.config.swin.as_ref().map(|swin| {
                let tensors = self.tensors.iter();
                tensors
                    .map(|(name, tensor)| (timm_swin_name(&self.config, swin, name), tensor.clone()))
                    .collect()
            }),
            Some(TimmClass::Eva | TimmClass::Beit) if fits_timm(&self.config, &self.tensors) => {
                Some(timm_eva_tensors(&self.config, &self.tensors))
            }
            _ => None,
        };
        let config = self.model_config().to_json()?;
        fs::create_dir_all(dir).map_err(|error| CoreError::io("create", dir, error))?;
        let path = dir.join("model.safetensors");
        let tensors = of_timm.as_ref().unwrap_or(&self.tensors);
        atomic::write(&path, |file| write_tensors(file, tensors, &metadata, stored))
            .map_err(|error| CoreError::writing_tensors("weights", &path, error))?;
        let path = dir.join("config.json");
        atomic::write_bytes(&path, config.as_bytes()).map_err(|error| CoreError::io("write", &path, error))
    }

    /// Why timm cannot load what [`Backbone::save`] writes, where it cannot: its classes have no bias of keys that rotary embeddings
    /// turn (EVA-02, DINOv3), which is there where biases were learned, and take no epsilon of the norms.
    pub fn unfit_for_timm(&self) -> Option<&'static str> {
        if !fits_timm(&self.config, &self.tensors) {
            return Some("its keys have biases, which timm's class has not");
        }
        let fits = self.model_config().norms_fit_timm();
        (!fits).then_some("its norms have another epsilon than timm's architecture")
    }

    /// Number of parameters without the head.
    pub fn num_params(&self) -> usize {
        let backbone = self
            .tensors
            .iter()
            .filter(|(name, _)| !super::is_classifier(name));
        backbone.map(|(_, tensor)| tensor.numel()).sum()
    }

    /// What a config.json says about these weights.
    pub fn model_config(&self) -> ModelConfig {
        ModelConfig {
            architecture: self.architecture.clone(),
            config: self.config.clone(),
            preprocess: self.preprocess.clone(),
            num_classes: self.num_classes,
        }
    }

    /// Puts tensors and config together and checks that they fit.
    fn assemble(
        path: &Path,
        file: WeightFile,
        description: &Description,
        source: String,
    ) -> Result<Self, CoreError> {
        let unusable = |reason: String| CoreError::ModelNotFound {
            spec: path.display().to_string(),
            reason,
        };
        if file.metadata.contains_key("vpt") {
            return Err(unusable("it is a vpt task file, which holds no backbone".into()));
        }
        let Renamed {
            tensors,
            origin,
            num_heads,
            mut notes,
        } = to_timm(file.tensors).map_err(unusable)?;
        let found: Shapes = tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.shape.clone()))
            .collect();
        let model = description.model(path, &found, (origin, num_heads), &mut notes)?;
        let expected = shapes(&model.config, model.num_classes);
        if let Some(mismatch) = TensorMismatch::between(&expected, &found) {
            let origin = format!(
                "`{}` and the architecture `{}`",
                path.display(),
                model.architecture
            );
            return Err(CoreError::Tensors { origin, mismatch });
        }
        Ok(Self {
            architecture: model.architecture,
            config: model.config,
            preprocess: model.preprocess,
            num_classes: model.num_classes,
            sha256: canonical_sha256(&tensors),
            tensors,
            source,
            described_by: description.name(),
            notes,
        })
    }
}

impl From<Backbone> for Cow<'_, Backbone> {
    /// For whoever is given the backbone to keep: its tensors are moved.
    fn from(backbone: Backbone) -> Self {
        Cow::Owned(backbone)
    }
}

impl<'a> From<&'a Backbone> for Cow<'a, Backbone> {
    /// For whoever only looks at the backbone: tensors are copied.
    fn from(backbone: &'a Backbone) -> Self {
        Cow::Borrowed(backbone)
    }
}

impl ModelConfig {
    /// The config of the weights that are part of this crate, without reading the weights.
    ///
    /// # Errors
    /// None in a crate that was built from an undamaged source.
    pub fn builtin() -> Result<Self, CoreError> {
        Self::parse(
            Path::new("demo/config.json"),
            BUILTIN_CONFIG,
            None,
            &Shapes::new(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::preset;

    fn small() -> VitConfig {
        VitConfig {
            img_size: [32, 48],
            embed_dim: 24,
            depth: 2,
            num_heads: 2,
            ..preset("deit3_small_patch16_224").unwrap()
        }
    }

    #[test]
    fn the_builtin_weights_load() {
        let backbone = Backbone::load(BUILTIN).unwrap();
        assert_eq!(backbone.source, "demo");
        assert_eq!(backbone.sha256.len(), 64);
        assert_eq!(ModelConfig::builtin().unwrap(), backbone.model_config());
    }

    #[test]
    fn random_is_a_function_of_seed_and_name() {
        let backbone = Backbone::random(small(), 3, 7);
        assert_eq!(backbone, Backbone::random(small(), 3, 7));
        assert_ne!(backbone.sha256, Backbone::random(small(), 3, 8).sha256);
        let deeper = Backbone::random(VitConfig { depth: 3, ..small() }, 5, 7);
        assert_eq!(
            backbone.tensors["blocks.1.attn.qkv.weight"],
            deeper.tensors["blocks.1.attn.qkv.weight"]
        );
        assert_eq!(backbone.tensors["norm.weight"].data, vec![1.0; 24]);
        assert_eq!(backbone.tensors["blocks.0.ls1.gamma"].data, vec![1e-6; 24]);
        assert_eq!(backbone.tensors["blocks.0.mlp.fc1.bias"].data, vec![0.0; 96]);
    }

    #[test]
    fn saved_weights_load_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let mut backbone = Backbone::random(small(), 3, 7);
        backbone.save(folder.path(), false).unwrap();
        for spec in [folder.path().to_owned(), folder.path().join("model.safetensors")] {
            let back = Backbone::load(spec.to_str().unwrap()).unwrap();
            assert!(Path::new(&back.source).is_absolute());
            backbone.source.clone_from(&back.source);
            backbone.described_by = "config.json".to_owned();
            assert_eq!(back, backbone);
        }
        backbone.save(folder.path(), true).unwrap();
        let half = Backbone::load(folder.path().to_str().unwrap()).unwrap();
        assert_eq!(
            half.tensors["pos_embed"],
            backbone.tensors["pos_embed"].rounded_to_half()
        );
        assert_ne!(half.sha256, backbone.sha256);
    }

    #[test]
    fn specs_that_mean_nothing_are_answered() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            fs::write(folder.path().join(name), b"x").unwrap();
            folder.path().join(name).to_str().unwrap().to_owned()
        };
        let empty = folder.path().to_str().unwrap().to_owned();
        for (spec, part) in [
            (
                "nowhere".to_owned(),
                "neither a built-in model nor a folder nor a file",
            ),
            ("vit_giant_patch14_224".to_owned(), "comes without weights"),
            ("hf-hub:../vit".to_owned(), "hf-hub:../vit"),
            (empty, "has no model.safetensors"),
            (file("a.txt"), "not a readable safetensors file"),
        ] {
            let error = Backbone::load(&spec).unwrap_err();
            assert!(error.to_string().contains(part), "{spec}: {error}");
            assert!(error.hint().is_some(), "{error}");
        }
    }

    #[test]
    fn tensors_that_do_not_fit_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let mut backbone = Backbone::random(small(), 3, 7);
        let norm = backbone.tensors.remove("norm.weight").unwrap();
        backbone.tensors.insert("norm.wieght".into(), norm);
        backbone
            .tensors
            .insert("head.bias".into(), HostTensor::full([4], 0.0));
        backbone.save(folder.path(), false).unwrap();
        let error = Backbone::load(folder.path().to_str().unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("missing `norm.weight` [24] (is `norm.wieght` meant?)"),
            "{error}"
        );
        assert!(error.contains("`head.bias`: expected [3], found [4]"), "{error}");
    }
}
