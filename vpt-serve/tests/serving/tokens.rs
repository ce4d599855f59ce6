//! Who may do what, and how tasks come and go.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use vpt_core::Precision;
use vpt_core::device::SelectedDevice;
use vpt_data::TaskKind;
use vpt_serve::{Registry, ServeError, ServeOptions, Server};

use crate::answers::{answered, logits};
use crate::served::{Served, backbone, picture, task, task_on};

fn status(request: ureq::RequestBuilder<ureq::typestate::WithoutBody>) -> u16 {
    let config = request.config().http_status_as_error(false).build();
    config.call().unwrap().status().as_u16()
}

#[test]
fn without_the_token_there_is_nothing_to_see() {
    let served = Served::with_token(&[("one", task("linear", TaskKind::Classification, 2, 1))]);
    for path in ["/v1/tasks", "/v1/tasks/one", "/metrics"] {
        let url = format!("{}{path}", served.url);
        assert_eq!(status(ureq::get(&url)), 401, "{path}");
        for wrong in [
            "Bearer a secre",
            "Bearer a secret!",
            "Basic a secret",
            "Bearer",
            "a secret",
        ] {
            assert_eq!(
                status(ureq::get(&url).header("Authorization", wrong)),
                401,
                "{wrong}"
            );
        }
        assert_eq!(
            status(ureq::get(&url).header("Authorization", "bearer a secret")),
            200
        );
    }
    for path in ["/", "/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(status(ureq::get(format!("{}{path}", served.url))), 200, "{path}");
    }
}

#[test]
fn others_may_only_connect_with_a_token() {
    let registry = Arc::new(Registry::new(backbone(1), &SelectedDevice::cpu(), Precision::F32).unwrap());
    let mut options = ServeOptions {
        address: SocketAddr::from(([0, 0, 0, 0], 0)),
        ..ServeOptions::default()
    };
    let error = Server::bind(Arc::clone(&registry), options.clone()).unwrap_err();
    assert!(matches!(error, ServeError::TokenWanted { .. }));
    assert!(error.hint().unwrap().contains("VPT_TOKEN"));
    options.token = Some("secret".to_owned());
    Server::bind(registry, options).unwrap();
}

#[test]
fn tasks_are_added_replaced_and_removed() {
    let served = Served::with_token(&[]);
    let image = picture(1);
    assert!(
        served
            .post("/v1/predict", "image/png", &image)
            .problem(404)
            .contains("PUT")
    );
    let tasks = [1, 2].map(|seed| task("vpt-deep", TaskKind::Classification, 3, seed));
    for (task, status) in tasks.iter().zip([201, 200]) {
        let answer = served.put("/v1/tasks/eyes", &task.to_bytes(false).unwrap());
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_eq!(answer.json()["name"], "eyes");
        let judged = served.predict("/v1/tasks/eyes/predict", &image);
        assert_eq!(answered(&judged), logits(task, &image));
    }
    let list = served.get("/v1/tasks").json();
    assert_eq!(list["tasks"][0], served.get("/v1/tasks/eyes").json());
    assert_eq!(list["backbone"]["sha256"], Value::from(backbone(1).sha256));
    assert_eq!(served.delete("/v1/tasks/eyes").status, 204);
    served.delete("/v1/tasks/eyes").problem(404);
    served
        .post("/v1/tasks/eyes/predict", "image/png", &image)
        .problem(404);
}

#[test]
fn what_is_no_task_of_this_backbone_is_refused() {
    let good = task("vpt-deep", TaskKind::Classification, 3, 1);
    let served = Served::with_token(&[("eyes", good.clone())]);
    let other = task_on(&backbone(2), "vpt-deep", TaskKind::Classification, 3, 1);
    let reason = served
        .put("/v1/tasks/eyes", &other.to_bytes(false).unwrap())
        .problem(409);
    for sha256 in [backbone(1).sha256, backbone(2).sha256] {
        assert!(reason.contains(&sha256[..8]), "{reason}");
    }
    served.put("/v1/tasks/eyes", b"hello").problem(422);
    let bytes = good.to_bytes(false).unwrap();
    served
        .put("/v1/tasks/eyes", &bytes[..bytes.len() / 2])
        .problem(422);
    let mut broken = good.clone();
    broken.tensors.get_mut("head.bias").unwrap().data[0] = f32::MAX;
    broken.tensors.get_mut("head.weight").unwrap().data.fill(f32::MAX);
    let reason = served
        .put("/v1/tasks/eyes", &broken.to_bytes(false).unwrap())
        .problem(422);
    assert!(reason.contains("no finite number"), "{reason}");
    for name in ["..", ".eyes", "a b", "a%2Fb", &"x".repeat(65)] {
        let answer = served.put(&format!("/v1/tasks/{}", name.replace(' ', "%20")), &bytes);
        assert!(
            [400, 404, 405].contains(&answer.status),
            "{name}: {}",
            answer.text
        );
    }
    // What was served before still is.
    let image = picture(2);
    let judged = served.predict("/v1/tasks/eyes/predict", &image);
    assert_eq!(answered(&judged), logits(&good, &image));

    let without = Served::start(&[("eyes", good)], ServeOptions::default());
    assert!(
        without
            .put("/v1/tasks/eyes", &bytes)
            .problem(403)
            .contains("VPT_TOKEN")
    );
    without.delete("/v1/tasks/eyes").problem(403);
}
