//! Runs that are stopped, politely or not, end in the same bytes as runs that are not.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sandbox::Sandbox;

const TRAIN: &str = "train --data-dir pets --epochs 4 --batch 4 --num-tokens 2 --experiment";

fn prepared() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &["ant", "bee", "cat"], [16, 4, 4]);
    sandbox.model();
    sandbox
}

/// The bytes that must not depend on interruptions.
fn outcome(sandbox: &Sandbox, name: &str) -> [Vec<u8>; 3] {
    ["best.safetensors", "last.safetensors", "predictions.csv"]
        .map(|file| sandbox.read(&format!("runs/train/{name}/{file}")))
}

fn start(sandbox: &Sandbox, words: &str) -> Child {
    started(sandbox, words, Stdio::null())
}

/// `vpt` with these words in the background, what it prints going to `stdout`.
pub fn started(sandbox: &Sandbox, words: &str, stdout: Stdio) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("vpt"));
    command
        .args(words.split_whitespace())
        .current_dir(sandbox.path("."));
    command
        .env("VPT_DEVICE", "cpu")
        .env("SOURCE_DATE_EPOCH", "1700000000");
    command
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .expect("vpt starts")
}

/// Sends a signal as a shell would.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "kill -{name}");
}

fn wait_for(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Pseudo-random delays that are the same in every test run.
fn delay(round: u64, longest: Duration) -> Duration {
    let mixed = (round + 1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(31)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9);
    longest.mul_f64((mixed >> 11) as f64 / (1_u64 << 53) as f64)
}

/// `VPT_TEST_KILLS` says how often (20 in the long form of this test).
#[test]
fn killed_at_any_moment_a_run_ends_in_the_same_bytes() {
    let kills: u64 = std::env::var("VPT_TEST_KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok())
        .unwrap_or(4);
    let sandbox = prepared();
    let model = sandbox.model();
    let started = Instant::now();
    sandbox.run(&format!("{TRAIN} whole --model {model}"), 0);
    let longest = started.elapsed();

    let (mut killed, mut round) = (0, 0);
    let mut words = format!("{TRAIN} broken --model {model}");
    while killed < kills {
        let mut child = start(&sandbox, &words);
        if !words.contains("--resume") {
            // From here on there is something to resume.
            wait_for(&sandbox.path("runs/train/broken/args.toml"));
        }
        std::thread::sleep(delay(round, longest));
        if child.try_wait().expect("vpt runs").is_none() {
            child.kill().expect("it can be killed");
            killed += 1;
        }
        child.wait().expect("it ends");
        round += 1;
        words = "train --resume runs/train/broken".to_owned();
        if sandbox.path("runs/train/broken/results.json").is_file() {
            // Finished before its time: the next one begins anew.
            assert_eq!(
                outcome(&sandbox, "broken"),
                outcome(&sandbox, "whole"),
                "after {killed} kills"
            );
            fs::remove_dir_all(sandbox.path("runs/train/broken")).expect("the finished run goes away");
            words = format!("{TRAIN} broken --model {model}");
        }
    }
    if !words.contains("--resume") {
        return;
    }
    sandbox.run(&words, 0);
    assert_eq!(
        outcome(&sandbox, "broken"),
        outcome(&sandbox, "whole"),
        "after {killed} kills"
    );
    let files = sandbox.listing("runs/train/broken");
    assert!(files.contains(&"results.json".to_owned()), "{files:?}");
}

#[test]
fn ctrl_c_saves_and_says_how_to_go_on() {
    let sandbox = prepared();
    let model = sandbox.model();
    sandbox.run(&format!("{TRAIN} whole --model {model}"), 0);
    let child = start(&sandbox, &format!("{TRAIN} stopped --model {model}"));
    wait_for(&sandbox.path("runs/train/stopped/state"));
    signal(&child, "INT");
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(
        stderr.contains("\nhint: `vpt train --resume runs/train/stopped` goes on"),
        "{stderr}"
    );
    assert!(!sandbox.path("runs/train/stopped/results.json").exists());
    sandbox.run("train --resume runs/train/stopped", 0);
    assert_eq!(outcome(&sandbox, "stopped"), outcome(&sandbox, "whole"));
}

#[test]
fn a_stopped_comparison_goes_on_where_it_was() {
    let sandbox = prepared();
    let words = format!(
        "compare --data-dir pets --methods vpt-deep,linear --seeds 1 --epochs 6 --num-tokens 2 --batch 4 --model {}",
        sandbox.model()
    );
    let child = start(&sandbox, &words);
    wait_for(&sandbox.path("runs/compare/pets/vpt-deep-seed0/state"));
    signal(&child, "TERM");
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("\nhint: the same command goes on"), "{stderr}");
    assert!(sandbox.path("runs/compare/pets/vpt-deep-seed0/state").exists());
    let run = sandbox.run(&words, 0);
    assert!(
        !sandbox.path("runs/compare/pets/vpt-deep-seed0-2").exists(),
        "{}",
        run.stderr
    );
    assert!(sandbox.path("runs/compare/pets/comparison.html").is_file());
}

#[test]
fn a_run_that_another_process_is_at_is_not_trained_twice() {
    let sandbox = prepared();
    let words = format!(
        "compare --data-dir pets --methods vpt-deep --seeds 1 --epochs 5000 --num-tokens 2 --model {}",
        sandbox.model()
    );
    let mut first = start(&sandbox, &words);
    wait_for(&sandbox.path("runs/compare/pets/vpt-deep-seed0/state/state.safetensors"));
    let second = sandbox.run(&words, 1);
    assert!(second.stderr.contains("another"), "{}", second.stderr);
    assert!(!sandbox.path("runs/compare/pets/vpt-deep-seed0-2").exists());
    signal(&first, "TERM");
    first.wait().expect("vpt ends");
}
