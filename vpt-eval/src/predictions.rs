//! What a model said about each image, and the CSV file that keeps it.

use std::path::{Path, PathBuf};

use ndarray::Array2;

use crate::metrics::{accuracy::argmax, softmax};
use crate::{EvalError, csv};

/// Logits of a model for a list of labelled images.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// Class names, in the order of the logits.
    pub classes: Vec<String>,
    /// The images.
    pub paths: Vec<PathBuf>,
    /// True class of each image.
    pub labels: Vec<usize>,
    /// Logits `[images, classes]`.
    pub logits: Array2<f32>,
    /// How long the model took for all of them, decoding included; `None` if read from a file.
    pub seconds: Option<f64>,
}

impl Predictions {
    /// Predictions whose parts belong together.
    pub fn new(
        classes: Vec<String>,
        paths: Vec<PathBuf>,
        labels: Vec<usize>,
        logits: Array2<f32>,
    ) -> Result<Self, EvalError> {
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
        if let Some(i) = labels.iter().position(|&label| label >= columns) {
            return mismatch(format!(
                "`{}` has class {} of {columns}",
                paths[i].display(),
                labels[i]
            ));
        }
        Ok(Self {
            classes,
            paths,
            labels,
            logits,
            seconds: None,
        })
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

    /// Probabilities `[images, classes]`: softmax in float64.
    pub fn probs(&self) -> Array2<f64> {
        softmax(&self.logits)
    }

    /// Most likely class of each image; the lowest index on ties.
    pub fn top1(&self) -> Vec<usize> {
        self.logits.rows().into_iter().map(|row| argmax(&row)).collect()
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
            let class = |p: &Self| p.classes[p.labels[i]].clone();
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

    /// Writes columns `path,label,pred`, a `logit_<class>` and a `prob_<class>` for each class.
    /// Logits are written so that they read back bit for bit, probabilities are rounded to six places.
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
        let header = fixed.into_iter().chain(columns(LOGIT)).chain(columns("prob_"));
        file.write_all(csv::line(header).as_bytes())?;
        let (preds, probs) = (self.top1(), self.probs());
        for (i, path) in self.paths.iter().enumerate() {
            let class = |index: usize| self.classes[index].clone();
            let fixed = [
                path.to_string_lossy().into_owned(),
                class(self.labels[i]),
                class(preds[i]),
            ];
            let logits = self.logits.row(i).into_iter().map(f32::to_string);
            let probs = probs.row(i).into_iter().map(|prob| format!("{prob:.6}"));
            file.write_all(csv::line(fixed.into_iter().chain(logits).chain(probs)).as_bytes())?;
        }
        Ok(())
    }

    /// Reads what [`Predictions::save_csv`] wrote; only `path`, `label` and the logits are needed.
    pub fn load_csv(path: &Path) -> Result<Self, EvalError> {
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

        let (mut paths, mut labels, mut logits) = (Vec::new(), Vec::new(), Vec::new());
        for csv::Record { line, fields } in records {
            if fields.len() != header.len() {
                return Err(error(
                    line,
                    format!("{} fields, expected {}", fields.len(), header.len()),
                ));
            }
            let label = &fields[label_column];
            let class = classes.iter().position(|class| class == label);
            paths.push(PathBuf::from(&fields[path_column]));
            labels.push(
                class
                    .ok_or_else(|| error(line, format!("label `{label}` has no column `{LOGIT}{label}`")))?,
            );
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
        Self::new(classes, paths, labels, logits)
    }
}

const LOGIT: &str = "logit_";

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
        let loaded = Predictions::load_csv(&file).unwrap();
        assert_eq!(loaded, predictions());
        let bits = |p: &Predictions| p.logits.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&loaded), bits(&predictions()));
    }

    #[test]
    fn broken_files_name_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("predictions.csv");
        let load = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Predictions::load_csv(&file).unwrap_err().to_string()
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
        other.labels[1] = 0;
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
