//! Task files: what they may hold, what they include, and what is said about mistakes.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;
use vpt_data::{DataError, OpenOptions, TaskKind, TaskSpec};

/// Writes files and loads the first.
fn load(files: &[(&str, &str)]) -> (TempDir, Result<TaskSpec, DataError>) {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let spec = TaskSpec::load(&folder.path().join(files[0].0));
    (folder, spec)
}

fn error(files: &[(&str, &str)]) -> String {
    let (folder, spec) = load(files);
    spec.unwrap_err()
        .to_string()
        .replace(&*folder.path().to_string_lossy(), "ROOT")
}

#[test]
fn all_keys() {
    let (folder, spec) = load(&[(
        "brain.toml",
        r#"
            name = "brain-mri"
            kind = "classification"
            data_dir = "../data/brain"
            classes = ["none", "glioma"]
            description = "MRI slices"
            source = "https://example.org"
            licence = "CC0-1.0"
            citation = "A. Author, 2020"
            metric = "balanced_accuracy"
            [train]
            epochs = 30
        "#,
    )]);
    let spec = spec.unwrap();
    assert_eq!(
        (&*spec.name, spec.kind),
        ("brain-mri", Some(TaskKind::Classification))
    );
    assert_eq!(spec.data_dir, folder.path().join("../data/brain"));
    assert_eq!(spec.classes.unwrap(), ["none", "glioma"]);
    assert_eq!(spec.metric.as_deref(), Some("balanced_accuracy"));
    assert_eq!(spec.train["epochs"].as_integer(), Some(30));
}

#[test]
fn only_the_folder_is_needed() {
    let (_folder, spec) = load(&[("flowers.toml", "data_dir = '/data/flowers'")]);
    let spec = spec.unwrap();
    assert_eq!(
        (&*spec.name, spec.data_dir),
        ("flowers", PathBuf::from("/data/flowers"))
    );
}

#[test]
fn includes_fill_in_what_is_absent() {
    let (folder, spec) = load(&[
        (
            "task.toml",
            "include = ['shared/a.toml', 'b.toml']\nmetric = 'auroc'\n[train]\nepochs = 5",
        ),
        (
            "shared/a.toml",
            "data_dir = 'images'\nmetric = 'top1'\nlicence = 'MIT'",
        ),
        (
            "b.toml",
            "include = 'c.toml'\nlicence = 'CC0'\n[train]\nepochs = 9\nlr = 0.1",
        ),
        ("c.toml", "source = 'somewhere'\nlicence = 'none'"),
    ]);
    let spec = spec.unwrap();
    assert_eq!(spec.metric.as_deref(), Some("auroc"), "a file's own key wins");
    assert_eq!(spec.licence.as_deref(), Some("CC0"), "then the last include");
    assert_eq!(spec.source.as_deref(), Some("somewhere"));
    assert_eq!(
        spec.data_dir,
        folder.path().join("shared").join("images"),
        "relative to the file that says it"
    );
    assert_eq!(spec.train["epochs"].as_integer(), Some(5));
    assert_eq!(spec.train["lr"].as_float(), Some(0.1));
}

#[test]
fn mistakes_are_named_with_their_line() {
    assert_eq!(
        error(&[("a.toml", "name = 'x'")]),
        "ROOT/a.toml: the key `data_dir` is missing"
    );
    let unknown = error(&[("a.toml", "data_dir = 'x'\n\nmetrik = 'top1'")]);
    assert!(
        unknown.starts_with("ROOT/a.toml:3: unknown field `metrik`, expected one of `include`, "),
        "{unknown}"
    );
    assert!(unknown.ends_with(", in `metrik = 'top1'`"), "{unknown}");
    let kind = error(&[("a.toml", "data_dir = 'x'\nkind = 'detektion'")]);
    assert_eq!(
        kind,
        "ROOT/a.toml:2: unknown variant `detektion`, expected one of `classification`, `ordinal`, `multi-label`, `detection`, `segmentation`, in `kind = 'detektion'`"
    );
    let number = error(&[("a.toml", "data_dir = 7")]);
    assert!(
        number.starts_with("ROOT/a.toml:1: invalid type: integer `7`, expected"),
        "{number}"
    );
    let syntax = error(&[("a.toml", "data_dir = 'x'\nname = ")]);
    assert!(syntax.starts_with("ROOT/a.toml:2: "), "{syntax}");
    let twice = error(&[("a.toml", "data_dir = 'x'\nclasses = ['a', 'b', 'a']")]);
    assert_eq!(twice, "ROOT/a.toml:2: `classes` names `a` twice");
    assert_eq!(
        error(&[("a.toml", "data_dir = 'x'\nclasses = ['a']")]),
        "ROOT/a.toml:2: `classes` has 1 name, expected at least 2"
    );
    let (_folder, spec) = load(&[("a.toml", "")]);
    assert!(spec.unwrap_err().hint().unwrap().contains("`datasets/`"));
}

