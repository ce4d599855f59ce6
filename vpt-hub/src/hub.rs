//! [`Hub`]: where models come from and where they are kept.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cache::RepoCache;
use crate::client::Client;
use crate::download::Download;
use crate::environment::Environment;
use crate::listing::{ListedFile, Listing, is_safe};
use crate::url::encode;
use crate::{HubError, Progress, RepoFile, RepoId, Retries, Snapshot};

/// The hub itself.
const ENDPOINT: &str = "https://huggingface.co";

/// The Hugging Face hub, or a mirror of it, and the cache in front of it.
#[derive(Clone)]
pub struct Hub {
    pub(crate) endpoint: String,
    pub(crate) token: Option<String>,
    pub(crate) proxies: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    cache_dir: Option<PathBuf>,
    offline: bool,
    retries: Retries,
}

impl Hub {
    /// The public hub with its cache in `cache_dir`, without a token, whatever the environment says.
    pub fn new(cache_dir: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: ENDPOINT.to_owned(),
            token: None,
            proxies: false,
            connect_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(30),
            cache_dir: Some(cache_dir.into()),
            offline: false,
            retries: Retries::default(),
        }
    }

    /// The hub as the environment describes it, with the variables of Python's `huggingface_hub`.
    ///
    /// The address is `HF_ENDPOINT`; the token `HF_TOKEN`, else in the file `HF_TOKEN_PATH`, else in `$HF_HOME/token`;
    /// the cache `HF_HUB_CACHE`, else `$HF_HOME/hub`, where `HF_HOME` is `$XDG_CACHE_HOME/huggingface` or
    /// `~/.cache/huggingface` by default; `HF_HUB_OFFLINE` forbids the network. Proxies are those of `ALL_PROXY`,
    /// `HTTPS_PROXY` and `HTTP_PROXY`, except for the hosts in `NO_PROXY`.
    pub fn from_env() -> Self {
        Self {
            proxies: true,
            ..Self::from_lookup(&|name| env::var_os(name))
        }
    }

    fn from_lookup(lookup: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let environment = Environment::read(lookup);
        Self {
            endpoint: environment.endpoint.unwrap_or_else(|| ENDPOINT.to_owned()),
            token: environment.token,
            cache_dir: environment.cache,
            offline: environment.offline,
            ..Self::new("")
        }
    }

    /// Asks another address than the public hub.
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// Sends a token, to the endpoint's host only.
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Keeps files in another cache.
    pub fn with_cache_dir(mut self, cache_dir: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(cache_dir.into());
        self
    }

    /// Whether only the cache may be used.
    pub fn with_offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// How often requests are tried.
    pub fn with_retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
    }

    /// How long a connection may take to be made, and then be silent. There is no limit on a download as a whole.
    pub fn with_timeouts(mut self, connect: Duration, idle: Duration) -> Self {
        self.connect_timeout = connect;
        self.idle_timeout = idle;
        self
    }

    /// Where files are kept, if that is known.
    pub fn cache_dir(&self) -> Option<&Path> {
        self.cache_dir.as_deref()
    }

    /// Whether only the cache is used.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// Makes sure that the files which `choose` names are in the cache.
    ///
    /// `choose` gets the files of the repository; offline, and where the hub does not answer, those that the cache has
    /// of it. The folder of a snapshot gets its files when all chosen ones are there, so that an interrupted download
    /// is never taken for a whole one.
    ///
    /// # Errors
    /// [`HubError`], each variant for what its documentation says.
    pub fn snapshot(
        &self,
        repo: &RepoId,
        choose: impl Fn(&[RepoFile]) -> Vec<String>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Snapshot, HubError> {
        let cache_dir = self.cache_dir().ok_or(HubError::NoCacheFolder)?;
        let cache = RepoCache::new(cache_dir, repo);
        if self.offline {
            return cached(&cache, repo, &choose)?.ok_or_else(|| HubError::NotCached {
                repo: repo.to_string(),
                cache: cache_dir.to_owned(),
            });
        }
        let client = Client::new(self, repo)?;
        match self.retries.run(|| list(&client, repo)) {
            Ok(listing) => self.fetch(&client, &cache, repo, &listing, &choose, progress),
            Err(error) if error.may_pass() => {
                let Some(mut snapshot) = cached(&cache, repo, &choose)? else {
                    return Err(error);
                };
                snapshot.note = Some(format!(
                    "the hub does not answer ({error}); the files of `{repo}` are those that the cache has, \
                     there may be newer ones"
                ));
                Ok(snapshot)
            }
            Err(error) => Err(error),
        }
    }

    fn fetch(
        &self,
        client: &Client,
        cache: &RepoCache,
        repo: &RepoId,
        listing: &Listing,
        choose: &impl Fn(&[RepoFile]) -> Vec<String>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Snapshot, HubError> {
        let chosen = chosen(listing, repo, choose)?;
        let commit = &listing.commit;
        let mut downloaded = Vec::new();
        for listed in &chosen {
            let name = &listed.file.name;
            // On systems without links the snapshot may have the file and `blobs` not.
            if cache.has(commit, listed) {
                continue;
            }
            let path = format!("{}/resolve/{commit}/{}", repo.path(), encode(name, true));
            let download = Download::new(client, client.url(&path), listed, cache, self.retries);
            if download.run(progress)? {
                downloaded.push(name.clone());
            }
        }
        for listed in &chosen {
            cache.link(commit, listed)?;
        }
        cache.remember(repo.revision(), commit)?;
        Ok(Snapshot {
            folder: cache.snapshot(commit),
            commit: commit.clone(),
            files: chosen.iter().map(|listed| listed.file.name.clone()).collect(),
            downloaded,
            from_cache_only: false,
            note: None,
        })
    }
}

impl fmt::Debug for Hub {
    /// Shows everything but the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "(hidden)"))
            .field("cache_dir", &self.cache_dir)
            .field("offline", &self.offline)
            .field("proxies", &self.proxies)
            .field("retries", &self.retries)
            .field("connect_timeout", &self.connect_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .finish()
    }
}

/// Asks the hub once for the files of a repository.
fn list(client: &Client, repo: &RepoId) -> Result<Listing, HubError> {
    let revision = encode(repo.revision(), false);
    let url = client.url(&format!(
        "api/models/{}/revision/{revision}?blobs=true",
        repo.path()
    ));
    let answer = client.get_short(&url)?;
    Listing::parse(&answer, crate::url::shown(&url), &repo.path())
}

/// The files that the caller chooses of a list, each once.
fn chosen<'a>(
    listing: &'a Listing,
    repo: &RepoId,
    choose: &impl Fn(&[RepoFile]) -> Vec<String>,
) -> Result<Vec<&'a ListedFile>, HubError> {
    let files = listing.repo_files();
    let mut seen = BTreeSet::new();
    let mut chosen = Vec::new();
    for name in choose(&files) {
        let listed = listing.get(&name).ok_or_else(|| HubError::NoSuchFile {
            repo: repo.to_string(),
            file: name.clone(),
        })?;
        if seen.insert(name) {
            chosen.push(listed);
        }
    }
    if chosen.is_empty() {
        return Err(HubError::NoSuitableFile {
            repo: repo.to_string(),
            files: files.into_iter().map(|file| file.name).collect(),
        });
    }
    Ok(chosen)
}

