//! Attention within windows.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData, s};

use super::swin::WindowGrid;

/// What is added to the score of two patches that stand in one window and not side by side in the image, timm's value.
const APART: f32 = -100.0;

/// How the patches of an image stand in windows, and which of them do not see each other (timm's `window_partition`,
/// `window_reverse` and `get_attn_mask`).
///
/// Shifted windows reach over the right and lower edge to the other side of the image; what lies there is masked. Windows
/// that the image does not fill are filled with zeros, which take part.
#[derive(Module, Debug)]
pub struct Windows {
    /// For each place of each window its patch; one behind the last patch where there is none. `[windows · places]`
    partition: Tensor<1, Int>,
    /// For each patch its place, `[patches]`.
    reverse: Tensor<1, Int>,
    /// Added to the scores, `[windows, 1, places, places]`.
    mask: Option<Tensor<4>>,
    /// Windows of an image.
    count: usize,
    /// Patches of an image.
    patches: usize,
}

impl Windows {
    /// The windows of `of`.
    pub fn new(of: WindowGrid, device: &Device) -> Self {
        let layout = Layout::new(of);
        let ints = |values: &[usize]| {
            let values: Vec<i32> = values.iter().map(|&value| value as i32).collect();
            Tensor::from_data(TensorData::from(&*values), device)
        };
        let places = layout.places;
        let shape = [layout.windows, 1, places, places];
        Self {
            partition: ints(&layout.partition),
            reverse: ints(&layout.reverse),
            mask: layout
                .mask
                .map(|mask| Tensor::from_data(TensorData::new(mask, shape), device)),
            count: layout.windows,
            patches: layout.reverse.len(),
        }
    }

    /// Patches of an image.
    pub fn patches(&self) -> usize {
        self.patches
    }

    /// Windows of an image.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Places of a window.
    pub(crate) fn places(&self) -> usize {
        self.partition.dims()[0] / self.count
    }

    /// For each place of each window its patch; one behind the last patch where there is none.
    pub(crate) fn patch_of_place(&self) -> Vec<i64> {
        self.partition.to_data().iter::<i64>().collect()
    }

    /// For each patch its place among those of all windows.
    pub(crate) fn place_of_patch(&self) -> Vec<i64> {
        self.reverse.to_data().iter::<i64>().collect()
    }

    /// Whether windows have places without a patch.
    pub fn are_padded(&self) -> bool {
        self.partition.dims()[0] > self.patches
    }

    /// What is added to scores between the places of a window: `bias` `[1, heads, places, places]`, with the mask `[windows,
    /// heads, places, places]`.
    pub fn biased(&self, bias: Tensor<4>) -> Tensor<4> {
        match &self.mask {
            Some(mask) => bias + mask.clone(),
            None => bias,
        }
    }

    /// From images to windows: the patches of each window, then all other tokens, which every window has.
    ///
    /// # Shapes
    /// - tokens: `[batch, patches + others, D]`
    /// - padding: `[1, 1, D]`, what stands where there is no patch; needed where [`Windows::are_padded`]
    /// - output: `[batch · windows, places + others, D]`
    pub fn partition(&self, tokens: Tensor<3>, padding: Option<Tensor<3>>) -> Tensor<3> {
        let [batch, count, dim] = tokens.dims();
        let mut patches = tokens.clone().slice(s![.., ..self.patches]);
        if let Some(padding) = padding {
            patches = Tensor::cat(vec![patches, padding.expand([batch, 1, dim])], 1);
        }
        let places = self.places();
        let placed = patches
            .select(1, self.partition.clone())
            .reshape([batch * self.count, places, dim]);
        if count == self.patches {
            return placed;
        }
        let others = self.repeat(tokens.slice(s![.., self.patches..]));
        Tensor::cat(vec![placed, others], 1)
    }

    /// Tokens of an image for each of its windows: `[batch, n, D] → [batch · windows, n, D]`.
    pub fn repeat(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [batch, count, dim] = tokens.dims();
        tokens
            .reshape([batch, 1, count, dim])
            .expand([batch, self.count, count, dim])
            .reshape([batch * self.count, count, dim])
    }

    /// From windows back to images. What became of the other tokens is averaged over the windows of the image, as in the
    /// prompted Swin of Jia et al. 2022.
    ///
    /// # Shapes
    /// - windows: `[batch · windows, places + others, D]`
    /// - output: `[batch, patches + others, D]`
    pub fn reverse(&self, windows: Tensor<3>) -> Tensor<3> {
        let [all, count, dim] = windows.dims();
        let batch = all / self.count;
        let places = self.places();
        let patches = windows
            .clone()
            .slice(s![.., ..places])
            .reshape([batch, self.count * places, dim])
            .select(1, self.reverse.clone());
        if count == places {
            return patches;
        }
        let others = count - places;
        let averaged = windows
            .slice(s![.., places..])
            .reshape([batch, self.count, others, dim])
            .mean_dim(1)
            .reshape([batch, others, dim]);
        Tensor::cat(vec![patches, averaged], 1)
    }
}

