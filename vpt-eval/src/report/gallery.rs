//! Pictures of a report: the worst errors, and examples that nobody chose.

use std::path::{Path, PathBuf};

use ndarray::ArrayView1;
use rand::seq::index;
use vpt_data::Label;
use vpt_data::rng::rng;

use super::base64::base64;
use super::evaluated::{Evaluated, percent_of};
use super::places::PlacePair;
use super::thumbnail::thumbnail;
use crate::Predictions;

/// Names the use of the random numbers.
const EXAMPLES: u64 = 0x6761_6c6c;

/// The most characters of a file name that are shown.
const FILE_NAME: usize = 90;

/// Images that a report shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gallery {
    /// Wrong predictions, the most confident first: [`most_confident_errors`].
    pub errors: Vec<Example>,
    /// Others: [`random_examples`].
    pub random: Vec<Example>,
    /// Boxes or masks instead of both.
    pub pairs: Vec<PlacePair>,
}

/// An image of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Its place in the predictions.
    pub index: usize,
    /// A JPEG file, or why there is none.
    pub picture: Result<Vec<u8>, String>,
    /// Where the model looks, as a JPEG file.
    pub overlay: Option<Vec<u8>>,
}

impl Example {
    /// The image `index` of the predictions, read from its path; a picture that cannot be read becomes a note.
    pub fn open(predictions: &Predictions, index: usize) -> Self {
        let picture = match predictions.paths.get(index) {
            Some(path) => thumbnail(path).map_err(|error| format!("The picture cannot be read: {error}.")),
            None => Err("There is no such image.".to_owned()),
        };
        Self {
            index,
            picture,
            overlay: None,
        }
    }
}

/// Up to `n` images that are predicted wrongly, those with the most probable wrong class first.
pub fn most_confident_errors(predictions: &Predictions, n: usize) -> Vec<usize> {
    let (called, probs) = (predictions.called(), predictions.probs());
    let mut wrong: Vec<(f64, usize)> = (0..predictions.len())
        .filter_map(|i| Some((worst(&called[i], &predictions.labels[i], &probs.row(i))?, i)))
        .collect();
    wrong.sort_by(|a, b| b.0.total_cmp(&a.0));
    wrong.truncate(n);
    wrong.into_iter().map(|(_, image)| image).collect()
}

/// How sure the model is of the surest of its mistakes about an image; `None` without one.
fn worst(called: &Label, label: &Label, probs: &ArrayView1<f64>) -> Option<f64> {
    if called == label {
        return None;
    }
    let mistakes = probs.iter().enumerate().filter_map(|(class, &prob)| {
        match (called.has(class), label.has(class), called) {
            (true, false, _) => Some(prob),
            // Of one class, not to see it is the same mistake as to see another.
            (false, true, Label::Many(_)) => Some(1.0 - prob),
            _ => None,
        }
    });
    mistakes.max_by(f64::total_cmp)
}

/// Up to `n` different images at random, in their order; the same ones for the same seed.
pub fn random_examples(predictions: &Predictions, n: usize, seed: u64) -> Vec<usize> {
    let count = predictions.len();
    let mut chosen = index::sample(&mut rng(seed, &[EXAMPLES]), count, n.min(count)).into_vec();
    chosen.sort_unstable();
    chosen
}

/// An image as the page shows it.
pub(super) struct Card {
    pub file: String,
    /// What an image says to those who do not see it.
    pub alt: String,
    /// Base64 of a JPEG file, or why there is none.
    pub picture: Result<String, String>,
    pub overlay: Option<String>,
    pub truth: String,
    pub said: String,
    pub probability: String,
    pub is_right: bool,
}

/// One list of them.
pub(super) struct Cards {
    pub cards: Vec<Card>,
    pub has_overlays: bool,
}

/// The examples that the predictions know; `None` without any.
pub(super) fn cards(run: &Evaluated, examples: &[&Example]) -> Option<Cards> {
    let folder = common_folder(&run.predictions.paths);
    let known = examples
        .iter()
        .filter(|example| example.index < run.predictions.len());
    let cards: Vec<Card> = known.map(|example| card(run, example, &folder)).collect();
    let has_overlays = cards.iter().any(|card| card.overlay.is_some());
    (!cards.is_empty()).then_some(Cards { cards, has_overlays })
}

