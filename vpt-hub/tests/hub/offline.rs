//! Without a network, by wish or by accident.

use std::fs;
use std::net::TcpListener;

use vpt_hub::{HubError, RepoId};

use crate::fake_hub::*;

/// An address at which nothing listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn offline_uses_the_cache_and_asks_nobody() {
    let server = FakeHub::new();
    let client = Client::of(&server);
    let online = client.fetch().unwrap();
    let before = server.requests().len();
    let offline = fetch(&client.hub.clone().with_offline(true), "org/name").unwrap();
    assert_eq!(server.requests().len(), before);
    assert_eq!(
        (&offline.folder, &offline.commit),
        (&online.folder, &online.commit)
    );
    assert_eq!(
        offline.files,
        ["config.json", "extra/deep/note 1.txt", "model.safetensors"]
    );
    assert!(offline.from_cache_only && offline.note.is_none() && offline.downloaded.is_empty());

    let commit = format!("org/name@{COMMIT}");
    let pinned = fetch(&client.hub.clone().with_offline(true), &commit).unwrap();
    assert_eq!(pinned.folder, online.folder);
}

#[test]
fn offline_without_the_files_says_so() {
    let server = FakeHub::new();
    let client = Client::of(&server);
    let hub = client.hub.clone().with_offline(true);
    let check = |error: HubError| {
        assert!(matches!(error, HubError::NotCached { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("org/name") && text.contains("offline"), "{text}");
        assert!(
            text.contains(&client.cache.path().display().to_string()),
            "{text}"
        );
    };
    check(fetch(&hub, "org/name").unwrap_err());
    assert_eq!(entries(client.cache.path()), [""; 0]);

    let id: RepoId = "org/name".parse().unwrap();
    let config = |_: &[vpt_hub::RepoFile]| vec!["config.json".to_owned()];
    client.hub.snapshot(&id, config, &mut |_| ()).unwrap();
    let model = |_: &[vpt_hub::RepoFile]| vec!["model.safetensors".to_owned()];
    check(hub.snapshot(&id, model, &mut |_| ()).unwrap_err());
    check(hub.snapshot(&id, |_| Vec::new(), &mut |_| ()).unwrap_err());
    check(fetch(&hub, "org/name@other").unwrap_err());
}

#[test]
fn a_link_without_its_blob_is_not_a_file() {
    let server = FakeHub::new();
    let client = Client::of(&server);
    let folder = client.fetch().unwrap().folder;
    fs::remove_file(client.blob(&sha256(&weights()))).unwrap();
    if folder.join("model.safetensors").exists() {
        return; // A copy, where links are not possible.
    }
    let files = fetch(&client.hub.clone().with_offline(true), "org/name")
        .unwrap()
        .files;
    assert_eq!(files, ["config.json", "extra/deep/note 1.txt"]);
    assert_eq!(client.fetch().unwrap().downloaded, ["model.safetensors"]);
}

#[test]
fn a_hub_out_of_reach_is_replaced_by_the_cache_with_a_note() {
    let server = FakeHub::new();
    let client = Client::of(&server);
    let online = client.fetch().unwrap();
    let lost = client.hub.clone().with_endpoint(nowhere());
    let snapshot = fetch(&lost, "org/name").unwrap();
    assert_eq!(snapshot.folder, online.folder);
    assert!(snapshot.from_cache_only);
    let note = snapshot.note.unwrap();
    assert!(
        note.contains("does not answer") && note.contains("newer"),
        "{note}"
    );

    server.always(LIST, Trick::Status(503));
    assert!(client.fetch().unwrap().note.unwrap().contains("503"));
    server.always(LIST, Trick::Status(404));
    client.fetch().unwrap_err();
}

#[test]
fn a_hub_out_of_reach_without_a_cache_is_an_error() {
    let address = nowhere();
    let error = Client::at(&address).fetch().unwrap_err();
    assert!(matches!(error, HubError::Network { .. }), "{error}");
    assert!(error.to_string().contains(&address), "{error}");
    let hint = error.hint().unwrap();
    for word in ["--offline", "HF_ENDPOINT", "HTTPS_PROXY"] {
        assert!(hint.contains(word), "{hint}");
    }
}
