//! `vpt`: visual prompt tuning for Vision Transformers on the command line.

mod allocator;
mod banner;
mod child;
mod cli;
mod commands;
mod downloads;
mod evaluation;
mod exit;
mod failure;
mod inputs;
mod interrupt;
mod knn_settings;
mod output;
mod planned_run;
mod progress;
mod queue;
mod session;
mod settings;
mod shell;
mod tables;
mod target;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Command};
use crate::exit::Exit;
use crate::output::Output;
use crate::session::Session;

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error).into(),
    };
    let output = Output::new(cli.global.json, cli.global.quiet, cli.global.verbose > 0);
    match run(&cli, output) {
        Ok(exit) => exit.into(),
        Err(error) => failed(&error, output).into(),
    }
}

fn run(cli: &Cli, output: Output) -> Result<Exit> {
    let session = Session::start(&cli.global, output)?;
    match &cli.command {
        Command::Train(args) => commands::train::run(args, &session),
        Command::Eval(args) => commands::eval::run(args, &session),
        Command::Compare(args) => commands::compare::run(args, &session),
        Command::Predict(args) => commands::predict::run(args, &session),
        Command::Prune(args) => commands::prune::run(args, &session),
        Command::Knn(args) => commands::knn::run(args, &session),
        Command::Features(args) => commands::features::run(args, &session),
        Command::Calibrate(args) => commands::calibrate::run(args, &session),
        Command::Export(args) => commands::export::run(args, &session),
        Command::Serve(args) => commands::serve::run(args, &session),
        Command::Inspect(args) => commands::inspect::run(args, &session),
        Command::Bench(args) => commands::bench::run(args, &session),
        Command::List(args) => commands::list::run(args, &session),
        Command::Demo(args) => commands::demo::run(args, &session),
        Command::Completions(args) => commands::completions::run(args, &session),
        Command::ProbeDevice(args) => commands::probe::run(args, &session),
    }
}

/// Ends a command that asked for help, or one that does not make sense.
fn usage(error: &clap::Error) -> Exit {
    let typed = std::env::args()
        .nth(1)
        .filter(|word| Cli::command().find_subcommand(word).is_some());
    let command = typed.map_or_else(|| "vpt".to_owned(), |word| format!("vpt {word}"));
    output::clap_message(error, &format!("`{command} --help` shows flags and examples"));
    match error.use_stderr() {
        true => Exit::Usage,
        false => Exit::Success,
    }
}

/// Ends a command that failed; a reader of stdout that went away is no failure.
fn failed(error: &anyhow::Error, output: Output) -> Exit {
    match failure::exit(error) {
        None => Exit::Success,
        Some(exit) => {
            output.failure(error);
            exit
        }
    }
}