#[test]
fn circles_and_gaps_in_includes() {
    let circle = error(&[
        ("a.toml", "data_dir = 'x'\ninclude = 'sub/b.toml'"),
        ("sub/b.toml", "include = '../a.toml'"),
    ]);
    assert_eq!(
        circle,
        "ROOT/sub/b.toml:1: `include` of `ROOT/sub/../a.toml` leads back to itself"
    );
    let itself = error(&[("a.toml", "data_dir = 'x'\ninclude = ['a.toml']")]);
    assert_eq!(
        itself,
        "ROOT/a.toml:2: `include` of `ROOT/a.toml` leads back to itself"
    );
    let gap = error(&[("a.toml", "include = 'absent.toml'")]);
    assert_eq!(
        gap,
        "ROOT/a.toml:1: `include` of `ROOT/absent.toml`: no such file"
    );
    // The same file twice is no circle.
    let diamond = [
        ("a.toml", "include = ['b.toml', 'c.toml']"),
        ("b.toml", "include = 'd.toml'"),
    ];
    let (_folder, spec) = load(&[
        diamond[0],
        diamond[1],
        ("c.toml", "include = 'd.toml'"),
        ("d.toml", "data_dir = 'x'"),
    ]);
    assert!(spec.is_ok());
}

#[test]
fn tasks_are_found_by_name_or_path() {
    let (folder, spec) = load(&[
        ("one.toml", "data_dir = 'x'"),
        ("two.toml", "data_dir = 'y'"),
        ("note.md", ""),
    ]);
    let spec = spec.unwrap();
    let folders = [folder.path().join("absent"), folder.path().to_path_buf()];
    assert_eq!(TaskSpec::find("one", &folders).unwrap(), spec);
    assert_eq!(
        TaskSpec::find(&folder.path().join("one.toml").to_string_lossy(), &[]).unwrap(),
        spec
    );
    assert_eq!(TaskSpec::list(&folders), ["one", "two"]);
    let error = TaskSpec::find("three", &folders[1..]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("no task `three` in `{}`", folder.path().display())
    );
    assert_eq!(
        error.hint().unwrap(),
        "known tasks: one, two; or give the path of a .toml file"
    );
    let error = TaskSpec::find("three", &[]).unwrap_err();
    assert_eq!(error.to_string(), "no task `three`");
    assert!(TaskSpec::find("../one", &folders[1..]).is_err());
    let error = TaskSpec::find("absent.toml", &folders).unwrap_err();
    assert_eq!(error.to_string(), "`absent.toml` does not exist");
}

#[test]
fn opening_a_task_orders_its_classes() {
    let (folder, spec) = load(&[("grades.toml", "data_dir = 'images'\nclasses = ['mild', 'bad']")]);
    for class in ["bad", "mild"] {
        for i in 0..3 {
            let path = folder.path().join(format!("images/{class}/{i}.png"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            image::RgbImage::new(2, 2).save(path).unwrap();
        }
    }
    let dataset = spec.unwrap().open(&OpenOptions::default()).unwrap();
    assert_eq!(
        (&*dataset.name, dataset.classes),
        ("grades", vec!["mild".to_owned(), "bad".to_owned()])
    );
    assert!(
        dataset
            .train
            .iter()
            .all(|sample| sample.label.has(1) == sample.path.to_string_lossy().contains("bad"))
    );
}
