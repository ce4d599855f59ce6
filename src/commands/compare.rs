//! `vpt compare`: methods × seeds on the same images, with paired statistics.

mod costs;
mod few_shot;
mod finished;
mod folders;
mod forgetting;
mod measured;
mod planner;
mod search;
mod source_task;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use vpt_core::Backbone;
use vpt_core::task_file::TaskFile;
use vpt_eval::{Bootstrap, Comparison, FewShotRun, RunSummary};
use vpt_train::RunDir;
use vpt_train::search::{Protocol, Sought, VTAB1K_SEEDS};

use self::folders::Folders;
use self::measured::Measured;
use self::planner::{Planner, Shots};
use self::search::{Plan, Search};
use self::source_task::SourceTask;
use crate::cli::DataArgs;
use crate::cli::budget::Budget;
use crate::cli::training::TrainingArgs;
use crate::cli::values::{self, Seeds, Setting};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::planned_run::{Ended, PlannedRun, Work};
use crate::queue::Queue;
use crate::session::Session;
use crate::{interrupt, shell, tables};

const EXAMPLES: &str = "\
Examples:
  vpt compare --data-dir my_images
  vpt compare --data-dir my_images --methods vpt-deep,linear,full --seeds 5 --epochs 20
  vpt compare --data-dir my_images --set vpt-deep.lr=0.02 --set full.lr=1e-4
  vpt compare --task fundus --seeds 7,8 --baseline linear
  vpt compare --data-dir my_images --budget 12 --shots 1,2,4,8,16,all --source-task scenes
  vpt compare --data-dir my_images --budget 2h --jobs 2
  vpt compare --runs runs/train/a runs/train/b

Each method is trained with each seed in a process of its own and reads the test split once. Runs that are \
already there with the same settings, data, backbone and version are reused, so a comparison that was stopped \
goes on with the same command.

