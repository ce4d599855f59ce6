//! What can go wrong in evaluation.

use std::path::PathBuf;

/// Errors of this crate. The message says what was expected and found; [`EvalError::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// Images could not be read.
    #[error(transparent)]
    Data(#[from] vpt_data::DataError),
    /// The model could not be run.
    #[error(transparent)]
    Core(#[from] vpt_core::CoreError),
    /// A file could not be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file for features whose ending tells no format.
    #[error("`{}` does not end in .safetensors, .npy or .parquet", path.display())]
    FeatureFile {
        /// The file.
        path: PathBuf,
    },
    /// A CSV file does not hold what it should.
    #[error("`{}`, line {line}: {reason}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: u64,
        /// What was expected and found.
        reason: String,
    },
    /// A JSON file does not hold what it should.
    #[error("`{}` is no {expected} document", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The schema, for example `vpt-results/1`.
        expected: &'static str,
        /// Where and why parsing stopped.
        source: serde_json::Error,
    },
    /// A JSON file of another kind or a later version.
    #[error("`{}` has schema `{found}`, expected `{expected}`", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// The schema this version reads.
        expected: &'static str,
        /// The schema in the file.
        found: String,
    },
    /// The model's output is not a number.
    #[error("the model gives {value} for class `{class}` of `{}`", path.display())]
    NonFinite {
        /// The image.
        path: PathBuf,
        /// The class.
        class: String,
        /// NaN or an infinity.
        value: f32,
    },
    /// The model does not fit the classes.
    #[error("the model has {found} outputs, expected one for each of the {expected} classes")]
    Outputs {
        /// Number of classes.
        expected: usize,
        /// Number of outputs.
        found: usize,
    },
    /// The device failed to give the result back.
    #[error("cannot read the result from the device: {reason}")]
    Device {
        /// What the device said.
        reason: String,
    },
    /// There is nothing to evaluate.
    #[error("there is no image to evaluate")]
    NoImages,
    /// Paths, labels, logits and classes of predictions do not belong together.
    #[error("predictions do not fit together: {reason}")]
    Mismatch {
        /// What was expected and found.
        reason: String,
    },
    /// Two sets of predictions are not about the same images, so they cannot be compared.
    #[error("`{left}` and `{right}` were not tested on the same images: {reason}")]
    NotPaired {
        /// One method.
        left: String,
        /// The other method.
        right: String,
        /// The first difference.
        reason: String,
    },
    /// A metric of that name does not exist.
    #[error("no metric is called `{name}`, there are {known}")]
    UnknownMetric {
        /// What was asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// The metric says nothing about this number of classes or these predictions.
    #[error("metric `{name}` is not defined on the predictions of `{method}`")]
    Undefined {
        /// The metric.
        name: String,
        /// Whose predictions.
        method: String,
    },
    /// The comparison has no run of the method it compares with.
    #[error("no run of the baseline `{baseline}`, there are runs of {methods}")]
    NoBaseline {
        /// The method to compare with.
        baseline: String,
        /// The methods that have runs.
        methods: String,
    },
}

impl EvalError {
    /// One remedy, if there is an obvious one.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Data(error) => return error.hint(),
            Self::Core(error) => return error.hint(),
            Self::NonFinite { .. } => {
                "the weights may have diverged in training: train again with a lower `--lr`"
            }
            Self::Outputs { .. } => "evaluate with the data set that the task file was trained for",
            Self::Device { .. } => "try a smaller `--batch-size`, or `--device cpu`",
            Self::FeatureFile { .. } => "call it NAME.safetensors, NAME.npy or NAME.parquet",
            Self::NoImages => "choose another `--split`, or add images to this one",
            Self::NotPaired { .. } => "evaluate both on the same data folder and split",
            Self::UnknownMetric { .. } => "`vpt list metrics` describes them",
            Self::Undefined { .. } => "choose `top1`, which is always defined",
            Self::NoBaseline { .. } => "add the baseline to `--methods`, or choose another `--baseline`",
            Self::Schema { .. } => "it was written by another version of vpt, or is a file of another kind",
            Self::Io { .. } | Self::Csv { .. } | Self::Json { .. } | Self::Mismatch { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
