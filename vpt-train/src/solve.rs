//! `--opt lbfgs`: the head as the solution of a convex problem, for every strength of its penalty that is tried.

use std::collections::BTreeMap;

use ndarray::ArrayView2;
use vpt_core::HostTensor;

use crate::lbfgs::{Lbfgs, Minimum};
use crate::logistic::{Link, LogisticRegression};
use crate::source::FeatureTable;
use crate::{TrainConfig, TrainError, Trainer};

/// Strengths that validation chooses from where none is given: so many from the strongest to the weakest, evenly on a
/// logarithmic scale, half a power of ten apart.
pub const STRENGTHS: usize = 15;
const STRONGEST: f64 = 1e1;
const WEAKEST: f64 = 1e-6;

impl TrainConfig {
    /// The strength of the penalty that `--opt lbfgs` has in `epoch` (from 0).
    pub(crate) fn l2(&self, epoch: usize) -> f64 {
        self.weight_decay.unwrap_or_else(|| {
            let share = epoch as f64 / (self.epochs - 1).max(1) as f64;
            10f64.powf(STRONGEST.log10() + share * (WEAKEST / STRONGEST).log10())
        })
    }
}

impl Trainer {
    /// Solves the problem of this epoch's strength on the features of `table`, from the solution before it, or from zero: the seed
    /// does not matter.
    pub(crate) fn solve(&mut self, table: &FeatureTable) -> Result<(), TrainError> {
        let (images, classes) = (table.labels().len(), self.dataset.classes.len());
        let (targets, absent) = self.objective.shares(table.labels(), table.weights());
        let rows = |values| ArrayView2::from_shape((images, classes), values).expect("a row for each image");
        let link = match (&absent, &self.objective.adjustment) {
            (Some(absent), _) => Link::Sigmoid { absent: rows(absent) },
            (None, Some(terms)) => Link::Softmax {
                offset: terms.iter().map(|&term| f64::from(term)).collect(),
            },
            (None, None) => Link::Softmax {
                offset: vec![0.0; classes],
            },
        };
        let l2 = self.config.l2(self.progress.epoch);
        let problem = LogisticRegression {
            features: table.features(),
            targets: rows(&targets),
            link,
            l2,
        };
        let start = match self.progress.epoch {
            0 => vec![0.0; classes * (problem.features.ncols() + 1)],
            _ => self.head(),
        };
        let curvature = problem.curvature();
        let Minimum {
            x,
            value,
            gradient,
            iterations,
            evaluations,
        } = Lbfgs::default().minimise(start, |x| curvature.scaled(x), |x| problem.evaluate(x));
        self.journal.line(format!(
            "penalty {l2:.3e}: {iterations} steps, largest entry of the gradient {gradient:.1e}"
        ));
        // The loss of several questions is stated as their mean, as it is where they are trained step by step.
        let questions = match problem.link {
            Link::Softmax { .. } => 1,
            Link::Sigmoid { .. } => classes,
        };
        let loss = problem.without_penalty(value, &x) / questions as f64;
        self.set_head(&x, classes)?;
        let passes = images * evaluations;
        self.progress.loss_sum = loss * passes as f64;
        self.progress.count_step(1, passes);
        Ok(())
    }

    /// Weights and biases of the head, one after the other.
    fn head(&self) -> Vec<f64> {
        let tuned = self.model.tuned_tensors();
        let parts = [&tuned[WEIGHT], &tuned[BIAS]];
        let values = parts.into_iter().flat_map(|tensor| &tensor.data);
        values.map(|&value| f64::from(value)).collect()
    }

    fn set_head(&mut self, x: &[f64], classes: usize) -> Result<(), TrainError> {
        let values: Vec<f32> = x.iter().map(|&value| value as f32).collect();
        let (weight, bias) = values.split_at(values.len() - classes);
        let dim = weight.len() / classes;
        let tensors = BTreeMap::from([
            (
                WEIGHT.to_owned(),
                HostTensor::new([classes, dim], weight.to_vec()),
            ),
            (BIAS.to_owned(), HostTensor::new([classes], bias.to_vec())),
        ]);
        self.model = self.model.clone().load_tuned(&tensors)?;
        Ok(())
    }
}

const WEIGHT: &str = "head.weight";
const BIAS: &str = "head.bias";
