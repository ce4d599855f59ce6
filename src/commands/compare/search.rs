//! The search of each method's settings: all methods get the same budget, and only validation images judge.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;
use vpt_eval::metrics::{self, Metric};
use vpt_eval::{MethodSearch, Results, Rung, Trial, TrialEnd};
use vpt_train::search::{Protocol, SearchSpace, Sought, rungs, settings_within};
use vpt_train::{RunDir, TrainConfig};

use super::planner::{Planner, Shots};
use crate::cli::budget::Budget;
use crate::planned_run::{Ended, PlannedRun, Work};
use crate::queue::Queue;

/// How settings are chosen.
#[derive(Clone, Copy, Debug)]
pub enum Plan {
    /// By successive halving within a budget.
    Halving(Budget),
    /// By a published grid.
    Grid(Protocol),
}

/// The search of one method, as far as it got.
pub struct Search {
    method: String,
    /// Points that may be tried, the defaults first.
    points: Vec<Sought>,
    rungs: Vec<Rung>,
    /// Points of the rung that is next.
    alive: Vec<usize>,
    record: MethodSearch,
}

/// What a trial reached on the validation images.
struct Score {
    metric: f64,
    loss: f64,
    seconds: Option<f64>,
}

/// Searches the settings of all `methods`, rung by rung. Nothing if it was interrupted.
pub fn search(
    plan: Plan,
    methods: &[String],
    seed: u64,
    planner: &Planner<'_>,
    queue: &Queue<'_>,
) -> Result<Option<Vec<Search>>> {
    let mut searches = Vec::new();
    for method in methods {
        searches.push(Search::new(plan, method, seed, planner)?);
    }
    if let Plan::Halving(Budget::Seconds(seconds)) = plan {
        // How long an epoch takes is known after a first trial, at the length that most budgets begin with.
        let first: Vec<usize> = (0..searches.len())
            .filter(|&i| !searches[i].points.is_empty())
            .collect();
        let mut batch = Vec::new();
        for &i in &first {
            let method = &searches[i].method;
            let epochs = rungs(9, planner.config(method, &Vec::new(), seed)?.epochs)[0].epochs;
            batch.push(searches[i].trial(0, epochs, seed, planner)?);
        }
        let Some(ended) = queue.complete(&batch)? else {
            return Ok(None);
        };
        for ((i, ended), (_, run)) in first.into_iter().zip(ended).zip(&batch) {
            let search = &mut searches[i];
            let score = search.noted(0, run, ended)?;
            let per_epoch =
                score.and_then(|score| score.seconds).unwrap_or(seconds) / run.config.epochs as f64;
            let epochs = planner.config(&search.method, &Vec::new(), seed)?.epochs;
            search.within(settings_within(seconds, per_epoch, epochs), epochs, seed, planner)?;
            if search
                .rungs
                .first()
                .is_some_and(|rung| rung.epochs == run.config.epochs)
            {
                search.record.trials.clear(); // it comes again, and is found finished
            }
        }
    }
    let most = searches
        .iter()
        .map(|search| search.rungs.len())
        .max()
        .unwrap_or(0);
    for rung in 0..most {
        let mut batch = Vec::new();
        let mut owners = Vec::new();
        for (i, search) in searches.iter().enumerate() {
            let Some(Rung { epochs, .. }) = search.rungs.get(rung) else {
                continue;
            };
            for &point in &search.alive {
                batch.push(search.trial(point, *epochs, seed, planner)?);
                owners.push((i, point));
            }
        }
        let Some(ended) = queue.complete(&batch)? else {
            return Ok(None);
        };
        let mut scores: BTreeMap<usize, Vec<(usize, Option<Score>)>> = BTreeMap::new();
        for (((i, point), ended), (_, run)) in owners.into_iter().zip(ended).zip(&batch) {
            let score = searches[i].noted(point, run, ended)?;
            scores.entry(i).or_default().push((point, score));
        }
        for (i, scores) in scores {
            searches[i].promote(rung, scores)?;
        }
    }
    Ok(Some(searches))
}

impl Search {
    fn new(plan: Plan, method: &str, seed: u64, planner: &Planner<'_>) -> Result<Self> {
        let config = planner.config(method, &Vec::new(), seed)?;
        let mut search = Self {
            method: method.to_owned(),
            points: Vec::new(),
            rungs: Vec::new(),
            alive: Vec::new(),
            record: MethodSearch {
                method: method.to_owned(),
                metric: config.main_metric().to_owned(),
                ..MethodSearch::default()
            },
        };
        match plan {
            Plan::Halving(budget) => {
                search.record.budget = budget.to_string();
                match budget {
                    Budget::Trials(count) => search.within(count, config.epochs, seed, planner)?,
                    // The rest is known after a first trial.
                    Budget::Seconds(_) => search.within(
                        usize::from(!search.space(&config, planner).is_empty()),
                        config.epochs,
                        seed,
                        planner,
                    )?,
                }
            }
            Plan::Grid(protocol) => {
                "the grid of vtab1k".clone_into(&mut search.record.budget);
                search.points = protocol.grid(&config, |key| planner.is_given(method, key));
                search.rungs = vec![Rung {
                    epochs: config.epochs,
                    trials: search.points.len(),
                }];
                search.alive = (0..search.points.len()).collect();
            }
        }
        search.record.rungs.clone_from(&search.rungs);
        Ok(search)
    }

    fn space(&self, config: &TrainConfig, planner: &Planner<'_>) -> SearchSpace {
        SearchSpace::new(config, |key| planner.is_given(&self.method, key))
    }

