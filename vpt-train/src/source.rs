//! [`Source`]: the training batches, as images or as features that were computed once.

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, ArrayView2};
use rand_pcg::Pcg64;
use vpt_core::{Classifier, HostTensor};
use vpt_data::{Batch, DataError, Label, Loader, LoaderConfig};

use crate::TrainError;

/// Where the training batches of an epoch come from. Their order depends on seed and epoch alone.
pub enum Source {
    /// Decoded and augmented ahead of the device.
    Images(Loader),
    /// What the head reads, for methods that tune nothing below it.
    Features(FeatureTable),
    /// The same for a solver, which takes them whole: there are no batches.
    Whole(FeatureTable),
}

/// A batch on its way to the device.
pub struct TrainBatch {
    /// What goes into the model.
    pub input: Input,
    /// Class, or classes, of each image.
    pub labels: Vec<Label>,
    /// Shares of the classes `[batch, classes]` after mixup or cutmix.
    pub soft_targets: Option<Vec<f32>>,
}

/// Images or features.
pub enum Input {
    /// Pixels, row-major, and their shape `[batch, 3, height, width]`.
    Pixels(Vec<f32>, [usize; 4]),
    /// Features, row-major, and their shape `[batch, dim]`.
    Features(Vec<f32>, [usize; 2]),
}

impl Source {
    /// The batches of `epoch` (from 0), without the first `first` of them.
    pub fn epoch(
        &self,
        epoch: usize,
        first: usize,
    ) -> Box<dyn Iterator<Item = Result<TrainBatch, DataError>> + '_> {
        match self {
            Self::Images(loader) => Box::new(
                loader
                    .epoch(epoch, first)
                    .map(|batch| Ok(TrainBatch::from(batch?))),
            ),
            Self::Features(table) => Box::new(table.epoch(epoch, first).map(Ok)),
            Self::Whole(_) => Box::new(std::iter::empty()),
        }
    }
}

impl TrainBatch {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }
}

impl From<Batch> for TrainBatch {
    fn from(batch: Batch) -> Self {
        let [height, width] = batch.size;
        let shape = [batch.labels.len(), 3, height, width];
        Self {
            input: Input::Pixels(batch.pixels, shape),
            labels: batch.labels,
            soft_targets: batch.soft_targets,
        }
    }
}

impl Input {
    /// Logits `[batch, classes]` of a training step, with the dropout and stochastic depth that `rng` draws. `device` is
    /// the model's.
    pub fn forward(self, model: &Classifier, device: &Device, rng: &mut Pcg64) -> Tensor<2> {
        match self {
            Self::Pixels(pixels, shape) => {
                model.forward_train(Tensor::from_data(TensorData::new(pixels, shape), device), rng)
            }
            Self::Features(features, shape) => {
                model.head_forward(Tensor::from_data(TensorData::new(features, shape), device))
            }
        }
    }
}

/// What the head reads, for every image of a split.
pub struct FeatureTable {
    /// Row-major `[images, dim]`.
    values: Vec<f32>,
    dim: usize,
    labels: Vec<Label>,
    /// Their size and order; what it says about images does not matter here.
    batches: LoaderConfig,
}

impl FeatureTable {
    /// Runs the images of `loader` (in order, not augmented) through `model` below its head, telling `progress` how many
    /// are done. Training batches then have the size and the order of `batches`.
    ///
    /// # Errors
    /// [`TrainError::Data`] for an image that cannot be read, [`TrainError::Core`] when the device fails.
    pub fn compute(
        model: &Classifier,
        loader: &Loader,
        device: &Device,
        batches: LoaderConfig,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self, TrainError> {
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for batch in loader.epoch(0, 0) {
            let batch = batch?;
            let [height, width] = batch.size;
            let shape = [batch.labels.len(), 3, height, width];
            let pixels = Tensor::from_data(TensorData::new(batch.pixels, shape), device);
            values.extend(HostTensor::from_tensor(&model.pooled(pixels))?.data);
            labels.extend(batch.labels);
            progress(labels.len());
        }
        let dim = values.len() / labels.len().max(1);
        Ok(Self {
            values,
            dim,
            labels,
            batches,
        })
    }

    /// All rows, `[images, dim]`.
    pub(crate) fn features(&self) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.labels.len(), self.dim), &self.values).expect("rows of one length")
    }

    /// Class, or classes, of each image.
    pub(crate) fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// Logits `[images, classes]` of all rows, in order.
    ///
    /// # Errors
    /// [`TrainError::Core`] when the device fails.
    pub fn logits(&self, model: &Classifier, device: &Device) -> Result<Array2<f32>, TrainError> {
        let features = TensorData::new(self.values.clone(), [self.labels.len(), self.dim]);
        let logits = HostTensor::from_tensor(&model.head_forward(Tensor::from_data(features, device)))?;
        Ok(Array2::from_shape_vec((self.labels.len(), model.num_classes()), logits.data).unwrap_or_default())
    }

    /// Number of batches of an epoch.
    pub(crate) fn batches_per_epoch(&self) -> usize {
        let draws = self.batches.draws(self.labels.len());
        draws.div_ceil(self.batches.batch_size)
    }

    /// The batches of `epoch` (from 0), without the first `first` of them.
    pub(crate) fn epoch(&self, epoch: usize, first: usize) -> impl Iterator<Item = TrainBatch> {
        // Only what has one class can be drawn class by class.
        let class = |label: &Label| label.class().unwrap_or_default();
        let labels: Vec<usize> = self.labels.iter().map(class).collect();
        let order = self.batches.order(&labels, epoch);
        (first..self.batches_per_epoch()).map(move |batch| {
            let start = batch * self.batches.batch_size;
            let end = (start + self.batches.batch_size).min(order.len());
            self.batch(&order[start..end])
        })
    }

    fn batch(&self, rows: &[usize]) -> TrainBatch {
        let row = |&row: &usize| self.values[row * self.dim..(row + 1) * self.dim].iter().copied();
        TrainBatch {
            input: Input::Features(rows.iter().flat_map(row).collect(), [rows.len(), self.dim]),
            labels: rows.iter().map(|&row| self.labels[row].clone()).collect(),
            soft_targets: None,
        }
    }
}
