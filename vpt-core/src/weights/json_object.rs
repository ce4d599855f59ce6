//! [`Object`]: reading a JSON object so that errors name file, key, what was expected and what was found.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::CoreError;

/// A JSON object of the document, with where it lies for errors.
pub(super) struct Object<'a> {
    pub path: &'a Path,
    pub prefix: &'a str,
    pub map: &'a Map<String, Value>,
}

/// Stands in for an object that is absent.
static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

impl<'a> Object<'a> {
    /// The whole document, which must be an object.
    pub fn top(path: &'a Path, document: &'a Value) -> Result<Self, CoreError> {
        let map = as_object(path, "", document)?;
        Ok(Self {
            path,
            prefix: "",
            map,
        })
    }

    /// The object at `key`, empty when absent.
    pub fn object(&self, key: &'a str) -> Result<Object<'a>, CoreError> {
        let map = match self.map.get(key) {
            None | Some(Value::Null) => &*EMPTY,
            Some(value) => as_object(self.path, key, value)?,
        };
        Ok(Object {
            path: self.path,
            prefix: key,
            map,
        })
    }

    /// A string, if there.
    pub fn string(&self, key: &str) -> Result<Option<&'a str>, CoreError> {
        self.read(key, "a string", Value::as_str)
    }

    /// A number of things, if there.
    pub fn count(&self, key: &str) -> Result<Option<usize>, CoreError> {
        self.read(key, "an integer from 0 to 1000000", |value| {
            match value.as_u64() {
                Some(n @ 0..=1_000_000) => Some(n as usize),
                _ => None,
            }
        })
    }

    /// True or false, if there.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, CoreError> {
        self.read(key, "true or false", Value::as_bool)
    }

    /// A number, if there.
    pub fn number(&self, key: &str) -> Result<Option<f64>, CoreError> {
        self.read(key, "a number", Value::as_f64)
    }

    /// Three numbers, one per colour.
    pub fn colours(&self, key: &str) -> Result<[f32; 3], CoreError> {
        let three = |value: &Value| {
            let numbers: Option<Vec<f32>> = value
                .as_array()?
                .iter()
                .map(|x| Some(x.as_f64()? as f32))
                .collect();
            <[f32; 3]>::try_from(numbers?).ok()
        };
        let missing = || self.wrong(key, "three numbers", &Value::Null);
        self.read(key, "three numbers", three)?.ok_or_else(missing)
    }

    /// The value of `key` if it is there and not null; an error unless `read` understands it.
    pub fn read<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, CoreError> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .ok_or_else(|| self.wrong(key, expected, value)),
        }
    }

    /// The error for a value that is not `expected`; null stands for an absent one.
    pub fn wrong(&self, key: &str, expected: &str, found: &Value) -> CoreError {
        let key = match self.prefix {
            "" => key.to_owned(),
            prefix => format!("{prefix}.{key}"),
        };
        let found = match found {
            Value::Null => "nothing".to_owned(),
            other => other.to_string().chars().take(80).collect(),
        };
        key_error(self.path, &key, expected, &found)
    }
}

/// An error about the value at `key`, the whole document for an empty key.
pub(super) fn key_error(path: &Path, key: &str, expected: &str, found: &str) -> CoreError {
    let key = if key.is_empty() { "the document" } else { key };
    CoreError::Key {
        path: path.into(),
        key: key.into(),
        expected: expected.into(),
        found: found.into(),
    }
}

/// The value at `key`, which must be an object.
fn as_object<'a>(path: &Path, key: &str, value: &'a Value) -> Result<&'a Map<String, Value>, CoreError> {
    let found: String = value.to_string().chars().take(80).collect();
    value
        .as_object()
        .ok_or_else(|| key_error(path, key, "an object", &found))
}
