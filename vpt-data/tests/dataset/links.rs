//! Links and permissions.

use crate::folder::{Folder, images};
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn links_to_folders_and_files_are_followed() {
    let elsewhere = Folder::with(images("dogs", 3));
    let folder = Folder::with(images("cats", 3));
    symlink(elsewhere.path().join("dogs"), folder.path().join("dogs")).unwrap();
    symlink(
        elsewhere.path().join("dogs/0.png"),
        folder.path().join("cats/linked.png"),
    )
    .unwrap();
    let dataset = folder.open().unwrap();
    assert_eq!(dataset.classes, ["cats", "dogs"]);
    assert_eq!(dataset.train.len() + dataset.val.len() + dataset.test.len(), 7);
}

#[test]
fn a_link_back_is_an_error() {
    let folder = Folder::with([images("a", 3), images("b/deep", 3)].concat());
    symlink(folder.path(), folder.path().join("b/deep/back")).unwrap();
    let (message, hint) = folder.error();
    assert_eq!(message, "link `ROOT/b/deep/back` leads back to a folder above it");
    assert_eq!(hint, "remove the link");
}

#[test]
fn two_links_to_each_other_are_an_error() {
    let folder = Folder::with([images("a", 3), images("b", 3)].concat());
    symlink(folder.path().join("b"), folder.path().join("a/to_b")).unwrap();
    symlink(folder.path().join("a"), folder.path().join("b/to_a")).unwrap();
    assert_eq!(
        folder.error().0,
        "link `ROOT/a/to_b/to_a` leads back to a folder above it"
    );
}

#[test]
fn a_class_folder_on_an_absent_disk_is_an_error() {
    let folder = Folder::with([images("a", 3), images("b", 3)].concat());
    symlink("/absent/disk", folder.path().join("c")).unwrap();
    let (message, hint) = folder.error();
    assert_eq!(message, "`ROOT/c` is a link to something that does not exist");
    assert!(hint.contains("mounted"));
}

#[test]
fn an_image_on_an_absent_disk_is_listed() {
    let folder = Folder::with([images("a", 3), images("b", 3)].concat());
    symlink("/absent/disk/1.png", folder.path().join("a/far.png")).unwrap();
    symlink("loop.png", folder.path().join("a/loop.png")).unwrap();
    let (message, _) = folder.error();
    assert!(message.starts_with("2 of 8 images cannot be read:"), "{message}");
    assert!(
        message.contains("`ROOT/a/far.png`: a link to something that does not exist"),
        "{message}"
    );
}

/// As root every folder is open, so that this only tests something for other users.
#[test]
fn a_folder_without_permission_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::with([images("a", 3), images("b", 3)].concat());
    let shut = folder.path().join("b");
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o000)).unwrap();
    let refused = fs::read_dir(&shut).is_err();
    let opened = folder.open();
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o755)).unwrap();
    if refused {
        assert_eq!(
            folder.explain(&opened.unwrap_err()).0,
            "no permission to read `ROOT/b`"
        );
    }
}
