//! Which numbers masks store, and which number stands for which class.

use super::boxes::{text, wrong};
use super::image_folder::natural;
use crate::error::counted;
use crate::{DataError, stored_values};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const CLASSES: [&str; 2] = ["classes.txt", "labels.txt"];

/// The number that is of no class where nothing else is said.
const IGNORED: u16 = 255;

/// The most classes: a byte for each pixel, and one number for those that are ignored.
const MAX_CLASSES: usize = 255;

/// What a mask stores.
pub(super) struct Stored {
    pub size: [u32; 2],
    /// How many pixels have each number.
    pub counts: BTreeMap<u16, u64>,
}

impl Stored {
    pub fn read(path: &Path) -> Result<Self, String> {
        let stored = stored_values::read(path).map_err(|error| error.reason())?;
        let mut counts = vec![0_u64; 1 << 16];
        for &value in &stored.values {
            counts[usize::from(value)] += 1;
        }
        let present = (0..=u16::MAX).zip(counts).filter(|(_, count)| *count > 0);
        Ok(Self {
            size: [stored.width, stored.height],
            counts: present.collect(),
        })
    }
}

/// Which number stands for which class.
pub(super) struct Numbers {
    pub classes: Vec<String>,
    pub values: Vec<(u16, u8)>,
    /// Numbers that are of no class on purpose.
    pub ignored: Vec<u16>,
}

impl Numbers {
    /// The file that names the classes, if there is one.
    pub fn file(root: &Path) -> Option<PathBuf> {
        CLASSES
            .iter()
            .map(|name| root.join(name))
            .find(|path| path.is_file())
    }

    /// As a file of names says.
    pub fn of_file(file: &Path, all: &BTreeMap<u16, u64>) -> Result<Self, DataError> {
        let failed = |line: u64, message: String| {
            Err(wrong(
                file,
                line,
                message,
                "one name a line, and perhaps `ignore = 255`",
            ))
        };
        let (mut classes, mut ignored) = (vec![], vec![]);
        for (line, name) in (1_u64..).zip(text(file)?.lines()) {
            let name = name.trim();
            let ignore = name
                .strip_prefix("ignore")
                .map(str::trim_start)
                .and_then(|rest| rest.strip_prefix(['=', ':']));
            match ignore {
                Some(number) => match number.trim().parse::<u16>() {
                    Ok(number) => ignored.push(number),
                    Err(_) => return failed(line, format!("`{name}`, expected a number from 0 to 65535")),
                },
                None if name.is_empty() => {}
                None if classes.iter().any(|class| class == name) => {
                    return failed(line, format!("`{name}` is there twice"));
                }
                None => classes.push(name.to_owned()),
            }
        }
        if !(2..=MAX_CLASSES).contains(&classes.len()) {
            let found = counted(classes.len(), "name");
            return failed(1, format!("{found}, expected 2 to {MAX_CLASSES}"));
        }
        if ignored.is_empty() && classes.len() <= usize::from(IGNORED) {
            ignored.push(IGNORED);
        }
        let mut values: Vec<(u16, u8)> = (0..classes.len())
            .map(|class| (class as u16, class as u8))
            .filter(|(value, _)| !ignored.contains(value))
            .collect();
        if let Some(white) = white(all).filter(|_| classes.len() == 2) {
            values = vec![(0, 0), (white, 1)];
            ignored.retain(|value| *value != white);
        }
        Ok(Self {
            classes,
            values,
            ignored,
        })
    }

    /// As what the masks store suggests.
    pub fn of_values(
        root: &Path,
        all: &BTreeMap<u16, u64>,
        notes: &mut Vec<String>,
    ) -> Result<Self, DataError> {
        let binary = |white| Self {
            classes: vec!["background".into(), "foreground".into()],
            values: vec![(0, 0), (white, 1)],
            ignored: vec![IGNORED],
        };
        if let Some(white) = white(all) {
            return Ok(binary(white));
        }
        let mut numbers: Vec<u16> = all.keys().copied().filter(|value| *value != IGNORED).collect();
        numbers.sort_unstable();
        if numbers == [0, 1] {
            return Ok(binary(1));
        }
        if !(2..MAX_CLASSES).contains(&numbers.len()) {
            let message = format!(
                "the masks hold {}, expected 2 to 254",
                counted(numbers.len(), "number")
            );
            let remedy =
                "masks of numbers 0, 1, … for classes (not for single objects), and classes.txt to name them";
            return Err(wrong(root, None, message, remedy));
        }
        if all.contains_key(&IGNORED) {
            notes.push(format!("pixels with the number {IGNORED} are ignored"));
        }
        let mut classes: Vec<String> = numbers.iter().map(u16::to_string).collect();
        classes.sort_by(|a, b| natural(a, b));
        Ok(Self {
            values: numbers
                .iter()
                .zip(0..)
                .map(|(&value, class)| (value, class))
                .collect(),
            classes,
            ignored: vec![IGNORED],
        })
    }
}

/// The number of the foreground in masks of black and white: 255 or 65535, beside nothing but 0.
fn white(all: &BTreeMap<u16, u64>) -> Option<u16> {
    let mut others = all.keys().copied().filter(|value| *value != 0);
    let white = others.next().filter(|value| matches!(value, 255 | 65535))?;
    others.next().is_none().then_some(white)
}
