//! What a user's files can do wrong: each a clear error with a hint, and nothing half-written left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::sandbox::Sandbox;

/// Runs a command that must fail with an error and a hint, and gives its transcript for a snapshot.
#[track_caller]
fn refused(sandbox: &Sandbox, words: &str) -> String {
    let transcript = sandbox.transcript(words);
    assert!(transcript.contains("exit code: 1\n"), "{transcript}");
    assert!(transcript.contains("\nerror: "), "{transcript}");
    assert!(transcript.contains("\nhint: "), "{transcript}");
    transcript
}

/// A refused training that leaves no folder behind.
#[track_caller]
fn not_trained(sandbox: &Sandbox, data: &str) -> String {
    let transcript = refused(
        sandbox,
        &format!("train --data-dir {data} --epochs 1 --model {}", sandbox.model()),
    );
    assert_eq!(sandbox.listing("runs"), Vec::<String>::new(), "{transcript}");
    assert!(!sandbox.path("runs").exists(), "{transcript}");
    transcript
}

#[test]
fn data_that_cannot_be_learnt_from() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("empty")).unwrap();
    sandbox.draw("one-class", &["only"], [3, 1, 1]);
    sandbox.draw("empty-class", &["a", "b"], [3, 1, 1]);
    fs::create_dir_all(sandbox.path("empty-class/train/c")).unwrap();
    sandbox.draw("unknown-class", &["a", "b"], [3, 1, 1]);
    sandbox.image("unknown-class/val/surprise/1.png", 2, 1);
    sandbox.draw("same-but-case", &["Cat", "cat", "dog"], [3, 1, 1]);
    sandbox.write("a-file.txt", "not a folder");
    for index in 0..3 {
        sandbox.image(&format!("flat/{index}.png"), 0, index);
    }
    let data = [
        "missing",
        "a-file.txt",
        "empty",
        "flat",
        "one-class",
        "empty-class",
        "unknown-class",
        "same-but-case",
    ];
    let transcripts: Vec<_> = data.iter().map(|data| not_trained(&sandbox, data)).collect();
    insta::assert_snapshot!("bad-data", transcripts.join("\n"));
}

#[test]
fn images_that_cannot_be_read() {
    let sandbox = Sandbox::new();
    sandbox.draw("bad", &["a", "b"], [4, 2, 2]);
    let png = sandbox.read("bad/train/a/000.png");
    sandbox.write("bad/train/a/truncated.png", &png[..png.len() / 2]);
    sandbox.write("bad/train/b/empty.jpg", "");
    sandbox.write("bad/test/b/text.jpg", "this is not an image");
    sandbox.write("bad/val/a/bomb.png", huge_png(60_000, 60_000));
    let transcript = not_trained(&sandbox, "bad");
    for name in ["truncated.png", "empty.jpg", "text.jpg", "bomb.png"] {
        assert!(transcript.contains(name), "{name} is not named in\n{transcript}");
    }
    insta::assert_snapshot!("bad-images", transcript);

    let run = sandbox.run(
        &format!(
            "train --data-dir bad --skip-bad-images --epochs 1 --model {}",
            sandbox.model()
        ),
        0,
    );
    assert!(run.stderr.contains("4 unreadable images"), "{}", run.stderr);
}

