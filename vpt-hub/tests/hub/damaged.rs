//! Servers whose bytes or lists must not be trusted.

use std::fs;

use serde_json::json;
use vpt_hub::HubError;

use crate::fake_hub::*;

/// Nothing may be left under a final name, in a snapshot or as a revision.
fn assert_nothing_final(client: &Client) {
    assert!(!client.blob(&sha256(&weights())).exists());
    assert_eq!(entries(&client.folder().join("snapshots")), [""; 0]);
    assert_eq!(entries(&client.folder().join("refs")), [""; 0]);
}

#[test]
fn wrong_bytes_are_an_error_after_a_few_attempts() {
    let server = FakeHub::new();
    let path = resolve("model.safetensors");
    let wrong = vec![0; weights().len()];
    server.always(&path, Trick::Bytes(wrong.clone()));
    let client = Client::of(&server);
    let error = client.fetch().unwrap_err();
    assert!(matches!(error, HubError::WrongHash { .. }));
    let text = error.to_string();
    assert!(text.contains("`model.safetensors`"), "{text}");
    assert!(
        text.contains(&sha256(&weights())) && text.contains(&sha256(&wrong)),
        "{text}"
    );
    assert_eq!(server.requests_for(&path).len(), 3);
    assert_nothing_final(&client);
    assert!(!client.incomplete().exists());
}

#[test]
fn plain_files_are_checked_too() {
    let server = FakeHub::new();
    let mut wrong = CONFIG.to_vec();
    wrong[3] ^= 1;
    server.trick(&resolve("config.json"), [Trick::Bytes(wrong)]);
    let client = Client::of(&server);
    let folder = client.fetch().unwrap().folder;
    assert_eq!(fs::read(folder.join("config.json")).unwrap(), CONFIG);
    assert_eq!(server.requests_for(&resolve("config.json")).len(), 2);
}

#[test]
fn announced_lengths_that_are_too_long_are_refused_at_once() {
    let server = FakeHub::new();
    let path = resolve("model.safetensors");
    server.always(&path, Trick::Length(400_001));
    let client = Client::of(&server);
    let error = client.fetch().unwrap_err();
    assert!(
        matches!(
            error,
            HubError::WrongLength {
                expected: 400_000,
                found: 400_001,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(server.requests_for(&path).len(), 1);
    assert_nothing_final(&client);
}

#[test]
fn announced_lengths_that_are_too_short_cost_another_request() {
    let server = FakeHub::new();
    let path = resolve("model.safetensors");
    server.trick(&path, [Trick::Length(300_000)]);
    let client = Client::of(&server);
    client.fetch().unwrap();
    assert_eq!(
        server.requests_for(&path)[1].header("range"),
        Some("bytes=300000-")
    );

    let server = FakeHub::new();
    server.always(&path, Trick::Length(300_000));
    let client = Client::of(&server);
    let error = client.fetch().unwrap_err();
    assert!(
        matches!(error, HubError::WrongLength { found: 300_000, .. }),
        "{error}"
    );
    assert_nothing_final(&client);
}

#[test]
fn bodies_without_an_end_are_stopped() {
    let server = FakeHub::new();
    server.always(&resolve("model.safetensors"), Trick::Endless);
    let client = Client::of(&server);
    let error = client.fetch().unwrap_err();
    assert!(matches!(error, HubError::WrongLength { .. }), "{error}");
    assert!(error.to_string().ends_with("or more"), "{error}");
    assert_nothing_final(&client);
    assert!(!client.incomplete().exists());

    let server = FakeHub::new();
    server.always(LIST, Trick::Endless);
    let error = Client::of(&server).fetch().unwrap_err();
    assert!(error.to_string().contains("longer than 16 MiB"), "{error}");
}

#[test]
fn names_that_lead_out_of_the_cache_are_refused() {
    for name in ["../../x", "/etc/x", "a/../../x", "a\\x", "a\0x", ""] {
        let server = FakeHub::empty();
        server.list(&json!([
            {"rfilename": "config.json", "size": CONFIG.len(), "blobId": git_sha1(CONFIG)},
            {"rfilename": name, "size": 1, "blobId": git_sha1(b"x")},
        ]));
        let client = Client::of(&server);
        let error = client.fetch().unwrap_err();
        assert!(matches!(error, HubError::UnsafeName { .. }), "{name:?}: {error}");
        assert_eq!(entries(client.cache.path()), [""; 0]);
    }
}

#[test]
fn answers_of_something_else_than_a_hub_are_named() {
    for garbage in [
        "<!doctype html><title>Log in</title>",
        "{",
        "[]",
        "{\"sha\": 3}",
        "{\"sha\": \"../../x\", \"siblings\": []}",
    ] {
        let server = FakeHub::empty();
        server.put(LIST, garbage);
        let error = Client::of(&server).fetch().unwrap_err();
        assert!(matches!(error, HubError::BadAnswer { .. }), "{garbage}: {error}");
        assert!(error.to_string().contains("/api/models/org/name"), "{error}");
        assert!(error.hint().unwrap().contains("HF_ENDPOINT"));
    }
}
