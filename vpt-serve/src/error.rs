//! [`ServeError`]: why the server cannot start, or a task cannot be served.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;
use vpt_core::CoreError;

/// Why the server cannot start, or a task cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The backbone or a task file is not as it must be.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Others than this machine could connect, and nothing would ask them who they are.
    #[error("{address} can be reached from other machines, and there is no access token")]
    TokenWanted {
        /// The address.
        address: SocketAddr,
    },
    /// A name that would not survive in an address.
    #[error(
        "`{name}` is no name for a task, expected 1 to 64 letters, digits, `.`, `_` and `-`, a letter or digit first"
    )]
    TaskName {
        /// The name.
        name: String,
    },
    /// Two tasks would have one name.
    #[error("`{}` and `{}` would both be the task `{name}`", first.display(), second.display())]
    SameName {
        /// The name.
        name: String,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A task that fails on an image of zeros will fail on others.
    #[error("the task `{name}` cannot be used: {reason}")]
    TaskFails {
        /// Its name.
        name: String,
        /// What came of it.
        reason: String,
    },
    /// A file or folder cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The threads of the server cannot be started.
    #[error("cannot start the server: {0}")]
    Start(io::Error),
}

impl ServeError {
    /// One remedy.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Core(error) => error.hint(),
            Self::Listen { .. } => {
                Some("choose another port with `--port`; 0 takes any that is free".to_owned())
            }
            Self::TokenWanted { .. } => Some(
                "put a secret into the environment variable VPT_TOKEN or into a file and give `--token-file FILE`".to_owned(),
            ),
            Self::TaskName { .. } | Self::SameName { .. } => {
                Some("give it a name: `vpt serve NAME=TASKFILE`".to_owned())
            }
            Self::TaskFails { .. } => Some("train the task again, or leave it out".to_owned()),
            Self::Read { .. } => Some("give task files, run folders, or folders of them".to_owned()),
            Self::Start(_) => None,
        }
    }
}
