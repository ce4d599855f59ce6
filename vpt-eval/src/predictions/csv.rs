//! [`Predictions`] as a CSV file.

use std::path::{Path, PathBuf};

use ndarray::Array2;
use vpt_data::{Label, TaskKind};

use super::{Column, Predictions};
use crate::{EvalError, csv};

const LOGIT: &str = "logit_";
const DATA: &str = "data_";
const GROUP: &str = "group";

impl Predictions {
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
                TaskKind::Detection | TaskKind::Segmentation => {
                    let reason = format!("a table of {kind}, which has its predictions in a JSON file");
                    return Err(error(line, reason));
                }
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

#[cfg(test)]
mod tests {
    use super::super::tests::predictions;
    use super::*;

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
}
