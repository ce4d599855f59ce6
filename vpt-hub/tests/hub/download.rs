//! Downloads that go well, and those that do so at last.

use std::fs;

use vpt_hub::{HubError, RepoId};

use crate::fake_hub::*;

#[test]
fn files_are_laid_out_as_python_does_and_fetched_once() {
    let server = FakeHub::new();
    let client = Client::of(&server);
    let snapshot = client.fetch().unwrap();
    assert_eq!(snapshot.commit, COMMIT);
    assert_eq!(snapshot.folder, client.folder().join("snapshots").join(COMMIT));
    assert_eq!(
        snapshot.files,
        ["model.safetensors", "config.json", "extra/deep/note 1.txt"]
    );
    assert_eq!(snapshot.downloaded, snapshot.files);
    assert!(!snapshot.from_cache_only && snapshot.note.is_none());

    assert_eq!(
        fs::read(snapshot.folder.join("model.safetensors")).unwrap(),
        weights()
    );
    assert_eq!(fs::read(snapshot.folder.join("config.json")).unwrap(), CONFIG);
    assert_eq!(
        fs::read(snapshot.folder.join("extra/deep/note 1.txt")).unwrap(),
        b""
    );
    assert_eq!(
        fs::read_to_string(client.folder().join("refs/main")).unwrap(),
        COMMIT
    );
    let mut hashes = vec![sha256(&weights()), git_sha1(CONFIG), git_sha1(b"")];
    hashes.sort();
    assert_eq!(entries(&client.folder().join("blobs")), hashes);
    let locks = entries(&client.cache.path().join(".locks/models--org--name"));
    assert_eq!(
        locks,
        hashes
            .iter()
            .map(|hash| format!("{hash}.lock"))
            .collect::<Vec<_>>()
    );

    let before = server.requests().len();
    let again = client.fetch().unwrap();
    assert_eq!(again.folder, snapshot.folder);
    assert_eq!(again.downloaded, [""; 0]);
    assert_eq!(server.requests().len(), before + 1, "the list, nothing else");
}

#[cfg(unix)]
#[test]
fn links_are_relative_so_that_the_cache_can_be_moved() {
    let server = FakeHub::new();
    let client = Client::of(&server);
    let folder = client.fetch().unwrap().folder;
    let target = |file: &str| {
        fs::read_link(folder.join(file))
            .unwrap()
            .into_os_string()
            .into_string()
            .unwrap()
    };
    assert_eq!(target("config.json"), format!("../../blobs/{}", git_sha1(CONFIG)));
    assert_eq!(
        target("extra/deep/note 1.txt"),
        format!("../../../../blobs/{}", git_sha1(b""))
    );
}

#[test]
fn only_chosen_files_are_fetched_and_progress_is_told() {
    let server = FakeHub::new();
    let client = Client::of(&server);
    let id: RepoId = "org/name".parse().unwrap();
    let mut told = Vec::new();
    let choose = |files: &[vpt_hub::RepoFile]| {
        assert_eq!(
            files.iter().map(|file| file.size).collect::<Vec<_>>(),
            [400_000, CONFIG.len() as u64, 0]
        );
        vec!["model.safetensors".to_owned(), "model.safetensors".to_owned()]
    };
    let snapshot = client
        .hub
        .snapshot(&id, choose, &mut |progress| {
            assert_eq!((progress.file, progress.total), ("model.safetensors", 400_000));
            told.push(progress.received);
        })
        .unwrap();
    assert_eq!(snapshot.files, ["model.safetensors"]);
    assert_eq!(entries(&snapshot.folder), ["model.safetensors"]);
    assert_eq!((told.first(), told.last()), (Some(&0), Some(&400_000)));
    assert!(told.is_sorted());
}

#[test]
fn a_choice_of_nothing_or_of_what_is_not_there_is_an_error() {
    let server = FakeHub::new();
    let client = Client::of(&server);
    let id: RepoId = "org/name".parse().unwrap();
    let error = client.hub.snapshot(&id, |_| Vec::new(), &mut |_| ()).unwrap_err();
    assert!(matches!(error, HubError::NoSuitableFile { .. }));
    assert!(error.to_string().contains("`config.json`"), "{error}");
    let error = client
        .hub
        .snapshot(&id, |_| vec!["../../x".into()], &mut |_| ())
        .unwrap_err();
    assert!(matches!(error, HubError::NoSuchFile { .. }));
    assert!(!client.folder().exists());
}

