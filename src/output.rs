//! The one printer: results go to stdout, everything else goes to stderr.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use serde::Serialize;

/// Terminal styles (ANSI SGR parameters) of the words that begin a line.
const ERROR: &str = "1;31";
const WARNING: &str = "1;33";
const HINT: &str = "1;36";
const CAUSE: &str = "1";

/// Stdout was closed by its reader (`vpt … | head`): not a failure of ours.
#[derive(Debug)]
pub struct StdoutClosed;

impl Display for StdoutClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stdout was closed")
    }
}

impl std::error::Error for StdoutClosed {}

/// Knows how much to say, in which form and where.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
    verbose: bool,
    colour: bool,
}

impl Output {
    /// `json` replaces results for people by one JSON document, `quiet` drops everything on stderr but warnings and errors.
    pub fn new(json: bool, quiet: bool, verbose: bool) -> Self {
        Self {
            json,
            quiet,
            verbose,
            colour: colour_on(&io::stderr()),
        }
    }

    /// Whether results are wanted as JSON.
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// Whether nothing but results, warnings and errors is wanted.
    pub const fn is_quiet(self) -> bool {
        self.quiet
    }

    /// Whether a progress bar may be drawn: a terminal that nobody asked to be quiet.
    pub fn draws_progress(self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// A result for people, on stdout; says nothing under `--json`.
    pub fn result(self, text: impl Display) -> Result<()> {
        match self.json {
            true => Ok(()),
            false => write_stdout(&format!("{text}\n")),
        }
    }

    /// Text that is a result whatever the format, such as a completion script, as it is.
    #[allow(clippy::unused_self, reason = "all that is printed goes through an `Output`")]
    pub fn raw(self, text: &str) -> Result<()> {
        write_stdout(text)
    }

    /// A result for programs, on stdout, as one indented document; says nothing without `--json`.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        match self.json {
            true => write_stdout(&format!("{}\n", serde_json::to_string_pretty(value)?)),
            false => Ok(()),
        }
    }

    /// One JSON object on a line of its own, for results that stream.
    pub fn json_line<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        match self.json {
            true => write_stdout(&format!("{}\n", serde_json::to_string(value)?)),
            false => Ok(()),
        }
    }

    /// What is going on, on stderr; silenced by `--quiet`.
    pub fn info(self, text: impl Display) {
        if !self.quiet {
            write_stderr(&format!("{text}\n"));
        }
    }

    /// What is going on in more detail, on stderr; only with `--verbose`.
    pub fn detail(self, text: impl Display) {
        if self.verbose {
            write_stderr(&format!("{text}\n"));
        }
    }

    /// Something the user should know although the command goes on.
    pub fn warn(self, text: impl Display) {
        write_stderr(&format!("{} {text}\n", self.paint("warning:", WARNING)));
    }

    /// Something that failed although the command goes on.
    pub fn error(self, text: impl Display) {
        write_stderr(&format!("{} {text}\n", self.paint("error:", ERROR)));
    }

    /// One remedy.
    pub fn hint(self, text: impl Display) {
        write_stderr(&format!("{} {text}\n", self.paint("hint:", HINT)));
    }

    /// A way to better results, silenced by `--quiet`.
    pub fn tip(self, text: impl Display) {
        if !self.quiet {
            self.hint(text);
        }
    }

    /// Why the command failed: the error, what caused it, and what to do about it.
    pub fn failure(self, error: &anyhow::Error) {
        let mut said = error.to_string();
        self.error(&said);
        for cause in error.chain().skip(1).map(ToString::to_string) {
            if !said.contains(&cause) {
                write_stderr(&format!("{} {cause}\n", self.paint("cause:", CAUSE)));
                said.push_str(&cause);
            }
        }
        if let Some(hint) = crate::failure::hint(error) {
            self.hint(hint);
        }
    }

    fn paint(self, text: &str, style: &str) -> String {
        paint(text, style, self.colour)
    }
}

/// Text made by clap (a usage error, a help page or the version), to the stream it belongs to.
pub fn clap_message(error: &clap::Error, hint: &str) {
    let rendered = error.render();
    match error.use_stderr() {
        false => {
            let colour = colour_on(&io::stdout());
            let text = if colour {
                rendered.ansi().to_string()
            } else {
                rendered.to_string()
            };
            // A reader that went away has seen all the help it wanted.
            let _ = write_stdout(&text);
        }
        true => {
            let colour = colour_on(&io::stderr());
            let text = if colour {
                rendered.ansi().to_string()
            } else {
                rendered.to_string()
            };
            let body = text.split("\n\nFor more information").next().unwrap_or(&text);
            write_stderr(&format!(
                "{}\n\n{} {hint}\n",
                body.trim_end(),
                paint("hint:", HINT, colour)
            ));
        }
    }
}

fn paint(text: &str, style: &str, colour: bool) -> String {
    match colour {
        true => format!("\x1b[{style}m{text}\x1b[0m"),
        false => text.to_owned(),
    }
}

fn colour_on(stream: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !refused
}

fn write_stdout(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(StdoutClosed.into()),
        other => Ok(other?),
    }
}

fn write_stderr(text: &str) {
    // Nobody is left to be told that stderr is gone.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
