//! A task described by one small file, so that it can be named on the command line.

use crate::{DataError, Dataset, OpenOptions};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// What a task asks of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// One class for each image.
    #[default]
    Classification,
    /// One of several grades, in their order.
    Ordinal,
    /// Any number of the classes for each image, perhaps none.
    MultiLabel,
    /// Boxes around objects of the classes.
    Detection,
    /// A class for each pixel.
    Segmentation,
}

impl TaskKind {
    /// Whether such a task can be learnt from what is known as `data` of images ([`Dataset::kind`]).
    pub fn fits(self, data: Self) -> bool {
        let one_class = |kind| matches!(kind, Self::Classification | Self::Ordinal);
        self == data || (one_class(self) && one_class(data))
    }

    /// Whether what is asked lies somewhere in the picture: boxes or pixels.
    pub fn is_dense(self) -> bool {
        matches!(self, Self::Detection | Self::Segmentation)
    }

    /// As task files and flags name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::Ordinal => "ordinal",
            Self::MultiLabel => "multi-label",
            Self::Detection => "detection",
            Self::Segmentation => "segmentation",
        }
    }
}

impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A task: where its data lies, where it comes from and how it is judged.
///
/// ```toml
/// name = "brain-mri"
/// kind = "classification"
/// data_dir = "../data/brain_mri"     # relative to this file
/// metric = "balanced_accuracy"
/// source = "https://…"
/// licence = "CC0-1.0"
///
/// [train]                            # settings for `vpt train`, below what the command line says
/// epochs = 30
/// ```
///
/// `include = "base.toml"` (or a list) takes the keys of other files, beside this one, for those that are absent here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskSpec {
    /// The name; the file's, without its ending, if absent.
    pub name: String,
    /// What is asked of a model; what the data says if absent.
    pub kind: Option<TaskKind>,
    /// Where the data lies.
    pub data_dir: PathBuf,
    /// The classes in their order, where natural order is not meant; the data must have exactly these.
    pub classes: Option<Vec<String>>,
    /// One line that says what the task is.
    pub description: Option<String>,
    /// Where the data comes from.
    pub source: Option<String>,
    /// The data's licence.
    pub licence: Option<String>,
    /// What to cite.
    pub citation: Option<String>,
    /// The metric that chooses the epoch and is reported first.
    pub metric: Option<String>,
    /// Settings for training, which this crate does not interpret.
    pub train: toml::Table,
    /// The file this was read from.
    #[serde(skip)]
    pub path: PathBuf,
}

impl TaskSpec {
    /// Reads a task file and what it includes.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let keys = Keys::load(path, &mut vec![])?;
        let absent = |key: &str| DataError::TaskSpec {
            path: path.into(),
            line: None,
            message: format!("the key `{key}` is missing"),
        };
        let stem = || {
            path.file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default()
        };
        let spec = Self {
            name: keys.name.unwrap_or_else(stem),
            kind: keys.kind,
            data_dir: keys.data_dir.ok_or_else(|| absent("data_dir"))?,
            classes: keys.classes.map(Spanned::into_inner),
            description: keys.description,
            source: keys.source,
            licence: keys.licence,
            citation: keys.citation,
            metric: keys.metric,
            train: keys.train,
            path: path.into(),
        };
        Ok(spec)
    }

    /// Finds a task by its name, `NAME.toml` in the first of `folders` that has it, or by the path of its file.
    pub fn find(name: &str, folders: &[PathBuf]) -> Result<Self, DataError> {
        let as_path = Path::new(name);
        if as_path.extension().is_some_and(|extension| extension == "toml") {
            return Self::load(as_path);
        }
        let is_plain = as_path.components().count() == 1 && as_path.file_name().is_some();
        let candidates = folders.iter().map(|folder| folder.join(format!("{name}.toml")));
        match candidates.into_iter().find(|path| is_plain && path.is_file()) {
            Some(path) => Self::load(&path),
            None => Err(DataError::UnknownTask {
                name: name.into(),
                searched: folders.into(),
                known: Self::list(folders),
            }),
        }
    }

    /// The names of all task files in `folders`, sorted.
    pub fn list(folders: &[PathBuf]) -> Vec<String> {
        let files = folders
            .iter()
            .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        let tasks = files
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|e| e == "toml"));
        let mut names: Vec<String> = tasks
            .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Opens the task's data set as what the task asks for, with its classes in the task's order.
    pub fn open(&self, options: &OpenOptions) -> Result<Dataset, DataError> {
        let options = OpenOptions {
            kind: self.kind.or(options.kind),
            ..options.clone()
        };
        let mut dataset = Dataset::open(&self.data_dir, &options)?;
        dataset.name.clone_from(&self.name);
        match &self.classes {
            Some(classes) => dataset.with_class_order(classes),
            None => Ok(dataset),
        }
    }
}

