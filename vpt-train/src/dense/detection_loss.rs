//! What training makes small for boxes: quality focal loss for the classes (Li et al. 2020, arXiv 2006.04388), generalised IoU for the
//! edges (Rezatofighi et al. 2019).

use burn::tensor::activation::{sigmoid, softplus};
use burn::tensor::{Int, Tensor, TensorData, s};
use vpt_core::HostTensor;
use vpt_core::heads::{DetectionOutput, Point};

use super::assign::{Role, Target, assign, reach};

/// How much the edges count beside the classes, as in Li et al.
const EDGES: f64 = 2.0;

/// A point that is to find an object.
struct Positive {
    /// Its row among all points of the batch.
    row: usize,
    class: usize,
    /// To the edges of its object, in strides.
    reach: [f32; 4],
}

/// The loss of a batch, times the number of its images; `objects` are those of each image, in pixels of the input.
pub fn detection_loss(output: DetectionOutput, points: &[Point], objects: &[Vec<Target>]) -> Tensor<1> {
    let DetectionOutput { logits, reach: sides } = output;
    let [batch, count, classes] = logits.dims();
    let device = logits.device();
    let mut positives = Vec::new();
    let mut counted = vec![1.0f32; batch * count];
    for (image, objects) in objects.iter().enumerate() {
        for (place, role) in assign(points, objects).into_iter().enumerate() {
            let row = image * count + place;
            match role {
                Role::Background => {}
                Role::Ignored => counted[row] = 0.0,
                Role::Finds(object) => positives.extend(objects[object].class.map(|class| Positive {
                    row,
                    class,
                    reach: reach(&points[place], &objects[object].bbox),
                })),
            }
        }
    }
    let scale = batch as f64 / positives.len().max(1) as f64;
    let mut quality = vec![0.0f32; batch * count * classes];
    let mut edges = None;
    if !positives.is_empty() {
        let rows: Vec<i64> = positives.iter().map(|positive| positive.row as i64).collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [positives.len()]), &device);
        let found = sides.reshape([batch * count, 4]).select(0, rows);
        let wanted: Vec<f32> = positives.iter().flat_map(|positive| positive.reach).collect();
        let wanted = Tensor::from_data(TensorData::new(wanted, [positives.len(), 4]), &device);
        let (iou, generalised) = overlaps(found, wanted);
        let iou = HostTensor::from_tensor(&iou.inner())
            .map(|iou| iou.data)
            .unwrap_or_default();
        for (positive, iou) in positives.iter().zip(iou) {
            // A box that is no number yet must not make the classes none either.
            quality[positive.row * classes + positive.class] =
                if iou.is_finite() { iou.clamp(0.0, 1.0) } else { 0.0 };
        }
        edges = Some((generalised.neg() + 1.0).sum());
    }
    let quality = Tensor::from_data(TensorData::new(quality, [batch * count, classes]), &device);
    let counted = Tensor::from_data(TensorData::new(counted, [batch * count, 1]), &device);
    let focal = quality_focal(logits.reshape([batch * count, classes]), quality);
    let loss = (focal * counted).sum();
    let loss = match edges {
        Some(edges) => loss + edges * EDGES,
        None => loss,
    };
    loss * scale
}

/// |q - σ(x)|² times the binary cross entropy of σ(x) and q, element by element.
fn quality_focal(logits: Tensor<2>, quality: Tensor<2>) -> Tensor<2> {
    let away = quality.clone() - sigmoid(logits.clone());
    let cross_entropy = softplus(logits.clone(), 1.0) - logits * quality;
    away.clone() * away * cross_entropy
}

/// IoU and generalised IoU, `[pairs]`, of boxes around the same points, given by what they reach to each side, `[pairs, 4]`.
fn overlaps(a: Tensor<2>, b: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
    // Where a point lies beyond an edge, as that of a tiny object may, what boxes have in common can be less than nothing.
    let area = |sides: &Tensor<2>| {
        let [width, height] = extents(sides);
        width.clamp_min(0.0) * height.clamp_min(0.0)
    };
    let sum = area(&a) + area(&b);
    let common = area(&a.clone().min_pair(b.clone()));
    let hull = area(&a.max_pair(b)).clamp_min(1e-6);
    let union = (sum - common.clone()).clamp_min(1e-6);
    let iou = common / union.clone();
    let generalised = iou.clone() - (hull.clone() - union) / hull;
    (iou.squeeze_dim(1), generalised.squeeze_dim(1))
}

/// Width and height, `[pairs, 1]` each.
fn extents(sides: &Tensor<2>) -> [Tensor<2>; 2] {
    let side = |index: usize| sides.clone().slice(s![.., index..=index]);
    [side(0) + side(2), side(1) + side(3)]
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn row<const N: usize>(values: [f32; N]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, N]), &Device::flex())
    }

    #[test]
    fn overlaps_are_those_of_the_boxes() {
        // Around (0, 0): [-1, -1, 1, 1] and [-1, -1, 3, 1].
        let (iou, generalised) = overlaps(row([1.0, 1.0, 1.0, 1.0]), row([1.0, 1.0, 3.0, 1.0]));
        assert!((iou.into_scalar::<f32>() - 0.5).abs() < 1e-6);
        assert!((generalised.into_scalar::<f32>() - 0.5).abs() < 1e-6);
        // [-1, -1, 1, 1] and [-3, -0.5, 0.5, 2]: 1.5 × 1.5 in common, hull 4 × 3.
        let (iou, generalised) = overlaps(row([1.0, 1.0, 1.0, 1.0]), row([3.0, 0.5, 0.5, 2.0]));
        let (common, union, hull) = (2.25, 4.0 + 8.75 - 2.25, 12.0);
        assert!((iou.into_scalar::<f32>() - common / union).abs() < 1e-6);
        assert!((generalised.into_scalar::<f32>() - (common / union - (hull - union) / hull)).abs() < 1e-6);
    }

    #[test]
    fn boxes_apart_have_nothing_in_common() {
        // Around the point both reach to other sides.
        let (iou, generalised) = overlaps(row([0.1; 4]), row([-1.2, -1.2, 1.5, 1.5]));
        assert_eq!(iou.into_scalar::<f32>(), 0.0);
        let generalised = generalised.into_scalar::<f32>();
        assert!((-1.0..0.0).contains(&generalised), "{generalised}");
    }

    #[test]
    fn focal_loss_is_zero_where_the_likelihood_is_the_quality() {
        let likelihood = 0.3f32;
        let logit = (likelihood / (1.0 - likelihood)).ln();
        let value = |logit, quality| quality_focal(row([logit]), row([quality])).into_scalar::<f32>();
        assert!(value(logit, likelihood).abs() < 1e-6);
        // Paper, equation 7: σ = 0.5, y = 0: 0.25 · ln 2.
        assert!((value(0.0, 0.0) - 0.25 * 2.0f32.ln()).abs() < 1e-6);
        assert!(value(-60.0, 1.0).is_finite() && value(60.0, 0.0).is_finite());
    }
}