/// What the cache alone has of a repository, if it has all files that the caller chooses.
fn cached(
    cache: &RepoCache,
    repo: &RepoId,
    choose: &impl Fn(&[RepoFile]) -> Vec<String>,
) -> Result<Option<Snapshot>, HubError> {
    let Some(commit) = cache.commit_of(repo.revision()) else {
        return Ok(None);
    };
    let files = cache.files(&commit)?;
    if files.is_empty() {
        return Ok(None);
    }
    let folder = cache.snapshot(&commit);
    let mut names = choose(&files);
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let there = |name: &String| is_safe(name) && files.iter().any(|file| file.name == *name);
    if names.is_empty() || !names.iter().all(there) {
        return Ok(None);
    }
    Ok(Some(Snapshot {
        folder,
        commit,
        files: names,
        downloaded: Vec::new(),
        from_cache_only: true,
        note: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_describes_the_hub() {
        let hub = Hub::from_lookup(&|name| match name {
            "HF_HOME" => Some("home".into()),
            "HF_TOKEN" => Some("hf_secret".into()),
            "HF_HUB_OFFLINE" => Some("1".into()),
            _ => None,
        });
        assert_eq!(hub.endpoint, "https://huggingface.co");
        assert_eq!(hub.cache_dir(), Some(Path::new("home").join("hub").as_path()));
        assert!(hub.is_offline());
        assert_eq!(hub.token.as_deref(), Some("hf_secret"));
        let hub = hub.with_offline(false).with_cache_dir("mine");
        assert_eq!(
            (hub.is_offline(), hub.cache_dir()),
            (false, Some(Path::new("mine")))
        );
        assert!(!format!("{hub:?}").contains("secret"));
    }

    #[test]
    fn without_a_home_a_cache_must_be_given() {
        let hub = Hub::from_lookup(&|_| None);
        let id = "a/b".parse().unwrap();
        let error = hub.snapshot(&id, |_| Vec::new(), &mut |_| ()).unwrap_err();
        assert!(matches!(error, HubError::NoCacheFolder));
        assert!(error.hint().unwrap().contains("--cache-dir"));
    }

    #[test]
    fn impossible_settings_are_named_and_the_token_is_not_shown() {
        let id = "a/b".parse().unwrap();
        let error = |hub: Hub| {
            hub.snapshot(&id, |_| Vec::new(), &mut |_| ())
                .unwrap_err()
                .to_string()
        };
        let text = error(Hub::new("c").with_endpoint("huggingface.co"));
        assert!(text.starts_with("HF_ENDPOINT is `huggingface.co`"), "{text}");
        let text = error(Hub::new("c").with_token("secret\r\nX: y"));
        assert!(text.starts_with("HF_TOKEN") && !text.contains("secret"), "{text}");
    }
}
