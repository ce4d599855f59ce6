//! [`Child`]: `vpt` run again in a process of its own, followed line by line.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::interrupt;

/// How often Ctrl-C is looked for while the child says nothing.
const POLL: Duration = Duration::from_millis(100);

/// How a child ended.
pub struct Child {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it said on stderr.
    pub said: Vec<String>,
}

impl Child {
    /// Runs `vpt` with these words. `line` hears each line of stderr; stdout is dropped. On Ctrl-C the child's stdin is
    /// closed, on which it stops as if it had been asked itself.
    pub fn run(words: &[String], mut line: impl FnMut(&str)) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut child = Command::new(program)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start a process")?;
        let mut stdin = child.stdin.take();
        let (sender, lines) = mpsc::channel();
        if let Some(stderr) = child.stderr.take() {
            std::thread::spawn(move || {
                // Ends with the pipe, or when nobody listens any more.
                let lines = BufReader::new(stderr).lines().map_while(Result::ok);
                lines
                    .map(|line| sender.send(line))
                    .take_while(Result::is_ok)
                    .for_each(drop);
            });
        }
        let mut said = Vec::new();
        loop {
            match lines.recv_timeout(POLL) {
                Ok(text) => {
                    line(&text);
                    said.push(text);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if interrupt::requested() {
                stdin = None;
            }
        }
        let status = child.wait().context("cannot wait for a process")?;
        drop(stdin);
        Ok(Self {
            code: status.code(),
            said,
        })
    }

    /// Why it failed, in its own words.
    pub fn reason(&self) -> String {
        let message = self.said.iter().find_map(|line| line.strip_prefix("error: "));
        match (message, self.code) {
            (Some(message), _) => message.to_owned(),
            (None, Some(code)) => format!("it ended with exit code {code}"),
            (None, None) => "it was killed, perhaps for lack of memory".to_owned(),
        }
    }
}
