//! [`Measured`]: what a comparison measured besides its runs, kept so that the same command says the same again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use vpt_data::atomic;

/// Values by what they were measured on.
pub struct Measured {
    path: PathBuf,
    values: BTreeMap<String, Value>,
}

impl Measured {
    /// Opens `measured.json` in the folder of a comparison. One that cannot be read is begun anew: all of it can be measured
    /// again.
    pub fn open(folder: &Path) -> Self {
        let path = folder.join("measured.json");
        let values = fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self {
            values: values.unwrap_or_default(),
            path,
        }
    }

    /// The value of `key`, measured and written down if it is not known yet.
    pub fn value<T: Serialize + DeserializeOwned>(
        &mut self,
        key: &str,
        measure: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let known = self.values.get(key).cloned();
        if let Some(known) = known.and_then(|value| serde_json::from_value(value).ok()) {
            return Ok(known);
        }
        let value = serde_json::to_value(measure()?)?;
        self.values.insert(key.to_owned(), value.clone());
        let text = serde_json::to_string_pretty(&self.values)? + "\n";
        atomic::write_bytes(&self.path, text.as_bytes())
            .with_context(|| format!("cannot write `{}`", self.path.display()))?;
        // What was read back is what will be read back next time.
        Ok(serde_json::from_value(value)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_measured_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut measured = Measured::open(folder.path());
        assert_eq!(measured.value("a", || Ok(0.1 + 0.2)).unwrap(), 0.1 + 0.2);
        let mut again = Measured::open(folder.path());
        assert_eq!(again.value::<f64>("a", || panic!("is known")).unwrap(), 0.1 + 0.2);
        fs::write(folder.path().join("measured.json"), "{").unwrap();
        assert_eq!(Measured::open(folder.path()).value("a", || Ok(1.0)).unwrap(), 1.0);
    }
}
