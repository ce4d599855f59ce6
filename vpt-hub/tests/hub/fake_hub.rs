//! [`FakeHub`]: a small web server that answers like the hub, or, where a test says so, badly.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use vpt_hub::{Hub, HubError, RepoFile, RepoId, Retries, Snapshot};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How the next request for a path is answered, instead of as it should be.
#[derive(Debug, Clone)]
pub enum Trick {
    /// A status without a body.
    Status(u16),
    /// The right length is announced, but the connection ends after this many bytes of the body.
    Cut(usize),
    /// The range is ignored.
    Whole,
    /// This length is announced and the body is right, then the connection ends.
    Length(usize),
    /// These bytes, with their length.
    Bytes(Vec<u8>),
    /// A part that was not asked for.
    WrongPart,
    /// A body without an announced length and without an end.
    Endless,
    /// Leads elsewhere.
    Redirect(String),
    /// No answer for a while.
    Silent,
    /// The right answer, after a moment.
    Slow,
}

#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    headers: BTreeMap<String, String>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The first byte of the range that was asked for.
    fn from(&self) -> usize {
        let range = self
            .header("range")
            .map(|range| range.strip_prefix("bytes=").unwrap());
        range.map_or(0, |range| range.strip_suffix('-').unwrap().parse().unwrap())
    }
}

#[derive(Default)]
struct State {
    /// What is under each path.
    answers: BTreeMap<String, Vec<u8>>,
    tricks: BTreeMap<String, VecDeque<Trick>>,
    /// Tricks that are played for ever.
    always: BTreeMap<String, Trick>,
    requests: Vec<Request>,
}

pub struct FakeHub {
    pub address: String,
    state: Arc<Mutex<State>>,
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub fn git_sha1(bytes: &[u8]) -> String {
    let mut blob = format!("blob {}\0", bytes.len()).into_bytes();
    blob.extend_from_slice(bytes);
    hex(&Sha1::digest(blob))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Weights of a few chunks, with no two parts alike.
pub fn weights() -> Vec<u8> {
    (0..100_000u32).flat_map(u32::to_le_bytes).collect()
}

pub const CONFIG: &[u8] = b"{\"architecture\": \"vit\"}";

/// The path of a file of `org/name` at [`COMMIT`].
pub fn resolve(file: &str) -> String {
    format!("/org/name/resolve/{COMMIT}/{file}")
}

pub const LIST: &str = "/api/models/org/name/revision/main?blobs=true";

impl FakeHub {
    /// A server without anything.
    pub fn empty() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { address, state }
    }

    /// The repository `org/name` with weights in large file storage, a plain file and one in a folder.
    pub fn new() -> Self {
        let hub = Self::empty();
        hub.list(&json!([
            {"rfilename": "model.safetensors", "size": weights().len(), "blobId": git_sha1(b"pointer"),
             "lfs": {"sha256": sha256(&weights()), "size": weights().len(), "pointerSize": 134}},
            {"rfilename": "config.json", "size": CONFIG.len(), "blobId": git_sha1(CONFIG)},
            {"rfilename": "extra/deep/note 1.txt", "size": 0, "blobId": git_sha1(b"")},
        ]));
        hub.put(&resolve("model.safetensors"), weights());
        hub.put(&resolve("config.json"), CONFIG);
        hub.put(&resolve("extra/deep/note%201.txt"), b"");
        hub
    }

    /// Makes `siblings` the list of files.
    pub fn list(&self, siblings: &serde_json::Value) {
        let list = json!({"id": "org/name", "sha": COMMIT, "siblings": siblings});
        self.put(LIST, list.to_string());
    }

    pub fn put(&self, path: &str, answer: impl Into<Vec<u8>>) {
        let mut state = self.state.lock().unwrap();
        state.answers.insert(path.to_owned(), answer.into());
    }

    /// Answers the next requests for `path` by these tricks, one after the other.
    pub fn trick(&self, path: &str, tricks: impl IntoIterator<Item = Trick>) {
        let mut state = self.state.lock().unwrap();
        state.tricks.entry(path.to_owned()).or_default().extend(tricks);
    }

    pub fn always(&self, path: &str, trick: Trick) {
        self.state.lock().unwrap().always.insert(path.to_owned(), trick);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    /// The requests for one path so far.
    pub fn requests_for(&self, path: &str) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.path == path);
        requests
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let Some(request) = read_request(&stream) else {
        return;
    };
    let (answer, trick) = {
        let mut state = state.lock().unwrap();
        state.requests.push(request.clone());
        let once = state.tricks.get_mut(&request.path).and_then(VecDeque::pop_front);
        let trick = once.or_else(|| state.always.get(&request.path).cloned());
        (state.answers.get(&request.path).cloned(), trick)
    };
    // A client that hangs up early is none of the server's business.
    let _ = reply(stream, &request, answer, trick);
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect();
    Some(Request { path, headers })
}

fn reply(
    mut stream: TcpStream,
    request: &Request,
    answer: Option<Vec<u8>>,
    trick: Option<Trick>,
) -> std::io::Result<()> {
    let mut from = request.from();
    let missing = answer.is_none();
    let body = answer.unwrap_or_default();
    let mut head = |status: u16, length: Option<usize>, more: &str| {
        let length = length.map_or(String::new(), |length| format!("Content-Length: {length}\r\n"));
        write!(
            stream,
            "HTTP/1.1 {status} X\r\n{length}{more}Connection: close\r\n\r\n"
        )
    };
    match trick {
        Some(Trick::Status(status)) => return head(status, Some(0), ""),
        Some(Trick::Redirect(target)) => return head(302, Some(0), &format!("Location: {target}\r\n")),
        Some(Trick::Bytes(bytes)) => {
            head(200, Some(bytes.len()), "")?;
            return stream.write_all(&bytes);
        }
        Some(Trick::Length(length)) => {
            head(200, Some(length), "")?;
            return stream.write_all(&body[..length.min(body.len())]);
        }
        Some(Trick::Endless) => {
            head(200, None, "")?;
            loop {
                stream.write_all(&[7; 4096])?;
            }
        }
        Some(Trick::WrongPart) => {
            head(
                206,
                Some(body.len() - 1),
                &format!("Content-Range: bytes 1-{0}/{0}\r\n", body.len()),
            )?;
            return stream.write_all(&body[1..]);
        }
        Some(Trick::Silent) => {
            thread::sleep(Duration::from_millis(400));
            return Ok(());
        }
        Some(Trick::Slow) => thread::sleep(Duration::from_millis(150)),
        Some(Trick::Whole) => from = 0,
        Some(Trick::Cut(_)) | None => {}
    }
    if missing {
        return head(404, Some(0), "");
    }
    if from > 0 && from >= body.len() {
        return head(416, Some(0), "");
    }
    let part = &body[from..];
    if from > 0 {
        let range = format!(
            "Content-Range: bytes {from}-{}/{}\r\n",
            body.len() - 1,
            body.len()
        );
        head(206, Some(part.len()), &range)?;
    } else {
        head(200, Some(part.len()), "")?;
    }
    let end = if let Some(Trick::Cut(end)) = trick {
        end
    } else {
        part.len()
    };
    stream.write_all(&part[..end])
}

/// A cache in a folder of its own, and a client of it.
pub struct Client {
    pub hub: Hub,
    pub cache: TempDir,
}

impl Client {
    /// A client with short pauses that knows nothing of the environment.
    pub fn of(server: &FakeHub) -> Self {
        Self::at(&server.address)
    }

