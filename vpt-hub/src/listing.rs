//! [`Listing`]: the hub's list of a repository's files.

use std::path::{Component, Path};

use serde::Deserialize;

use crate::blob_hash::{BlobHash, is_hex};
use crate::{HubError, RepoFile};

/// What the hub answers, as far as we read it.
#[derive(Deserialize)]
struct Answer {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

/// A file with the hash of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedFile {
    pub file: RepoFile,
    pub hash: BlobHash,
}

/// The files of a repository at one commit, their names safe to be paths in the cache.
#[derive(Debug)]
pub(crate) struct Listing {
    pub commit: String,
    pub files: Vec<ListedFile>,
}

impl Listing {
    /// Reads the answer of `url` about `repo`.
    ///
    /// # Errors
    /// [`HubError::BadAnswer`] and [`HubError::UnsafeName`].
    pub(crate) fn parse(json: &[u8], url: &str, repo: &str) -> Result<Self, HubError> {
        let bad = |reason: String| HubError::BadAnswer {
            url: url.to_owned(),
            reason,
        };
        let answer: Answer = serde_json::from_slice(json).map_err(|error| bad(error.to_string()))?;
        if !is_hex(&answer.sha, 40) {
            return Err(bad("`sha` is not a commit".into()));
        }
        let mut files = Vec::with_capacity(answer.siblings.len());
        for sibling in answer.siblings {
            let name = sibling.rfilename;
            if !is_safe(&name) {
                return Err(HubError::UnsafeName {
                    repo: repo.to_owned(),
                    name,
                });
            }
            let (size, hash) = match sibling.lfs {
                Some(lfs) => (Some(lfs.size), BlobHash::sha256(&lfs.sha256)),
                None => (
                    sibling.size,
                    sibling.blob_id.as_deref().and_then(BlobHash::git_sha1),
                ),
            };
            let (Some(size), Some(hash)) = (size, hash) else {
                return Err(bad(format!("`{name}` has no usable size and hash")));
            };
            files.push(ListedFile {
                file: RepoFile { name, size },
                hash,
            });
        }
        Ok(Self {
            commit: answer.sha,
            files,
        })
    }

    /// The file of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&ListedFile> {
        self.files.iter().find(|listed| listed.file.name == name)
    }

    /// What the caller chooses from.
    pub(crate) fn repo_files(&self) -> Vec<RepoFile> {
        self.files.iter().map(|listed| listed.file.clone()).collect()
    }
}

/// Whether a name, appended to a folder, stays below it, on every system.
pub(crate) fn is_safe(name: &str) -> bool {
    let parts_ok = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let plain = !name.chars().any(|c| c == '\\' || c.is_control());
    let normal = Path::new(name)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    parts_ok && plain && normal
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn parse(json: &str) -> Result<Listing, HubError> {
        Listing::parse(json.as_bytes(), "http://hub/x", "a/b")
    }

    #[test]
    fn both_kinds_of_files_are_read() {
        let sha = "a".repeat(64);
        let json = format!(
            r#"{{"id": "a/b", "sha": "{COMMIT}", "siblings": [
                {{"rfilename": "config.json", "size": 3, "blobId": "{COMMIT}"}},
                {{"rfilename": "x/m.bin", "size": 5, "blobId": "{COMMIT}",
                  "lfs": {{"sha256": "{sha}", "size": 5, "pointerSize": 1}}}}]}}"#
        );
        let listing = parse(&json).unwrap();
        assert_eq!(listing.commit, COMMIT);
        assert_eq!(
            listing.get("config.json").unwrap().hash,
            BlobHash::GitSha1(COMMIT.into())
        );
        assert_eq!(listing.get("x/m.bin").unwrap().hash, BlobHash::Sha256(sha));
        assert_eq!(listing.repo_files()[1].size, 5);
    }

    #[test]
    fn names_that_lead_elsewhere_are_unsafe() {
        for name in [
            "",
            "/",
            "/x",
            "../x",
            "x/..",
            "x/../../y",
            ".",
            "./x",
            "x//y",
            "x/",
            "x\\y",
            "x\0",
            "x\ny",
        ] {
            assert!(!is_safe(name), "{name:?}");
        }
        assert!(is_safe("a/b-c/..d/model.safetensors") && is_safe("größe 1.bin"));
    }

    #[test]
    fn hashes_that_are_paths_are_refused() {
        for (sha, blob) in [("../../x", COMMIT), (COMMIT, "../../x"), (COMMIT, "")] {
            let json = format!(
                r#"{{"sha": "{sha}", "siblings": [{{"rfilename": "a", "size": 1, "blobId": "{blob}"}}]}}"#
            );
            assert!(matches!(parse(&json), Err(HubError::BadAnswer { .. })));
        }
    }
}
