//! Relative position bias of BEiT and Swin.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData, s};

use crate::HostTensor;

/// Entries of the table that are not between two patches, where there is a class token: from it to a patch, from a patch to
/// it, and from it to itself.
const OF_CLASS_TOKEN: usize = 3;

/// Entries of a table that are not between two patches.
fn others(class_token: bool) -> usize {
    if class_token { OF_CLASS_TOKEN } else { 0 }
}

/// Which entry of a block's table is added to the score between two tokens, at one image size (timm's
/// `RelativePositionBias`, `gen_relative_position_index` and `resize_rel_pos_bias_table`).
#[derive(Module, Debug)]
pub struct RelativePosition {
    /// For each pair of tokens the row of the table, `[tokens · tokens]`.
    index: Tensor<1, Int>,
    tokens: usize,
    /// Entries of the table for pairs of patches.
    pairs: usize,
    /// From the table's entries for pairs of patches at the trained image size to those at this one, none where they are the
    /// same.
    resampling: Option<Tensor<2>>,
}

impl RelativePosition {
    /// The places of the patches of `grid` (rows, columns), behind a class token where there is one. The table was trained
    /// for those of `trained`.
    pub fn new(trained: [usize; 2], grid: [usize; 2], class_token: bool, device: &Device) -> Self {
        let index = index(grid, class_token);
        let tokens = usize::from(class_token) + grid[0] * grid[1];
        let (trained, actual) = (distances(trained), distances(grid));
        let resampling = (trained != actual).then(|| {
            let shape = [actual[0] * actual[1], trained[0] * trained[1]];
            Tensor::from_data(TensorData::new(resampling(trained, actual), shape), device)
        });
        Self {
            index: Tensor::from_data(TensorData::new(index, [tokens * tokens]), device),
            tokens,
            pairs: trained[0] * trained[1],
            resampling,
        }
    }

    /// Rows of a table for the patches of `grid`.
    pub fn table_rows(grid: [usize; 2], class_token: bool) -> usize {
        distances(grid).iter().product::<usize>() + others(class_token)
    }

    /// What is added to the scores: a table `[rows, heads]` to `[heads, tokens, tokens]`.
    pub fn bias(&self, table: Tensor<2>) -> Tensor<3> {
        let [rows, heads] = table.dims();
        let pairs = self.pairs;
        let table = match &self.resampling {
            None => table,
            Some(matrix) => {
                let patches = matrix.clone().matmul(table.clone().slice(s![..pairs, ..]));
                if rows == pairs {
                    patches
                } else {
                    Tensor::cat(vec![patches, table.slice(s![pairs.., ..])], 0)
                }
            }
        };
        table
            .select(0, self.index.clone())
            .reshape([self.tokens, self.tokens, heads])
            .permute([2, 0, 1])
    }
}

/// A block's table `[rows, heads]` for another grid of patches.
///
/// # Panics
/// When the table is not one of the grid `old` (a programming error: shapes are checked when weights are read).
pub fn resample_bias_table(table: &HostTensor, old: [usize; 2], new: [usize; 2]) -> HostTensor {
    let (old, new) = (distances(old), distances(new));
    if old == new {
        return table.clone();
    }
    let heads = table.shape[1];
    let pairs = old[0] * old[1];
    let (patches, others) = table.data.split_at(pairs * heads);
    let mut data = Vec::with_capacity(new[0] * new[1] * heads + others.len());
    for weights in resampling(old, new).chunks_exact(pairs) {
        data.extend((0..heads).map(|head| {
            let entries = patches.iter().skip(head).step_by(heads);
            weights
                .iter()
                .zip(entries)
                .map(|(weight, entry)| weight * entry)
                .sum::<f32>()
        }));
    }
    data.extend(others);
    HostTensor::new([data.len() / heads, heads], data)
}

/// How many differences there are between rows and between columns of a grid.
fn distances(grid: [usize; 2]) -> [usize; 2] {
    grid.map(|edge| (2 * edge).saturating_sub(1))
}

/// Weights `[actual][trained]` that interpolate the entries of one axis. Far distances are trained more coarsely than near
/// ones: the entries are placed in a geometric progression that reaches as far as the new axis (Bao et al. 2021, BEiT's
/// fine-tuning), and what lies between two is linear.
fn interpolation(trained: usize, actual: usize) -> Vec<Vec<f64>> {
    let (steps, reach) = (trained / 2, (actual / 2) as f64);
    let progression = |ratio: f64| (1.0 - ratio.powi(steps as i32)) / (1.0 - ratio);
    let (mut low, mut high, mut ratio) = (1.01, 1.5, 1.25);
    while high - low > 1e-6 {
        ratio = f64::midpoint(low, high);
        if progression(ratio) > reach {
            high = ratio;
        } else {
            low = ratio;
        }
    }
    let distances: Vec<f64> = (0..steps)
        .scan(0.0, |distance, step| {
            *distance += ratio.powi(step as i32);
            Some(*distance)
        })
        .collect();
    let places: Vec<f64> = distances
        .iter()
        .rev()
        .map(|distance| -distance)
        .chain([0.0])
        .chain(distances.iter().copied())
        .collect();
    (0..actual)
        .map(|i| i as f64 - reach)
        .map(|place| {
            let mut weights = vec![0.0; trained];
            let right = places.partition_point(|&other| other < place);
            if right == 0 || right == trained {
                weights[right.min(trained - 1)] = 1.0;
            } else {
                let part = (place - places[right - 1]) / (places[right] - places[right - 1]);
                weights[right - 1] = 1.0 - part;
                weights[right] = part;
            }
            weights
        })
        .collect()
}

/// The matrix `[actual, trained]` that interpolates the entries for pairs of patches, row-major.
fn resampling(trained: [usize; 2], actual: [usize; 2]) -> Vec<f32> {
    let [rows, columns] = [0, 1].map(|axis| interpolation(trained[axis], actual[axis]));
    let columns = &columns;
    let products = rows.iter().flat_map(|row| {
        columns.iter().flat_map(move |column| {
            row.iter()
                .flat_map(move |a| column.iter().map(move |b| (a * b) as f32))
        })
    });
    products.collect()
}

/// The row of the table for each pair of tokens, the class token first.
fn index([rows, columns]: [usize; 2], class_token: bool) -> Vec<i32> {
    let [all_rows, all_columns] = distances([rows, columns]);
    let pairs = all_rows * all_columns;
    let patches = rows * columns;
    // None is the class token.
    let entry = |query: Option<usize>, key: Option<usize>| match (query, key) {
        (None, None) => pairs + 2,
        (None, _) => pairs,
        (_, None) => pairs + 1,
        (Some(query), Some(key)) => {
            let ([y, x], [v, u]) = ([query / columns, query % columns], [key / columns, key % columns]);
            (y + rows - 1 - v) * all_columns + (x + columns - 1 - u)
        }
    };
    let tokens = || {
        class_token
            .then_some(None)
            .into_iter()
            .chain((0..patches).map(Some))
    };
    tokens()
        .flat_map(|query| tokens().map(move |key| (query, key)))
        .map(|(query, key)| entry(query, key) as i32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `gen_relative_position_index((1, 2), class_token=True)`.
    #[test]
    fn indices_are_those_of_timm() {
        assert_eq!(index([1, 2], true), [5, 3, 3, 4, 1, 0, 4, 2, 1]);
        assert_eq!(index([1, 2], false), [1, 0, 2, 1]);
    }
}
