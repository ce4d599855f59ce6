//! A browser without a window, driven by the Chrome DevTools Protocol.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long the browser may take for one command, its start included.
const PATIENCE: Duration = Duration::from_mins(1);

/// A page in a browser of its own, which is killed on drop.
pub struct Page {
    browser: Browser,
    session: String,
    console: Vec<String>,
    requests: Vec<String>,
}

impl Page {
    /// Opens an address in a window of 1280 × 900 pixels; `None` if there is no browser that works here.
    ///
    /// Then prints why, or fails where `VPT_REQUIRE_BROWSER` is set.
    pub fn open(address: &str) -> Option<Self> {
        let Some(mut browser) = Browser::start() else {
            let required = std::env::var_os("VPT_REQUIRE_BROWSER").is_some();
            assert!(!required, "no browser that works on PATH");
            println!("skipped: neither chromium, chromium-browser nor google-chrome on PATH works");
            return None;
        };
        let target = browser.call(None, "Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call(None, "Target.attachToTarget", &attach)["sessionId"].clone();
        let mut page = Self {
            browser,
            session: session.as_str().expect("a session").to_owned(),
            console: vec![],
            requests: vec![],
        };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), &json!({}));
        }
        page.call("Emulation.setFocusEmulationEnabled", &json!({"enabled": true}));
        page.viewport(1280, 900);
        page.go(address);
        Some(page)
    }

    /// Loads an address.
    pub fn go(&mut self, address: &str) {
        let went = self.call("Page.navigate", &json!({"url": address}));
        assert!(went.get("errorText").is_none(), "{address}: {went}");
        self.wait_until("document.readyState === 'complete'", 30);
    }

    /// The value of an expression of JavaScript; a promise is awaited.
    pub fn evaluate(&mut self, js: &str) -> Value {
        let params =
            json!({"expression": js, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let answer = self.call("Runtime.evaluate", &params);
        assert!(
            answer.get("exceptionDetails").is_none(),
            "{js}: {}",
            answer["exceptionDetails"]
        );
        answer["result"].get("value").cloned().unwrap_or_default()
    }

    /// Whether an expression of JavaScript is true.
    pub fn holds(&mut self, js: &str) -> bool {
        self.evaluate(&format!("Boolean({js})")) == true
    }

    /// Waits for an expression of JavaScript to become true.
    pub fn wait_until(&mut self, js: &str, seconds: u64) {
        let end = Instant::now() + Duration::from_secs(seconds);
        while !self.holds(js) {
            if Instant::now() > end {
                let text = self.evaluate("document.body.innerText");
                panic!(
                    "not within {seconds} s: {js}\n{}\n{:#?}",
                    text.as_str().unwrap_or_default(),
                    self.console
                );
            }
            thread::sleep(Duration::from_millis(30));
        }
    }

    /// Gives files to a file input, as its dialogue would.
    pub fn set_files(&mut self, selector: &str, files: &[&Path]) {
        let find = json!({"expression": format!("document.querySelector({selector:?})")});
        let object = self.call("Runtime.evaluate", &find)["result"]["objectId"].clone();
        assert!(object.is_string(), "there is no {selector}");
        self.call(
            "DOM.setFileInputFiles",
            &json!({"objectId": object, "files": files}),
        );
    }

    /// Presses and lets go of a key: `Tab`, `Enter`, `Escape`, `ArrowRight` or a space.
    pub fn press(&mut self, key: &str) {
        let (code, number, text) = match key {
            "Tab" => ("Tab", 9, ""),
            "Enter" => ("Enter", 13, "\r"),
            "Escape" => ("Escape", 27, ""),
            "ArrowRight" => ("ArrowRight", 39, ""),
            " " => ("Space", 32, " "),
            _ => panic!("no such key here: {key}"),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({"type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number});
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Makes the page this large, in pixels.
    pub fn viewport(&mut self, width: u32, height: u32) {
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &screen);
    }

    /// Makes a media feature have a value, such as `prefers-color-scheme` that of `dark`.
    pub fn prefer(&mut self, feature: &str, value: &str) {
        let features = json!({"features": [{"name": feature, "value": value}]});
        self.call("Emulation.setEmulatedMedia", &features);
    }

    /// Writes the whole page as a PNG.
    pub fn screenshot(&mut self, file: &Path) {
        let shot = self.call(
            "Page.captureScreenshot",
            &json!({"format": "png", "captureBeyondViewport": true}),
        );
        let text = shot["data"].as_str().expect("a picture");
        std::fs::write(file, from_base64(text)).unwrap();
    }

    /// What the console was told as an error or a warning so far: exceptions and violations of the policy too. The browser's own note of
    /// an answer with an error status is none.
    pub fn complaints(&mut self) -> &[String] {
        self.evaluate("new Promise(done => setTimeout(done))");
        &self.console
    }

    /// Addresses of all requests so far, without `blob:` and `data:`.
    pub fn requests(&self) -> &[String] {
        &self.requests
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        let session = self.session.clone();
        let answer = self.browser.call(Some(&session), method, params);
        for event in std::mem::take(&mut self.browser.events) {
            self.note(&event);
        }
        answer
    }

    /// Keeps what an event says of errors and requests.
    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        let serious = |level: &Value| level == "error" || level == "warning";
        match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => self.console.push(params["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" if serious(&params["type"]) => {
                self.console.push(params["args"].to_string());
            }
            "Log.entryAdded" if serious(&params["entry"]["level"]) => {
                let text = params["entry"]["text"].as_str().unwrap_or_default();
                if !text.starts_with("Failed to load resource: the server responded with a status of") {
                    self.console.push(params["entry"].to_string());
                }
            }
            "Network.requestWillBeSent" => {
                let url = params["request"]["url"].as_str().unwrap_or_default();
                if !url.starts_with("blob:") && !url.starts_with("data:") {
                    self.requests.push(url.to_owned());
                }
            }
            _ => {}
        }
    }
}

/// A running browser and the pipes to it.
struct Browser {
    process: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    /// What the browser told of its own accord while an answer was awaited.
    events: Vec<Value>,
    last_id: u64,
    _profile: TempDir,
}

impl Browser {
    /// The first browser on `PATH` that starts.
    fn start() -> Option<Self> {
        let path = std::env::var_os("PATH")?;
        let names = ["chromium", "chromium-browser", "google-chrome"];
        names.iter().find_map(|name| {
            let mut files = std::env::split_paths(&path).map(|folder| folder.join(name));
            files.find_map(|file| if file.is_file() { Self::of(&file) } else { None })
        })
    }

    /// A browser reads commands from file descriptor 3 and writes to 4, so a shell puts its own input and output there.
    fn of(program: &PathBuf) -> Option<Self> {
        let profile = tempfile::tempdir().unwrap();
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null"])
            .arg(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args([
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
            ])
            .args([
                "--remote-debugging-pipe",
                "--no-first-run",
                "--disable-background-networking",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let commands = process.stdin.take()?;
        let messages = read_messages(process.stdout.take()?);
        let mut browser = Self {
            process,
            commands,
            messages,
            events: vec![],
            last_id: 0,
            _profile: profile,
        };
        browser
            .try_call(None, "Browser.getVersion", &json!({}))
            .is_some()
            .then_some(browser)
    }

    /// The result of a command, which must succeed.
    fn call(&mut self, session: Option<&str>, method: &str, params: &Value) -> Value {
        let answer = self.try_call(session, method, params);
        let answer = answer.unwrap_or_else(|| panic!("the browser does not answer {method} {params}"));
        assert!(
            answer.get("error").is_none(),
            "{method} {params}: {}",
            answer["error"]
        );
        answer["result"].clone()
    }

    /// The answer to a command; `None` if the browser is gone or takes too long.
    fn try_call(&mut self, session: Option<&str>, method: &str, params: &Value) -> Option<Value> {
        self.last_id += 1;
        let mut command = json!({"id": self.last_id, "method": method, "params": params});
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).ok()?;
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let message = self.messages.recv_timeout(left).ok()?;
            if message["id"] == self.last_id {
                return Some(message);
            }
            self.events.push(message);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // What is asked to close takes its helpers along and leaves the profile's folder in peace.
        let _ = self
            .commands
            .write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let end = Instant::now() + Duration::from_secs(5);
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < end {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Messages that end with a zero byte each, read on a thread of their own, so that waiting for one has a limit.
fn read_messages(pipe: ChildStdout) -> Receiver<Value> {
    let (sender, messages) = channel();
    thread::spawn(move || {
        let texts = BufReader::new(pipe).split(0).map_while(Result::ok);
        for message in texts.filter_map(|text| serde_json::from_slice(&text).ok()) {
            if sender.send(message).is_err() {
                break;
            }
        }
    });
    messages
}

fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (vec![], 0_u32, 0);
    for digit in text
        .bytes()
        .filter_map(|byte| DIGITS.iter().position(|&digit| digit == byte))
    {
        bits = (bits << 6 | digit as u32) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
