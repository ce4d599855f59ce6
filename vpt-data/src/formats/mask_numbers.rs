//! Which numbers masks store, and which number stands for which class.

use super::boxes::{text, wrong};
use super::image_folder::natural;
use crate::error::counted;
use crate::{DataError, Mask, stored_values};
use std::collections::BTreeMap;
use std::path::Path;

/// Files that name the classes; the first that is there counts.
const NAMES: [&str; 3] = ["classes.txt", "labels.txt", LABEL_MAP];

/// The one of them with colours, as CVAT writes it.
const LABEL_MAP: &str = "labelmap.txt";

/// The number that is of no class where nothing else is said.
const IGNORED: u16 = 255;

/// What a mask stores.
pub(super) struct Stored {
    pub size: [u32; 2],
    /// How many pixels have each number.
    pub counts: BTreeMap<u16, u64>,
}

impl Stored {
    /// Reads a mask; `colours` are numbers too ([`stored_values::read`]).
    pub fn read(path: &Path, colours: &[[u8; 3]]) -> Result<Self, String> {
        let stored = stored_values::read(path, colours).map_err(|error| error.reason())?;
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

/// What a file says of the classes of masks: `classes.txt` (or `labels.txt`), one name a line from the number 0 on, and perhaps
/// `ignore = 255`, the number that is of no class; or CVAT's `labelmap.txt`, with a line `name:red,green,blue:parts:actions` for
/// each class.
pub(super) struct Names {
    classes: Vec<String>,
    /// Numbers that are of no class on purpose.
    ignored: Vec<u16>,
    /// The colour that stands for each class in masks that store colours; empty where they have none.
    pub colours: Vec<[u8; 3]>,
}

impl Names {
    /// Reads the file in the root, if there is one.
    pub fn read(root: &Path) -> Result<Option<Self>, DataError> {
        let mut files = NAMES.iter().map(|name| root.join(name));
        let Some(file) = files.find(|path| path.is_file()) else {
            return Ok(None);
        };
        let mapped = file.ends_with(LABEL_MAP);
        let failed = |line: u64, message: String| {
            let remedy = match mapped {
                true => "one class a line, `name:red,green,blue::`, the background first",
                false => "one name a line, and perhaps `ignore = 255`",
            };
            Err(wrong(&file, line, message, remedy))
        };
        let (mut classes, mut ignored, mut colours) = (vec![], vec![], vec![]);
        for (line, said) in (1_u64..).zip(text(&file)?.lines()) {
            let mut name = said.trim();
            if mapped {
                let mut columns = name.split(':');
                let first = columns.next().unwrap_or_default().trim();
                if name.starts_with('#') || first.is_empty() {
                    continue;
                }
                if let Some(said) = columns.next().filter(|said| !said.trim().is_empty()) {
                    match colour(said) {
                        Some(colour) if colours.contains(&colour) => {
                            return failed(line, format!("a second class of the colour {said}"));
                        }
                        Some(colour) => colours.push(colour),
                        None => {
                            return failed(
                                line,
                                format!("the colour `{said}`, expected three numbers from 0 to 255"),
                            );
                        }
                    }
                }
                name = first;
            }
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
        if !(2..=Mask::MAX_CLASSES).contains(&classes.len()) {
            let found = counted(classes.len(), "name");
            return failed(1, format!("{found}, expected 2 to {}", Mask::MAX_CLASSES));
        }
        if !colours.is_empty() && colours.len() < classes.len() {
            let found = counted(colours.len(), "colour");
            return failed(1, format!("{found} of {} classes", classes.len()));
        }
        Ok(Some(Self {
            classes,
            ignored,
            colours,
        }))
    }
}

/// `255,128,0`.
fn colour(text: &str) -> Option<[u8; 3]> {
    let numbers: Option<Vec<u8>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    numbers?.try_into().ok()
}

/// Which number stands for which class.
pub(super) struct Numbers {
    pub classes: Vec<String>,
    pub values: Vec<(u16, u8)>,
    /// Numbers that are of no class on purpose.
    pub ignored: Vec<u16>,
}

impl Numbers {
    /// One class for each number from 0 on, 255 for none.
    pub fn of_classes(classes: Vec<String>) -> Self {
        Self::of_names(
            Names {
                classes,
                ignored: vec![],
                colours: vec![],
            },
            &BTreeMap::new(),
        )
    }

    /// As a file of names says.
    pub fn of_names(names: Names, all: &BTreeMap<u16, u64>) -> Self {
        let Names {
            classes,
            mut ignored,
            colours,
        } = names;
        if ignored.is_empty() && classes.len() <= usize::from(IGNORED) {
            ignored.push(IGNORED);
        }
        let mut values: Vec<(u16, u8)> = (0..classes.len())
            .map(|class| (class as u16, class as u8))
            .filter(|(value, _)| !ignored.contains(value))
            .collect();
        if let Some(white) = white(all).filter(|_| classes.len() == 2 && colours.is_empty()) {
            values = vec![(0, 0), (white, 1)];
            ignored.retain(|value| *value != white);
        }
        Self {
            classes,
            values,
            ignored,
        }
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
        if !(2..Mask::MAX_CLASSES).contains(&numbers.len()) {
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
