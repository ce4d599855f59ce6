//! How far two boxes `[x0, y0, x1, y1]` agree.

/// Area of a box.
pub(super) fn area([x0, y0, x1, y1]: [f64; 4]) -> f64 {
    (x1 - x0) * (y1 - y0)
}

fn intersection(a: [f64; 4], b: [f64; 4]) -> f64 {
    let width = a[2].min(b[2]) - a[0].max(b[0]);
    let height = a[3].min(b[3]) - a[1].max(b[1]);
    if width > 0.0 && height > 0.0 {
        width * height
    } else {
        0.0
    }
}

/// Intersection over union; 0 where boxes do not overlap, also for empty boxes.
pub fn iou(a: [f64; 4], b: [f64; 4]) -> f64 {
    let both = intersection(a, b);
    if both > 0.0 {
        both / (area(a) + area(b) - both)
    } else {
        0.0
    }
}

/// What pycocotools compares with the threshold (`bbIou` in its `maskApi.c`): [`iou`], or the share of the detection inside a
/// crowd, which has room for many.
pub fn overlap(found: [f64; 4], truth: [f64; 4], crowd: bool) -> f64 {
    if !crowd {
        return iou(found, truth);
    }
    let both = intersection(found, truth);
    if both > 0.0 { both / area(found) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crowds_have_room() {
        let (big, small) = ([0.0, 0.0, 4.0, 2.0], [1.0, 0.0, 3.0, 1.0]);
        assert_eq!(iou(small, big), 0.25);
        assert_eq!(overlap(small, big, false), 0.25);
        assert_eq!(overlap(small, big, true), 1.0);
        assert_eq!(overlap(big, small, true), 0.25);
    }

    #[test]
    fn boxes_that_touch_or_are_empty_do_not_overlap() {
        let (left, right) = ([0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 2.0, 1.0]);
        assert_eq!(iou(left, right), 0.0);
        let empty = [0.5, 0.5, 0.5, 0.5];
        assert_eq!((iou(empty, empty), overlap(empty, left, true)), (0.0, 0.0));
    }
}