#[test]
fn folders_that_may_not_be_read() {
    let sandbox = Sandbox::new();
    sandbox.draw("locked", &["a", "b"], [3, 1, 1]);
    let locked = sandbox.path("locked/train/b");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(&locked).is_ok() {
        println!("skipped: this user may read everything");
    } else {
        insta::assert_snapshot!("locked-folder", not_trained(&sandbox, "locked"));
    }
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn places_that_cannot_be_written() {
    let sandbox = Sandbox::new();
    sandbox.draw("data", &["a", "b"], [3, 1, 1]);
    sandbox.write("file", "in the way");
    let model = sandbox.model();
    let train = refused(
        &sandbox,
        &format!("train --data-dir data --epochs 1 --model {model} --output file/runs"),
    );
    let features = refused_without_hint(
        &sandbox,
        &format!("features data --model {model} --output file/f.safetensors"),
    );
    insta::assert_snapshot!("unwritable", [train, features].join("\n"));
    assert_eq!(sandbox.read("file"), b"in the way");
}

/// Some failures of the system speak for themselves.
#[track_caller]
fn refused_without_hint(sandbox: &Sandbox, words: &str) -> String {
    let transcript = sandbox.transcript(words);
    assert!(
        transcript.contains("exit code: 1\n") && transcript.contains("\nerror: "),
        "{transcript}"
    );
    transcript
}

#[test]
fn models_that_cannot_be_used() {
    let sandbox = Sandbox::new();
    sandbox.draw("data", &["a", "b"], [3, 1, 1]);
    let model = sandbox.model();
    let weights = sandbox.read("model/model.safetensors");
    let config = sandbox.read("model/config.json");
    sandbox.write("truncated/model.safetensors", &weights[..weights.len() / 2]);
    sandbox.write("truncated/config.json", &config);
    sandbox.write(
        "text/model.safetensors",
        "not safetensors at all, but long enough to have a header",
    );
    sandbox.write("text/config.json", &config);
    sandbox.write(
        "pointer/model.safetensors",
        "version https://git-lfs.github.com/spec/v1\n",
    );
    sandbox.write("bad-config/model.safetensors", &weights);
    sandbox.write(
        "bad-config/config.json",
        r#"{"architecture": "vit_tny_patch16_224"}"#,
    );
    sandbox.write("weights.pth", [0x80, 2, b'.']);
    sandbox.write("several/a.pth", "");
    sandbox.write("several/b.pth", "");
    let words = [
        format!("train --data-dir data --model {model} --img-size 50"),
        "train --data-dir data --model nothing-here".to_owned(),
        "inspect model truncated".to_owned(),
        "inspect model text".to_owned(),
        "inspect model pointer".to_owned(),
        "inspect model several".to_owned(),
        "inspect model hf-hub:timm/vit_base_patch16_224.mae --offline".to_owned(),
        "inspect model hf-hub:nothing".to_owned(),
        "inspect model vit_giant_patch14_224".to_owned(),
        "inspect model bad-config".to_owned(),
        "inspect model weights.pth".to_owned(),
        "inspect task model/model.safetensors".to_owned(),
        "inspect task nothing-here".to_owned(),
        "inspect task data".to_owned(),
        format!("train --data-dir data --model {model} --method partial-9"),
        format!("train --data-dir data --model {model} --prompt-deep-layers 9"),
    ];
    let transcripts: Vec<_> = words
        .iter()
        .map(|words| refused_without_hint(&sandbox, words))
        .collect();
    assert!(!sandbox.path("runs").exists());
    insta::assert_snapshot!("bad-models", transcripts.join("\n"));
}

#[test]
fn a_task_for_another_backbone() {
    let sandbox = Sandbox::new();
    sandbox.draw("data", &["a", "b"], [3, 1, 2]);
    sandbox.run(
        &format!("train --data-dir data --epochs 1 --model {}", sandbox.model()),
        0,
    );
    let mut weights = sandbox.read("model/model.safetensors");
    let last = weights.len() - 8;
    weights[last] ^= 1;
    sandbox.write("other/model.safetensors", &weights);
    sandbox.write("other/config.json", sandbox.read("model/config.json"));
    let other = refused(&sandbox, "eval runs/train/data --model other");
    fs::rename(sandbox.path("model"), sandbox.path("moved")).unwrap();
    let moved = refused(&sandbox, "eval runs/train/data");
    sandbox.run("eval runs/train/data --model moved", 0);

    let task = sandbox.read("runs/train/data/best.safetensors");
    sandbox.write("truncated.safetensors", &task[..task.len() - 100]);
    let truncated = refused(&sandbox, "eval truncated.safetensors --model moved");
    sandbox.draw("others", &["a", "c"], [3, 1, 2]);
    let classes = refused(&sandbox, "eval runs/train/data --model moved --data-dir others");
    insta::assert_snapshot!("bad-tasks", [other, moved, truncated, classes].join("\n"));
}

#[test]
fn run_folders_that_are_taken() {
    let sandbox = Sandbox::new();
    sandbox.draw("data", &["a", "b"], [3, 1, 1]);
    let train = format!(
        "train --data-dir data --epochs 1 --method linear --model {}",
        sandbox.model()
    );
    sandbox.run(&format!("{train} --experiment mine"), 0);
    let before = sandbox.read("runs/train/mine/best.safetensors");
    let exists = refused(&sandbox, &format!("{train} --name mine"));
    assert_eq!(sandbox.read("runs/train/mine/best.safetensors"), before);
    sandbox.run(&format!("{train} --experiment mine --exist-ok"), 0);

    sandbox.run(&train, 0);
    sandbox.run(&train, 0);
    assert!(sandbox.path("runs/train/data/best.safetensors").is_file());
    assert!(sandbox.path("runs/train/data-2/best.safetensors").is_file());

    let file = fs::File::open(sandbox.path("runs/train/mine/.lock")).unwrap();
    file.lock().unwrap();
    let locked = refused(&sandbox, &format!("{train} --experiment mine --exist-ok"));
    insta::assert_snapshot!("taken-folders", [exists, locked].join("\n"));
    assert!(
        sandbox.path("runs/train/mine/best.safetensors").is_file(),
        "a locked run was touched"
    );
}

#[test]
fn settings_that_cannot_be() {
    let sandbox = Sandbox::new();
    sandbox.draw("data", &["a", "b"], [3, 1, 1]);
    sandbox.write("broken.toml", "lr = ");
    sandbox.write("unknown.toml", "learning_rate = 0.1");
    sandbox.write("range.toml", "lr = -1.0");
    sandbox.write("type.toml", "epochs = \"many\"");
    let words = [
        "missing.toml",
        "broken.toml",
        "unknown.toml",
        "range.toml",
        "type.toml",
    ];
    let transcripts: Vec<_> = words
        .iter()
        .map(|file| refused_without_hint(&sandbox, &format!("train --data-dir data -c {file}")))
        .collect();
    let metric = refused_without_hint(&sandbox, "train --data-dir data --eval-metric top5");
    let warmup = refused_without_hint(&sandbox, "train --data-dir data --epochs 2 --warmup-epochs 3");
    assert!(!sandbox.path("runs").exists());
    insta::assert_snapshot!(
        "bad-settings",
        [transcripts.join("\n"), metric, warmup].join("\n")
    );
}

/// A PNG whose header promises more pixels than anyone should decode.
fn huge_png(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for chunk in [&header[..], b"IDAT\x78\x9c\x03\x00\x00\x00\x00\x01", b"IEND"] {
        png.extend((chunk.len() as u32 - 4).to_be_bytes());
        png.extend(chunk);
        png.extend(crc32(chunk).to_be_bytes());
    }
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

#[test]
fn predict_may_go_on_without_bad_images() {
    let sandbox = Sandbox::new();
    crate::end_to_end::trained(&sandbox, "--method linear");
    let png = sandbox.read("pets/test/ant/000.png");
    sandbox.write("mixed/1.png", &png);
    sandbox.write("mixed/2.png", &png[..png.len() / 2]);
    sandbox.write("mixed/3.png", "this is not an image");
    sandbox.write("mixed/4.png", &png);
    let stopped = sandbox.run("predict runs/train/pets mixed --json", 1);
    assert!(
        stopped.stderr.contains("error:")
            && stopped.stderr.contains("2.png")
            && stopped.stderr.contains("--skip-bad-images"),
        "{}",
        stopped.stderr
    );
    let went_on = sandbox.run("predict runs/train/pets mixed --json --skip-bad-images", 0);
    assert_eq!(
        (stopped.stdout, 2),
        (went_on.stdout.clone(), went_on.stdout.lines().count())
    );
    for said in ["2.png", "3.png", "skipped 2 of 4 images"] {
        assert!(went_on.stderr.contains(said), "{said}: {}", went_on.stderr);
    }
    assert!(!went_on.stderr.contains("error:"), "{}", went_on.stderr);
    let none = sandbox
        .run("predict runs/train/pets mixed/3.png --skip-bad-images", 1)
        .stderr;
    assert!(none.contains("1 of 1 images could not be read"), "{none}");
}
