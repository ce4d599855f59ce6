//! Models of the Hugging Face hub, from a server on this machine.

use assert_cmd::Command;
use serde_json::json;

use crate::fake_hub::{CONFIG, FakeHub, LIST, Trick, git_sha1, resolve, sha256};
use crate::sandbox::{Run, Sandbox};

/// A hub whose repository `org/name` holds the tiny backbone, as timm publishes.
fn hub(sandbox: &Sandbox) -> FakeHub {
    let model = sandbox.model();
    let hub = FakeHub::empty();
    let [weights, config] =
        ["model.safetensors", "config.json"].map(|name| sandbox.read(&format!("{model}/{name}")));
    hub.list(&json!([
        {"rfilename": "README.md", "size": 3, "blobId": git_sha1(b"no!")},
        {"rfilename": "config.json", "size": config.len(), "blobId": git_sha1(&config)},
        {"rfilename": "model.safetensors", "size": weights.len(), "blobId": git_sha1(b"pointer"),
         "lfs": {"sha256": sha256(&weights), "size": weights.len(), "pointerSize": 134}},
        {"rfilename": "pytorch_model.bin", "size": 9, "blobId": git_sha1(CONFIG)},
    ]));
    hub.put(&resolve("model.safetensors"), weights);
    hub.put(&resolve("config.json"), config);
    hub
}

/// `vpt` that asks this hub.
fn asking(sandbox: &Sandbox, hub: &FakeHub, words: &str) -> Command {
    let mut command = sandbox.command(words);
    command.env("HF_ENDPOINT", &hub.address);
    command
}

#[track_caller]
fn run(command: &mut Command) -> Run {
    let run = Run::from(command.output().unwrap());
    assert_eq!(run.code, Some(0), "{}\n{}", run.stdout, run.stderr);
    run
}

#[test]
fn a_model_of_the_hub_is_downloaded_once() {
    let sandbox = Sandbox::new();
    let hub = hub(&sandbox);
    let words = "inspect model hf-hub:org/name --json";
    // The connection breaks once on the way, which nobody needs to know.
    hub.trick(&resolve("model.safetensors"), [Trick::Cut(100_000)]);
    let first = run(&mut asking(&sandbox, &hub, words));
    assert!(
        first.stderr.contains("downloading model.safetensors, 608 kB"),
        "{}",
        first.stderr
    );
    let report = first.json();
    assert_eq!(report["source"], "hf-hub:org/name");
    let local = sandbox
        .run(&format!("inspect model {} --json", sandbox.model()), 0)
        .json();
    assert_eq!(report["sha256"], local["sha256"]);
    let asked = |file: &str| hub.requests_for(&resolve(file)).len();
    assert_eq!(
        (asked("model.safetensors"), asked("config.json")),
        (2, 1),
        "what is needed, and nothing twice"
    );
    assert_eq!((asked("README.md"), asked("pytorch_model.bin")), (0, 0));

    let again = run(&mut asking(&sandbox, &hub, words));
    assert_eq!(again.stdout, first.stdout);
    let offline = run(&mut asking(&sandbox, &hub, words).arg("--offline"));
    assert_eq!(offline.stdout, first.stdout);
    assert_eq!((asked("model.safetensors"), hub.requests_for(LIST).len()), (2, 2));
}

#[test]
fn tasks_find_their_backbone_on_the_hub_again() {
    let sandbox = Sandbox::new();
    sandbox.draw("data", &["a", "b"], [3, 1, 2]);
    let hub = hub(&sandbox);
    let compare = "compare --data-dir data --model hf-hub:org/name --methods vpt-deep,linear --seeds 1 --epochs 1 \
                   --cache-dir cache";
    run(&mut asking(&sandbox, &hub, compare));
    assert_eq!(
        hub.requests_for(&resolve("model.safetensors")).len(),
        1,
        "the runs of a comparison share a cache"
    );
    run(&mut asking(
        &sandbox,
        &hub,
        "train --data-dir data --model hf-hub:org/name --epochs 1 --cache-dir cache",
    ));
    let task = "eval runs/train/data --offline --cache-dir cache --json";
    let results = run(&mut sandbox.command(task)).json();
    assert!(results["metrics"]["top1"]["value"].is_number());
    // On another machine it is fetched.
    run(&mut asking(
        &sandbox,
        &hub,
        "eval runs/train/data --cache-dir other --json",
    ));
}

#[test]
fn what_the_hub_refuses_is_said_with_a_remedy() {
    let sandbox = Sandbox::new();
    let hub = hub(&sandbox);
    let refused = |spec: &str, part: &str, hint: &str| {
        let words = format!("inspect model {spec}");
        let run = Run::from(asking(&sandbox, &hub, &words).output().unwrap());
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        assert!(
            run.stderr.contains(part) && run.stderr.contains(hint),
            "{}",
            run.stderr
        );
    };
    refused("hf-hub:org/other", "org/other", "hint:");
    hub.always(LIST, Trick::Status(403));
    refused("hf-hub:org/name", "org/name", "HF_TOKEN");
    hub.always(LIST, Trick::Bytes(b"<html>a login page</html>".to_vec()));
    refused("hf-hub:org/name", "cannot be used", "hint:");
}
