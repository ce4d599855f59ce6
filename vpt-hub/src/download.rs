//! [`Download`]: one file's way from the hub to its blob in the cache.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ureq::Body;
use ureq::http::{Response, header};

use crate::cache::{RepoCache, has_size, make_parent};
use crate::client::Client;
use crate::listing::ListedFile;
use crate::url::shown;
use crate::{HubError, Progress, Retries};

/// Bytes read at a time.
const CHUNK: usize = 1 << 17;

/// A connection that breaks every so often is not given up on while each attempt brings at least this much.
const WORTH_ANOTHER: u64 = 1 << 20;

/// What it takes to download one file.
pub(crate) struct Download<'a> {
    client: &'a Client<'a>,
    url: String,
    listed: &'a ListedFile,
    retries: Retries,
    blob: PathBuf,
    incomplete: PathBuf,
    lock: PathBuf,
}

impl<'a> Download<'a> {
    /// Nothing happens yet.
    pub(crate) fn new(
        client: &'a Client<'a>,
        url: String,
        listed: &'a ListedFile,
        cache: &RepoCache,
        retries: Retries,
    ) -> Self {
        Self {
            client,
            url,
            listed,
            retries,
            blob: cache.blob(&listed.hash),
            incomplete: cache.incomplete(&listed.hash),
            lock: cache.lock(&listed.hash),
        }
    }

    /// Makes sure that the blob is there; returns whether it had to be downloaded.
    ///
    /// Another process that downloads the same blob is waited for.
    ///
    /// # Errors
    /// Those of [`Client::get`] and [`Client::check`], [`HubError::WrongLength`], [`HubError::WrongHash`],
    /// [`HubError::Read`] and [`HubError::Write`].
    pub(crate) fn run(&self, progress: &mut dyn FnMut(Progress)) -> Result<bool, HubError> {
        if self.is_done() {
            return Ok(false);
        }
        make_parent(&self.blob)?;
        let _lock = lock(&self.lock)?;
        if self.is_done() {
            return Ok(false);
        }
        let mut failures = 0;
        let mut furthest = self.received();
        loop {
            match self.attempt(progress) {
                Ok(()) => return Ok(true),
                Err(error) => {
                    if self.received() >= furthest + WORTH_ANOTHER {
                        failures = 0;
                    }
                    furthest = furthest.max(self.received());
                    failures += 1;
                    self.retries.after(failures, error)?;
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        has_size(&self.blob, self.listed.file.size)
    }

    /// Bytes that arrived so far.
    fn received(&self) -> u64 {
        fs::metadata(&self.incomplete).map_or(0, |found| found.len())
    }

    /// Fetches what is missing, checks the whole and gives it its final name.
    fn attempt(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), HubError> {
        let size = self.listed.file.size;
        if self.received() > size {
            self.discard()?;
        }
        if self.received() < size || !self.incomplete.exists() {
            self.fetch(progress)?;
        }
        let expected = &self.listed.hash;
        let found = expected
            .of_file(&self.incomplete)
            .map_err(HubError::reading(&self.incomplete))?;
        if found != *expected {
            self.discard()?;
            return Err(HubError::WrongHash {
                file: self.listed.file.name.clone(),
                expected: expected.to_string(),
                found: found.to_string(),
            });
        }
        fs::rename(&self.incomplete, &self.blob).map_err(HubError::writing(&self.blob))
    }

    /// Appends what is missing to the incomplete file.
    fn fetch(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), HubError> {
        let mut start = self.received();
        let mut response = self.client.get(&self.url, start)?;
        let status = response.status().as_u16();
        if start > 0 && (status == 416 || (status == 206 && first_byte(&response) != Some(start))) {
            // The server cannot go on where we are.
            start = 0;
            response = self.client.get(&self.url, 0)?;
        }
        self.client.check(&response, &self.url)?;
        if response.status().as_u16() == 200 {
            start = 0;
        } else if start == 0 || response.status().as_u16() != 206 {
            return Err(HubError::Status {
                url: shown(&self.url).to_owned(),
                status: response.status().as_u16(),
            });
        }
        if let Some(length) = response.body().content_length() {
            self.check_not_longer(start.saturating_add(length))?;
        }
        let opened = if start == 0 {
            File::create(&self.incomplete)
        } else {
            File::options().append(true).open(&self.incomplete)
        };
        let file = opened.map_err(HubError::writing(&self.incomplete))?;
        self.receive(response.into_body(), file, start, progress)
    }

    fn receive(
        &self,
        body: Body,
        mut file: File,
        mut received: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), HubError> {
        let mut report = |received| {
            progress(Progress {
                file: &self.listed.file.name,
                received,
                total: self.listed.file.size,
            });
        };
        let mut body = body.into_reader();
        let mut buffer = vec![0; CHUNK];
        report(received);
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(HubError::Network {
                        url: shown(&self.url).to_owned(),
                        reason: format!("the connection broke: {error}"),
                    });
                }
            };
            received += read as u64;
            self.check_not_longer(received)?;
            file.write_all(&buffer[..read])
                .map_err(HubError::writing(&self.incomplete))?;
            report(received);
        }
        if received < self.listed.file.size {
            return Err(self.wrong_length(received));
        }
        file.sync_all().map_err(HubError::writing(&self.incomplete))
    }

    /// A server that sends more than the hub lists is stopped, and nothing of it is kept.
    fn check_not_longer(&self, length: u64) -> Result<(), HubError> {
        if length <= self.listed.file.size {
            return Ok(());
        }
        self.discard()?;
        Err(self.wrong_length(length))
    }

    fn wrong_length(&self, found: u64) -> HubError {
        HubError::WrongLength {
            file: self.listed.file.name.clone(),
            expected: self.listed.file.size,
            found,
        }
    }

    fn discard(&self) -> Result<(), HubError> {
        match fs::remove_file(&self.incomplete) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(HubError::writing(&self.incomplete)(error))
            }
            _ => Ok(()),
        }
    }
}

/// The first byte that a partial answer holds.
fn first_byte(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range
        .strip_prefix("bytes ")?
        .trim_start()
        .split_once('-')?
        .0
        .parse()
        .ok()
}

/// Waits until no other process holds the lock, then holds it until what is returned is dropped.
fn lock(path: &Path) -> Result<Option<File>, HubError> {
    make_parent(path)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(HubError::writing(path))?;
    let locked = match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => {
            tracing::info!(lock = %path.display(), "another process downloads this file, waiting for it");
            loop {
                match file.lock() {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    locked => break locked,
                }
            }
        }
    };
    match locked {
        Ok(()) => Ok(Some(file)),
        // Some network file systems have no locks; the hash is checked in any case.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(HubError::writing(path)(error)),
    }
}
