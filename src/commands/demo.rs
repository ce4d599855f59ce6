//! `vpt demo`: the whole path on a sample task drawn on the spot.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use vpt_data::{Split, fundus};
use vpt_eval::{Comparison, Results};
use vpt_train::RunDir;

use crate::cli::values;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::{interrupt, shell, tables};

const EXAMPLES: &str = "\
Examples:
  vpt demo
  vpt demo --output /tmp/vpt-demo --quick

Draws fundus-like photographs graded by their lesions, learns prompts for them, evaluates, and compares with a \
linear probe and full fine-tuning. Takes a few minutes on two cores; nothing is downloaded.";

/// Draw a sample task, then train, evaluate and compare on it
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    /// Folder for the images and the runs
    #[arg(
        long,
        visible_alias = "project",
        value_name = "DIR",
        default_value = "vpt-demo"
    )]
    pub output: PathBuf,

    /// A handful of images and one epoch: shows the path, not the quality
    #[arg(long)]
    pub quick: bool,

    /// Seed of the images and the training
    #[arg(long, value_name = "SEED", default_value = "42", value_parser = values::seed)]
    pub seed: u64,
}

/// How much is drawn and trained.
struct Scale {
    /// Name of the data set and of its runs.
    name: &'static str,
    /// Photographs of each class in train, val and test.
    per_class: [usize; 3],
    /// Their width and height in pixels.
    pixels: u32,
    /// Epochs of each training.
    epochs: usize,
}

const FULL: Scale = Scale {
    name: "fundus",
    per_class: [80, 25, 50],
    pixels: 96,
    epochs: 30,
};
const QUICK: Scale = Scale {
    name: "fundus-quick",
    per_class: [4, 2, 2],
    pixels: 48,
    epochs: 1,
};

/// Where everything lies, for `--json`.
#[derive(Serialize)]
struct Places {
    images: PathBuf,
    run: PathBuf,
    comparison: PathBuf,
    results: Results,
    compared: Comparison,
}

/// Draws, then runs the commands that a user would type, each in a process of its own.
pub fn run(args: &DemoArgs, session: &Session) -> Result<Exit> {
    let output = session.output;
    interrupt::handle(output, "stopping; `vpt demo` goes on from there")?;
    let scale = if args.quick { QUICK } else { FULL };
    let images = args.output.join(scale.name);
    output.info(format!(
        "drawing photographs of {0} x {0} pixels into {1}",
        scale.pixels,
        images.display()
    ));
    fundus::draw_dataset(&images, args.seed, scale.per_class, scale.pixels)?;

    let runs = args.output.join("runs");
    let run = runs.join("train").join(scale.name);
    let comparison = runs.join("compare").join(scale.name);
    for words in [
        train(args, &scale, &images, &runs, &run),
        eval(&run),
        compare(args, &scale, &images, &runs),
    ] {
        output.info(format!("\n$ vpt {}", shell::line(&words)));
        match execute(&words, session)? {
            Exit::Success => {}
            ended => return Ok(ended),
        }
    }
    output.json(&Places {
        results: Results::load(&run.join(RunDir::RESULTS))?,
        compared: Comparison::load(&comparison.join("comparison.json"))?,
        images: images.clone(),
        run: run.clone(),
        comparison: comparison.clone(),
    })?;
    output.result(what_next(&images, &run, &comparison))?;
    Ok(Exit::Success)
}

/// A run that was begun before goes on, one that is finished is reported on again.
fn train(args: &DemoArgs, scale: &Scale, images: &Path, runs: &Path, run: &Path) -> Vec<String> {
    if run.join(RunDir::ARGS).is_file() {
        return words(&["train", "--resume", &run.to_string_lossy()]);
    }
    let (images, runs) = (images.to_string_lossy(), runs.to_string_lossy());
    let (epochs, seed) = (scale.epochs.to_string(), args.seed.to_string());
    words(&[
        "train",
        "--data-dir",
        &images,
        "--method",
        "vpt-deep",
        "--epochs",
        &epochs,
        "--seed",
        &seed,
        "--output",
        &runs,
        "--experiment",
        scale.name,
    ])
}

fn eval(run: &Path) -> Vec<String> {
    words(&["eval", &run.to_string_lossy()])
}

/// The same settings and seed as the training, which is therefore reused.
fn compare(args: &DemoArgs, scale: &Scale, images: &Path, runs: &Path) -> Vec<String> {
    let (images, runs) = (images.to_string_lossy(), runs.to_string_lossy());
    let (epochs, seeds) = (scale.epochs.to_string(), format!("{},", args.seed));
    words(&[
        "compare",
        "--data-dir",
        &images,
        "--methods",
        "vpt-deep,linear,full",
        "--epochs",
        &epochs,
        "--seeds",
        &seeds,
        "--output",
        &runs,
    ])
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Runs `vpt` with these words on the same terminal.
fn execute(words: &[String], session: &Session) -> Result<Exit> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.args(words).args(["--device", &session.choice()]);
    command.args(["--threads", &session.threads().to_string()]);
    command.args(session.download_flags());
    if session.output.is_json() {
        command.stdout(Stdio::null());
    }
    if session.output.is_quiet() {
        command.arg("--quiet");
    }
    let status = command.status().context("cannot start a process")?;
    match status.code() {
        Some(0) => Ok(Exit::Success),
        Some(130) => Ok(Exit::Interrupted),
        code => {
            let ended = code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
            Err(Failure::new(format!("`vpt {}` ended with {ended}", words[0])).into())
        }
    }
}

fn what_next(images: &Path, run: &Path, comparison: &Path) -> String {
    let photo = images
        .join(Split::Test.name())
        .join(fundus::CLASSES[3])
        .join("00000.jpg");
    let places = tables::pairs(&[
        ("images", images.display().to_string()),
        ("run", run.display().to_string()),
        (
            "comparison",
            comparison.join("comparison.html").display().to_string(),
        ),
    ]);
    format!(
        "\n{places}\n\ntry next\n  vpt predict {} {}\n  vpt train --data-dir {} --num-tokens 50\n  vpt train --data-dir my_images",
        shell::quote(run),
        shell::quote(&photo),
        shell::quote(images)
    )
}