    pub fn at(address: &str) -> Self {
        let cache = tempfile::tempdir().unwrap();
        let retries = Retries {
            attempts: 3,
            first_pause: Duration::from_millis(1),
        };
        let hub = Hub::new(cache.path())
            .with_endpoint(address)
            .with_retries(retries)
            .with_timeouts(Duration::from_secs(5), Duration::from_secs(5));
        Self { hub, cache }
    }

    /// Fetches all files.
    pub fn fetch(&self) -> Result<Snapshot, HubError> {
        fetch(&self.hub, "org/name")
    }

    /// The repository's folder in the cache.
    pub fn folder(&self) -> PathBuf {
        self.cache.path().join("models--org--name")
    }

    pub fn blob(&self, hash: &str) -> PathBuf {
        self.folder().join("blobs").join(hash)
    }

    /// The unfinished download of the weights.
    pub fn incomplete(&self) -> PathBuf {
        self.blob(&format!("{}.incomplete", sha256(&weights())))
    }

    /// Puts the beginning of a download where an interrupted process would have left it.
    pub fn leave(&self, bytes: &[u8]) {
        fs::create_dir_all(self.folder().join("blobs")).unwrap();
        fs::write(self.incomplete(), bytes).unwrap();
    }
}

/// Fetches all files of a repository.
pub fn fetch(hub: &Hub, id: &str) -> Result<Snapshot, HubError> {
    let id: RepoId = id.parse().unwrap();
    hub.snapshot(&id, names, &mut |_| ())
}

pub fn names(files: &[RepoFile]) -> Vec<String> {
    files.iter().map(|file| file.name.clone()).collect()
}

/// Names of what lies directly in a folder, sorted; none if there is no folder.
pub fn entries(folder: &Path) -> Vec<String> {
    let Ok(found) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<_> = found
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