fn card(run: &Evaluated, example: &Example, folder: &Path) -> Card {
    let (i, classes) = (example.index, &run.predictions.classes);
    let (label, called) = (&run.predictions.labels[i], &run.called[i]);
    let path = &run.predictions.paths[i];
    let file = path
        .strip_prefix(folder)
        .unwrap_or(path)
        .to_string_lossy()
        .replace('\\', "/");
    let named = |label: &Label| match label.classes() {
        [] => "none of the classes".to_owned(),
        found => {
            let names: Vec<&str> = found.iter().map(|&class| classes[class].as_str()).collect();
            names.join(", ")
        }
    };
    let (truth, said) = (named(label), named(called));
    let probabilities: Vec<String> = match called.classes() {
        [] => {
            let highest = run.probs.row(i).iter().copied().fold(0.0, f64::max);
            vec![format!("at most {}", percent_of(highest))]
        }
        found => found
            .iter()
            .map(|&class| percent_of(run.probs[[i, class]]))
            .collect(),
    };
    Card {
        alt: format!("Image of class {truth}, predicted as {said}"),
        file: end_of(&file),
        picture: example
            .picture
            .as_ref()
            .map(|file| base64(file))
            .map_err(Clone::clone),
        overlay: example.overlay.as_ref().map(|file| base64(file)),
        truth,
        said,
        probability: probabilities.join(", "),
        is_right: label == called,
    }
}

/// The folder that all paths have in common, so that a page tells no more of a machine than it needs.
fn common_folder(paths: &[PathBuf]) -> PathBuf {
    let mut folders = paths.iter().map(|path| path.parent().unwrap_or(Path::new("")));
    let first = folders.next().unwrap_or(Path::new("")).to_owned();
    folders.fold(first, |common, folder| {
        let shared = common
            .components()
            .zip(folder.components())
            .take_while(|(a, b)| a == b);
        shared.map(|(part, _)| part).collect()
    })
}

/// The end of a long name, which tells files apart.
fn end_of(name: &str) -> String {
    let length = name.chars().count();
    if length <= FILE_NAME {
        return name.to_owned();
    }
    ['…']
        .into_iter()
        .chain(name.chars().skip(length + 1 - FILE_NAME))
        .collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn predictions() -> Predictions {
        let paths = [
            "/data/test/a/1.png",
            "/data/test/a/2.png",
            "/data/test/b/3.png",
            "/data/test/b/4.png",
        ];
        Predictions::new(
            vec!["a".into(), "b".into()],
            paths.map(PathBuf::from).to_vec(),
            vec![0, 0, 1, 1],
            array![[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 9.0]],
        )
        .unwrap()
    }

    #[test]
    fn the_surest_error_comes_first() {
        assert_eq!(most_confident_errors(&predictions(), 12), [2, 1]);
        assert_eq!(most_confident_errors(&predictions(), 1), [2]);
    }

    #[test]
    fn a_seed_gives_the_same_different_images() {
        assert_eq!(random_examples(&predictions(), 9, 1), [0, 1, 2, 3]);
        let two = random_examples(&predictions(), 2, 5);
        assert_eq!(two, random_examples(&predictions(), 2, 5));
        assert!(two.len() == 2 && two[0] < two[1]);
        assert!((0..20).any(|seed| random_examples(&predictions(), 2, seed) != two));
    }

    #[test]
    fn the_folder_of_all_images_is_not_told() {
        assert_eq!(common_folder(&predictions().paths), Path::new("/data/test"));
        assert_eq!(
            common_folder(&[PathBuf::from("x.png"), PathBuf::from("b/y.png")]),
            Path::new("")
        );
        assert_eq!(common_folder(&[]), Path::new(""));
        let name: String = (0..200).map(|i| char::from(b'a' + i % 26)).collect();
        assert_eq!(end_of(&name).chars().count(), FILE_NAME);
        assert!(name.ends_with(end_of(&name).trim_start_matches('…')));
    }

    #[test]
    fn a_picture_that_cannot_be_read_is_a_note() {
        let example = Example::open(&predictions(), 0);
        assert!(example.picture.unwrap_err().contains("cannot be read"));
        assert!(Example::open(&predictions(), 9).picture.is_err());
    }
}
