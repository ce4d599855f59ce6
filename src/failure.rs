//! Errors of the command line itself, and the hints that the libraries' errors carry.

use std::fmt;

use vpt_core::CoreError;
use vpt_data::DataError;
use vpt_eval::EvalError;
use vpt_serve::ServeError;
use vpt_train::TrainError;

use crate::exit::Exit;
use crate::output::StdoutClosed;

/// A failure found by the command line: what is wrong, what to do about it, and how to exit.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    exit: Exit,
}

impl Failure {
    /// Something went wrong while doing what was asked.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            exit: Exit::Failure,
        }
    }

    /// What was asked does not make sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            exit: Exit::Usage,
        }
    }

    /// Adds one remedy.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// How to exit after `error`; `None` means that a closed stdout ended the command, which is no failure.
pub fn exit(error: &anyhow::Error) -> Option<Exit> {
    match error.is::<StdoutClosed>() {
        true => None,
        false => Some(
            error
                .downcast_ref::<Failure>()
                .map_or(Exit::Failure, |failure| failure.exit),
        ),
    }
}

/// The outermost remedy that `error` or one of its causes knows.
pub fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        None.or_else(|| cause.downcast_ref::<Failure>().and_then(|e| e.hint.clone()))
            .or_else(|| cause.downcast_ref::<TrainError>().and_then(TrainError::hint))
            .or_else(|| cause.downcast_ref::<ServeError>().and_then(ServeError::hint))
            .or_else(|| cause.downcast_ref::<EvalError>().and_then(EvalError::hint))
            .or_else(|| cause.downcast_ref::<CoreError>().and_then(CoreError::hint))
            .or_else(|| cause.downcast_ref::<DataError>().and_then(DataError::hint))
    })
}
