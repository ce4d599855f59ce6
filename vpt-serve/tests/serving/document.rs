//! The OpenAPI document says what the server does.

use serde_json::{Value, json};
use vpt_core::TaskFile;
use vpt_data::TaskKind;

use crate::served::{Served, picture, task};

fn tasks() -> [(&'static str, TaskFile); 4] {
    [
        ("whole", task("vpt-deep", TaskKind::Classification, 3, 1)),
        ("labels", task("linear", TaskKind::MultiLabel, 3, 2)),
        ("boxes", task("vpt-deep", TaskKind::Detection, 2, 3)),
        ("masks", task("vpt-deep", TaskKind::Segmentation, 2, 4)),
    ]
}

/// What keeps `value` from being what `schema` says; nothing if it is.
fn mismatch(document: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        return mismatch(document, target, value, at);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        return parts.iter().find_map(|part| mismatch(document, part, value, at));
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fitting = choices
            .iter()
            .any(|choice| mismatch(document, choice, value, at).is_none());
        return (!fitting).then(|| format!("{at}: none of the choices fits {value}"));
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = |wanted: &Value| *wanted == found || (*wanted == "number" && found == "integer");
    if !types.iter().any(fits) {
        return Some(format!("{at}: {found}, expected {types:?}"));
    }
    if let Value::Array(items) = value {
        return items
            .iter()
            .enumerate()
            .find_map(|(i, item)| mismatch(document, &schema["items"], item, &format!("{at}[{i}]")));
    }
    let object = value.as_object()?;
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    if let Some(missing) = required
        .iter()
        .find(|name| !object.contains_key(name.as_str().unwrap()))
    {
        return Some(format!("{at}: {missing} is missing"));
    }
    let properties = schema["properties"].as_object()?;
    properties.iter().find_map(|(name, schema)| {
        let value = object.get(name)?;
        mismatch(document, schema, value, &format!("{at}.{name}"))
    })
}

/// The schema of an answer.
fn schema<'a>(document: &'a Value, path: &str, method: &str, status: &str) -> &'a Value {
    let response = &document["paths"][path][method]["responses"][status];
    let content = response["content"]
        .as_object()
        .unwrap_or_else(|| panic!("{method} {path} {status}"));
    &content.values().next().unwrap()["schema"]
}

#[test]
fn answers_are_as_documented() {
    let served = Served::with_token(&tasks());
    let document = served.get("/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    let image = picture(1);
    let checked = |path: &str, method: &str, status: &str, value: &Value| {
        let schema = schema(&document, path, method, status);
        assert_eq!(mismatch(&document, schema, value, path), None);
    };
    let all = served.predict("/v1/predict?attention=true", &image);
    assert_eq!(all["results"].as_array().unwrap().len(), 4);
    checked("/v1/predict", "post", "200", &all);
    for (name, task) in tasks() {
        let one = served.predict(&format!("/v1/tasks/{name}/predict?attention=true"), &image);
        checked("/v1/tasks/{name}/predict", "post", "200", &one);
        let put = served.put(&format!("/v1/tasks/{name}"), &task.to_bytes(false).unwrap());
        checked("/v1/tasks/{name}", "put", "200", &put.json());
    }
    checked("/v1/tasks", "get", "200", &served.get("/v1/tasks").json());
    checked(
        "/v1/tasks/{name}",
        "get",
        "200",
        &served.get("/v1/tasks/whole").json(),
    );
    let problem = served.get("/v1/tasks/none");
    assert_eq!(problem.status, 404);
    checked("/v1/tasks/{name}", "get", "4XX", &problem.json());

    // The check can fail.
    let schema = schema(&document, "/v1/predict", "post", "200");
    let mut wrong = all.clone();
    wrong["results"][0]["predictions"][0]["size"] = json!("large");
    assert!(mismatch(&document, schema, &wrong, "").is_some());
    wrong = all;
    wrong["results"][0].as_object_mut().unwrap().remove("classes");
    assert!(mismatch(&document, schema, &wrong, "").is_some());
}

#[test]
fn every_documented_address_exists_and_takes_no_other_method() {
    let served = Served::with_token(&tasks());
    let document = served.get("/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 7, "{paths:?}");
    for (path, methods) in paths {
        let address = path.replace("{name}", "whole");
        for (method, status) in [
            ("get", served.get(&address).status),
            ("delete", served.delete(&address).status),
        ] {
            let documented = methods.get(method).is_some();
            assert_eq!(
                status != 405 && status != 404,
                documented,
                "{method} {path}: {status}"
            );
            // It is gone after the first.
            served.put("/v1/tasks/whole", &tasks()[0].1.to_bytes(false).unwrap());
        }
    }
}

#[test]
fn metrics_are_for_prometheus() {
    let served = Served::with_token(&tasks());
    served.predict("/v1/predict", &picture(1));
    let answer = served.get("/metrics");
    assert!(answer.content_type.starts_with("application/openmetrics-text"));
    assert!(answer.text.ends_with("# EOF\n"));
    for line in [
        "vpt_tasks 4",
        "vpt_predictions_total{task=\"boxes\"} 1",
        "vpt_requests_total{method=\"POST\",route=\"/v1/predict\",status=\"200\"} 1",
    ] {
        assert!(
            answer.text.lines().any(|found| found == line),
            "{line}:\n{}",
            answer.text
        );
    }
}