#[test]
fn a_revision_is_asked_for_and_remembered() {
    let server = FakeHub::new();
    let list = serde_json::json!({"sha": COMMIT, "siblings": [
        {"rfilename": "config.json", "size": CONFIG.len(), "blobId": git_sha1(CONFIG)}]});
    for revision in ["refs%2Fpr%2F1", COMMIT] {
        let path = format!("/api/models/org/name/revision/{revision}?blobs=true");
        server.put(&path, list.to_string());
    }
    let client = Client::of(&server);
    fetch(&client.hub, "hf-hub:org/name@refs/pr/1").unwrap();
    let remembered = fs::read_to_string(client.folder().join("refs/refs/pr/1")).unwrap();
    assert_eq!(remembered, COMMIT);
    fetch(&client.hub, &format!("org/name@{COMMIT}")).unwrap();
    assert_eq!(
        entries(&client.folder().join("refs")),
        ["refs"],
        "a commit stands for itself"
    );
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let server = FakeHub::new();
    let path = resolve("model.safetensors");
    server.trick(&path, [Trick::Cut(150_000), Trick::Cut(70_000)]);
    let client = Client::of(&server);
    let snapshot = client.fetch().unwrap();
    assert_eq!(
        fs::read(snapshot.folder.join("model.safetensors")).unwrap(),
        weights()
    );
    let requests = server.requests_for(&path);
    let ranges: Vec<_> = requests.iter().map(|request| request.header("range")).collect();
    assert_eq!(ranges, [None, Some("bytes=150000-"), Some("bytes=220000-")]);
}

#[test]
fn a_later_run_goes_on_where_an_earlier_one_was_stopped() {
    let server = FakeHub::new();
    let path = resolve("model.safetensors");
    server.trick(&path, [Trick::Cut(1000), Trick::Status(503), Trick::Status(503)]);
    let client = Client::of(&server);
    client.fetch().unwrap_err();
    assert_eq!(fs::metadata(client.incomplete()).unwrap().len(), 1000);
    assert!(!client.folder().join("snapshots").exists() && !client.folder().join("refs").exists());
    client.fetch().unwrap();
    assert!(!client.incomplete().exists());
    let last = server.requests_for(&path).pop().unwrap();
    assert_eq!(last.header("range"), Some("bytes=1000-"));
}

#[test]
fn servers_that_cannot_go_on_start_over() {
    for trick in [Trick::Whole, Trick::Status(416), Trick::WrongPart] {
        let server = FakeHub::new();
        server.trick(&resolve("model.safetensors"), [trick.clone()]);
        let client = Client::of(&server);
        client.leave(&weights()[..1000]);
        let snapshot = client.fetch().unwrap();
        let read = fs::read(snapshot.folder.join("model.safetensors")).unwrap();
        assert_eq!(read, weights(), "{trick:?}");
    }
}

#[test]
fn what_was_left_behind_is_checked_before_it_is_used() {
    for (left, requests) in [
        (weights(), 0),
        (vec![1; 1000], 2),
        (vec![1; 400_000], 1),
        (vec![1; 400_001], 1),
    ] {
        let server = FakeHub::new();
        let client = Client::of(&server);
        client.leave(&left);
        let snapshot = client.fetch().unwrap();
        assert_eq!(
            fs::read(snapshot.folder.join("model.safetensors")).unwrap(),
            weights()
        );
        let made = server.requests_for(&resolve("model.safetensors")).len();
        assert_eq!(made, requests, "{} bytes were left", left.len());
    }
}

#[test]
fn busy_servers_and_silent_ones_are_asked_again() {
    let server = FakeHub::new();
    server.trick(LIST, [Trick::Status(500), Trick::Status(429)]);
    server.trick(&resolve("config.json"), [Trick::Silent, Trick::Status(502)]);
    let mut client = Client::of(&server);
    let second = std::time::Duration::from_secs(1);
    client.hub = client.hub.with_timeouts(second, second / 10);
    client.fetch().unwrap();
    assert_eq!(server.requests_for(LIST).len(), 3);
    assert_eq!(server.requests_for(&resolve("config.json")).len(), 3);
}

#[test]
fn damaged_files_in_the_cache_are_replaced() {
    let server = FakeHub::new();
    let client = Client::of(&server);
    let snapshot = client.fetch().unwrap();
    fs::write(client.blob(&sha256(&weights())), b"cut off").unwrap();
    fs::remove_file(snapshot.folder.join("config.json")).unwrap();
    fs::write(snapshot.folder.join("config.json"), b"cut off").unwrap();
    let again = client.fetch().unwrap();
    assert_eq!(again.downloaded, ["model.safetensors"]);
    assert_eq!(
        fs::read(again.folder.join("model.safetensors")).unwrap(),
        weights()
    );
    assert_eq!(fs::read(again.folder.join("config.json")).unwrap(), CONFIG);
}

#[test]
fn copies_instead_of_links_are_enough() {
    let server = FakeHub::new();
    let client = Client::of(&server);
    let folder = client.folder().join("snapshots").join(COMMIT);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("model.safetensors"), weights()).unwrap();
    let snapshot = client.fetch().unwrap();
    assert_eq!(snapshot.downloaded, ["config.json", "extra/deep/note 1.txt"]);
}
