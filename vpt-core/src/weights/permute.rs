//! Reordering the axes of a tensor in main memory.

use ndarray::{ArrayView, IxDyn};

use crate::HostTensor;

/// `tensor` with the axes in the order `axes`: axis `i` of the result is axis `axes[i]` of `tensor`, as in
/// `numpy.transpose`.
///
/// # Panics
/// When `axes` is not an order of the tensor's axes.
pub(super) fn permute(tensor: &HostTensor, axes: &[usize]) -> HostTensor {
    assert_eq!(axes.len(), tensor.shape.len(), "an order of all axes");
    let view = ArrayView::from_shape(IxDyn(&tensor.shape), &tensor.data);
    let view = view.expect("a tensor has as many values as its shape says");
    let view = view.permuted_axes(IxDyn(axes));
    HostTensor::new(view.shape(), view.iter().copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_move() {
        let tensor = HostTensor::new([2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let turned = permute(&tensor, &[1, 0]);
        assert_eq!(
            turned,
            HostTensor::new([3, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0])
        );
        let cube = HostTensor::new([2, 1, 3], (0..6).map(|x| x as f32).collect());
        assert_eq!(permute(&cube, &[2, 0, 1]).shape, [3, 2, 1]);
        assert_eq!(permute(&permute(&cube, &[2, 0, 1]), &[1, 2, 0]), cube);
    }
}
