//! Exact Euclidean distance transform in linear time (Felzenszwalb & Huttenlocher 2012, Theory of Computing 8:415): the
//! lower envelope of parabolas, along columns and then along rows.

use ndarray::{Array2, ArrayView2, ArrayViewMut1, Axis};

/// For each pixel of `[height, width]` the squared distance to the nearest `true` pixel, in pixels²; infinite where there is
/// none.
pub fn squared_distances(marked: &ArrayView2<bool>) -> Array2<f64> {
    let mut squared = marked.mapv(|is| if is { 0.0 } else { f64::INFINITY });
    let longest = squared.nrows().max(squared.ncols());
    let mut envelope = Envelope::new(longest);
    for axis in [Axis(1), Axis(0)] {
        for lane in squared.lanes_mut(axis) {
            envelope.transform(lane);
        }
    }
    squared
}

/// Space for one line.
struct Envelope {
    values: Vec<f64>,
    /// Vertices of the parabolas in the envelope, and where each becomes the lowest.
    vertices: Vec<(usize, f64)>,
}

impl Envelope {
    fn new(longest: usize) -> Self {
        Self {
            values: Vec::with_capacity(longest),
            vertices: Vec::with_capacity(longest),
        }
    }

    /// Replaces `f(x)` by the minimum over `v` of `f(v) + (x − v)²`.
    fn transform(&mut self, mut line: ArrayViewMut1<f64>) {
        self.values.clear();
        self.values.extend(line.iter().copied());
        self.vertices.clear();
        for (v, &height) in self.values.iter().enumerate() {
            if height.is_infinite() {
                continue;
            }
            let mut start = f64::NEG_INFINITY;
            while let Some(&(last, since)) = self.vertices.last() {
                let (a, b) = (last as f64, v as f64);
                let crossing = ((height + b * b) - (self.values[last] + a * a)) / (2.0 * (b - a));
                if crossing > since {
                    start = crossing;
                    break;
                }
                self.vertices.pop();
            }
            self.vertices.push((v, start));
        }
        let mut lowest = 0;
        for (x, value) in line.iter_mut().enumerate() {
            while self
                .vertices
                .get(lowest + 1)
                .is_some_and(|next| next.1 < x as f64)
            {
                lowest += 1;
            }
            if let Some(&(v, _)) = self.vertices.get(lowest) {
                *value = self.values[v] + (x as f64 - v as f64).powi(2);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_nearest_of_all(
            (width, marked) in (1..9_usize).prop_flat_map(|width| (Just(width), prop::collection::vec(prop::bool::weighted(0.2), width * 6)))
        ) {
            let marked = Array2::from_shape_vec((6, width), marked).unwrap();
            let found = squared_distances(&marked.view());
            for ((y, x), &squared) in found.indexed_iter() {
                let to = |((v, u), _): ((usize, usize), &bool)| (v.abs_diff(y).pow(2) + u.abs_diff(x).pow(2)) as f64;
                let nearest = marked.indexed_iter().filter(|(_, is)| **is).map(to).fold(f64::INFINITY, f64::min);
                prop_assert_eq!(squared, nearest);
            }
        }
    }
}
