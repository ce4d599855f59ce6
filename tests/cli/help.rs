//! Help pages, usage errors and completions.

use crate::sandbox::Sandbox;

#[test]
fn help_pages() {
    let sandbox = Sandbox::new();
    let commands = "train eval compare prune calibrate knn predict features export serve inspect bench list demo completions";
    insta::assert_snapshot!("help", sandbox.transcript("--help"));
    for command in commands.split(' ') {
        insta::assert_snapshot!(
            format!("help-{command}"),
            sandbox.transcript(&format!("{command} --help"))
        );
    }
    for what in ["model", "task", "data", "device"] {
        insta::assert_snapshot!(
            format!("help-inspect-{what}"),
            sandbox.transcript(&format!("inspect {what} --help"))
        );
    }
}

#[test]
fn usage_errors() {
    let sandbox = Sandbox::new();
    let lines = [
        "",
        "trian",
        "train --epcohs 3",
        "train --lr -1",
        "train --lr nan",
        "train --epochs 0",
        "train --img-size 0",
        "train --prompt-dropout 1",
        "train --opt adam",
        "train --method vpt-depe",
        "train --num-tokens 0",
        "train --no-aug --mixup 0.2",
        "train --data-dir a --task b",
        "train --resume a --data-dir b",
        "train",
        "eval",
        "eval run --ci 1",
        "eval run --split tset",
        "eval run --fail-under top1",
        "compare --seeds 0",
        "compare --set lr",
        "compare --data-dir a --methods vpt-deep,liner",
        "compare --data-dir a --methods vpt-deep,linear --baseline full",
        "predict run",
        "features a.png",
        "list taks",
        "inspect",
        "--device tpu list methods",
        "list methods -q -v",
    ];
    let answers: Vec<_> = lines.iter().map(|words| sandbox.transcript(words)).collect();
    for (words, answer) in lines.iter().zip(&answers) {
        assert!(answer.contains("exit code: 2"), "{answer}");
        assert!(words.is_empty() || answer.contains("\nhint: "), "{answer}");
    }
    insta::assert_snapshot!("usage-errors", answers.join("\n"));
}

#[test]
fn version() {
    let run = Sandbox::new().run("--version", 0);
    assert_eq!(run.stdout, format!("vpt {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_for_every_shell() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = sandbox.run(&format!("completions {shell}"), 0);
        assert!(run.stdout.contains("num-tokens"), "{shell} completes no flags");
        assert!(
            !run.stdout.contains("__probe-device --"),
            "{shell} offers a hidden command"
        );
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    use std::process::{Command, Stdio};
    let binary = assert_cmd::cargo::cargo_bin("vpt");
    for words in [&["--help"][..], &["list", "metrics"], &["completions", "bash"]] {
        let mut child = Command::new(&binary)
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("vpt starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("vpt ends");
        assert_eq!(
            output.status.code(),
            Some(0),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
