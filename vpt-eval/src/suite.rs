//! `suite.json`: several tasks, measured over the backbones that they share.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vpt_data::TaskKind;

use crate::results::{load_json, save_json};
use crate::{EvalError, Results};

/// One task of a suite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuiteTask {
    /// What the suite calls it.
    pub name: String,
    /// Its task file.
    pub file: PathBuf,
    /// What it asks of a model.
    pub kind: TaskKind,
    /// The metric that it is judged by.
    pub main_metric: String,
    /// What was measured.
    pub results: Results,
}

/// What `vpt eval --suite` prints with `--json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suite {
    /// Always [`Suite::SCHEMA`].
    pub schema: String,
    /// Version of vpt that measured.
    pub vpt_version: String,
    /// The suite.
    pub name: String,
    /// How many backbones were loaded for all of the tasks.
    pub backbones: usize,
    /// One entry a task.
    pub tasks: Vec<SuiteTask>,
}

impl Suite {
    /// Kind and version of the document.
    pub const SCHEMA: &str = "vpt-suite/1";

    /// A suite of measured tasks.
    pub fn new(name: String, backbones: usize, tasks: Vec<SuiteTask>) -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            vpt_version: env!("CARGO_PKG_VERSION").to_owned(),
            name,
            backbones,
            tasks,
        }
    }

    /// Writes the document.
    pub fn save(&self, path: &Path) -> Result<(), EvalError> {
        save_json(self, path)
    }

    /// Reads the document.
    pub fn load(path: &Path) -> Result<Self, EvalError> {
        load_json(path, Self::SCHEMA)
    }
}
