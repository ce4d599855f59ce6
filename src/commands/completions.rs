//! `vpt completions`: completions for a shell.

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::session::Session;

const EXAMPLES: &str = "\
Examples:
  vpt completions bash > ~/.local/share/bash-completion/completions/vpt
  vpt completions zsh > ~/.zfunc/_vpt
  vpt completions fish > ~/.config/fish/completions/vpt.fish";

/// Print completions for a shell
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Prints the completion script.
pub fn run(args: &CompletionsArgs, session: &Session) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "vpt", &mut script);
    session.output.raw(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
