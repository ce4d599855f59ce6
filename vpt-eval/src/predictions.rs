//! What a model said about each image, and the CSV file that keeps it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView1, Axis, concatenate};
use vpt_core::{Calibration, Decision};
use vpt_data::{Label, Sample, TaskKind};

use crate::metrics::probabilities;
use crate::statistics::{Draws, Sampling};
use crate::{EvalError, csv};

/// What is known of each image, such as the sex of its patient or the scanner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What it is.
    pub name: String,
    /// One value an image; empty where it is not known.
    pub values: Vec<String>,
}

/// Logits of a model for a list of labelled images.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// What was asked of the model.
    pub kind: TaskKind,
    /// Class names, in the order of the logits.
    pub classes: Vec<String>,
    /// The images.
    pub paths: Vec<PathBuf>,
    /// True class, or classes, of each image.
    pub labels: Vec<Label>,
    /// Logits `[images, classes]`, as the model gave them.
    pub logits: Array2<f32>,
    /// How they become probabilities and decisions.
    pub calibration: Calibration,
    /// What is known of the images beside their class, one column each; nothing in most data sets.
    pub columns: Vec<Column>,
    /// The group of each image, such as its patient, where the data set says; else empty.
    pub groups: Vec<Option<String>>,
    /// How long the model took for all of them, decoding included; `None` if read from a file.
    pub seconds: Option<f64>,
}

impl Predictions {
    /// Predictions whose parts belong together. Multi-label if a label may have several classes, else classification.
    pub fn new<L: Into<Label>>(
        classes: Vec<String>,
        paths: Vec<PathBuf>,
        labels: Vec<L>,
        logits: Array2<f32>,
    ) -> Result<Self, EvalError> {
        let labels: Vec<Label> = labels.into_iter().map(Into::into).collect();
        let mismatch = |reason: String| Err(EvalError::Mismatch { reason });
        let (rows, columns) = logits.dim();
        if columns != classes.len() {
            return mismatch(format!("{columns} logits an image, {} classes", classes.len()));
        }
        if rows != paths.len() || rows != labels.len() {
            return mismatch(format!(
                "{rows} rows of logits, {} paths, {} labels",
                paths.len(),
                labels.len()
            ));
        }
        let beyond = |label: &Label| label.classes().iter().copied().find(|&class| class >= columns);
        if let Some((path, class)) = paths
            .iter()
            .zip(&labels)
            .find_map(|(path, label)| Some((path, beyond(label)?)))
        {
            return mismatch(format!("`{}` has class {class} of {columns}", path.display()));
        }
        let several = labels.iter().any(|label| label.is_of(TaskKind::MultiLabel));
        Ok(Self {
            kind: match several {
                true => TaskKind::MultiLabel,
                false => TaskKind::default(),
            },
            classes,
            paths,
            labels,
            logits,
            calibration: Calibration::default(),
            columns: Vec::new(),
            groups: Vec::new(),
            seconds: None,
        })
    }

    /// Predictions about `samples`, of which only the logits `[images, classes]` are new.
    pub fn of(classes: &[String], samples: &[Sample], logits: Array2<f32>) -> Result<Self, EvalError> {
        let paths = samples.iter().map(|sample| sample.path.clone()).collect();
        let labels: Vec<Label> = samples.iter().map(|sample| sample.label.clone()).collect();
        let grouped = samples.iter().any(|sample| sample.group.is_some());
        let groups = samples.iter().filter(|_| grouped);
        Ok(Self {
            groups: groups.map(|sample| sample.group.clone()).collect(),
            ..Self::new(classes.to_vec(), paths, labels, logits)?
        })
    }

    /// The same with what the data set knows of `samples`, by the names of its columns.
    pub fn described(self, columns: &[String], samples: &[Sample]) -> Self {
        let column = |(place, name): (usize, &String)| Column {
            name: name.clone(),
            values: samples
                .iter()
                .map(|sample| sample.columns.get(place).cloned().unwrap_or_default())
                .collect(),
        };
        Self {
            columns: columns.iter().enumerate().map(column).collect(),
            ..self
        }
    }

