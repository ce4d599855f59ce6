//! What the hub does not have or does not give.

use vpt_hub::HubError;

use crate::fake_hub::*;

#[test]
fn what_does_not_exist_is_said_to() {
    let server = FakeHub::empty();
    let client = Client::of(&server);
    let error = client.fetch().unwrap_err();
    assert!(matches!(error, HubError::NotFound { .. }));
    assert!(
        error.to_string().contains("`org/name` with revision `main`"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("HF_TOKEN"));
    assert_eq!(server.requests().len(), 1, "there is no point in asking again");
    assert_eq!(entries(client.cache.path()), [""; 0]);
}

#[test]
fn closed_doors_say_how_to_get_in() {
    for status in [401, 403] {
        let server = FakeHub::new();
        let path = resolve("model.safetensors");
        server.always(&path, Trick::Status(status));
        let mut client = Client::of(&server);
        let error = client.fetch().unwrap_err();
        assert!(matches!(error, HubError::Refused { token: false, .. }), "{error}");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("HF_TOKEN") && hint.contains(&format!("{}/org/name", server.address)),
            "{hint}"
        );
        assert_eq!(server.requests_for(&path).len(), 1);

        client.hub = client.hub.with_token("hf_secret");
        let error = client.fetch().unwrap_err();
        let text = format!("{error} {error:?} {}", error.hint().unwrap());
        assert!(
            text.contains("does the token") && !text.contains("hf_secret"),
            "{text}"
        );
    }
}

#[test]
fn servers_that_stay_broken_are_given_up_on() {
    let server = FakeHub::new();
    let path = resolve("model.safetensors");
    server.always(&path, Trick::Status(503));
    let error = Client::of(&server).fetch().unwrap_err();
    assert!(matches!(error, HubError::Status { status: 503, .. }), "{error}");
    assert_eq!(server.requests_for(&path).len(), 3);

    server.always(&path, Trick::Status(400));
    let error = Client::of(&server).fetch().unwrap_err();
    assert!(matches!(error, HubError::Status { status: 400, .. }), "{error}");
    assert_eq!(server.requests_for(&path).len(), 4);
}

#[test]
fn redirects_end() {
    let server = FakeHub::new();
    server.always(LIST, Trick::Redirect(LIST.into()));
    let error = Client::of(&server).fetch().unwrap_err();
    assert!(error.to_string().contains("too often"), "{error}");
    assert_eq!(server.requests().len(), 11);

    server.always(LIST, Trick::Redirect("file:///etc/passwd".into()));
    let error = Client::of(&server).fetch().unwrap_err();
    assert!(matches!(error, HubError::Redirect { .. }), "{error}");
}
