//! What [`Hub::snapshot`](crate::Hub::snapshot) speaks of: files, progress, and the result.

use std::path::PathBuf;

/// A file of a repository, from which the caller chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoFile {
    /// Its path in the repository, with `/`.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

/// How far the download of a file is.
///
/// Files that the cache has are never reported. `received` starts above 0 if a download goes on, and goes back if one
/// must start over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file's path in the repository.
    pub file: &'a str,
    /// Bytes that are on the disk.
    pub received: u64,
    /// Bytes in all.
    pub total: u64,
}

/// The chosen files of a repository, on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The folder that holds the files; other files of the same commit may lie there too.
    pub folder: PathBuf,
    /// The commit they are of.
    pub commit: String,
    /// The chosen files, as paths below `folder`, with `/`.
    pub files: Vec<String>,
    /// The files of these that were downloaded just now.
    pub downloaded: Vec<String>,
    /// Whether the hub was not asked, or did not answer, so that there may be a newer state.
    pub from_cache_only: bool,
    /// What a user should know about that, in one sentence.
    pub note: Option<String>,
}
