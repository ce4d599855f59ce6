//! `vpt compare`: methods × seeds on the same images, with paired statistics.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use vpt_data::atomic;
use vpt_eval::report::{comparison_html, comparison_markdown};
use vpt_eval::{Bootstrap, Comparison, RunSummary};
use vpt_train::TrainConfig;

use crate::cli::DataArgs;
use crate::cli::layer::Layer;
use crate::cli::training::TrainingArgs;
use crate::cli::values::{self, Seeds, Setting};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::planned_run::{self, Ended, PlannedRun, Work};
use crate::session::Session;
use crate::settings::Settings;
use crate::{interrupt, shell, tables};

const EXAMPLES: &str = "\
Examples:
  vpt compare --data-dir my_images
  vpt compare --data-dir my_images --methods vpt-deep,linear,full --seeds 5 --epochs 20
  vpt compare --data-dir my_images --set vpt-deep.lr=0.02 --set full.lr=1e-4
  vpt compare --task fundus --seeds 7,8 --baseline linear

Each method is trained with each seed in a process of its own and reads the test split once. Runs that are
already there with the same settings, data, backbone and version are reused.";

/// Compare methods on the same images, over several seeds
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct CompareArgs {
    /// Methods, separated by commas: those of `vpt list methods`, and `knn`
    #[arg(
        long,
        value_name = "METHODS",
        value_delimiter = ',',
        value_parser = values::compared,
        default_value = "vpt-deep,vpt-shallow,linear,full"
    )]
    pub methods: Vec<String>,

    /// How many seeds, or which ones: `3` or `0,1,7`
    #[arg(long, value_name = "N|LIST", default_value = "3", value_parser = values::seeds)]
    pub seeds: Seeds,

    /// Method that the others are measured against [default: full, or else the last one]
    #[arg(long, value_name = "METHOD", value_parser = values::compared)]
    pub baseline: Option<String>,

    /// A setting for all methods, or for one: `lr=0.01`, `vpt-deep.lr=0.01`; may be given several times
    #[arg(long, value_name = "[METHOD.]KEY=VALUE", value_parser = values::setting)]
    pub set: Vec<Setting>,

    /// Confidence level of the intervals
    #[arg(long, value_name = "LEVEL", default_value = "0.95", value_parser = values::level)]
    pub ci: f64,

    #[command(flatten)]
    pub data: DataArgs,

    #[command(flatten)]
    pub training: TrainingArgs,

    /// Settings in TOML, by the names in a run's args.toml
    #[arg(short, long, value_name = "FILE", help_heading = "Run")]
    pub config: Option<PathBuf>,

    /// Folder that holds runs
    #[arg(
        long,
        visible_alias = "project",
        value_name = "DIR",
        default_value = "runs",
        help_heading = "Run"
    )]
    pub output: PathBuf,

    /// Name of the comparison [default: that of the data]
    #[arg(long, visible_alias = "name", value_name = "NAME", help_heading = "Run")]
    pub experiment: Option<String>,
}

/// Trains what is missing, then compares.
pub fn run(args: &CompareArgs, session: &Session) -> Result<Exit> {
    let output = session.output;
    let baseline = args.baseline()?;
    let (plans, name) = args.plans()?;
    let folders = Folders::new(&args.output, args.experiment.as_deref().unwrap_or(&name));
    interrupt::handle(output, "stopping after this step; Ctrl-C again stops at once")?;

    let device = planned_run::device_of_children(session)?;
    let mut runs = Vec::new();
    let mut failures = Vec::new();
    for (index, plan) in plans.iter().enumerate() {
        let label = format!(
            "[{}/{}] {} seed {}",
            index + 1,
            plans.len(),
            plan.method(),
            plan.config.seed
        );
        match plan.complete(&folders.comparison, &folders.trained, &label, &device, session)? {
            Ended::Finished(folder) => runs.push(folders.summary(&folder)?),
            Ended::Failed(reason) => {
                output.error(format!("{label}: {reason}"));
                failures.push(format!(
                    "No result of {} with seed {}: {reason}.",
                    plan.method(),
                    plan.config.seed
                ));
            }
            Ended::Interrupted => {
                output.hint("the same command goes on from there");
                return Ok(Exit::Interrupted);
            }
        }
    }
    if runs.is_empty() {
        return Err(Failure::new("no run succeeded").into());
    }
    let metric = &plans[0].config.eval_metric;
    let bootstrap = Bootstrap {
        level: args.ci,
        ..Bootstrap::default()
    };
    let mut comparison = Comparison::with_metric(&runs, &baseline, metric, &bootstrap)?;
    comparison.commands = vec![shell::command()];
    comparison.notes.extend(failures.iter().cloned());
    folders.write(&comparison)?;
    output.json(&comparison)?;
    output.result(tables::comparison(&comparison))?;
    output.result(format!("\n{}", folders.listing()))?;
    Ok(if failures.is_empty() {
        Exit::Success
    } else {
        Exit::Failure
    })
}

