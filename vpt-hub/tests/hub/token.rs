//! Who gets the token.

use std::fs;

use vpt_hub::HubError;

use crate::fake_hub::*;

#[test]
fn the_token_goes_to_the_endpoint_and_nowhere_else() {
    let (server, other) = (FakeHub::new(), FakeHub::empty());
    let path = resolve("model.safetensors");
    other.put("/signed?Signature=abc", weights());
    server.always(
        &path,
        Trick::Redirect(format!("{}/signed?Signature=abc", other.address)),
    );
    let mut client = Client::of(&server);
    client.hub = client.hub.with_token("hf_secret");
    other.trick("/signed?Signature=abc", [Trick::Cut(1000)]);
    let snapshot = client.fetch().unwrap();
    assert_eq!(
        fs::read(snapshot.folder.join("model.safetensors")).unwrap(),
        weights()
    );

    assert!(server.requests().len() >= 5);
    for request in server.requests() {
        assert_eq!(
            request.header("authorization"),
            Some("Bearer hf_secret"),
            "{}",
            request.path
        );
    }
    assert_eq!(other.requests().len(), 2);
    for request in other.requests() {
        assert_eq!(request.header("authorization"), None);
    }
    assert_eq!(other.requests()[1].header("range"), Some("bytes=1000-"));
}

#[test]
fn the_same_host_under_another_name_is_another_host() {
    let server = FakeHub::new();
    let port = server.address.rsplit(':').next().unwrap();
    server.put("/elsewhere", CONFIG);
    server.always(
        &resolve("config.json"),
        Trick::Redirect(format!("http://localhost:{port}/elsewhere")),
    );
    let mut client = Client::of(&server);
    client.hub = client.hub.with_token("hf_secret");
    client.fetch().unwrap();
    assert_eq!(server.requests_for("/elsewhere")[0].header("authorization"), None);
}

#[test]
fn a_redirect_on_the_endpoint_keeps_the_token() {
    let server = FakeHub::new();
    server.put("/api/resolve-cache/x", CONFIG);
    server.always(
        &resolve("config.json"),
        Trick::Redirect("/api/resolve-cache/x".into()),
    );
    let mut client = Client::of(&server);
    client.hub = client.hub.with_token("hf_secret");
    client.fetch().unwrap();
    let request = server.requests_for("/api/resolve-cache/x").pop().unwrap();
    assert_eq!(request.header("authorization"), Some("Bearer hf_secret"));
}

#[test]
fn without_a_token_none_is_sent() {
    let server = FakeHub::new();
    Client::of(&server).fetch().unwrap();
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
}

#[test]
fn signatures_of_addresses_are_not_shown() {
    let (server, other) = (FakeHub::new(), FakeHub::empty());
    let target = format!("{}/signed?Signature=abc", other.address);
    other.always("/signed?Signature=abc", Trick::Silent);
    server.always(&resolve("config.json"), Trick::Redirect(target));
    let mut client = Client::of(&server);
    let second = std::time::Duration::from_secs(1);
    client.hub = client.hub.with_timeouts(second, second / 20);
    let error = client.fetch().unwrap_err();
    assert!(matches!(error, HubError::Network { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("/signed") && !text.contains("Signature"), "{text}");
}
