//! Proxies of the environment, in a process of its own whose environment can be set.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::Duration;

use vpt_hub::{Hub, Retries};

use crate::fake_hub::*;

/// What the other process does: one attempt to fetch from a host that only a proxy could reach.
#[test]
#[ignore = "started by the test below"]
fn child() {
    let retries = Retries {
        attempts: 1,
        first_pause: Duration::ZERO,
    };
    let error = fetch(&Hub::from_env().with_retries(retries), "org/name").unwrap_err();
    writeln!(io::stdout(), "error: {error}").unwrap();
}

#[test]
fn the_proxy_of_the_environment_is_asked() {
    for variable in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let proxy = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            stream
                .write_all(b"HTTP/1.1 502 X\r\nContent-Length: 0\r\n\r\n")
                .unwrap();
            line
        });
        let cache = tempfile::tempdir().unwrap();
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "proxy::child", "--ignored", "--nocapture"]);
        for name in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        let output = command
            .env(variable, address)
            .env("HF_HUB_OFFLINE", "0")
            .env("HF_HUB_CACHE", cache.path())
            .env("HF_ENDPOINT", "https://hub.invalid")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            text.contains("error: cannot fetch https://hub.invalid/api/models/org/name"),
            "{text}"
        );
        assert!(proxy.join().unwrap().starts_with("CONNECT hub.invalid:443"));
    }
}
