//! The forms in which images come.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use vpt_data::TaskKind;
use vpt_serve::ServeOptions;

use crate::answers::answered;
use crate::served::{Served, picture, task};

fn served() -> Served {
    let tasks = [
        ("one", task("vpt-deep", TaskKind::Classification, 4, 1)),
        ("two", task("vpt-deep", TaskKind::Classification, 3, 2)),
    ];
    Served::start(&tasks, ServeOptions::default())
}

/// A form of files and other fields.
fn form(files: &[(&str, &[u8])], fields: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file) in files {
        let head = format!(
            "--line\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{name}\"\r\nContent-Type: image/png\r\n\r\n"
        );
        body.extend(head.into_bytes());
        body.extend_from_slice(file);
        body.extend(b"\r\n");
    }
    for (name, value) in fields {
        let field = format!("--line\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(field.into_bytes());
    }
    body.extend(b"--line--\r\n");
    body
}

const FORM: &str = "multipart/form-data; boundary=line";

fn names(answer: &Value) -> Vec<&str> {
    let predictions = answer["predictions"].as_array().unwrap();
    predictions
        .iter()
        .map(|prediction| prediction["name"].as_str().unwrap())
        .collect()
}

#[test]
fn files_forms_and_json_say_the_same() {
    let served = served();
    let image = picture(1);
    let path = "/v1/tasks/one/predict";
    let file = served.predict(path, &image);
    assert_eq!(names(&file), ["image 1"]);
    for content_type in [
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "image/jpeg",
    ] {
        assert_eq!(
            served.post(path, content_type, &image).json(),
            file,
            "{content_type}"
        );
    }
    let by_form = served
        .post(path, FORM, &form(&[("folder/eye.png", &image)], &[]))
        .json();
    assert_eq!(names(&by_form), ["eye.png"]);
    assert_eq!(answered(&by_form), answered(&file));
    let text = BASE64.encode(&image);
    for text in [text.clone(), format!("data:image/png;base64,{text}")] {
        let body = json!({"images": [text]}).to_string();
        assert_eq!(
            served.post(path, "application/json", body.as_bytes()).json(),
            file
        );
    }
}

#[test]
fn several_images_are_answered_in_their_order() {
    let served = served();
    let images = [picture(1), picture(2), picture(3)];
    let files = [
        ("a.png", &images[0][..]),
        ("b.png", &images[1]),
        ("c.png", &images[2]),
    ];
    let answer = served.post(
        "/v1/predict",
        FORM,
        &form(&files, &[("tasks", "two, one"), ("attention", "true")]),
    );
    let answer = answer.json();
    let results = answer["results"].as_array().unwrap();
    let order: Vec<&str> = results
        .iter()
        .map(|result| result["task"].as_str().unwrap())
        .collect();
    assert_eq!(order, ["two", "one"]);
    assert_eq!(names(&results[0]), ["a.png", "b.png", "c.png"]);
    let first = served.predict("/v1/tasks/one/predict", &images[2]);
    let apart = crate::answers::apart(
        &answered(&json!({"predictions": [results[1]["predictions"][2]]})),
        &answered(&first),
    );
    assert!(apart < 5e-6, "{apart}");
    assert!(results[1]["predictions"][2]["attention"]["bbox"].is_array());
}

/// A gray ramp as DICOM writes it: explicit lengths, little-endian, 8 bits.
fn dicom(columns: u16, rows: u16) -> Vec<u8> {
    let mut file = vec![0; 128];
    file.extend(b"DICM");
    let mut element = |group: u16, number: u16, kind: &[u8; 2], value: &[u8]| {
        file.extend([group, number].iter().flat_map(|part| part.to_le_bytes()));
        file.extend(kind);
        match kind {
            b"OB" => file.extend([0, 0].into_iter().chain((value.len() as u32).to_le_bytes())),
            _ => file.extend((value.len() as u16).to_le_bytes()),
        }
        file.extend(value);
    };
    element(0x0002, 0x0010, b"UI", b"1.2.840.10008.1.2.1\0");
    element(0x0028, 0x0002, b"US", &1_u16.to_le_bytes());
    element(0x0028, 0x0004, b"CS", b"MONOCHROME2 ");
    element(0x0028, 0x0010, b"US", &rows.to_le_bytes());
    element(0x0028, 0x0011, b"US", &columns.to_le_bytes());
    for (number, value) in [(0x0100, 8_u16), (0x0101, 8), (0x0102, 7), (0x0103, 0)] {
        element(0x0028, number, b"US", &value.to_le_bytes());
    }
    let pixels: Vec<u8> = (0..columns * rows).map(|i| (i % 256) as u8).collect();
    element(0x7fe0, 0x0010, b"OB", &pixels);
    file
}

#[test]
fn a_dicom_file_is_an_image() {
    let served = served();
    for kind in ["application/dicom", "application/octet-stream"] {
        let answer = served.post("/v1/tasks/one/predict", kind, &dicom(50, 40));
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["predictions"][0]["size"], json!([50, 40]));
    }
}

#[test]
fn what_is_wrong_is_said() {
    let served = served();
    let path = "/v1/tasks/one/predict";
    let image = picture(1);
    let post = |path: &str, kind: &str, body: &[u8]| served.post(path, kind, body);
    let text = post(path, "image/png", b"hello").problem(422);
    assert!(text.contains("it holds text"), "{text}");
    let half = post(path, "image/png", &image[..image.len() / 2]).problem(422);
    assert!(half.contains("image 1"), "{half}");
    let empty = post(path, "image/png", b"").problem(422);
    assert!(empty.contains("empty"), "{empty}");
    let second = post(path, FORM, &form(&[("a.png", &image), ("b.png", b"no")], &[])).problem(422);
    assert!(second.contains("b.png"), "{second}");

    let json = |text: &str| post(path, "application/json", text.as_bytes()).problem(400);
    assert!(json("{").contains("JSON"));
    assert!(json(r#"{"images": ["%"]}"#).contains("base64"));
    assert!(json(r#"{"images": []}"#).contains("no image"));
    assert!(json(r#"{"pictures": []}"#).contains("pictures"));
    assert!(json(r#"{"images": ["aGk="], "tasks": ["one"]}"#).contains("/v1/predict"));
    let cut = form(&[("a.png", &image)], &[]);
    post(path, FORM, &cut[..cut.len() - 20]).problem(400);
    post(path, "multipart/form-data", &cut).problem(400);

    let unknown = post("/v1/tasks/three/predict", "image/png", &image).problem(404);
    assert!(
        unknown.contains("`three`") && unknown.contains("GET /v1/tasks"),
        "{unknown}"
    );
    post("/v1/predict?tasks=one,three", "image/png", &image).problem(404);
    let query = post("/v1/tasks/one/predict?attenton=true", "image/png", &image).problem(400);
    assert!(query.contains("attenton"), "{query}");
    assert!(served.get("/v2").problem(404).contains("/openapi.json"));
    served.get("/v1/predict").problem(405);
}
