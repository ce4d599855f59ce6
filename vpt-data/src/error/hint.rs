//! What to do about what is wrong.

use super::DataError;
use crate::formats::METADATA;

impl DataError {
    /// One remedy, a phrase that follows `hint: `.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Missing { .. } => "check the spelling, and that the path is relative to the current folder".into(),
            Self::DanglingLink { .. } => "is the disk it leads to mounted? otherwise remove the link".into(),
            Self::NotADirectory { path } => match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => {
                    format!("give the folder that holds the class folders, perhaps `{}`", parent.display())
                }
                _ => "give the folder that holds the class folders, or a .csv table".into(),
            },
            Self::Permission { .. } => "ask its owner for read access, or copy it to a folder of yours".into(),
            Self::Io { .. } | Self::InvalidValue { .. } => return None,
            Self::Write { .. } => "is the disk full, or the folder read-only?".into(),
            Self::Threads { .. } => "raise the limit on threads (`ulimit -u`), or ask for fewer workers".into(),
            Self::FolderInUse { .. } => "give another folder, or remove this one".into(),
            Self::LinkLoop { .. } => "remove the link".into(),
            Self::NotUtf8 { .. } => "rename it: class names must be text".into(),
            Self::NoImages { .. } => {
                format!("expected files ending in {}", crate::formats::EXTENSIONS.join(", "))
            }
            Self::NoClassFolders { dir, .. } if dir.join(METADATA[0]).is_file() => {
                format!("if `{}` says the classes in a column `label`, give that table instead", METADATA[0])
            }
            Self::NoClassFolders { .. } => {
                "put the images of each class into a folder named after the class, such as `cats/` and `dogs/`".into()
            }
            Self::NoTrain { .. } => {
                "add a `train` folder with the same class folders, or remove the level of split folders and let vpt split".into()
            }
            Self::DuplicateSplit { .. } => "keep one of them, or merge the two".into(),
            Self::OneClass { dir, class, nested: true } => {
                format!("is `{}` the data set?", dir.join(class).display())
            }
            Self::OneClass { .. } => "add a folder of images of what it should be told apart from".into(),
            Self::EmptyClass { .. } => "add images to it or remove the folder".into(),
            Self::UnreadableClass { .. } => "replace its images or remove the class".into(),
            Self::UnknownClass { class, .. } => format!("add images of `{class}` to `train`, or remove the folder"),
            Self::ClassCase { .. } => "merge or rename them: on many disks the two would be one folder".into(),
            Self::OtherClasses { .. } => "is it the right folder? names must agree letter by letter".into(),
            Self::ClassTooSmall { splits, .. } => {
                format!("add images until it has at least {}, or split the data yourself", splits.len())
            }
            Self::TooFewForFolds { members, .. } if *members >= 2 => {
                format!("ask for at most {members} folds, or add images to the class")
            }
            Self::TooFewForFolds { .. } => "add images to the class, or leave it out".into(),
            Self::BadImage { .. } | Self::ImageTooLarge { .. } => "replace or remove the file".into(),
            Self::BadImages { .. } => "replace or remove these files, or go on without them with --skip-bad-images".into(),
            Self::Annotations { remedy, .. } => remedy.clone(),
            Self::Archive { .. } => {
                "expected an archive of MedMNIST: `train_images`, `train_labels` and the same of `val` and `test`".into()
            }
            Self::Manifest { .. } => {
                "each image needs a line with its `path` and, unless class folders say it, a `label` (or `labels`, as in `a|b`); \
                 `split`, `patient` and `weight` are optional (docs/own-data.md)".into()
            }
            Self::TaskSpec { .. } => "the files in `datasets/` are examples".into(),
            Self::UnknownTask { known, .. } if known.is_empty() => "give the path of a .toml file instead".into(),
            Self::UnknownTask { known, .. } => format!("known tasks: {}; or give the path of a .toml file", known.join(", ")),
        };
        Some(hint)
    }
}
