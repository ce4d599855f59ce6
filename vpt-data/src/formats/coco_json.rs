//! The JSON of COCO: what is read of it, entry by entry, so that one bad entry spoils no other.

use super::boxes::wrong;
use crate::{DataError, decode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::fmt;
use std::path::Path;

/// A file of objects.
#[derive(Deserialize)]
pub(super) struct Instances {
    pub images: Vec<Entry<Image>>,
    pub annotations: Option<Vec<Entry<Instance>>>,
    #[serde(default)]
    pub categories: Vec<Entry<Category>>,
}

impl Instances {
    pub fn read(file: &Path, remedy: &str) -> Result<Self, DataError> {
        let bytes = decode::read(file)?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        serde_json::from_slice(bytes).map_err(|error| {
            let (line, message) = (error.line() as u64, error.to_string());
            let what = if error.is_data() {
                "not a file of COCO"
            } else {
                "not JSON"
            };
            wrong(file, line, format!("{what}: {message}"), remedy)
        })
    }
}

/// What an entry of a list is, or why it is none.
pub(super) struct Entry<T>(pub Result<T, String>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Entry<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Only this one entry is held in its general form.
        let value = Value::deserialize(deserializer)?;
        Ok(Self(T::deserialize(value).map_err(|error| error.to_string())))
    }
}

/// What identifies an image, a category or an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Id {
    Number(i64),
    Text(String),
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = |found: &dyn fmt::Display| serde::de::Error::custom(format!("the identifier {found}"));
        match Value::deserialize(deserializer)? {
            Value::Number(number) => number
                .as_i64()
                .or_else(|| {
                    Some(number.as_f64()?)
                        .filter(|n| n.fract() == 0.0 && n.abs() < 1e15)
                        .map(|n| n as i64)
                })
                .map(Self::Number)
                .ok_or_else(|| wrong(&number)),
            // Some tools write numbers as text.
            Value::String(text) => Ok(text.parse().map_or(Self::Text(text), Self::Number)),
            other => Err(wrong(&other)),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "`{text}`"),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Image {
    pub id: Id,
    pub file_name: String,
    #[serde(default, deserialize_with = "number")]
    pub width: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    pub height: Option<f64>,
}

#[derive(Deserialize)]
pub(super) struct Category {
    pub id: Id,
    pub name: String,
}

#[derive(Deserialize)]
pub(super) struct Instance {
    #[serde(default)]
    pub id: Option<Id>,
    pub image_id: Id,
    pub category_id: Id,
    /// Left, top, width, height; what is no number is nothing.
    #[serde(default, deserialize_with = "numbers")]
    pub bbox: Option<Vec<Option<f64>>>,
    #[serde(default, deserialize_with = "number")]
    pub area: Option<f64>,
    #[serde(default)]
    iscrowd: Value,
    #[serde(default)]
    pub segmentation: Option<Segmentation>,
}

impl Instance {
    pub fn is_crowd(&self) -> bool {
        self.iscrowd
            .as_bool()
            .unwrap_or_else(|| self.iscrowd.as_f64().is_some_and(|flag| flag != 0.0))
    }

    /// Whether two are of the same place and class.
    pub fn is_like(&self, other: &Self) -> bool {
        (&self.category_id, &self.bbox, self.is_crowd())
            == (&other.category_id, &other.bbox, other.is_crowd())
    }
}

/// An outline as COCO writes it.
pub(super) enum Segmentation {
    /// x and y in turn.
    Polygons(Vec<Vec<f64>>),
    /// Height and width, and lengths of runs.
    Rle { size: [u32; 2], counts: Counts },
    /// Neither.
    Other(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Counts {
    Plain(Vec<u32>),
    Text(String),
}

impl<'de> Deserialize<'de> for Segmentation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Rle {
            size: [u32; 2],
            counts: Counts,
        }
        let value = Value::deserialize(deserializer)?;
        Ok(match &value {
            Value::Array(_) => Vec::deserialize(value).map_or_else(
                |_| Self::Other("expected a list of lists of numbers".into()),
                Self::Polygons,
            ),
            Value::Object(_) => match Rle::deserialize(value) {
                Ok(Rle { size, counts }) => Self::Rle { size, counts },
                Err(error) => Self::Other(format!("no run lengths: {error}")),
            },
            _ => Self::Other("neither polygons nor run lengths".into()),
        })
    }
}

/// A number; anything else is nothing.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_f64())
}

fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Option<f64>>>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => None,
        Value::Array(values) if values.is_empty() => None,
        Value::Array(values) => Some(values.iter().map(Value::as_f64).collect()),
        _ => Some(vec![]),
    })
}
