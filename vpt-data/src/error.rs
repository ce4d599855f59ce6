//! What can be wrong with a user's data, said so that it can be mended.

mod hint;

use crate::{BadImage, Split};
use std::fmt::{self, Display};
use std::io;
use std::path::{Path, PathBuf};

/// How many unreadable images a message lists; it always states how many there are.
const LISTED: usize = 20;

/// What can be wrong with a data set, an image or a task description.
///
/// Messages name the file or folder, what was expected and what was found; [`DataError::hint`] gives one remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder is not there.
    #[error("`{}` does not exist", path.display())]
    Missing {
        /// The path that was asked for.
        path: PathBuf,
    },
    /// A link leads nowhere.
    #[error("`{}` is a link to something that does not exist", path.display())]
    DanglingLink {
        /// The link.
        path: PathBuf,
    },
    /// A file stands where a folder of images was expected.
    #[error("`{}` is a file, expected a folder of images", path.display())]
    NotADirectory {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refuses to let us read a file or folder.
    #[error("no permission to read `{}`", path.display())]
    Permission {
        /// The file or folder.
        path: PathBuf,
    },
    /// Any other failure of the operating system.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Threads to decode images on cannot be started.
    #[error("cannot start threads that read images")]
    Threads {
        /// What the operating system said.
        source: io::Error,
    },
    /// A folder that is to be made already holds something else.
    #[error("`{}` exists and holds something else", dir.display())]
    FolderInUse {
        /// The folder.
        dir: PathBuf,
    },
    /// A link leads back to a folder that it lies in.
    #[error("link `{}` leads back to a folder above it", path.display())]
    LinkLoop {
        /// The link.
        path: PathBuf,
    },
    /// A class folder's name is not valid Unicode.
    #[error("the name of `{}` is not valid UTF-8", path.display())]
    NotUtf8 {
        /// The folder, shown with replacement characters.
        path: PathBuf,
    },
    /// Nothing below the folder is an image.
    #[error("no images below `{}`", dir.display())]
    NoImages {
        /// The folder.
        dir: PathBuf,
    },
    /// There are images, but not in folders named after their classes.
    #[error("`{}` has {} but no class folders", dir.display(), counted(*images, "image"))]
    NoClassFolders {
        /// The folder.
        dir: PathBuf,
        /// How many images lie directly in it.
        images: usize,
    },
    /// `val` or `test` are there, but nothing to learn from.
    #[error("`{}` has a `{found}` folder but no `train` folder", dir.display())]
    NoTrain {
        /// The data set.
        dir: PathBuf,
        /// The split folder that is there.
        found: String,
    },
    /// Two folders stand for one split, such as `val` and `valid`.
    #[error("`{first}` and `{second}` in `{}` both stand for the {split} split", dir.display())]
    DuplicateSplit {
        /// The data set.
        dir: PathBuf,
        /// The split.
        split: Split,
        /// One folder's name.
        first: String,
        /// The other folder's name.
        second: String,
    },
    /// There is nothing to tell apart.
    #[error("only one class, `{class}`, in `{}`; expected at least two class folders", dir.display())]
    OneClass {
        /// The folder of class folders.
        dir: PathBuf,
        /// The only class.
        class: String,
        /// Whether the only class folder itself holds folders, so that it is perhaps the data set.
        nested: bool,
    },
    /// A class folder holds no image.
    #[error("class folder `{}` holds no images", dir.display())]
    EmptyClass {
        /// The class folder.
        dir: PathBuf,
    },
    /// Without its unreadable images a class has none left to learn from.
    #[error("no training image of class `{class}` can be read ({unreadable} tried)")]
    UnreadableClass {
        /// The class.
        class: String,
        /// How many unreadable images it has.
        unreadable: usize,
    },
    /// `val` or `test` has a class that `train` lacks, so that no model could ever predict it.
    #[error("class `{class}` is in `{split}` but not in `train` (`{}`)", dir.display())]
    UnknownClass {
        /// Where it was found.
        split: Split,
        /// The class.
        class: String,
        /// Its folder.
        dir: PathBuf,
    },
    /// Two class folders differ in upper and lower case only.
    #[error("classes `{first}` and `{second}` in `{}` differ in upper and lower case only", dir.display())]
    ClassCase {
        /// The data set or the split's folder.
        dir: PathBuf,
        /// One class.
        first: String,
        /// The other.
        second: String,
    },
    /// The classes are not those that were asked for.
    #[error("`{}` has the classes {}, expected {}", dir.display(), Quoted(found), Quoted(expected))]
    OtherClasses {
        /// The data set.
        dir: PathBuf,
        /// The classes asked for.
        expected: Vec<String>,
        /// The classes that are there.
        found: Vec<String>,
    },
    /// A class cannot give every split an image.
    #[error("class `{class}` has {units}, too few to be split into {}", splits.join(", "))]
    ClassTooSmall {
        /// The class.
        class: String,
        /// How many images or groups it has, in words.
        units: String,
        /// The splits that need one each.
        splits: Vec<&'static str>,
    },
    /// A class cannot give every fold an image.
    #[error("class `{class}` has {units}, too few for {folds} folds")]
    TooFewForFolds {
        /// The class.
        class: String,
        /// How many images or groups it has, in words.
        units: String,
        /// The same as a number.
        members: usize,
        /// How many folds were asked for.
        folds: usize,
    },
    /// An image cannot be decoded.
    #[error("cannot decode `{}`: {reason}", path.display())]
    BadImage {
        /// The image.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// An image claims more pixels than anything but an attack or a mistake has.
    #[error("`{}` claims {}", path.display(), too_large(*width, *height, *limit, *edge))]
    ImageTooLarge {
        /// The image.
        path: PathBuf,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// The largest number of pixels allowed.
        limit: u64,
        /// The largest number of pixels along an edge.
        edge: u32,
    },
    /// All images of a data set that cannot be decoded.
    #[error("{} of {checked} images cannot be read:{}", bad.len(), Listed(bad))]
    BadImages {
        /// Every unreadable image, in the order of the data set.
        bad: Vec<BadImage>,
        /// How many images were tried.
        checked: usize,
    },
    /// A setting has an impossible value.
    #[error("{name} is {value}, expected {expected}")]
    InvalidValue {
        /// The setting.
        name: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A table of images has a mistake.
    #[error("{}{}: {message}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// The line, from 1, where one is to blame.
        line: Option<u64>,
        /// What is wrong.
        message: String,
    },
    /// A file of annotations is none, or says something that no data set can mean.
    #[error("{}{}: {message}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    Annotations {
        /// The file or folder.
        path: PathBuf,
        /// The line, from 1, where one is to blame.
        line: Option<u64>,
        /// What is wrong: what was expected and found.
        message: String,
        /// What to do about it.
        remedy: String,
    },
    /// An archive of images is not one that can be read.
    #[error("cannot read `{}` as an archive of images: {message}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong, naming the array.
        message: String,
    },
    /// A task description has a mistake.
    #[error("{}{}: {message}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    TaskSpec {
        /// The file.
        path: PathBuf,
        /// The line, from 1, where one is to blame.
        line: Option<usize>,
        /// What is wrong, naming the key.
        message: String,
    },
    /// No task of this name.
    #[error("no task `{name}`{}", Folders(searched))]
    UnknownTask {
        /// The name.
        name: String,
        /// Folders that were searched.
        searched: Vec<PathBuf>,
        /// Names of the tasks that are there.
        known: Vec<String>,
    },
}

