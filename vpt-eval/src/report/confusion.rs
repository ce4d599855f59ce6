//! The confusion matrix as a figure.

use ndarray::Array2;

use super::svg::{Anchor, Svg, shorten, text_width};

/// Longest class name, in characters, that is written in full.
const NAME: usize = 24;

/// Confusion matrix `[true, predicted]` as an SVG file: each row is shaded by its shares, so that rare classes are as visible
/// as common ones. The numbers are counts, or percent of the row if `normalized`.
pub fn confusion_svg(matrix: &Array2<usize>, classes: &[String], normalized: bool) -> String {
    let numbers = if normalized {
        Numbers::Percent
    } else {
        Numbers::Counts
    };
    draw(matrix, classes, numbers).standalone()
}

/// What stands in a cell.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Numbers {
    Counts,
    /// Of the row.
    Percent,
    /// The count, and below it the percent of the row, where there is room for two lines.
    Both,
}

/// The matrix as a figure for a page or a file.
pub(super) fn draw(matrix: &Array2<usize>, classes: &[String], numbers: Numbers) -> Svg {
    let count = matrix.nrows();
    let cell = (560.0 / count.max(1) as f64).clamp(5.0, 56.0);
    let names: Vec<String> = classes.iter().map(|name| shorten(name, NAME)).collect();
    let widest = names.iter().map(|name| text_width(name)).fold(0.0, f64::max);
    let name_step = (13.0 / cell).ceil() as usize; // with many classes only every n-th name has room
    let upright = widest <= cell - 6.0;

    let left = widest + 40.0;
    let top = if upright { 60.0 } else { 50.0 + widest * 0.72 };
    let side = cell * count as f64;
    let right = if upright { 16.0 } else { 16.0 + widest * 0.72 };
    let mut svg = Svg::new(
        (left + side + right).max(260.0),
        top + side + 16.0,
        "confusion matrix",
    );
    svg.text("head", (left, 22.0), Anchor::Start, "predicted class");
    svg.rotated_text(
        "head",
        (18.0, top + side / 2.0),
        Anchor::Middle,
        -90.0,
        "true class",
    );

    for (row, counts) in matrix.outer_iter().enumerate() {
        let total: usize = counts.sum();
        for (column, &n) in counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            let share = n as f64 / total as f64;
            let (x, y) = (left + cell * column as f64, top + cell * row as f64);
            svg.rect("cell", (x, y), (cell, cell), 0.08 + 0.92 * share);
            let label = if numbers == Numbers::Percent {
                format!("{:.0}", 100.0 * share)
            } else {
                n.to_string()
            };
            if text_width(&label) <= cell - 2.0 && cell >= 15.0 {
                // Where the shade is half way, the dark text is read better in both colour schemes.
                let class = if share > 0.75 { "onto" } else { "" };
                let (centre, middle) = (x + cell / 2.0, y + cell / 2.0 + 4.5);
                if numbers == Numbers::Both && cell >= 40.0 {
                    svg.text(class, (centre, middle - 8.0), Anchor::Middle, &label);
                    let percent = format!("{:.0} %", 100.0 * share);
                    svg.text(class, (centre, middle + 8.0), Anchor::Middle, &percent);
                } else {
                    svg.text(class, (centre, middle), Anchor::Middle, &label);
                }
            }
        }
    }
    svg.rect("frame", (left, top), (side, side), 1.0);
    for (i, name) in names.iter().enumerate().step_by(name_step.max(1)) {
        let middle = cell * (i as f64 + 0.5);
        svg.text("", (left - 6.0, top + middle + 4.0), Anchor::End, name);
        if upright {
            svg.text("", (left + middle, top - 8.0), Anchor::Middle, name);
        } else {
            svg.rotated_text("", (left + middle + 3.0, top - 8.0), Anchor::Start, -45.0, name);
        }
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn numbers_are_counts_or_percent_of_the_row() {
        let (matrix, classes) = (array![[3, 1], [0, 2]], ["cat".to_owned(), "<dog>".to_owned()]);
        let counts = confusion_svg(&matrix, &classes, false);
        assert!(counts.contains(">3</text>") && counts.contains("&lt;dog&gt;"));
        assert_eq!(
            counts.matches("class=\"cell\"").count(),
            3,
            "an empty cell is not drawn"
        );
        let shares = confusion_svg(&matrix, &classes, true);
        assert!(shares.contains(">75</text>") && shares.contains(">100</text>"));
    }

    #[test]
    fn any_number_of_classes_draws() {
        let empty = confusion_svg(&Array2::zeros((0, 0)), &[], true);
        assert!(empty.starts_with("<svg") && !empty.contains("NaN"));
        let names: Vec<String> = (0..200).map(|i| format!("class {i}")).collect();
        let many = confusion_svg(&Array2::from_diag_elem(200, 7), &names, true);
        assert!(
            many.contains("class 198<") && !many.contains("class 199<"),
            "every third name has room"
        );
    }
}