/// The keys of one file, before what it includes is filled in.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    include: Option<Spanned<Include>>,
    name: Option<String>,
    kind: Option<TaskKind>,
    data_dir: Option<PathBuf>,
    classes: Option<Spanned<Vec<String>>>,
    description: Option<String>,
    source: Option<String>,
    licence: Option<String>,
    citation: Option<String>,
    metric: Option<String>,
    #[serde(default)]
    train: toml::Table,
}

/// One file or several, the later ones first asked.
#[derive(Deserialize)]
#[serde(untagged)]
enum Include {
    One(PathBuf),
    Several(Vec<PathBuf>),
}

impl Keys {
    /// `above` holds the files that led here.
    fn load(path: &Path, above: &mut Vec<PathBuf>) -> Result<Self, DataError> {
        let text = fs::read_to_string(path).map_err(|source| DataError::io(path, source))?;
        let wrong = |span: Option<Range<usize>>, message: String| DataError::TaskSpec {
            path: path.into(),
            line: span.map(|span| line_of(&text, span.start)),
            message,
        };
        let mut keys: Self =
            toml::from_str(&text).map_err(|error| wrong(error.span(), explain(&error, &text)))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        keys.data_dir = keys.data_dir.map(|dir| folder.join(dir));
        if let Some(classes) = &keys.classes {
            check_classes(classes.get_ref(), keys.kind)
                .map_err(|message| wrong(Some(classes.span()), message))?;
        }
        let Some(include) = keys.include.take() else {
            return Ok(keys);
        };
        above.push(
            path.canonicalize()
                .map_err(|source| DataError::io(path, source))?,
        );
        let span = include.span();
        let files = match include.into_inner() {
            Include::One(file) => vec![file],
            Include::Several(files) => files,
        };
        for file in files.into_iter().rev() {
            let file = folder.join(file);
            match file.canonicalize() {
                Ok(canonical) if above.contains(&canonical) => {
                    return Err(wrong(
                        Some(span),
                        format!("`include` of `{}` leads back to itself", file.display()),
                    ));
                }
                Ok(_) => keys.fill(Self::load(&file, above)?),
                Err(_) => {
                    return Err(wrong(
                        Some(span),
                        format!("`include` of `{}`: no such file", file.display()),
                    ));
                }
            }
        }
        above.pop();
        Ok(keys)
    }

    /// Takes from `other` what is absent here.
    fn fill(&mut self, other: Self) {
        self.name = self.name.take().or(other.name);
        self.kind = self.kind.or(other.kind);
        self.data_dir = self.data_dir.take().or(other.data_dir);
        self.classes = self.classes.take().or(other.classes);
        self.description = self.description.take().or(other.description);
        self.source = self.source.take().or(other.source);
        self.licence = self.licence.take().or(other.licence);
        self.citation = self.citation.take().or(other.citation);
        self.metric = self.metric.take().or(other.metric);
        for (key, value) in other.train {
            self.train.entry(key).or_insert(value);
        }
    }
}

fn check_classes(classes: &[String], kind: Option<TaskKind>) -> Result<(), String> {
    // Objects of one class are told from everything else.
    let least = if kind == Some(TaskKind::Detection) { 1 } else { 2 };
    match classes
        .iter()
        .enumerate()
        .find(|(at, class)| classes[..*at].contains(class))
    {
        Some((_, twice)) => Err(format!("`classes` names `{twice}` twice")),
        None if classes.len() < least => Err(format!(
            "`classes` has {} name, expected at least {least}",
            classes.len()
        )),
        None => Ok(()),
    }
}

/// What a TOML error says, with the line that names the key.
fn explain(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().trim().replace('\n', ", ");
    let line = error
        .span()
        .and_then(|span| text.lines().nth(line_of(text, span.start) - 1))
        .unwrap_or_default();
    match line.trim() {
        "" => message,
        line => format!("{message}, in `{line}`"),
    }
}

/// The line, from 1, of a byte position.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count()
}
