//! The house rules of ARCHITECTURE.md, checked against the sources themselves.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each crate and the crates of this workspace it may depend on.
const LAYERS: &[(&str, &[&str])] = &[
    ("vpt-data", &[]),
    ("vpt-hub", &[]),
    ("vpt-core", &["vpt-data", "vpt-hub"]),
    ("vpt-eval", &["vpt-core", "vpt-data", "vpt-hub"]),
    ("vpt-serve", &["vpt-core", "vpt-data", "vpt-eval"]),
    ("vpt-train", &["vpt-core", "vpt-data", "vpt-eval", "vpt-hub"]),
];

/// Words that must not occur in the code of a crate, each with the reason.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    (
        "vpt-data",
        &["burn::", "clap::"],
        "vpt-data knows files and images, not models or flags",
    ),
    (
        "vpt-hub",
        &["burn::", "clap::", "indicatif::"],
        "vpt-hub knows repositories and the cache, not models or flags; it reports through a closure",
    ),
    (
        "vpt-core",
        &["clap::", "indicatif::", "burn::optim"],
        "vpt-core knows models, not training or flags",
    ),
    (
        "vpt-eval",
        &["clap::", "burn::optim", "indicatif::"],
        "vpt-eval knows predictions, not optimisers or flags",
    ),
    (
        "vpt-serve",
        &["clap::", "indicatif::", "burn::optim"],
        "vpt-serve answers over HTTP, it knows neither flags nor training",
    ),
    (
        "vpt-train",
        &["clap::", "indicatif::"],
        "vpt-train reports through its observer, it prints nothing",
    ),
];

const NAMES_TO_AVOID: &[&str] = &[
    "utils.rs",
    "util.rs",
    "helpers.rs",
    "helper.rs",
    "base.rs",
    "manager.rs",
    "common.rs",
];

/// The folders that hold this project's sources.
const SOURCES: [&str; 7] = [
    "vpt-data/src",
    "vpt-hub/src",
    "vpt-core/src",
    "vpt-eval/src",
    "vpt-serve/src",
    "vpt-train/src",
    "src",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Source files below `dir` with comments removed.
fn sources(dir: &str) -> BTreeMap<PathBuf, String> {
    let mut files = Vec::new();
    rust_files(&root().join(dir), &mut files);
    assert!(!files.is_empty(), "no sources below {dir}");
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = text
                .lines()
                .map(|l| l.split("//").next().unwrap_or(""))
                .collect::<Vec<_>>()
                .join("\n");
            (path, code)
        })
        .collect()
}

#[test]
fn crates_depend_only_on_the_layers_below() {
    for (name, allowed) in LAYERS {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let dependencies = manifest
            .split("[dependencies]")
            .nth(1)
            .unwrap()
            .split("\n[")
            .next()
            .unwrap();
        for (other, _) in LAYERS {
            let depends = dependencies
                .lines()
                .any(|l| l.starts_with(&format!("{other}.")) || l.starts_with(&format!("{other} ")));
            assert!(
                !depends || allowed.contains(other),
                "`{name}` must not depend on `{other}`"
            );
        }
    }
}

#[test]
fn layers_do_not_know_what_is_not_theirs() {
    for (name, words, why) in FORBIDDEN {
        for (path, code) in sources(&format!("{name}/src")) {
            for word in *words {
                assert!(!code.contains(word), "{}: `{word}`: {why}", path.display());
            }
        }
    }
}

#[test]
fn only_the_output_module_prints() {
    for dir in SOURCES {
        for (path, code) in sources(dir) {
            // Tests may say that they are skipped.
            if path.ends_with("src/output.rs") || path.ends_with("tests.rs") {
                continue;
            }
            let library = code.split("#[cfg(test)]").next().unwrap_or("");
            for word in ["println!", "print!(", "eprint!(", "dbg!("] {
                assert!(
                    !library.contains(word),
                    "{} prints with `{word}`; use src/output.rs",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn files_are_named_after_what_they_hold() {
    for dir in SOURCES {
        for path in sources(dir).keys() {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(
                !NAMES_TO_AVOID.contains(&name),
                "{}: name the file after its main type",
                path.display()
            );
        }
    }
}

#[test]
fn unsafe_code_stands_only_in_named_modules_with_a_reason() {
    for dir in SOURCES {
        let mut files = Vec::new();
        rust_files(&root().join(dir), &mut files);
        for path in files {
            let text = fs::read_to_string(&path).unwrap();
            let blocks = text.matches("unsafe {").count();
            let reasons = text.matches("SAFETY:").count();
            assert!(
                reasons >= blocks,
                "{}: {blocks} unsafe blocks, {reasons} `SAFETY:` comments",
                path.display()
            );
        }
    }
}
