//! [`Source`]: the training batches, as images or as features that were computed once.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, ArrayView2};
use vpt_core::vit::TokensAt;
use vpt_core::{Classifier, Entering, HostTensor};
use vpt_data::{Batch, DataError, Framed, Label, Loader, LoaderConfig};

use crate::TrainError;
use crate::cache::Rows;

/// Images of a batch where no gradients are needed, at least: of fewer the products are too small.
pub const LEAST_PREDICTED: usize = 8;

/// Where the training batches of an epoch come from. Their order depends on seed and epoch alone.
pub enum Source {
    /// Decoded and augmented ahead of the device.
    Images(Loader),
    /// What the head reads, for methods that tune nothing below it; or what enters the first block that is tuned.
    Features(FeatureTable),
    /// The same for a solver, which takes them whole: there are no batches.
    Whole(FeatureTable),
}

/// What is looked at after each epoch.
pub enum Validation {
    /// As evaluation sees them.
    Images(Loader),
    /// Features that were computed once, as those of the training images were.
    Features(FeatureTable),
}

/// A batch on its way to the device.
pub struct TrainBatch {
    /// What goes into the model.
    pub input: Input,
    /// What should come out.
    pub truth: Truth,
}

/// What is known of the images of a batch.
pub struct Truth {
    /// Class, or classes, of each image.
    pub labels: Vec<Label>,
    /// How much each image counts, `[batch]`.
    pub weights: Vec<f32>,
    /// Shares of the classes `[batch, classes]` after mixup or cutmix.
    pub soft_targets: Option<Vec<f32>>,
    /// What is where in each image, for boxes and masks.
    pub framed: Vec<Framed>,
}

/// Images or features.
pub enum Input {
    /// Pixels, row-major, and their shape `[batch, 3, height, width]`.
    Pixels(Vec<f32>, [usize; 4]),
    /// Features, row-major, and their shape `[batch, dim]`.
    Features(Vec<f32>, [usize; 2]),
    /// Tokens in front of the block that is named last, row-major, and their shape `[batch, tokens, dim]`.
    Tokens(Vec<f32>, [usize; 3], usize),
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
            Self::Features(table) => Box::new(table.epoch(epoch, first)),
            Self::Whole(_) => Box::new(std::iter::empty()),
        }
    }
}

impl TrainBatch {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.truth.len()
    }

    /// Its images in `count` shares, as equal as can be, each with its place in the batch; fewer where there are fewer images, and one
    /// of features, which are not worth sending elsewhere.
    pub fn shares(self, count: usize) -> Vec<(Range<usize>, Self)> {
        let images = self.len();
        if count == 1 || matches!(self.input, Input::Features(..)) {
            return vec![(0..images, self)];
        }
        let bound = |share: usize| images * share / count;
        let places = (0..count).map(|share| bound(share)..bound(share + 1));
        places
            .filter(|images| !images.is_empty())
            .map(|images| (images.clone(), self.of_images(images)))
            .collect()
    }

    /// Some of its images.
    fn of_images(&self, images: Range<usize>) -> Self {
        Self {
            input: self.input.of_images(images.clone()),
            truth: self.truth.of_images(images),
        }
    }
}

impl Truth {
    fn of_images(&self, images: Range<usize>) -> Self {
        let classes = |soft: &Vec<f32>| soft.len() / self.labels.len().max(1);
        Self {
            labels: self.labels[images.clone()].to_vec(),
            weights: self.weights[images.clone()].to_vec(),
            soft_targets: self.soft_targets.as_ref().map(|soft| {
                let classes = classes(soft);
                soft[images.start * classes..images.end * classes].to_vec()
            }),
            framed: self.framed.get(images).unwrap_or_default().to_vec(),
        }
    }

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
            truth: Truth {
                labels: batch.labels,
                weights: batch.weights,
                soft_targets: batch.soft_targets,
                framed: batch.framed,
            },
        }
    }
}

impl Input {
    /// The rows of some images.
    fn of_images(&self, images: Range<usize>) -> Self {
        let count = images.len();
        let rows = |values: &[f32], each: usize| values[images.start * each..images.end * each].to_vec();
        match self {
            Self::Pixels(pixels, [_, channels, height, width]) => Self::Pixels(
                rows(pixels, channels * height * width),
                [count, *channels, *height, *width],
            ),
            Self::Features(features, [_, dim]) => Self::Features(rows(features, *dim), [count, *dim]),
            Self::Tokens(values, [_, tokens, dim], block) => {
                Self::Tokens(rows(values, tokens * dim), [count, *tokens, *dim], *block)
            }
        }
    }

    /// On the device, which is the model's.
    pub fn on(self, device: &Device) -> DeviceInput {
        match self {
            Self::Pixels(pixels, shape) => {
                let pixels = Tensor::from_data(TensorData::new(pixels, shape), device);
                DeviceInput::Entering(Entering::Pixels(pixels))
            }
            Self::Features(features, shape) => {
                DeviceInput::Features(Tensor::from_data(TensorData::new(features, shape), device))
            }
            Self::Tokens(tokens, shape, block) => {
                let tokens = Tensor::from_data(TensorData::new(tokens, shape), device);
                DeviceInput::Entering(Entering::Tokens(TokensAt { block, tokens }))
            }
        }
    }
}