/// The windows as lists of numbers.
#[derive(Debug, PartialEq)]
struct Layout {
    windows: usize,
    places: usize,
    partition: Vec<usize>,
    reverse: Vec<usize>,
    mask: Option<Vec<f32>>,
}

impl Layout {
    fn new(WindowGrid { grid, window, shift }: WindowGrid) -> Self {
        let counts = [0, 1].map(|axis| grid[axis].div_ceil(window[axis]));
        let (windows, places) = (counts[0] * counts[1], window[0] * window[1]);
        let patches = grid[0] * grid[1];
        // Of the patches on one axis, rolled by the shift: which stands at `place`, if any, and in which part of the
        // image. Parts that were not neighbours before do not see each other.
        let patch =
            |axis: usize, place: usize| (place < grid[axis]).then(|| (place + shift[axis]) % grid[axis]);
        let part = |axis: usize, place: usize| {
            let end = counts[axis] * window[axis];
            usize::from(place + window[axis] >= end) + usize::from(place + shift[axis] >= end)
        };
        let mut partition = Vec::with_capacity(windows * places);
        let mut parts = Vec::with_capacity(windows * places);
        let mut reverse = vec![0; patches];
        for index in 0..windows * places {
            let (of_window, of_place) = (index / places, index % places);
            let row = of_window / counts[1] * window[0] + of_place / window[1];
            let column = of_window % counts[1] * window[1] + of_place % window[1];
            let found = patch(0, row)
                .zip(patch(1, column))
                .map(|(row, column)| row * grid[1] + column);
            if let Some(found) = found {
                reverse[found] = index;
            }
            partition.push(found.unwrap_or(patches));
            parts.push([part(0, row), part(1, column)]);
        }
        let mask = shift.iter().any(|&shift| shift > 0).then(|| {
            let of_window = |parts: &[[usize; 2]]| -> Vec<f32> {
                let pairs = parts.iter().flat_map(|a| parts.iter().map(move |b| a == b));
                pairs.map(|same| if same { 0.0 } else { APART }).collect()
            };
            parts.chunks_exact(places).flat_map(of_window).collect()
        });
        Self {
            windows,
            places,
            partition,
            reverse,
            mask,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(grid: [usize; 2], window: [usize; 2], shift: [usize; 2]) -> Layout {
        Layout::new(WindowGrid { grid, window, shift })
    }

    #[test]
    fn windows_lie_row_by_row() {
        let found = layout([2, 4], [2, 2], [0, 0]);
        assert_eq!(found.partition, [0, 1, 4, 5, 2, 3, 6, 7]);
        assert_eq!(found.reverse, [0, 1, 4, 5, 2, 3, 6, 7]);
        assert_eq!(found.mask, None);
    }

    /// Four patches in a row, windows of two shifted by one: the second window holds the last patch and the first, which
    /// do not see each other.
    #[test]
    fn shifted_windows_go_round_the_edge() {
        let found = layout([1, 4], [1, 2], [0, 1]);
        assert_eq!(found.partition, [1, 2, 3, 0]);
        assert_eq!(found.reverse, [3, 0, 1, 2]);
        assert_eq!(found.mask.unwrap(), [0.0, 0.0, 0.0, 0.0, 0.0, APART, APART, 0.0]);
    }

    #[test]
    fn what_does_not_fill_its_windows_is_padded_at_the_end() {
        let found = layout([1, 3], [1, 2], [0, 0]);
        assert_eq!(found.partition, [0, 1, 2, 3]);
        assert_eq!(found.reverse, [0, 1, 2]);
    }

    #[test]
    fn there_and_back_again() {
        let device = Device::flex();
        let (batch, others, dim) = (2, 3, 4);
        for (grid, window, shift) in [([4, 6], [2, 3], [1, 1]), ([5, 7], [3, 3], [1, 1])] {
            let windows = Windows::new(WindowGrid { grid, window, shift }, &device);
            let tokens = windows.patches() + others;
            let data: Vec<f32> = (0..batch * tokens * dim).map(|i| i as f32).collect();
            let x = Tensor::<3>::from_data(TensorData::new(data.clone(), [batch, tokens, dim]), &device);
            let padding = windows.are_padded().then(|| Tensor::zeros([1, 1, dim], &device));
            let placed = windows.partition(x, padding);
            let back = windows.reverse(placed).to_data();
            assert_eq!(back.try_to_vec::<f32>().unwrap(), data, "{grid:?}");
        }
    }
}
