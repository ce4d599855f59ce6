//! `vpt serve`, from its first line to the end.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::interruption::{signal, started};
use crate::sandbox::Sandbox;

/// Sends a request and reads the JSON of the answer, which must be 200.
fn ask(address: &str, request: &str, body: &[u8]) -> Value {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).unwrap()
}

/// Waits until `found` finds something.
fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "{what} never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_folder_of_runs_is_served_as_predict_says() {
    let sandbox = Sandbox::new();
    crate::end_to_end::trained(&sandbox, "--num-tokens 2");
    let stdout = Stdio::from(File::create(sandbox.path("ready.json")).unwrap());
    let server = started(&sandbox, "serve runs/train --port 0 --json", stdout);
    let ready = wait_for("the server", || {
        serde_json::from_slice::<Value>(&fs::read(sandbox.path("ready.json")).ok()?).ok()
    });
    assert_eq!(ready["tasks"], serde_json::json!(["pets"]));
    let address = ready["url"].as_str().unwrap().strip_prefix("http://").unwrap();
    let image = sandbox.read("pets/test/ant/000.png");
    let answer = ask(address, "POST /v1/tasks/pets/predict", &image);
    let line = sandbox
        .run("predict runs/train/pets pets/test/ant/000.png --json", 0)
        .json();
    for key in ["label", "logits", "probs"] {
        assert_eq!(answer["predictions"][0][key], line[key], "{key}");
    }

    let best = sandbox.path("runs/train/pets/best.safetensors");
    fs::copy(best, sandbox.path("runs/train/copy.safetensors")).unwrap();
    let tasks = wait_for("the new task", || {
        let list = ask(address, "GET /v1/tasks", b"");
        (list["tasks"].as_array().unwrap().len() == 2).then_some(list)
    });
    assert_eq!(tasks["tasks"][0]["name"], "copy");

    signal(&server, "TERM");
    let output = server.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("task `copy`") && said.contains("every accepted request was answered"),
        "{said}"
    );
    assert!(
        !said.contains("000.png"),
        "names of images are nobody's business: {said}"
    );
}

#[test]
fn what_cannot_be_served_is_said() {
    let sandbox = Sandbox::new();
    crate::end_to_end::trained(&sandbox, "--method linear");
    sandbox.run("serve", 2);
    let said = |words: &str| sandbox.run(words, 1).stderr;
    assert!(said("serve nothing").contains("nothing"));
    assert!(said("serve pets").contains("no task file"));
    assert!(said("serve pets/test/ant/000.png --model model").contains("000.png"));
    let open = said("serve runs/train --host 0.0.0.0 --port 0");
    assert!(open.contains("VPT_TOKEN"), "{open}");
    let twice = said("serve a=runs/train/pets a=runs/train/pets/last.safetensors");
    assert!(twice.contains("the task `a`"), "{twice}");
    let name = said("serve ä=runs/train/pets");
    assert!(name.contains("letters, digits"), "{name}");
    sandbox.write("token", "\n");
    let empty = sandbox.run("serve runs/train --token-file token", 2).stderr;
    assert!(empty.contains("empty"), "{empty}");
}