With `--budget` each method's settings are searched first, as many or as long for each, by successive halving \
on the validation images. Settings given by flags are not searched.";

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

    /// How many seeds, or which ones: `3` or `0,1,7` [default: 3]
    #[arg(long, value_name = "N|LIST", value_parser = values::seeds)]
    pub seeds: Option<Seeds>,

    /// Method that the others are measured against [default: full, or else the last one]
    #[arg(long, value_name = "METHOD", value_parser = values::compared)]
    pub baseline: Option<String>,

    /// A setting for all methods, or for one: `lr=0.01`, `vpt-deep.lr=0.01`; may be given several times
    #[arg(long, value_name = "[METHOD.]KEY=VALUE", value_parser = values::setting)]
    pub set: Vec<Setting>,

    /// Confidence level of the intervals
    #[arg(long, value_name = "LEVEL", default_value = "0.95", value_parser = values::level)]
    pub ci: f64,

    /// Search each method's settings first: so many settings each (`12`), or so long each (`30min`, `2h`)
    #[arg(long, value_name = "N|TIME", value_parser = values::rule::<Budget>, help_heading = "Search")]
    pub budget: Option<Budget>,

    /// Search by a published protocol: `vtab1k` takes the grid of the VPT paper, then trains on train and val for five seeds
    #[arg(long, value_name = "NAME", value_parser = values::protocol, conflicts_with = "budget", help_heading = "Search")]
    pub protocol: Option<Protocol>,

    /// Train at once, where memory allows; they share the CPU threads
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::count, help_heading = "Search")]
    pub jobs: usize,

    /// Compare on so few training images of each class too, drawn anew for each seed: `1,2,4,8,16,all`
    #[arg(long, value_name = "LIST", value_parser = values::shots, help_heading = "Data")]
    pub shots: Option<values::ShotCounts>,

    /// Ask tuned backbones for what they could do before: `scenes` (the built-in backbone's), a run on the same backbone, or
    /// the images of its head
    #[arg(long, value_name = "TASK|RUN|DIR", help_heading = "Forgetting")]
    pub source_task: Option<String>,

    /// Compare these finished runs, and train nothing
    #[arg(long, value_name = "RUN", num_args = 1.., conflicts_with_all = ["data_dir", "task", "methods", "budget", "protocol", "shots"])]
    pub runs: Vec<PathBuf>,

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
    if !args.runs.is_empty() {
        return finished::run(args, session);
    }
    args.training.refuse_auto_batch()?;
    let output = session.output;
    let baseline = args.baseline()?;
    let planner = Planner::new(args)?;
    let name = args.experiment.as_deref().unwrap_or(&planner.dataset.name);
    let folders = Folders::new(&args.output, name);
    interrupt::handle(output, "stopping after this step; Ctrl-C again stops at once")?;
    let queue = |own| Queue::new(session, args.jobs, own, folders.trained.clone());
    let interrupted = || {
        output.hint("the same command goes on from there");
        Ok(Exit::Interrupted)
    };

    let seeds = args.seeds();
    let mut searches = Vec::new();
    if let Some(plan) = args.plan() {
        output.info("searching settings on the validation images");
        match search::search(plan, &args.methods, seeds[0], &planner, &queue(folders.trials())?)? {
            Some(found) => searches = found,
            None => return interrupted(),
        }
    }
    let methods: Vec<(String, Sought)> = args
        .methods
        .iter()
        .map(|method| {
            let search = searches.iter().find(|search| search.method() == method);
            (method.clone(), search.map(Search::chosen).unwrap_or_default())
        })
        .collect();

    let plans = args.final_runs(&methods, &planner)?;
    let Some(ended) = queue(folders.comparison.clone())?.complete(&plans)? else {
        return interrupted();
    };
    let (mut runs, mut places, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for (ended, (label, _)) in ended.into_iter().zip(&plans) {
        match ended {
            Ended::Finished(folder) => {
                runs.push(folders.summary(&folder)?);
                places.push(folder);
            }
            Ended::Failed(reason) => {
                output.error(format!("{label}: {reason}"));
                failures.push(format!(
                    "No result of {}: {reason}.",
                    label.replace(" seed", " with seed")
                ));
            }
            Ended::Interrupted => return interrupted(),
        }
    }
    if runs.is_empty() {
        return Err(Failure::new("no run succeeded").into());
    }
    let shots = args.shots.clone().unwrap_or_default();
    let few = few_shot::few_shot(
        &shots.fewer,
        &seeds,
        &methods,
        &planner,
        &queue(folders.few_shot())?,
        &folders,
        &mut failures,
    )?;
    let Some(few) = few else { return interrupted() };

    let bootstrap = Bootstrap {
        level: args.ci,
        ..Bootstrap::default()
    };
    let metric = planner.first.main_metric();
    let mut comparison = Comparison::with_metric(&runs, &baseline, metric, &bootstrap)?;
    if !few.is_empty() {
        let all = runs.iter().map(|run| FewShotRun {
            shots: shots.most,
            images: planner.images(run.seed),
            draw: run.seed,
            run: run.clone(),
        });
        let all: Vec<FewShotRun> = few.iter().cloned().chain(all).collect();
        (comparison.few_shot, comparison.few_shot_crossings) =
            vpt_eval::few_shot(&all, &baseline, metric, &bootstrap)?;
    }
    let mut measured = Measured::open(&folders.comparison);
    args.measure(&mut comparison, &runs, &places, &planner, session, &mut measured)?;
    for search in &searches {
        let (seconds, trials) = search.cost();
        let row = comparison
            .rows
            .iter_mut()
            .find(|row| row.method == search.method());
        if let Some(row) = row.filter(|_| trials > 0) {
            row.costs.search_seconds = Some(seconds);
            row.costs.search_trials = Some(trials);
        }
    }
    comparison.search = searches
        .iter()
        .map(Search::record)
        .filter(|record| !record.trials.is_empty())
        .cloned()
        .collect();
    comparison.commands = vec![shell::command()];
    comparison.notes.extend(args.notes(&searches));
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

    /// The seeds: those given, else those of the protocol, else three.
    fn seeds(&self) -> Vec<u64> {
        match (&self.seeds, self.protocol) {
            (Some(seeds), _) => seeds.0.clone(),
            (None, Some(Protocol::Vtab1k)) => VTAB1K_SEEDS.to_vec(),
            (None, None) => vec![0, 1, 2],
        }
    }

    /// How settings are searched, if they are.
    fn plan(&self) -> Option<Plan> {
        let by_budget = self.budget.map(Plan::Halving);
        self.protocol.map(Plan::Grid).or(by_budget)
    }

    /// The runs that read the test images, seed by seed, under their labels.
    fn final_runs(
        &self,
        methods: &[(String, Sought)],
        planner: &Planner<'_>,
    ) -> Result<Vec<(String, PlannedRun)>> {
        let mut plans = Vec::new();
        for seed in self.seeds() {
            for (method, found) in methods {
                let mut config = planner.config(method, found, seed)?;
                config.train_on_val |= self.protocol.is_some();
                let label = format!("{method} seed {seed}");
                let name = format!("{method}-seed{seed}");
                let shots = Shots {
                    count: planner.shots,
                    draw: seed,
                };
                plans.push((label, planner.plan_few(Work::of(method), name, config, shots)?.0));
            }
        }
        Ok(plans)
    }

    /// Fills in what each method costs in use, and what it did to the backbone. `places` are the folders of `runs`.
    fn measure(
        &self,
        comparison: &mut Comparison,
        runs: &[RunSummary],
        places: &[PathBuf],
        planner: &Planner<'_>,
        session: &Session,
        measured: &mut Measured,
    ) -> Result<()> {
        let backbone = Backbone::load(&planner.first.model);
        let Some(backbone) = backbone.ok().filter(|_| planner.first.starts_pretrained()) else {
            comparison.notes.push(
                "Costs in use and forgetting are those of pretrained weights: there were none.".to_owned(),
            );
            return Ok(());
        };
        let image_size = planner.first.preprocess(&backbone).input_size;
        let source = self
            .source_task
            .as_deref()
            .map(|given| SourceTask::open(given, &backbone, &self.output.join("source")))
            .transpose()?;
        let bootstrap = comparison.bootstrap;
        let fingerprint = planner.fingerprint();
        let questions = forgetting::Questions {
            backbone: &backbone,
            source: source.as_ref(),
            samples: planner.measured_on(),
            image_size,
            data_fingerprint: fingerprint,
            bootstrap: &bootstrap,
        };
        for row in &mut comparison.rows {
            let own = runs
                .iter()
                .zip(places)
                .filter(|(run, _)| run.method == row.method);
            let tasks = own
                .map(|(run, folder)| (run.seed, folder.join(RunDir::BEST)))
                .filter(|(_, path)| path.is_file())
                .map(|(seed, path)| Ok((seed, TaskFile::load(&path)?)))
                .collect::<Result<Vec<_>>>()?;
            let Some((_, task)) = tasks.first() else { continue };
            row.costs = costs::costs(&task.metadata, &backbone, session, measured)?;
            // What began at random values never was the backbone.
            if tasks
                .iter()
                .all(|(_, task)| task.check_backbone(&backbone).is_ok())
            {
                row.forgetting = Some(questions.ask(&row.method, &tasks, session, measured)?);
            }
        }
        Ok(())
    }

    /// What the reader must know of how settings were found.
    fn notes(&self, searches: &[Search]) -> Vec<String> {
        let mut notes = Vec::new();
        match (self.protocol, self.budget) {
            (Some(Protocol::Vtab1k), _) => notes.push(
                "Settings are those of the grid with the best validation score; the models that were tested were trained on the training and validation images, to the last epoch.".to_owned(),
            ),
            (None, Some(budget)) => notes.push(format!(
                "Each method's settings were searched within {budget} by successive halving on the validation images, its defaults first; the test images were not read in it."
            )),
            (None, None) => notes.push("Settings were not searched: every method has its defaults, or what was given.".to_owned()),
        }
        for search in searches {
            let record = search.record();
            if !record.trials.is_empty() && record.trials.iter().all(|trial| trial.score.is_none()) {
                notes.push(format!(
                    "No trial of {} succeeded: it has its defaults.",
                    record.method
                ));
            }
        }
        if self.shots.is_some() {
            notes.push("Few training images were validated on all validation images.".to_owned());
        }
        notes
    }
}
