//! [`Folders`]: where a comparison keeps what.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use vpt_data::atomic;
use vpt_eval::report::{comparison_html, comparison_markdown};
use vpt_eval::{Comparison, RunSummary};

use crate::tables;

/// `runs/compare/<name>`, its trials below it, and `runs/train` where a finished run may serve as well.
pub struct Folders {
    /// The folder of the comparison.
    pub comparison: PathBuf,
    /// The folder of other finished runs.
    pub trained: PathBuf,
}

impl Folders {
    /// Those of the comparison `name` below `output`.
    pub fn new(output: &Path, name: &str) -> Self {
        Self {
            comparison: output.join("compare").join(name),
            trained: output.join("train"),
        }
    }

    /// Where the trials of the search lie.
    pub fn trials(&self) -> PathBuf {
        self.comparison.join("trials")
    }

    /// Where runs on few images lie.
    pub fn few_shot(&self) -> PathBuf {
        self.comparison.join("few_shot")
    }

    /// A finished run, with its folder as links in the comparison's folder shall name it.
    pub fn summary(&self, folder: &Path) -> Result<RunSummary> {
        Ok(RunSummary {
            run_dir: self.link(folder),
            ..RunSummary::load(folder)?
        })
    }

    /// How a page in the comparison's folder names another folder.
    pub fn link(&self, folder: &Path) -> PathBuf {
        if let Ok(below) = folder.strip_prefix(&self.comparison) {
            return below.to_owned();
        }
        match (folder.strip_prefix(&self.trained), folder.is_absolute()) {
            (Ok(below), _) => Path::new("../../train").join(below),
            (Err(_), true) => folder.to_owned(),
            (Err(_), false) => {
                let up = self.comparison.components().map(|_| "..");
                up.collect::<PathBuf>().join(folder)
            }
        }
    }

    /// Writes the comparison in its three forms.
    pub fn write(&self, comparison: &Comparison) -> Result<()> {
        comparison.save(&self.comparison.join("comparison.json"))?;
        for (name, text) in [
            ("comparison.md", comparison_markdown(comparison)),
            ("comparison.html", comparison_html(comparison)),
        ] {
            let path = self.comparison.join(name);
            atomic::write_bytes(&path, text.as_bytes())
                .with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        Ok(())
    }

    /// Where everything lies, in words.
    pub fn listing(&self) -> String {
        let path = |name: &str| self.comparison.join(name).display().to_string();
        tables::pairs(&[
            ("page", path("comparison.html")),
            ("markdown", path("comparison.md")),
            ("numbers", path("comparison.json")),
        ])
    }
}
