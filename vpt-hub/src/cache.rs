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
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

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
        // Made aside and renamed: another process may be doing the same, and a good link must never be gone for a moment.
        let temporary = self.temporary(&listed.hash);
        make_parent(&temporary)?;
        let up = "../".repeat(2 + listed.file.name.matches('/').count());
        let blob = self.blob(&listed.hash);
        // File systems and accounts without symbolic links get a second name of the file, or else a copy.
        let linked = symlink(&format!("{up}blobs/{}", listed.hash.digits()), &temporary)
            .or_else(|_| fs::hard_link(&blob, &temporary))
            .or_else(|_| fs::copy(&blob, &temporary).map(|_| ()))
            .and_then(|()| fs::rename(&temporary, &path));
        // Left over after an error, and where both were names of one file already.
        let _ = fs::remove_file(&temporary);
        match linked {
            Err(_) if has_size(&path, listed.file.size) => Ok(()),
            linked => linked.map_err(HubError::writing(&path)),
        }
    }

    /// A name that no other thread and no other process uses.
    fn temporary(&self, hash: &BlobHash) -> PathBuf {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}.{}-{number}.link", hash.digits(), process::id());
        self.folder.join("blobs").join(name)
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
