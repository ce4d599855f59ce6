//! Where the files of a COCO data set lie: which JSON is for which split, and where its pictures are.

use super::boxes::{files_ending, sort_naturally, stem};
use crate::{Split, decode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The name of Roboflow's files.
const ROBOFLOW: &str = "_annotations.coco.json";

/// What names of folders of JSON files begin with.
const ANNOTATIONS: &str = "annotations";

/// A JSON file and what it is for.
pub(super) struct Source {
    pub split: Option<Split>,
    /// What its name says: `train2017`.
    token: String,
    pub file: PathBuf,
}

/// Whether the folder holds such a data set.
pub(super) fn is_root(path: &Path) -> bool {
    path.is_dir() && !sources(path).is_empty()
}

/// The folder that images are below: where only the folder of JSON files is given, the one above it.
pub(super) fn root(path: &Path) -> PathBuf {
    let is_annotations = |path: &Path| {
        let name = path
            .canonicalize()
            .ok()
            .and_then(|path| Some(path.file_name()?.to_string_lossy().to_lowercase()));
        name.is_some_and(|name| name.starts_with(ANNOTATIONS)) && in_folders(path).is_empty()
    };
    match path.parent() {
        Some(parent) if !path.ends_with("..") && is_annotations(path) => parent.into(),
        _ => path.into(),
    }
}

/// The files of each split.
pub(super) fn sources(path: &Path) -> Vec<Source> {
    let mut found = in_folders(path);
    if found.is_empty() {
        found = files(path, root(path) == path);
    }
    // One file that names no split is all there is; beside others it is something else.
    if found.len() > 1 {
        found.retain(|source| source.split.is_some());
    }
    found
}

/// The files in folders of splits and of annotations.
fn in_folders(path: &Path) -> Vec<Source> {
    let entries = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    sort_naturally(&mut folders);
    let mut found = vec![];
    for folder in folders {
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let file = folder.join(ROBOFLOW);
        if let Some(split) = Split::of_folder(&name).filter(|_| file.is_file()) {
            found.push(Source {
                split: Some(split),
                token: name,
                file,
            });
        } else if name.to_lowercase().starts_with(ANNOTATIONS) {
            found.extend(files(&folder, false));
        }
    }
    found
}

/// The JSON files in a folder that look like lists of objects, by their names; where any JSON may lie (`careful`) also by what they hold.
fn files(folder: &Path, careful: bool) -> Vec<Source> {
    const OTHERS: [&str; 5] = ["captions", "person_keypoints", "stuff", "panoptic", "image_info"];
    let mut found = vec![];
    for file in files_ending(folder, &["json"]).unwrap_or_default() {
        let name = stem(&file).to_lowercase();
        let known = name.contains("instances") || name.contains("annotations") || name.contains("coco");
        if OTHERS.iter().any(|other| name.starts_with(other))
            || (careful && !(known && looks_like_one(&file)))
        {
            continue;
        }
        let mut tokens = name.split(['_', '-', '.']).filter(|token| !token.is_empty());
        let split_of = |token: &str| Split::of_folder(token.trim_end_matches(|c: char| c.is_ascii_digit()));
        let token = tokens.clone().find(|token| split_of(token).is_some());
        if token.is_none() && !known {
            continue;
        }
        found.push(Source {
            split: token.and_then(split_of),
            token: token
                .or_else(|| tokens.next_back())
                .unwrap_or_default()
                .to_owned(),
            file,
        });
    }
    if found
        .iter()
        .any(|source| stem(&source.file).to_lowercase().starts_with("instances"))
    {
        found.retain(|source| stem(&source.file).to_lowercase().starts_with("instances"));
    }
    found
}

/// Whether a JSON file has the keys of COCO.
fn looks_like_one(file: &Path) -> bool {
    #[derive(Deserialize)]
    struct Keys {
        #[serde(rename = "images")]
        _images: IgnoredAny,
        #[serde(rename = "annotations")]
        _annotations: IgnoredAny,
    }
    decode::read(file).is_ok_and(|bytes| serde_json::from_slice::<Keys>(&bytes).is_ok())
}

impl Source {
    /// Where the pictures may lie, the likeliest first.
    pub fn folders(&self, root: &Path) -> Vec<PathBuf> {
        const NAMES: [&str; 8] = [
            "train",
            "training",
            "val",
            "valid",
            "validation",
            "dev",
            "test",
            "testing",
        ];
        let beside = self.file.parent().unwrap_or(Path::new(""));
        let mut folders = vec![];
        if self.file.ends_with(ROBOFLOW) {
            folders.push(beside.to_owned());
        }
        let bare = self.token.trim_end_matches(|c: char| c.is_ascii_digit());
        let same = NAMES
            .into_iter()
            .filter(|name| self.split.is_some() && Split::of_folder(name) == self.split);
        let tokens = [self.token.as_str(), bare].into_iter().chain(same);
        for token in tokens.filter(|token| !token.is_empty()) {
            folders.push(root.join("images").join(token));
            folders.push(root.join(token));
            folders.push(root.join(token).join("images"));
        }
        folders.extend([root.join("images"), root.into(), beside.into(), root.join("data")]);
        let mut seen = HashSet::new();
        folders.retain(|folder| folder.is_dir() && seen.insert(folder.clone()));
        folders
    }
}