    /// The same logits, read as a task says.
    pub fn decided_by(self, kind: TaskKind, calibration: Calibration) -> Self {
        Self {
            kind,
            calibration,
            ..self
        }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Images per second, decoding included.
    pub fn images_per_second(&self) -> Option<f64> {
        self.seconds
            .filter(|&seconds| seconds > 0.0)
            .map(|seconds| self.len() as f64 / seconds)
    }

    /// Probabilities `[images, classes]` in float64, of logits divided by the temperature: softmax, or the sigmoid of each
    /// where an image has any number of classes.
    pub fn probs(&self) -> Array2<f64> {
        probabilities(self.kind, &self.logits, &self.calibration)
    }

    /// What is decided about each image, where it has one class.
    pub fn decisions(&self) -> Vec<Decision> {
        let rows = self.logits.rows().into_iter();
        rows.map(|row| self.calibration.decide(&row.to_vec())).collect()
    }

    /// Predicted class of each image: the most likely one (the lowest index on ties), or what the threshold says.
    pub fn top1(&self) -> Vec<usize> {
        self.decisions().iter().map(|decision| decision.class).collect()
    }

    /// The class, or the classes, that each image is said to have.
    pub fn called(&self) -> Vec<Label> {
        if self.kind != TaskKind::MultiLabel {
            return self.top1().into_iter().map(Label::One).collect();
        }
        let found = |row: ArrayView1<f32>| {
            let present = self.calibration.present(&row.to_vec());
            let classes = present.iter().enumerate().filter(|(_, is_present)| **is_present);
            Label::many(classes.map(|(class, _)| class))
        };
        self.logits.rows().into_iter().map(found).collect()
    }

    /// The group of each image as a number, and an own one for each image without; `None` where no image has a group.
    pub fn group_numbers(&self) -> Option<Vec<usize>> {
        if self.groups.iter().all(Option::is_none) {
            return None;
        }
        let mut numbers = BTreeMap::new();
        let mut of_images = Vec::with_capacity(self.len());
        for (image, group) in self.groups.iter().enumerate() {
            let own = group.is_none().then_some(image);
            let next = numbers.len();
            of_images.push(*numbers.entry((group.as_deref(), own)).or_insert(next));
        }
        Some(of_images)
    }

    /// What a bootstrap draws: groups where there are any, for images of one patient resemble each other, else images.
    pub fn draws(&self) -> Draws {
        match self.group_numbers() {
            Some(groups) => Draws::new(self.len(), &Sampling::Clustered(&groups)),
            None => Draws::new(self.len(), &Sampling::Images),
        }
    }

    /// The predictions of several models of one task about different images, such as those of a cross-validation. Each model's
    /// logits are divided by its temperature; thresholds, which differ, are left out.
    pub fn pooled(parts: &[Self]) -> Result<Self, EvalError> {
        let first = parts.first().ok_or(EvalError::NoImages)?;
        if let Some(other) = parts
            .iter()
            .find(|part| (part.kind, &part.classes) != (first.kind, &first.classes))
        {
            return Err(EvalError::Mismatch {
                reason: format!(
                    "{} {:?} and {} {:?}",
                    first.kind, first.classes, other.kind, other.classes
                ),
            });
        }
        let scaled: Vec<Array2<f32>> = parts
            .iter()
            .map(|part| {
                let temperature = part.calibration.temperature;
                part.logits.mapv(|logit| (f64::from(logit) / temperature) as f32)
            })
            .collect();
        let rows: Vec<_> = scaled.iter().map(|part| part.view()).collect();
        let logits = concatenate(Axis(0), &rows).map_err(|error| EvalError::Mismatch {
            reason: error.to_string(),
        })?;
        let all = |list: fn(&Self) -> &[PathBuf]| parts.iter().flat_map(list).cloned().collect();
        let labels = parts.iter().flat_map(|part| part.labels.clone()).collect();
        let column = |(place, column): (usize, &Column)| {
            let values = |part: &Self| match part.columns.get(place) {
                Some(column) => column.values.clone(),
                None => vec![String::new(); part.len()],
            };
            Column {
                name: column.name.clone(),
                values: parts.iter().flat_map(values).collect(),
            }
        };
        let grouped = parts.iter().any(|part| !part.groups.is_empty());
        let groups = |part: &Self| match part.groups.is_empty() {
            true => vec![None; part.len()],
            false => part.groups.clone(),
        };
        Ok(Self {
            kind: first.kind,
            columns: first.columns.iter().enumerate().map(column).collect(),
            groups: parts.iter().filter(|_| grouped).flat_map(groups).collect(),
            seconds: parts.iter().map(|part| part.seconds).sum(),
            ..Self::new(first.classes.clone(), all(|part| &part.paths), labels, logits)?
        })
    }

    /// The predictions of some of the images, in the given order.
    pub fn select(&self, images: &[usize]) -> Self {
        let pick = |values: &[String]| images.iter().map(|&i| values[i].clone()).collect();
        Self {
            kind: self.kind,
            classes: self.classes.clone(),
            paths: images.iter().map(|&i| self.paths[i].clone()).collect(),
            labels: images.iter().map(|&i| self.labels[i].clone()).collect(),
            logits: self.logits.select(Axis(0), images),
            calibration: self.calibration.clone(),
            columns: self
                .columns
                .iter()
                .map(|column| Column {
                    name: column.name.clone(),
                    values: pick(&column.values),
                })
                .collect(),
            groups: images
                .iter()
                .filter_map(|&i| self.groups.get(i).cloned())
                .collect(),
            seconds: None,
        }
    }

    /// An error unless `other` is about the same images, in the same order, with the same labels and classes.
    /// The names are those of the two models, for the message.
    pub fn check_paired(&self, other: &Self, name: &str, other_name: &str) -> Result<(), EvalError> {
        let reason = if self.classes != other.classes {
            format!("classes {:?} and {:?}", self.classes, other.classes)
        } else if self.len() != other.len() {
            format!("{} and {} images", self.len(), other.len())
        } else if let Some(i) = (0..self.len()).find(|&i| self.paths[i] != other.paths[i]) {
            format!(
                "image {} is `{}` and `{}`",
                i + 1,
                self.paths[i].display(),
                other.paths[i].display()
            )
        } else if let Some(i) = (0..self.len()).find(|&i| self.labels[i] != other.labels[i]) {
            let class = |p: &Self| p.labels[i].names(&p.classes);
            format!(
                "`{}` is labelled `{}` and `{}`",
                self.paths[i].display(),
                class(self),
                class(other)
            )
        } else {
            return Ok(());
        };
        Err(EvalError::NotPaired {
            left: name.to_owned(),
            right: other_name.to_owned(),
            reason,
        })
    }

    /// Writes columns `path,label,pred` (names of several classes with `|` between them), a `logit_<class>` and a `prob_<class>` for each class, then `group` and a
    /// `data_<name>` for each column of the data set, where there are any. Logits are written so that they read back bit for bit, probabilities are rounded to six places.
    pub fn save_csv(&self, path: &Path) -> Result<(), EvalError> {
        let io = |source| EvalError::Io {
            action: "write",
            path: path.to_owned(),
            source,
        };
        vpt_data::atomic::write(path, |file| self.write_csv(file)).map_err(io)
    }

    fn write_csv(&self, file: &mut dyn std::io::Write) -> std::io::Result<()> {
        let columns = |prefix: &'static str| self.classes.iter().map(move |class| format!("{prefix}{class}"));
        let fixed = ["path", "label", "pred"].map(str::to_owned);
        let data = self.columns.iter().map(|column| format!("{DATA}{}", column.name));
        let group = (!self.groups.is_empty()).then(|| GROUP.to_owned());
        let header = fixed.into_iter().chain(columns(LOGIT)).chain(columns("prob_"));
        let header = header.chain(group).chain(data);
        file.write_all(csv::line(header).as_bytes())?;
        let (preds, probs) = (self.called(), self.probs());
        for (i, path) in self.paths.iter().enumerate() {
            let fixed = [
                path.to_string_lossy().into_owned(),
                self.labels[i].names(&self.classes),
                preds[i].names(&self.classes),
            ];
            let logits = self.logits.row(i).into_iter().map(f32::to_string);
            let probs = probs.row(i).into_iter().map(|prob| format!("{prob:.6}"));
            let group = self.groups.get(i).map(|group| group.clone().unwrap_or_default());
            let data = self.columns.iter().map(|column| column.values[i].clone());
            let cells = fixed
                .into_iter()
                .chain(logits)
                .chain(probs)
                .chain(group)
                .chain(data);
            file.write_all(csv::line(cells).as_bytes())?;
        }
        Ok(())
    }

    /// Reads what [`Predictions::save_csv`] wrote about a task of that kind; only `path`, `label` and the logits are needed.
    /// Neither kind nor calibration is in the file: `results.json` beside it has them.
    pub fn load_csv(path: &Path, kind: TaskKind) -> Result<Self, EvalError> {
        let error = |line: u64, reason: String| EvalError::Csv {
            path: path.to_owned(),
            line,
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|source| EvalError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        let mut records = csv::parse(&text).into_iter();
        let header = records.next().map(|record| record.fields).unwrap_or_default();
        let column = |name: &str| {
            header
                .iter()
                .position(|found| found == name)
                .ok_or_else(|| error(1, format!("column `{name}` is missing")))
        };
        let (path_column, label_column) = (column("path")?, column("label")?);
        let (logit_columns, classes): (Vec<usize>, Vec<String>) = header
            .iter()
            .enumerate()
            .filter_map(|(i, name)| Some((i, name.strip_prefix(LOGIT)?.to_owned())))
            .unzip();

        let group_column = header.iter().position(|name| name == GROUP);
        let (data_columns, mut columns): (Vec<usize>, Vec<Column>) = header
            .iter()
            .enumerate()
            .filter_map(|(i, name)| {
                let name = name.strip_prefix(DATA)?.to_owned();
                let values = Vec::new();
                Some((i, Column { name, values }))
            })
            .unzip();

        let (mut paths, mut labels, mut logits) = (Vec::new(), Vec::new(), Vec::new());
        let mut groups = Vec::new();
        for csv::Record { line, fields } in records {
            if fields.len() != header.len() {
                return Err(error(
                    line,
                    format!("{} fields, expected {}", fields.len(), header.len()),
                ));
            }
            let class = |name: &str| {
                let class = classes.iter().position(|class| class == name);
                class.ok_or_else(|| error(line, format!("label `{name}` has no column `{LOGIT}{name}`")))
            };
            let label = &fields[label_column];
            labels.push(match kind {
                TaskKind::Classification | TaskKind::Ordinal => Label::One(class(label)?),
                TaskKind::MultiLabel => {
                    let names = label.split(Label::SEPARATOR).filter(|name| !name.is_empty());
                    Label::many(names.map(class).collect::<Result<Vec<_>, _>>()?)
                }
            });
            paths.push(PathBuf::from(&fields[path_column]));
            groups.extend(group_column.map(|i| Some(fields[i].clone()).filter(|group| !group.is_empty())));
            for (column, &i) in columns.iter_mut().zip(&data_columns) {
                column.values.push(fields[i].clone());
            }
            for &i in &logit_columns {
                let logit = fields[i].parse::<f32>().ok().filter(|logit| logit.is_finite());
                logits.push(
                    logit.ok_or_else(|| error(line, format!("logit `{}` is no finite number", fields[i])))?,
                );
            }
        }
        let logits = Array2::from_shape_vec((paths.len(), classes.len()), logits).map_err(|e| {
            EvalError::Mismatch {
                reason: e.to_string(),
            }
        })?;
        Ok(Self {
            kind,
            columns,
            groups,
            ..Self::new(classes, paths, labels, logits)?
        })
    }
}

const LOGIT: &str = "logit_";
const DATA: &str = "data_";
const GROUP: &str = "group";

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn predictions() -> Predictions {
        let classes = ["plain", "with, comma", "with \"quotes\"\nand a line"]
            .map(str::to_owned)
            .to_vec();
        let logits = array![[0.1, -2.5e-38, 3.0e38], [1.0 / 3.0, f32::MIN_POSITIVE, -0.0]];
        let paths = vec![PathBuf::from("a/1.png"), PathBuf::from("b, c/2.png")];
        Predictions::new(classes, paths, vec![1, 2], logits).unwrap()
    }

    #[test]
    fn csv_round_trip_is_bit_exact() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("predictions.csv");
        predictions().save_csv(&file).unwrap();
        let loaded = Predictions::load_csv(&file, TaskKind::Classification).unwrap();
        assert_eq!(loaded, predictions());
        let bits = |p: &Predictions| p.logits.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&loaded), bits(&predictions()));
    }

    #[test]
    fn several_classes_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("predictions.csv");
        let several = Predictions {
            kind: TaskKind::MultiLabel,
            labels: vec![Label::many([]), Label::many([0, 2])],
            ..predictions()
        };
        several.save_csv(&file).unwrap();
        assert_eq!(
            Predictions::load_csv(&file, TaskKind::MultiLabel).unwrap(),
            several
        );
        // A logit of -2.5e-38 is a probability of a half like any other.
        assert_eq!(several.called()[0], Label::many([0, 1, 2]));

        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("a/1.png,,"), "{text}");
        let mut other = several.clone();
        other.labels[1] = Label::many([0]);
        let error = several.check_paired(&other, "a", "b").unwrap_err().to_string();
        assert!(error.contains("labelled `plain|with"), "{error}");
    }

    #[test]
    fn groups_and_columns_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("predictions.csv");
        let grouped = Predictions {
            groups: vec![Some("p, 1".into()), None],
            columns: vec![Column {
                name: "sex".into(),
                values: vec!["F".into(), String::new()],
            }],
            ..predictions()
        };
        grouped.save_csv(&file).unwrap();
        assert_eq!(
            Predictions::load_csv(&file, TaskKind::Classification).unwrap(),
            grouped
        );
        let first = grouped.select(&[1]);
        assert_eq!((first.groups.len(), first.columns[0].values.len()), (1, 1));
        assert_eq!(predictions().group_numbers(), None);
        let numbers = |groups: &[Option<&str>]| {
            let groups = groups.iter().map(|group| group.map(str::to_owned)).collect();
            Predictions {
                groups,
                ..predictions()
            }
            .group_numbers()
        };
        assert_eq!(
            numbers(&[Some("a"), None, Some("a"), None]),
            Some(vec![0, 1, 0, 2]),
            "an image without a group is its own"
        );
    }

    #[test]
    fn parts_are_pooled_at_their_temperatures() {
        let sharp = predictions();
        let mut warm = Predictions {
            groups: vec![Some("p".into()), None],
            ..predictions()
        };
        warm.calibration.temperature = 2.0;
        let pooled = Predictions::pooled(&[sharp.clone(), warm.clone()]).unwrap();
        assert_eq!((pooled.len(), pooled.calibration.temperature), (4, 1.0));
        assert_eq!(pooled.groups, [None, None, Some("p".into()), None]);
        assert_eq!(pooled.logits[[2, 0]], sharp.logits[[0, 0]] / 2.0);
        assert_eq!(pooled.labels, [1, 2, 1, 2].map(Label::One));
        warm.classes[0] = "other".into();
        assert!(Predictions::pooled(&[sharp, warm]).is_err());
        assert!(Predictions::pooled(&[]).is_err());
    }

    #[test]
    fn broken_files_name_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("predictions.csv");
        let load = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Predictions::load_csv(&file, TaskKind::Classification)
                .unwrap_err()
                .to_string()
        };
        let unknown = load("path,label,pred,logit_a\nx.png,b,a,1.0\n");
        assert!(unknown.contains("line 2") && unknown.contains("`b`"), "{unknown}");
        let nan = load("path,label,pred,logit_a\nx.png,a,a,1\ny.png,a,a,NaN\n");
        assert!(nan.contains("line 3") && nan.contains("`NaN`"), "{nan}");
        let short = load("path,label,pred,logit_a\nx.png,a\n");
        assert!(short.contains("line 2"), "{short}");
        assert!(load("image,label\n").contains("`path`"));
    }

    #[test]
    fn parts_must_fit() {
        let error = Predictions::new(vec!["a".into()], vec!["x".into()], vec![1], array![[0.0]]);
        assert!(error.unwrap_err().to_string().contains("`x`"));
    }

    #[test]
    fn pairing_names_the_first_difference() {
        let mut other = predictions();
        other.labels[1] = Label::One(0);
        let error = predictions()
            .check_paired(&other, "linear", "full")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`linear`") && error.contains("b, c/2.png") && error.contains("`plain`"),
            "{error}"
        );
    }
}
