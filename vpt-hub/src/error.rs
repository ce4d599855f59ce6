//! What can go wrong between the hub and the cache, said so that it can be mended.

use std::io;
use std::path::{Path, PathBuf};

/// How many files of a repository a message lists.
const LISTED: usize = 10;

/// What can be wrong with an id, the network, the hub's answers or the cache.
///
/// Messages name the repository, file or address, what was expected and what was found; [`HubError::hint`] gives one
/// remedy. No message holds the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// Something that is not an id of the hub.
    #[error("`{id}` is not an id of the Hugging Face hub: {reason}")]
    BadId {
        /// What was given.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting has an impossible value.
    #[error("{name} {reason}")]
    BadSetting {
        /// The setting or the environment variable that it usually comes from.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No folder for the cache is known.
    #[error("no folder for the cache: neither HF_HUB_CACHE nor HF_HOME nor a home folder is set")]
    NoCacheFolder,
    /// The hub knows no such repository, revision or file.
    #[error("the hub has no `{repo}` with revision `{revision}` ({url}: 404)")]
    NotFound {
        /// `org/name`.
        repo: String,
        /// The revision.
        revision: String,
        /// The address that was asked.
        url: String,
    },
    /// The hub does not let us have it.
    #[error(
        "the hub refuses access to `{repo}` ({url}: {status}): it is private, has conditions to accept, or does not exist"
    )]
    Refused {
        /// `org/name`.
        repo: String,
        /// The address that was asked.
        url: String,
        /// 401 or 403.
        status: u16,
        /// The repository's page.
        page: String,
        /// Whether a token was given.
        token: bool,
    },
    /// Any other answer than the one asked for.
    #[error("{url} answers with status {status}")]
    Status {
        /// The address that was asked.
        url: String,
        /// The status.
        status: u16,
    },
    /// The hub, or where it sends us, cannot be reached, or the connection broke.
    #[error("cannot fetch {url}: {reason}")]
    Network {
        /// The address.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The hub sends us somewhere that we do not go.
    #[error("{url} leads to {target}: {reason}")]
    Redirect {
        /// The address.
        url: String,
        /// Where it leads.
        target: String,
        /// Why we do not follow.
        reason: &'static str,
    },
    /// An answer that is not the one of a hub.
    #[error("{url} gives an answer that cannot be used: {reason}")]
    BadAnswer {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file's name could lead out of the cache.
    #[error("`{repo}` lists a file with an unsafe name, {name:?}")]
    UnsafeName {
        /// `org/name`.
        repo: String,
        /// The name.
        name: String,
    },
    /// The repository has none of the files that the caller looks for.
    #[error("`{repo}` has no suitable file; it has {}", listed(files))]
    NoSuitableFile {
        /// The repository.
        repo: String,
        /// The files that it has.
        files: Vec<String>,
    },
    /// A file was chosen that is not there.
    #[error("`{repo}` has no file `{file}`")]
    NoSuchFile {
        /// The repository.
        repo: String,
        /// The file.
        file: String,
    },
    /// The network may not be used, and the cache does not have the files.
    #[error("`{repo}` is not, or not completely, in the cache `{}`, and we are offline", cache.display())]
    NotCached {
        /// The repository.
        repo: String,
        /// The cache.
        cache: PathBuf,
    },
    /// What was downloaded is not what the hub lists.
    #[error("`{file}` was downloaded damaged: expected {expected}, found {found}")]
    WrongHash {
        /// The file's path in the repository.
        file: String,
        /// The hash that the hub lists.
        expected: String,
        /// The hash of what arrived.
        found: String,
    },
    /// More or fewer bytes than the hub lists.
    #[error("`{file}` has {expected} bytes according to the hub's list, but the download has {found}{}", more(*found, *expected))]
    WrongLength {
        /// The file's path in the repository.
        file: String,
        /// The size that the hub lists.
        expected: u64,
        /// The bytes that arrived or were announced.
        found: u64,
    },
    /// A file or folder of the cache cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file or folder of the cache cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl HubError {
    /// One remedy, a phrase that follows `hint: `.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::BadId { .. } => "an id looks like `hf-hub:timm/vit_base_patch16_224.augreg_in21k`, with `@revision` if need be".into(),
            Self::BadSetting { .. } | Self::NoSuchFile { .. } => return None,
            Self::NoCacheFolder => "give one with --cache-dir or HF_HUB_CACHE".into(),
            Self::NotFound { .. } => "check the spelling and the revision; without a token (HF_TOKEN) private repositories look as if they did not exist".into(),
            Self::Refused { page, token: false, .. } => {
                format!("check the spelling, set HF_TOKEN to a token that may read it, and accept its conditions at {page}")
            }
            Self::Refused { page, token: true, .. } => {
                format!("does the token in HF_TOKEN belong to an account that may read it, and did that account accept the conditions at {page}?")
            }
            Self::Status { status: 429, .. } => "too many requests: wait a while, or set HF_TOKEN".into(),
            Self::Status { .. } => "perhaps the hub has a problem: try again later".into(),
            Self::Network { .. } => "check the connection, HF_ENDPOINT and the proxy (HTTPS_PROXY); --offline uses only what is in the cache".into(),
            Self::Redirect { .. } | Self::BadAnswer { .. } => "is HF_ENDPOINT right? a proxy or a login page may answer instead of the hub".into(),
            Self::UnsafeName { .. } => "do not trust this repository".into(),
            Self::NoSuitableFile { .. } => "is it the right repository? weights are in .safetensors or .bin files".into(),
            Self::NotCached { .. } => "run once without --offline (and HF_HUB_OFFLINE), or check --cache-dir and HF_HUB_CACHE".into(),
            Self::WrongHash { .. } => "something between here and the hub changes files: a proxy, a mirror (HF_ENDPOINT), or the disk".into(),
            Self::WrongLength { found, expected, .. } if found > expected => {
                "something between here and the hub changes files: a proxy or a mirror (HF_ENDPOINT)".into()
            }
            Self::WrongLength { .. } => "run it again: the download goes on where it stopped".into(),
            Self::Read { .. } => "check the folder's permissions, or give another one with --cache-dir".into(),
            Self::Write { .. } => "is the disk full, or the folder read-only? --cache-dir gives another one".into(),
        };
        Some(hint)
    }

    /// Whether another attempt may succeed where this one failed.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Network { .. } | Self::WrongHash { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
            Self::WrongLength { expected, found, .. } => found < expected,
            _ => false,
        }
    }

    /// For `map_err` after reading `path`.
    pub(crate) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Read {
            path: path.to_owned(),
            source,
        }
    }

    /// For `map_err` after writing `path`.
    pub(crate) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Write {
            path: path.to_owned(),
            source,
        }
    }
}

fn listed(files: &[String]) -> String {
    if files.is_empty() {
        return "no files".into();
    }
    let shown: Vec<_> = files
        .iter()
        .take(LISTED)
        .map(|file| format!("`{file}`"))
        .collect();
    match files.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A download that is too long is stopped at once, so its length is only known to be at least that.
fn more(found: u64, expected: u64) -> &'static str {
    if found > expected { " or more" } else { "" }
}
