//! [`Planner`]: from the flags of a comparison to the settings of each of its runs.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::Result;
use vpt_data::{Dataset, OpenOptions, Sample};
use vpt_train::TrainConfig;
use vpt_train::search::Sought;

use super::CompareArgs;
use crate::cli::layer::Layer;
use crate::cli::values::Setting;
use crate::failure::Failure;
use crate::planned_run::{PlannedRun, Work};
use crate::settings::{self, Settings};

/// What all runs of a comparison have in common, and how they differ.
pub struct Planner<'a> {
    args: &'a CompareArgs,
    settings: Settings,
    /// The images that all methods see.
    pub dataset: Dataset,
    /// Settings of the first method, for what all have in common.
    pub first: TrainConfig,
    /// Training images of each class; all if `None`.
    pub shots: Option<usize>,
    fingerprint: String,
    /// Hashes of the backbones, by what they are loaded from.
    backbones: RefCell<BTreeMap<String, String>>,
    /// Fingerprints of few training images, by how few and which.
    few: RefCell<BTreeMap<(usize, u64), (String, usize)>>,
}

/// A part of the training images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shots {
    /// Images of each class; all if `None`.
    pub count: Option<usize>,
    /// Which draw.
    pub draw: u64,
}

impl<'a> Planner<'a> {
    /// Opens the images, and checks that all methods would see the same ones.
    pub fn new(args: &'a CompareArgs) -> Result<Self> {
        if let Some(twice) = (1..args.methods.len()).find(|&i| args.methods[..i].contains(&args.methods[i])) {
            return Err(
                Failure::usage(format!("`{}` is named twice", args.methods[twice]))
                    .hint("name each method once; `--set METHOD.KEY=VALUE` gives one of them other settings")
                    .into(),
            );
        }
        let settings = Settings::read(&args.data, args.config.as_deref())?;
        let seed = args.seeds().first().copied().unwrap_or_default();
        let first = config_of(args, &settings, &args.methods[0], &Vec::new(), seed)?;
        for method in &args.methods {
            let config = config_of(args, &settings, method, &Vec::new(), seed)?;
            if config.open_options() != first.open_options()
                || config.data_dir != first.data_dir
                || config.classes != first.classes
            {
                return Err(Failure::usage(format!(
                    "`{method}` would not see the same images as the others"
                ))
                .hint("leave settings of the data to the flags for all methods")
                .into());
            }
        }
        let dataset = first.open_dataset()?;
        Ok(Self {
            fingerprint: dataset.fingerprint()?,
            first: first.for_data(&dataset)?,
            shots: args.shots.as_ref().and_then(|shots| shots.most),
            args,
            settings,
            dataset,
            backbones: RefCell::default(),
            few: RefCell::default(),
        })
    }

    /// The settings of one run of `method`: flags, then `--set`, then what a search `found`.
    pub fn config(&self, method: &str, found: &Sought, seed: u64) -> Result<TrainConfig> {
        Ok(config_of(self.args, &self.settings, method, found, seed)?.for_data(&self.dataset)?)
    }

    /// Whether the user gave the setting `key` of `method`, so that it is not to be searched. Neighbours have none to search.
    pub fn is_given(&self, method: &str, key: &str) -> bool {
        if Work::of(method) == Work::Knn {
            return true;
        }
        let mut layers = vec![self.args.training.layer()];
        layers.extend(sets(self.args, method));
        let given = |layer: Layer| settings::has(&layer.into_table(), key);
        layers.into_iter().any(given) || self.settings.file_has(key)
    }

    /// The run with these settings, called `name`.
    pub fn plan(&self, work: Work, name: String, config: TrainConfig) -> Result<PlannedRun> {
        Ok(PlannedRun {
            work,
            name,
            backbone_sha256: self.backbone(&config)?,
            data_fingerprint: self.fingerprint.clone(),
            config,
        })
    }

