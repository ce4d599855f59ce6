//! The same methods on fewer training images, drawn anew for each seed.

use anyhow::Result;
use vpt_eval::FewShotRun;
use vpt_train::search::Sought;

use super::folders::Folders;
use super::planner::{Planner, Shots};
use crate::planned_run::{Ended, Work};
use crate::queue::Queue;

/// Trains every method with its settings at every number of shots (all images are the comparison itself). Nothing if it was
/// interrupted; what failed is left out, with a line in `failures`.
pub fn few_shot(
    counts: &[usize],
    seeds: &[u64],
    methods: &[(String, Sought)],
    planner: &Planner<'_>,
    queue: &Queue<'_>,
    folders: &Folders,
    failures: &mut Vec<String>,
) -> Result<Option<Vec<FewShotRun>>> {
    let mut plans = Vec::new();
    let mut points = Vec::new();
    for &count in counts {
        for &seed in seeds {
            for (method, found) in methods {
                let shots = Shots {
                    count: Some(count),
                    draw: seed,
                };
                let config = planner.config(method, found, seed)?;
                let name = format!("{method}-shots{count}-seed{seed}");
                let label = format!("{method} seed {seed}, {count} images a class");
                let (run, images) = planner.plan_few(Work::of(method), name, config, shots)?;
                plans.push((label, run));
                points.push((shots, images));
            }
        }
    }
    let Some(ended) = queue.complete(&plans)? else {
        return Ok(None);
    };
    let mut runs = Vec::new();
    for (((shots, images), ended), (label, _)) in points.into_iter().zip(ended).zip(&plans) {
        match ended {
            Ended::Finished(folder) => runs.push(FewShotRun {
                shots: shots.count,
                images,
                draw: shots.draw,
                run: folders.summary(&folder)?,
            }),
            Ended::Failed(reason) => failures.push(format!("No result of {label}: {reason}.")),
            Ended::Interrupted => return Ok(None),
        }
    }
    Ok(Some(runs))
}