impl DataError {
    /// Sorts an error of the operating system about `path` into the variant that explains it best.
    pub fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::NotFound if path.is_symlink() => Self::DanglingLink { path },
            io::ErrorKind::NotFound => Self::Missing { path },
            io::ErrorKind::PermissionDenied => Self::Permission { path },
            io::ErrorKind::NotADirectory => Self::NotADirectory { path },
            _ => Self::Io { path, source },
        }
    }

    /// Why an image cannot be read, without its name.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::BadImage { reason, .. } => reason.clone(),
            Self::ImageTooLarge {
                width, height, limit, ..
            } => {
                format!(
                    "{width} x {height} pixels, the limit is {} million",
                    limit / 1_000_000
                )
            }
            Self::Missing { .. } => "does not exist".into(),
            Self::DanglingLink { .. } => "a link to something that does not exist".into(),
            Self::Permission { .. } => "no permission".into(),
            Self::Io { source, .. } => source.to_string(),
            other => other.to_string(),
        }
    }

    /// The file or folder the error is about, where there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Missing { path }
            | Self::DanglingLink { path }
            | Self::NotADirectory { path }
            | Self::Permission { path }
            | Self::Io { path, .. }
            | Self::Write { path, .. }
            | Self::LinkLoop { path }
            | Self::NotUtf8 { path }
            | Self::BadImage { path, .. }
            | Self::ImageTooLarge { path, .. }
            | Self::Manifest { path, .. }
            | Self::Annotations { path, .. }
            | Self::Archive { path, .. }
            | Self::TaskSpec { path, .. } => Some(path),
            Self::NoImages { dir }
            | Self::FolderInUse { dir }
            | Self::NoClassFolders { dir, .. }
            | Self::NoTrain { dir, .. }
            | Self::DuplicateSplit { dir, .. }
            | Self::OneClass { dir, .. }
            | Self::EmptyClass { dir, .. }
            | Self::UnknownClass { dir, .. }
            | Self::ClassCase { dir, .. }
            | Self::OtherClasses { dir, .. } => Some(dir),
            Self::ClassTooSmall { .. }
            | Self::TooFewForFolds { .. }
            | Self::UnreadableClass { .. }
            | Self::BadImages { .. }
            | Self::Threads { .. }
            | Self::InvalidValue { .. }
            | Self::UnknownTask { .. } => None,
        }
    }
}

