//! [`AddedTensor`]: a parameter that a method adds to the backbone, and how it starts.

use std::collections::BTreeMap;

use crate::{HostTensor, init};

/// A parameter that a method adds to the backbone.
#[derive(Debug, Clone, PartialEq)]
pub struct AddedTensor {
    /// Its name in task files.
    pub name: String,
    /// Its shape in task files.
    pub shape: Vec<usize>,
    /// Its initial values.
    pub start: Start,
}

/// Initial values, drawn for each tensor by its name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// Zeros, so that the method changes nothing at first.
    Zero,
    /// Normal.
    Normal {
        /// Mean.
        mean: f32,
        /// Standard deviation.
        std: f64,
    },
    /// Uniform in `±1/√inputs`: `kaiming_uniform_(a=√5)` of PyTorch, its default for linear layers.
    Kaiming {
        /// Inputs of the layer.
        inputs: usize,
    },
}

impl AddedTensor {
    /// A tensor with a name and a shape.
    pub fn new(name: String, shape: impl Into<Vec<usize>>, start: Start) -> Self {
        Self {
            name,
            shape: shape.into(),
            start,
        }
    }

    /// Number of values.
    pub fn numel(&self) -> usize {
        self.shape.iter().product()
    }

    /// The initial values of `tensors`, a function of `seed` and their names.
    pub fn initial(tensors: Vec<Self>, seed: u64) -> BTreeMap<String, HostTensor> {
        let drawn = |tensor: Self| {
            let mut rng = init::rng_of(seed, &tensor.name);
            let value = match tensor.start {
                Start::Zero => HostTensor::full(tensor.shape, 0.0),
                Start::Normal { mean, std } => {
                    let mut value = init::normal(tensor.shape, std, &mut rng);
                    value.data.iter_mut().for_each(|x| *x += mean);
                    value
                }
                Start::Kaiming { inputs } => {
                    init::uniform(tensor.shape, 1.0 / (inputs as f64).sqrt(), &mut rng)
                }
            };
            (tensor.name, value)
        };
        tensors.into_iter().map(drawn).collect()
    }
}
