//! From what a model says of windows on a picture to a class for each of its pixels.

use ndarray::Array3;
use vpt_data::Framing;

/// The weight of a pixel at the edge of a window, against one in the middle.
const LEAST: f64 = 0.01;

/// What is said of a window on a picture.
pub(crate) struct Window {
    /// `[height, width, classes]`, of every pixel of the input.
    logits: Array3<f32>,
    original: [u32; 2],
    /// Across and down: where each pixel of the picture lies, if the window shows it.
    lines: [Vec<Option<Place>>; 2],
}

/// A place between the centres of two pixels of the input, along an axis.
#[derive(Clone, Copy)]
struct Place {
    before: usize,
    after: usize,
    /// How much of the value is that of `after`.
    share: f32,
    /// How much the window has to say here: less towards its edge, where it does not see what surrounds the place.
    weight: f32,
}

impl Window {
    /// `logits` are `[height, width, classes]`, of an input in which the picture lies like that.
    pub(crate) fn new(logits: Array3<f32>, framing: &Framing) -> Self {
        let (height, width, _) = logits.dim();
        let lines = [(0, width), (1, height)].map(|(axis, edge)| {
            let places = framing.places_in_input(axis).into_iter();
            places.map(|place| Place::new(place, edge)).collect()
        });
        Self {
            logits,
            original: framing.original(),
            lines,
        }
    }

    /// Width and height of the picture.
    pub(crate) fn original(&self) -> [u32; 2] {
        self.original
    }

    /// Bilinear interpolation between the logits of `class`.
    fn value(&self, down: Place, across: Place, class: usize) -> f32 {
        let line = |row: usize| {
            let at = |column: usize| self.logits[[row, column, class]];
            at(across.before) * (1.0 - across.share) + at(across.after) * across.share
        };
        line(down.before) * (1.0 - down.share) + line(down.after) * down.share
    }
}

impl Place {
    /// Of an input of `edge` pixels; nothing beyond it.
    fn new(place: f64, edge: usize) -> Option<Self> {
        let (end, most) = (edge as f64, edge.checked_sub(1)?);
        if !(0.0..=end).contains(&place) {
            return None;
        }
        let centre = (place - 0.5).clamp(0.0, most as f64);
        let before = centre.floor() as usize;
        Some(Self {
            before,
            after: (before + 1).min(most),
            share: (centre - before as f64) as f32,
            weight: (2.0 * place.min(end - place) / end).max(LEAST) as f32,
        })
    }
}

/// The likeliest class of each pixel of the picture, row by row: logits are interpolated, and averaged over the windows that show the pixel.
/// A pixel that none shows is of class 0.
pub(crate) fn likeliest_classes(windows: &[Window]) -> Vec<u8> {
    let Some(first) = windows.first() else {
        return Vec::new();
    };
    let [width, height] = first.original.map(|edge| edge as usize);
    let mut scores = vec![0.0; first.logits.dim().2];
    let mut classes = Vec::with_capacity(width * height);
    for y in 0..height {
        let rows: Vec<(&Window, Place)> = windows
            .iter()
            .filter_map(|window| Some((window, window.lines[1][y]?)))
            .collect();
        for x in 0..width {
            scores.fill(0.0);
            for &(window, down) in &rows {
                let Some(across) = window.lines[0][x] else {
                    continue;
                };
                // The sum decides as the average would.
                let weight = match windows.len() {
                    1 => 1.0,
                    _ => down.weight * across.weight,
                };
                for (class, score) in scores.iter_mut().enumerate() {
                    *score += weight * window.value(down, across, class);
                }
            }
            classes.push(likeliest(&scores));
        }
    }
    classes
}

/// The first of the largest.
fn likeliest(scores: &[f32]) -> u8 {
    let mut best = 0;
    for (class, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = class;
        }
    }
    best as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits of two classes that say how far right a pixel of the picture lies, as a window sees it.
    fn window(framing: &Framing, size: [usize; 2], halfway: f64) -> Window {
        let logits = Array3::from_shape_fn((size[0], size[1], 2), |(_, column, class)| {
            let edge = |place: f64| vpt_data::PixelBox::new(place, 0.0, place + 1.0, 1.0).unwrap();
            let there = framing.to_original(&edge(column as f64 + 0.5)).x0();
            if class == 1 { (there - halfway) as f32 } else { 0.0 }
        });
        Window::new(logits, framing)
    }

    #[test]
    fn windows_say_together_what_one_view_says() {
        let (original, size) = ([90, 60], [32, 32]);
        let one = |times| -> Vec<u8> {
            let framings = Framing::windows(original, size, times);
            let windows: Vec<_> = framings
                .iter()
                .map(|framing| window(framing, size, 33.0))
                .collect();
            likeliest_classes(&windows)
        };
        let expected: Vec<u8> = (0..90 * 60)
            .map(|at| u8::from(f64::from(at % 90) + 0.5 > 33.0))
            .collect();
        for times in 1..5 {
            assert_eq!(one(times), expected, "{times}");
        }
    }

    #[test]
    fn the_middle_of_a_window_has_more_to_say_than_the_edge_of_another() {
        let framings = Framing::windows([64, 32], [32, 32], 2);
        assert_eq!(framings.len(), 3);
        let says = |class: usize, framing: &Framing| {
            let logits =
                Array3::from_shape_fn((32, 32, 2), |(_, _, other)| f32::from(u8::from(class == other)));
            Window::new(logits, framing)
        };
        // The outer ones say 0, the one in the middle 1: it wins where it is nearer.
        let windows: Vec<_> = [0, 1, 0]
            .into_iter()
            .zip(&framings)
            .map(|(class, framing)| says(class, framing))
            .collect();
        let classes = likeliest_classes(&windows);
        let row = &classes[..64];
        let changes: Vec<usize> = (1..64).filter(|&x| row[x] != row[x - 1]).collect();
        assert_eq!(changes, [24, 40]);
    }
}