/// [`Input`] on the device.
pub enum DeviceInput {
    /// What has blocks before it.
    Entering(Entering),
    /// What the head reads, `[batch, dim]`.
    Features(Tensor<2>),
}

/// What is kept of an image, because it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// What the head reads.
    Pooled,
    /// The tokens that enter this block.
    TokensAt(usize),
}

/// What is kept of every image of a split.
pub struct FeatureTable {
    kept: Kept,
    /// `[images, dim]` or `[images, tokens, dim]`.
    rows: Rows,
    /// Tokens of an image, 1 for what the head reads.
    tokens: usize,
    /// Width of a token.
    dim: usize,
    labels: Vec<Label>,
    /// How much each image counts.
    weights: Vec<f32>,
    /// Their size and order; what it says about images does not matter here.
    batches: LoaderConfig,
}

impl FeatureTable {
    /// Runs the images of `loader` (in order, not augmented) through `model` as far as what is `kept`, telling `progress` how
    /// many are done, into `rows`, which are empty. Training batches then have the size and the order of `batches`.
    ///
    /// # Errors
    /// [`TrainError::Data`] for an image that cannot be read, or a disk that is full, [`TrainError::Core`] when the device fails.
    pub fn compute(
        kept: Kept,
        mut rows: Rows,
        model: &Classifier,
        loader: &Loader,
        device: &Device,
        batches: LoaderConfig,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self, TrainError> {
        let (mut labels, mut weights, mut row) = (Vec::new(), Vec::new(), [1, 0]);
        for batch in loader.epoch(0, 0) {
            let batch = batch?;
            let [height, width] = batch.size;
            let shape = [batch.labels.len(), 3, height, width];
            let pixels = Tensor::from_data(TensorData::new(batch.pixels, shape), device);
            let computed = match kept {
                Kept::Pooled => model.pooled(pixels).unsqueeze_dim::<3>(1),
                Kept::TokensAt(block) => model.backbone.tokens_at(pixels, block).tokens,
            };
            let [_, tokens, dim] = computed.dims();
            row = [tokens, dim];
            rows.append(HostTensor::from_tensor(&computed)?.data)?;
            labels.extend(batch.labels);
            weights.extend(batch.weights);
            progress(labels.len());
        }
        let [tokens, dim] = row;
        Ok(Self {
            kept,
            rows,
            tokens,
            dim,
            labels,
            weights,
            batches,
        })
    }

    /// All rows of what the head reads, `[images, dim]`.
    pub(crate) fn features(&self) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.labels.len(), self.dim), self.rows.in_memory())
            .expect("rows of one length")
    }

    /// How much each image counts.
    pub(crate) fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Class, or classes, of each image.
    pub(crate) fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// Logits `[images, classes]` of all rows, in order.
    ///
    /// # Errors
    /// [`TrainError::Core`] when the device fails, [`TrainError::Data`] when the disk does.
    pub fn logits(&self, model: &Classifier, device: &Device) -> Result<Array2<f32>, TrainError> {
        let rows: Vec<usize> = (0..self.labels.len()).collect();
        let mut logits = Vec::with_capacity(rows.len() * model.num_classes());
        for rows in rows.chunks(self.batches.batch_size.max(LEAST_PREDICTED)) {
            let batch = match self.input(rows)? {
                Input::Tokens(tokens, shape, block) => model.forward_from(TokensAt {
                    block,
                    tokens: Tensor::from_data(TensorData::new(tokens, shape), device),
                }),
                Input::Features(features, shape) => {
                    model.head_forward(Tensor::from_data(TensorData::new(features, shape), device))
                }
                Input::Pixels(pixels, shape) => {
                    model.forward(Tensor::from_data(TensorData::new(pixels, shape), device))
                }
            };
            logits.extend(HostTensor::from_tensor(&batch)?.data);
        }
        Ok(Array2::from_shape_vec((rows.len(), model.num_classes()), logits).unwrap_or_default())
    }

    /// Number of batches of an epoch.
    pub(crate) fn batches_per_epoch(&self) -> usize {
        let draws = self.batches.draws(self.labels.len());
        draws.div_ceil(self.batches.batch_size)
    }

    /// The batches of `epoch` (from 0), without the first `first` of them.
    pub(crate) fn epoch(
        &self,
        epoch: usize,
        first: usize,
    ) -> impl Iterator<Item = Result<TrainBatch, DataError>> {
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

    fn batch(&self, rows: &[usize]) -> Result<TrainBatch, DataError> {
        Ok(TrainBatch {
            input: self.input(rows)?,
            truth: Truth {
                labels: rows.iter().map(|&row| self.labels[row].clone()).collect(),
                weights: rows.iter().map(|&row| self.weights[row]).collect(),
                soft_targets: None,
                framed: Vec::new(),
            },
        })
    }

    fn input(&self, rows: &[usize]) -> Result<Input, DataError> {
        let values = self.rows.read(rows, self.tokens * self.dim)?;
        Ok(match self.kept {
            Kept::Pooled => Input::Features(values, [rows.len(), self.dim]),
            Kept::TokensAt(block) => Input::Tokens(values, [rows.len(), self.tokens, self.dim], block),
        })
    }
}
