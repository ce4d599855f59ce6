//! A server on a small backbone, for the time of a test.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;
use vpt_core::device::SelectedDevice;
use vpt_core::heads::SegmentationDecoder;
use vpt_core::task_file::TaskInfo;
use vpt_core::{Backbone, HeadConfig, MethodConfig, MethodOptions, Precision, TaskFile, VitConfig};
use vpt_data::{CropMode, Preprocess, TaskKind};
use vpt_serve::{Registry, ServeOptions, Server};

/// What a backbone of these tests reads: height and width.
const SIZE: [usize; 2] = [32, 48];

/// The access token of these tests.
pub const TOKEN: &str = "a secret";

/// A server that ends with it.
pub struct Served {
    /// `http://127.0.0.1:1234`.
    pub url: String,
    /// What it serves.
    pub registry: Arc<Registry>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// An answer: status, headers that matter, body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub retry_after: Option<String>,
    pub text: String,
}

impl Served {
    /// With these options, on a free port.
    pub fn start(tasks: &[(&str, TaskFile)], options: ServeOptions) -> Self {
        let registry = Arc::new(Registry::new(backbone(1), &SelectedDevice::cpu(), Precision::F32).unwrap());
        for (name, task) in tasks {
            registry
                .put(name, Path::new(name), &task.to_bytes(false).unwrap())
                .unwrap();
        }
        let mut options = options;
        options.address.set_port(0);
        let server = Server::bind(Arc::clone(&registry), options).unwrap();
        let url = format!("http://{}", server.address());
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = std::thread::spawn(move || server.run(&|| asked.load(Ordering::SeqCst)).unwrap());
        Self {
            url,
            registry,
            stop,
            thread: Some(thread),
        }
    }

    /// With a token, and otherwise as by default.
    pub fn with_token(tasks: &[(&str, TaskFile)]) -> Self {
        let options = ServeOptions {
            token: Some(TOKEN.to_owned()),
            ..ServeOptions::default()
        };
        Self::start(tasks, options)
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// Asks it to stop, without waiting.
    pub fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Sends a body.
    pub fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Answer {
        post(&self.url, path, content_type, body)
    }

    /// Sends an image file, and reads the JSON of the answer.
    pub fn predict(&self, path: &str, image: &[u8]) -> Value {
        let answer = self.post(path, "image/png", image);
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    pub fn get(&self, path: &str) -> Answer {
        let request = agent().get(format!("{}{path}", self.url));
        Answer::of(request.header("Authorization", format!("Bearer {TOKEN}")).call())
    }

    pub fn put(&self, path: &str, body: &[u8]) -> Answer {
        let request = agent().put(format!("{}{path}", self.url));
        Answer::of(
            request
                .header("Authorization", format!("Bearer {TOKEN}"))
                .send(body),
        )
    }

    pub fn delete(&self, path: &str) -> Answer {
        let request = agent().delete(format!("{}{path}", self.url));
        Answer::of(request.header("Authorization", format!("Bearer {TOKEN}")).call())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.ask_to_stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

impl Answer {
    fn of(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Self {
        let mut answer = answer.unwrap();
        let header = |name: &str| {
            let value = answer.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        Self {
            status: answer.status().as_u16(),
            content_type: header("content-type").unwrap_or_default(),
            retry_after: header("retry-after"),
            text: answer.body_mut().read_to_string().unwrap(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The reason of a problem, which must have this status.
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.content_type, "application/problem+json");
        let details = self.json();
        assert_eq!(details["status"], status);
        details["detail"].as_str().unwrap().to_owned()
    }
}

/// Sends a body from any thread.
pub fn post(url: &str, path: &str, content_type: &str, body: &[u8]) -> Answer {
    let request = agent().post(format!("{url}{path}"));
    let request = request.header("Content-Type", content_type);
    Answer::of(
        request
            .header("Authorization", format!("Bearer {TOKEN}"))
            .send(body),
    )
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_mins(1)))
        .build();
    config.into()
}

/// A small backbone with random weights.
pub fn backbone(seed: u64) -> Backbone {
    let config = VitConfig {
        img_size: SIZE,
        embed_dim: 24,
        depth: 3,
        num_heads: 3,
        ..VitConfig::default()
    };
    Backbone::random(config, 0, seed)
}

/// A task of random values on `backbone(1)`.
pub fn task(method: &str, kind: TaskKind, classes: usize, seed: u64) -> TaskFile {
    task_on(&backbone(1), method, kind, classes, seed)
}

/// A task of random values.
pub fn task_on(backbone: &Backbone, method: &str, kind: TaskKind, classes: usize, seed: u64) -> TaskFile {
    let options = MethodOptions {
        num_tokens: 2 + seed as usize % 3,
        ..MethodOptions::default()
    };
    let head = match kind {
        TaskKind::Detection => HeadConfig::Detection { width: 8 },
        TaskKind::Segmentation => HeadConfig::Segmentation {
            decoder: SegmentationDecoder::Linear,
        },
        _ => HeadConfig::Linear,
    };
    let info = TaskInfo {
        name: format!("{kind} {seed}"),
        kind,
        classes: (0..classes).map(|class| format!("class {class}")).collect(),
    };
    let preprocess = Preprocess {
        input_size: SIZE,
        crop_mode: match kind.is_dense() {
            true => CropMode::Letterbox,
            false => CropMode::Center,
        },
        ..backbone.preprocess.clone()
    };
    let method = MethodConfig::parse(method, &options).unwrap();
    let mut task = TaskFile::random(backbone, &method, head, info, preprocess, seed).unwrap();
    if kind == TaskKind::Detection {
        // Random heads find nothing that they are sure of.
        task.metadata.calibration.threshold = Some(0.001);
    }
    task
}

/// A PNG file of a picture that is a function of `seed`.
pub fn picture(seed: u32) -> Vec<u8> {
    let colour = |x: u32, y: u32| {
        let value = |step: u32| ((x * step + y * (seed + 3) + seed * 31) % 256) as u8;
        Rgb([value(3), value(5), value(seed + 1)])
    };
    let picture = RgbImage::from_fn(60 + seed % 7, 40, colour);
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}