    /// The run with these settings on a part of the training images, and how many these are.
    pub fn plan_few(
        &self,
        work: Work,
        name: String,
        config: TrainConfig,
        shots: Shots,
    ) -> Result<(PlannedRun, usize)> {
        let Some(count) = shots.count else {
            return Ok((self.plan(work, name, config)?, self.dataset.train.len()));
        };
        let (data_fingerprint, images) = self.few(count, shots.draw)?;
        let repeats = repeats(images, self.dataset.train.len(), &config);
        let config = TrainConfig {
            shots: Some(count),
            shots_seed: Some(shots.draw),
            repeats,
            ..config
        };
        let run = PlannedRun {
            work,
            name,
            backbone_sha256: self.backbone(&config)?,
            data_fingerprint,
            config,
        };
        Ok((run, images))
    }

    /// Training images of the comparison's runs with this seed.
    pub fn images(&self, seed: u64) -> usize {
        match self.shots {
            Some(count) => self.few(count, seed).map_or(0, |(_, images)| images),
            None => self.dataset.train.len(),
        }
    }

    /// Stands for all images of the data set.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The images that results are of.
    pub fn measured_on(&self) -> &[Sample] {
        match self.dataset.test.is_empty() {
            true => &self.dataset.val,
            false => &self.dataset.test,
        }
    }

    fn few(&self, count: usize, draw: u64) -> Result<(String, usize)> {
        if let Some(known) = self.few.borrow().get(&(count, draw)) {
            return Ok(known.clone());
        }
        let options = OpenOptions {
            shots: Some(count),
            shots_seed: Some(draw),
            check_images: false,
            ..self.first.open_options()
        };
        let dataset = self.first.open_dataset_with(&options)?;
        let found = (dataset.fingerprint()?, dataset.train.len());
        self.few.borrow_mut().insert((count, draw), found.clone());
        Ok(found)
    }

    fn backbone(&self, config: &TrainConfig) -> Result<String> {
        let key = match config.starts_pretrained() {
            true => config.model.clone(),
            false => format!("{} from seed {}", config.model, config.seed),
        };
        if let Some(known) = self.backbones.borrow().get(&key) {
            return Ok(known.clone());
        }
        let sha256 = config.load_backbone()?.sha256;
        self.backbones.borrow_mut().insert(key, sha256.clone());
        Ok(sha256)
    }
}

/// Fewest images that an epoch shows, in batches: with less, validation would take most of the time.
const FEWEST_BATCHES: usize = 8;

/// How often an epoch shows each of few images, so that training has about as many steps as on some hundred images, or on
/// all where these are fewer.
fn repeats(images: usize, all: usize, config: &TrainConfig) -> usize {
    let wanted = (FEWEST_BATCHES * config.batch_size).min(all);
    config.repeats * (wanted / images.max(1)).max(1)
}

/// Flags, then `--set` for all methods, then `--set` for this one, then what was found for it.
fn config_of(
    args: &CompareArgs,
    settings: &Settings,
    method: &str,
    found: &Sought,
    seed: u64,
) -> Result<TrainConfig> {
    let mut last = Layer::default();
    last.set("method.name", Some(Work::of(method).method(method).to_owned()));
    last.set("seed", Some(seed as i64));
    let mut tried = Layer::default();
    for (key, value) in args.protocol.iter().flat_map(|protocol| protocol.settings()) {
        tried.set(&key, Some(value));
    }
    let mut layers = vec![tried, args.training.layer()];
    layers.extend(sets(args, method));
    let mut searched = Layer::default();
    for (key, value) in found {
        searched.set(key, Some(value.clone()));
    }
    layers.extend([searched, last]);
    settings.with(layers)
}

/// `--set` for all methods, and for this one.
fn sets(args: &CompareArgs, method: &str) -> [Layer; 2] {
    let (mut all, mut one) = (Layer::default(), Layer::default());
    for Setting { key, value } in &args.set {
        match args
            .methods
            .iter()
            .find_map(|name| Some((name, key.strip_prefix(name.as_str())?.strip_prefix('.')?)))
        {
            None => all.written(key, value),
            Some((name, key)) if name == method => one.written(key, value),
            Some(_) => {}
        }
    }
    [all, one]
}