impl CompareArgs {
    /// The method that the others are measured against.
    fn baseline(&self) -> Result<String> {
        let last = self.methods.last().cloned().unwrap_or_default();
        let has = |name: &str| self.methods.iter().any(|method| method == name);
        match &self.baseline {
            Some(baseline) if has(baseline) => Ok(baseline.clone()),
            Some(baseline) => Err(Failure::usage(format!(
                "the baseline `{baseline}` is not among the methods"
            ))
            .hint(format!(
                "add it: `--methods {},{baseline}`",
                self.methods.join(",")
            ))
            .into()),
            None if has("full") => Ok("full".to_owned()),
            None => Ok(last),
        }
    }

    /// All runs, seed by seed, and the name of the data.
    fn plans(&self) -> Result<(Vec<PlannedRun>, String)> {
        let settings = Settings::read(&self.data, self.config.as_deref())?;
        let first = self.config_of(&settings, &self.methods[0], self.seeds.0[0])?;
        let dataset = first.open_dataset()?;
        let data_fingerprint = dataset.fingerprint()?;
        let mut plans = Vec::new();
        for &seed in &self.seeds.0 {
            for method in &self.methods {
                let work = Work::of(method);
                let config = work.settings(self.config_of(&settings, method, seed)?.for_data(&dataset)?);
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
                let backbone_sha256 = config.load_backbone()?.sha256;
                plans.push(PlannedRun {
                    work,
                    name: format!("{method}-seed{seed}"),
                    config,
                    backbone_sha256,
                    data_fingerprint: data_fingerprint.clone(),
                });
            }
        }
        Ok((plans, dataset.name))
    }

    /// Flags, then `--set` for all methods, then `--set` for this one.
    fn config_of(&self, settings: &Settings, method: &str, seed: u64) -> Result<TrainConfig> {
        let (mut all, mut one) = (Layer::default(), Layer::default());
        for Setting { key, value } in &self.set {
            match self
                .methods
                .iter()
                .find_map(|name| Some((name, key.strip_prefix(name)?.strip_prefix('.')?)))
            {
                None => all.written(key, value),
                Some((name, key)) if name == method => one.written(key, value),
                Some(_) => {}
            }
        }
        one.set("method.name", Some(Work::of(method).method(method).to_owned()));
        one.set("seed", Some(seed as i64));
        settings.with([self.training.layer(), all, one])
    }
}

/// `runs/compare/<name>`, and `runs/train` where a finished run may serve as well.
struct Folders {
    comparison: PathBuf,
    trained: PathBuf,
}

impl Folders {
    fn new(output: &Path, name: &str) -> Self {
        Self {
            comparison: output.join("compare").join(name),
            trained: output.join("train"),
        }
    }

    /// A finished run, with its folder as links in the comparison's folder shall name it.
    fn summary(&self, folder: &Path) -> Result<RunSummary> {
        let name = folder.file_name().map_or(folder, Path::new);
        let run_dir = match folder.starts_with(&self.comparison) {
            true => name.to_owned(),
            false => Path::new("../../train").join(name),
        };
        Ok(RunSummary {
            run_dir,
            ..RunSummary::load(folder)?
        })
    }

    fn write(&self, comparison: &Comparison) -> Result<()> {
        comparison.save(&self.comparison.join("comparison.json"))?;
        for (name, text) in [
            ("comparison.md", comparison_markdown(comparison)),
            ("comparison.html", comparison_html(comparison)),
        ] {
            let path = self.comparison.join(name);
            atomic::write_bytes(&path, text.as_bytes())
                .with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        Ok(())
    }

    fn listing(&self) -> String {
        let path = |name: &str| self.comparison.join(name).display().to_string();
        tables::pairs(&[
            ("page", path("comparison.html")),
            ("markdown", path("comparison.md")),
            ("numbers", path("comparison.json")),
        ])
    }
}