fn too_large(width: u32, height: u32, limit: u64, edge: u32) -> String {
    let million = limit / 1_000_000;
    format!("{width} x {height} pixels, the limit is {million} million and {edge} along an edge")
}

/// `1 image`, `2 images`.
pub(crate) fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Shows the first unreadable images, one a line.
struct Listed<'a>(&'a [BadImage]);

impl Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for BadImage { path, reason } in self.0.iter().take(LISTED) {
            write!(f, "\n  `{}`: {reason}", path.display())?;
        }
        match self.0.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

/// Shows names in one line.
struct Quoted<'a>(&'a [String]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|name| format!("`{name}`")).collect();
        f.write_str(&names.join(", "))
    }
}

/// ` in` and the folders in one line; nothing without folders.
struct Folders<'a>(&'a [PathBuf]);

impl Display for Folders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = self
            .0
            .iter()
            .map(|folder| format!("`{}`", folder.display()))
            .collect();
        write!(f, " in {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operating_system_errors_find_their_variant() {
        let of = |kind: io::ErrorKind| DataError::io("some/place", kind.into());
        assert_eq!(
            of(io::ErrorKind::NotFound).to_string(),
            "`some/place` does not exist"
        );
        let denied = of(io::ErrorKind::PermissionDenied);
        assert_eq!(denied.to_string(), "no permission to read `some/place`");
        assert!(denied.hint().unwrap().contains("read access"));
        assert!(
            of(io::ErrorKind::NotADirectory)
                .hint()
                .unwrap()
                .ends_with("perhaps `some`")
        );
        assert_eq!(of(io::ErrorKind::TimedOut).path(), Some(Path::new("some/place")));
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        let bad = (0..25)
            .map(|i| BadImage {
                path: format!("{i}.png").into(),
                reason: "cut".into(),
            })
            .collect();
        let text = DataError::BadImages { bad, checked: 100 }.to_string();
        assert!(
            text.starts_with("25 of 100 images cannot be read:\n  `0.png`: cut\n"),
            "{text}"
        );
        assert!(text.ends_with("  `19.png`: cut\n  and 5 more"), "{text}");
    }
}
