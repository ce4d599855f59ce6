//! Colours that can be told apart.

use crate::drawing::Colour;
use rand::RngExt;
use rand_pcg::Pcg64;

/// A random colour, any hue, saturation and brightness.
pub(super) fn any(rng: &mut Pcg64) -> Colour {
    hsv(
        rng.random_range(0.0..1.0),
        rng.random_range(0.0..1.0_f32).sqrt(),
        rng.random_range(0.1..1.0),
    )
}

/// A random colour that differs from all of `others`: the best of a few draws, rarely closer than 0.35.
pub(super) fn unlike(others: &[Colour], rng: &mut Pcg64) -> Colour {
    let nearest = |colour: Colour| {
        others
            .iter()
            .map(|&other| apart(colour, other))
            .fold(f32::MAX, f32::min)
    };
    let mut best = any(rng);
    for _ in 0..30 {
        if nearest(best) > 0.35 {
            break;
        }
        let next = any(rng);
        if nearest(next) > nearest(best) {
            best = next;
        }
    }
    best
}

/// How different two colours look, 0..1, mostly by their brightness.
pub(super) fn apart(a: Colour, b: Colour) -> f32 {
    let weights = [0.3, 0.5, 0.2];
    (0..3)
        .map(|i| weights[i] * (a[i] - b[i]).powi(2))
        .sum::<f32>()
        .sqrt()
}

/// Red, green, blue of a hue (0..1 around the circle), saturation and value.
fn hsv(hue: f32, saturation: f32, value: f32) -> Colour {
    [5.0, 3.0, 1.0].map(|offset| {
        let k = (offset + hue * 6.0) % 6.0;
        value * (1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::rng;

    #[test]
    fn hues() {
        assert_eq!(hsv(0.0, 1.0, 1.0), [1.0, 0.0, 0.0]);
        assert_eq!(hsv(1.0 / 3.0, 1.0, 1.0).map(f32::round), [0.0, 1.0, 0.0]);
        assert_eq!(hsv(0.7, 0.0, 0.5), [0.5; 3]);
    }

    #[test]
    fn unlike_colours_differ() {
        let mut rng = rng(1, &[]);
        let close = (0..200).filter(|_| {
            let others = [any(&mut rng), any(&mut rng)];
            let colour = unlike(&others, &mut rng);
            others.iter().any(|&other| apart(colour, other) < 0.2)
        });
        assert!(close.count() < 4);
    }
}
