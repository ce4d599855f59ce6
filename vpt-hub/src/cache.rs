//! [`RepoCache`]: a repository's folder in the cache, laid out as Python's `huggingface_hub` does.
//!
//! ```text
//! .locks/models--org--name/<hash>.lock
//! models--org--name/blobs/<hash>               the contents, and <hash>.incomplete while they arrive
//! models--org--name/refs/<revision>            the commit that the revision was last seen at
//! models--org--name/snapshots/<commit>/<file>  links to the blobs
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::blob_hash::{BlobHash, is_hex};
use crate::listing::ListedFile;
use crate::{HubError, RepoFile, RepoId};

/// Where a repository's files are on the disk.
#[derive(Debug)]
pub(crate) struct RepoCache {
    folder: PathBuf,
    locks: PathBuf,
}

impl RepoCache {
    /// The folder of `repo` in the cache `cache`; nothing is made yet.
    pub(crate) fn new(cache: &Path, repo: &RepoId) -> Self {
        let name = repo.folder_name();
        Self {
            folder: cache.join(&name),
            locks: cache.join(".locks").join(name),
        }
    }

    /// Where content lies once it is complete and checked.
    pub(crate) fn blob(&self, hash: &BlobHash) -> PathBuf {
        self.folder.join("blobs").join(hash.digits())
    }

    /// Where content lies while it arrives.
    pub(crate) fn incomplete(&self, hash: &BlobHash) -> PathBuf {
        self.folder
            .join("blobs")
            .join(format!("{}.incomplete", hash.digits()))
    }

    /// What is locked while content arrives.
    pub(crate) fn lock(&self, hash: &BlobHash) -> PathBuf {
        self.locks.join(format!("{}.lock", hash.digits()))
    }

    /// The folder of a commit's files.
    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// The commit that a revision was last seen at. A commit stands for itself.
    pub(crate) fn commit_of(&self, revision: &str) -> Option<String> {
        if is_hex(revision, 40) {
            return Some(revision.to_owned());
        }
        let text = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        let commit = text.trim();
        is_hex(commit, 40).then(|| commit.to_owned())
    }

    /// Remembers the commit of a revision.
    ///
    /// # Errors
    /// [`HubError::Write`].
    pub(crate) fn remember(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if revision == commit || self.commit_of(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        make_parent(&path)?;
        // Python's library writes in place too; a reader takes nothing but 40 digits for a commit.
        fs::write(&path, commit).map_err(HubError::writing(&path))
    }

    /// The files that the cache has of a commit.
    ///
    /// # Errors
    /// [`HubError::Read`].
    pub(crate) fn files(&self, commit: &str) -> Result<Vec<RepoFile>, HubError> {
        let mut files = Vec::new();
        let folder = self.snapshot(commit);
        if folder.is_dir() {
            collect(&folder, "", &mut files)?;
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    /// Whether the snapshot of `commit` has `listed`, at its full size.
    pub(crate) fn has(&self, commit: &str, listed: &ListedFile) -> bool {
        has_size(&self.snapshot(commit).join(&listed.file.name), listed.file.size)
    }

    /// Puts a complete blob into the snapshot of `commit`.
    ///
    /// # Errors
    /// [`HubError::Write`].
    pub(crate) fn link(&self, commit: &str, listed: &ListedFile) -> Result<(), HubError> {
        let path = self.snapshot(commit).join(&listed.file.name);
        if has_size(&path, listed.file.size) {
            return Ok(());
        }
        make_parent(&path)?;
        if path.symlink_metadata().is_ok() {
            // A link that leads nowhere, or a copy that was cut off.
            fs::remove_file(&path).map_err(HubError::writing(&path))?;
        }
        let up = "../".repeat(2 + listed.file.name.matches('/').count());
        let target = format!("{up}blobs/{}", listed.hash.digits());
        let blob = self.blob(&listed.hash);
        let linked = symlink(&target, &path).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Err(error),
            // File systems and accounts without symbolic links get a second name of the file, or else a copy.
            _ => fs::hard_link(&blob, &path).or_else(|_| fs::copy(&blob, &path).map(|_| ())),
        });
        match linked {
            // Another process was faster.
            Err(_) if has_size(&path, listed.file.size) => Ok(()),
            linked => linked.map_err(HubError::writing(&path)),
        }
    }
}

/// Makes the folder that `path` lies in.
///
/// # Errors
/// [`HubError::Write`].
pub(crate) fn make_parent(path: &Path) -> Result<(), HubError> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(HubError::writing(parent)),
        None => Ok(()),
    }
}

/// Whether `path` is a file, or leads to one, of this size.
pub(crate) fn has_size(path: &Path, size: u64) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == size)
}

/// Adds the files below `folder`, whose names begin with `prefix`. Links are followed to files, not to folders.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<RepoFile>) -> Result<(), HubError> {
    for entry in fs::read_dir(folder).map_err(HubError::reading(folder))? {
        let entry = entry.map_err(HubError::reading(folder))?;
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let kind = entry.file_type().map_err(HubError::reading(&path))?;
        if kind.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), files)?;
        } else if let Ok(found) = fs::metadata(&path)
            && found.is_file()
        {
            files.push(RepoFile {
                name: format!("{prefix}{name}"),
                size: found.len(),
            });
        }
    }
    Ok(())
}

#[cfg(unix)]
fn symlink(target: &str, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(windows)]
fn symlink(target: &str, path: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target.replace('/', "\\"), path)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_: &str, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
