//! A folder to work in, `vpt` run inside it, and small pictures to learn from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use image::{Rgb, RgbImage};

/// A temporary folder in which `vpt` runs.
pub struct Sandbox {
    dir: tempfile::TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// `vpt` with these words (split at spaces), on the CPU, with a fixed date, in this folder.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::cargo_bin("vpt").expect("the binary is built with the tests");
        command
            .current_dir(self.dir.path())
            .args(words.split_whitespace());
        let ours = ["VPT_OFFLINE", "VPT_CACHE_DIR", "RUST_LOG", "COLUMNS", "NO_COLOR"];
        let hubs = ["HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HF_HUB_OFFLINE"];
        let proxies =
            ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"].map(|name| [name.to_owned(), name.to_lowercase()]);
        for name in ours.into_iter().chain(hubs) {
            command.env_remove(name);
        }
        for name in proxies.concat() {
            command.env_remove(name);
        }
        command
            .env("VPT_DEVICE", "cpu")
            // Nobody listens there: no test reaches the real hub.
            .env("HF_ENDPOINT", "http://127.0.0.1:1")
            .env("HF_HOME", self.path("hf"))
            .env("SOURCE_DATE_EPOCH", "1700000000");
        command
    }

    /// Runs `vpt` and expects this exit code.
    #[track_caller]
    pub fn run(&self, words: &str, code: i32) -> Run {
        let run = Run::from(self.command(words).output().expect("vpt starts"));
        assert_eq!(
            run.code,
            Some(code),
            "vpt {words}\n{}\n{}",
            run.stdout,
            run.stderr
        );
        run
    }

    /// Draws `per_split` images for each split and class below `name`: classes differ in colour and stripes.
    pub fn draw(&self, name: &str, classes: &[&str], per_split: [usize; 3]) {
        for (split, count) in ["train", "val", "test"].into_iter().zip(per_split) {
            for (label, class) in classes.iter().enumerate() {
                for index in 0..count {
                    let seed = index + 100 * split.len();
                    self.image(&format!("{name}/{split}/{class}/{index:03}.png"), label, seed);
                }
            }
        }
    }

    /// Draws one image of 40 x 36 pixels.
    pub fn image(&self, relative: &str, label: usize, seed: usize) {
        self.image_of(relative, label, seed, [40, 36]);
    }

    /// Draws one image of so many pixels across and down.
    pub fn image_of(&self, relative: &str, label: usize, seed: usize, [width, height]: [u32; 2]) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder to draw into");
        let noise = |x: u32, y: u32| ((x * 37 + y * 101 + seed as u32 * 53) % 97) as u8;
        let picture = RgbImage::from_fn(width, height, |x, y| {
            let stripe = if (x + y * label as u32) % 8 < 4 { 120 } else { 40 };
            let mut pixel = [noise(x, y), noise(y, x), noise(x + y, x)];
            pixel[label % 3] = pixel[label % 3].saturating_add(stripe);
            Rgb(pixel)
        });
        picture.save(path).expect("a PNG file");
    }

    pub fn write(&self, relative: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder to write into");
        fs::write(path, bytes).expect("a file");
    }

    pub fn read(&self, relative: &str) -> Vec<u8> {
        fs::read(self.path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
    }

    pub fn json(&self, relative: &str) -> serde_json::Value {
        serde_json::from_slice(&self.read(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
    }

    /// The names of everything below `relative`, sorted.
    pub fn listing(&self, relative: &str) -> Vec<String> {
        fn walk(dir: &Path, root: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let path = entry.path();
                match path.is_dir() {
                    true => walk(&path, root, found),
                    false => found.push(
                        path.strip_prefix(root)
                            .expect("below the root")
                            .display()
                            .to_string(),
                    ),
                }
            }
        }
        let root = self.path(relative);
        let mut found = Vec::new();
        walk(&root, &root, &mut found);
        found.sort();
        found
    }

    /// The path of a tiny backbone (images of 32 x 32 pixels, 4 patches, 4 blocks, width 48, random weights) in this folder.
    pub fn model(&self) -> &'static str {
        let fixture =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("vpt-core/tests/fixtures/golden/models/vit_p16_32");
        if !self.path("model").exists() {
            for name in ["config.json", "model.safetensors"] {
                let bytes = fs::read(fixture.join(name)).expect("the fixture is part of the repository");
                self.write(&format!("model/{name}"), bytes);
            }
        }
        "model"
    }

    /// `text` with this folder's path replaced, so that snapshots hold anywhere.
    pub fn anonymous(&self, text: &str) -> String {
        let real = fs::canonicalize(self.dir.path()).expect("the folder exists");
        text.replace(&real.display().to_string(), "[DIR]")
            .replace(&self.dir.path().display().to_string(), "[DIR]")
    }

    /// What `vpt` answers, in the form that snapshots keep.
    pub fn transcript(&self, words: &str) -> String {
        let Run { code, stdout, stderr } = Run::from(self.command(words).output().expect("vpt starts"));
        let code = code.map_or("none".to_owned(), |code| code.to_string());
        let text = format!(
            "$ vpt {words}\nexit code: {code}\n----- stdout -----\n{stdout}\n----- stderr -----\n{stderr}"
        );
        self.anonymous(&text)
    }
}

/// How a command ended and what it said.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Run {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{}", self.stdout))
    }
}
