//! The description of a YOLO data set, `data.yaml`: its classes, and where the pictures of each split are.

use super::boxes::{files_ending, folder_named, stem, text, wrong};
use super::yaml::{Value, Yaml};
use super::yolo::REMEDY;
use crate::error::counted;
use crate::{DataError, Split};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// The most classes that are believed without names.
const MAX_UNNAMED: usize = 10_000;

/// The file that describes the data set at `path`: itself, or one in the folder.
pub(super) fn description(path: &Path) -> Option<PathBuf> {
    let is_yaml = |path: &Path| {
        path.extension().is_some_and(|extension| {
            extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml")
        })
    };
    if path.is_file() {
        return is_yaml(path).then(|| path.into());
    }
    let mut files = files_ending(path, &["yaml", "yml"]).ok()?;
    // The usual name first.
    files.sort_by_key(|file| (stem(file) != "data", stem(file) != "dataset"));
    let starts = |text: &str, key: &str| text.lines().any(|line| line.starts_with(key));
    files.into_iter().find(|file| {
        let text = text(file).unwrap_or_default();
        starts(&text, "train:") && (starts(&text, "names:") || starts(&text, "nc:"))
    })
}

/// Whether there is such a data set, perhaps without its description, which is then asked for.
pub(super) fn is_root(path: &Path) -> bool {
    let labelled = || {
        let labels = folder_named(path, &["labels"]).filter(|_| folder_named(path, &["images"]).is_some())?;
        let below = fs::read_dir(&labels).ok()?.flatten().map(|entry| entry.path());
        let mut folders = below.filter(|path| path.is_dir()).chain([labels.clone()]);
        folders.find(|folder| files_ending(folder, &["txt"]).is_ok_and(|files| !files.is_empty()))
    };
    description(path).is_some() || labelled().is_some()
}

/// Where each split's pictures are.
pub(super) struct Described {
    pub file: PathBuf,
    pub classes: Vec<String>,
    /// The class of each number that labels may have.
    pub numbers: HashMap<u64, usize>,
    /// Key points make lines longer, and are not read.
    pub points: bool,
    pub splits: BTreeMap<Split, Vec<(u64, PathBuf)>>,
}

impl Described {
    pub fn read(file: &Path) -> Result<Self, DataError> {
        let yaml = Yaml::read(file)?;
        let failed = |line: u64, message: String| Err(wrong(file, line, message, REMEDY));
        let (mut classes, mut numbers) = (vec![], HashMap::new());
        let mut add = |number: u64, name: &str| {
            let class = classes.len();
            classes.push(name.to_owned());
            numbers.insert(number, class).is_none()
        };
        let count = yaml.get("nc").map(|count| {
            (
                count.line,
                count.text().and_then(|text| text.parse::<usize>().ok()),
            )
        });
        match yaml.get("names") {
            None => match count {
                Some((_, Some(count))) if (1..=MAX_UNNAMED).contains(&count) => {
                    (0..count).for_each(|number| {
                        add(number as u64, &format!("class_{number}"));
                    });
                }
                Some((line, _)) => return failed(line, format!("`nc` is no number from 1 to {MAX_UNNAMED}")),
                None => return failed(1, "the key `names` is missing".into()),
            },
            Some(names) => {
                match &names.value {
                    Value::List(list) => {
                        for (number, name) in (0..).zip(list) {
                            let Some(text) = name.text() else {
                                return failed(name.line, "a name that is no text".into());
                            };
                            add(number, text);
                        }
                    }
                    Value::Map(map) => {
                        let mut named: BTreeMap<u64, &str> = BTreeMap::new();
                        for (key, name) in map {
                            let (Ok(number), Some(text)) = (key.parse(), name.text()) else {
                                return failed(name.line, format!("`{key}` is no number with a name"));
                            };
                            if named.insert(number, text).is_some() {
                                return failed(name.line, format!("a second name for {number}"));
                            }
                        }
                        for (number, name) in named {
                            add(number, name);
                        }
                    }
                    Value::Scalar(_) => return failed(names.line, "`names` is no list".into()),
                }
                if let Some((line, count)) = count.filter(|(_, count)| *count != Some(classes.len())) {
                    let said = count.map_or_else(|| "no number".into(), |count| count.to_string());
                    return failed(
                        line,
                        format!("`nc` is {said}, but there are {}", counted(classes.len(), "name")),
                    );
                }
            }
        }
        let twice = classes
            .iter()
            .enumerate()
            .find(|(at, class)| classes[..*at].contains(class));
        if let Some((_, class)) = twice {
            return failed(
                yaml.get("names").map_or(1, |names| names.line),
                format!("`{class}` is the name of two classes"),
            );
        }
        if classes.is_empty() {
            return failed(1, "no class is named".into());
        }
        let folder = file.parent().unwrap_or(Path::new(""));
        let base = match yaml
            .get("path")
            .and_then(Yaml::text)
            .map(|path| folder.join(path))
        {
            Some(base) if base.is_dir() => base,
            // Ultralytics takes it as below a folder of its own settings.
            _ => folder.into(),
        };
        let mut splits = BTreeMap::new();
        for split in Split::ALL {
            let Some(said) = yaml
                .get(split.name())
                .or_else(|| yaml.get("valid").filter(|_| split == Split::Val))
            else {
                continue;
            };
            let several = match &said.value {
                Value::List(list) => list.iter().collect(),
                _ => vec![said],
            };
            let mut places = vec![];
            for said in several {
                let Some(text) = said.text() else {
                    return failed(said.line, format!("`{split}` is no path"));
                };
                // Roboflow writes `../train/images` for what lies beside the description.
                let beside = text.strip_prefix("../").map(|text| base.join(text));
                let candidates = [Some(base.join(text)), beside, Some(folder.join(text))];
                let Some(place) = candidates.into_iter().flatten().find(|path| path.exists()) else {
                    return failed(
                        said.line,
                        format!("`{}` does not exist", base.join(text).display()),
                    );
                };
                places.push((said.line, place));
            }
            splits.insert(split, places);
        }
        if !splits.contains_key(&Split::Train) {
            return failed(1, "the key `train` is missing".into());
        }
        Ok(Self {
            file: file.into(),
            classes,
            numbers,
            points: yaml.get("kpt_shape").is_some(),
            splits,
        })
    }
}