    /// Takes `count` points (fewer where there are no more), and as many rungs as these need.
    fn within(&mut self, count: usize, epochs: usize, seed: u64, planner: &Planner<'_>) -> Result<()> {
        let space = self.space(&planner.config(&self.method, &Vec::new(), seed)?, planner);
        let count = if space.is_empty() { 0 } else { count };
        self.points = (0..count).map(|index| space.point(index, seed)).collect();
        let rung = |rung: &vpt_train::search::Rung| Rung {
            epochs: rung.epochs,
            trials: rung.settings,
        };
        self.rungs = rungs(count, epochs).iter().map(rung).collect();
        self.record.rungs.clone_from(&self.rungs);
        self.alive = (0..count).collect();
        Ok(())
    }

    /// The trial of a point, under its label.
    fn trial(
        &self,
        point: usize,
        epochs: usize,
        seed: u64,
        planner: &Planner<'_>,
    ) -> Result<(String, PlannedRun)> {
        let mut settings = self.points[point].clone();
        settings.push(("epochs".to_owned(), (epochs as i64).into()));
        let config = planner.config(&self.method, &settings, seed)?;
        let config = TrainConfig {
            read_test: false,
            leak_check: false,
            ..config
        };
        let label = format!("{} trial {}, {epochs} epochs", self.method, point + 1);
        let shots = Shots {
            count: planner.shots,
            draw: seed,
        };
        Ok((
            label,
            planner
                .plan_few(Work::of(&self.method), self.id(point, epochs), config, shots)?
                .0,
        ))
    }

    fn id(&self, point: usize, epochs: usize) -> String {
        format!("{}-{:03}-{epochs}ep", self.method, point + 1)
    }

    /// Writes down how a trial ended.
    fn noted(&mut self, point: usize, run: &PlannedRun, ended: Ended) -> Result<Option<Score>> {
        let metric = metrics::find(run.config.main_metric())?;
        let mut trial = Trial {
            id: run.name.clone(),
            settings: shown(&self.points[point]),
            epochs: run.config.epochs,
            seed: run.config.seed,
            ..Trial::default()
        };
        let score = match ended {
            Ended::Finished(folder) => {
                let score = Score::load(&folder, metric)?;
                drop_weights(&folder);
                score
            }
            Ended::Failed(reason) => {
                trial.reason = Some(reason);
                None
            }
            Ended::Interrupted => None,
        };
        match &score {
            Some(score) => {
                trial.score = Some(score.metric);
                trial.seconds = score.seconds;
            }
            None => {
                trial.ended = TrialEnd::Failed;
                let undefined = || format!("`{}` is not defined on its validation images", metric.name);
                trial.reason.get_or_insert_with(undefined);
            }
        }
        self.record.trials.push(trial);
        Ok(score)
    }

    /// Lets the best go on to the next rung, or one be the choice.
    fn promote(&mut self, rung: usize, scores: Vec<(usize, Option<Score>)>) -> Result<()> {
        let metric = metrics::find(&self.record.metric)?;
        let mut ranked: Vec<(usize, Score)> = scores
            .into_iter()
            .filter_map(|(point, score)| Some((point, score?)))
            .collect();
        ranked.sort_by(|(_, a), (_, b)| a.order(b, metric)); // stable: of equals the earlier point
        let (places, end) = match self.rungs.get(rung + 1) {
            Some(next) => (next.trials, TrialEnd::Promoted),
            None => (1, TrialEnd::Best),
        };
        ranked.truncate(places);
        self.alive = ranked.iter().map(|(point, _)| *point).collect();
        let epochs = self.rungs[rung].epochs;
        for &point in &self.alive {
            let id = self.id(point, epochs);
            let trial = self.record.trials.iter_mut().rfind(|trial| trial.id == id);
            if let Some(trial) = trial {
                trial.ended = end;
            }
        }
        Ok(())
    }

    /// The settings that were chosen: the defaults where nothing was searched, or nothing succeeded.
    pub fn chosen(&self) -> Sought {
        let best = self.alive.first().filter(|_| !self.rungs.is_empty());
        best.map_or_else(Vec::new, |&point| self.points[point].clone())
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// What the report says of it.
    pub fn record(&self) -> &MethodSearch {
        &self.record
    }

    /// Seconds and number of all trials.
    pub fn cost(&self) -> (f64, usize) {
        let seconds = self.record.trials.iter().filter_map(|trial| trial.seconds).sum();
        (seconds, self.record.trials.len())
    }
}

impl Score {
    /// What the run in `folder` reached; nothing where the metric is not defined.
    fn load(folder: &Path, metric: &Metric) -> Result<Option<Self>> {
        let results = Results::load(&folder.join(RunDir::RESULTS))?;
        Ok(results.value(metric.name).map(|value| Self {
            metric: value,
            loss: results.value("log_loss").unwrap_or(f64::INFINITY),
            seconds: results.train_seconds,
        }))
    }

    /// The better first: by the metric, and where that is equal by the loss.
    fn order(&self, other: &Self, metric: &Metric) -> std::cmp::Ordering {
        let by_metric = match metric.higher_is_better {
            true => other.metric.total_cmp(&self.metric),
            false => self.metric.total_cmp(&other.metric),
        };
        by_metric.then(self.loss.total_cmp(&other.loss))
    }
}

/// Settings as people read them.
fn shown(settings: &Sought) -> BTreeMap<String, String> {
    if settings.is_empty() {
        return BTreeMap::from([("defaults".to_owned(), "yes".to_owned())]);
    }
    settings
        .iter()
        .map(|(key, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (key.clone(), text)
        })
        .collect()
}

/// Nobody asks for the weights of a trial, and those of full fine-tuning fill disks.
fn drop_weights(folder: &Path) {
    for name in [RunDir::BEST, RunDir::LAST] {
        // One that cannot be removed only takes space.
        let _ = fs::remove_file(folder.join(name));
    }
}
