//! From the body of a request to the images in it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart};
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::BodyExt;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use crate::ServeOptions;
use crate::problem::Problem;

/// An image as it was sent.
#[derive(Debug)]
pub(crate) struct Upload {
    /// File name, or `image 1`.
    pub name: String,
    /// The file.
    pub bytes: Bytes,
}

/// What a request holds.
#[derive(Debug)]
pub(crate) struct Contents {
    /// The images.
    pub images: Vec<Upload>,
    /// The tasks that the body names.
    pub tasks: Vec<String>,
    /// Whether the body asks where the tasks looked.
    pub attention: bool,
}

/// A body, and its share of what all bodies may hold.
#[derive(Debug)]
pub(crate) struct HeldBody {
    /// The body.
    pub bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

/// A request as JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonRequest {
    /// Image files in base64, also as `data:` addresses.
    pub images: Vec<String>,
    /// Names of the tasks; for `/v1/predict` alone.
    #[serde(default)]
    pub tasks: Vec<String>,
    /// Whether to say where the tasks looked.
    #[serde(default)]
    pub attention: bool,
}

/// A form with files; each is an image, whatever its field is called.
#[derive(Debug, ToSchema)]
#[allow(
    dead_code,
    reason = "it tells clients what to send; the parts are read one by one"
)]
pub struct FormRequest {
    /// An image file; may occur several times.
    #[schema(value_type = Vec<String>, format = Binary)]
    pub image: Vec<Vec<u8>>,
    /// Names of the tasks, parted by commas; for `/v1/predict` alone.
    pub tasks: Option<String>,
    /// Whether to say where the tasks looked.
    pub attention: Option<bool>,
}

/// Reads a body of at most `most` bytes, from what all bodies together may hold.
pub(crate) async fn read_body(
    mut body: Body,
    most: usize,
    budget: &Arc<Semaphore>,
    patience: Duration,
) -> Result<HeldBody, Problem> {
    let until = Instant::now() + patience;
    let mut bytes = Vec::new();
    let mut share: Option<OwnedSemaphorePermit> = None;
    loop {
        let frame = timeout_at(until, body.frame()).await.map_err(|_| {
            Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "the body of the request did not arrive in time",
            )
        })?;
        let Some(frame) = frame else {
            break;
        };
        let frame = frame.map_err(|_| Problem::bad("the body of the request broke off"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > most {
            return Err(Problem::too_large(format!(
                "the request has more than {most} bytes"
            )));
        }
        let more = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let more = Arc::clone(budget).try_acquire_many_owned(more);
        let more = more.map_err(|_| Problem::busy("too many requests are being read, try again later"))?;
        match &mut share {
            Some(share) => share.merge(more),
            None => share = Some(more),
        }
        bytes.extend_from_slice(&data);
    }
    Ok(HeldBody {
        bytes: bytes.into(),
        _share: share,
    })
}

/// The images in a body: JSON, a form, or else one image file.
pub(crate) async fn contents(
    headers: &HeaderMap,
    body: &HeldBody,
    options: &ServeOptions,
) -> Result<Contents, Problem> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    let found = if kind.starts_with("application/json") {
        from_json(&body.bytes)?
    } else if kind.starts_with("multipart/form-data") {
        from_form(headers, body.bytes.clone()).await?
    } else {
        // Files of DICOM need not say what they are.
        let ending = if kind.starts_with("application/dicom") {
            ".dcm"
        } else {
            ""
        };
        Contents {
            images: vec![Upload {
                name: format!("image 1{ending}"),
                bytes: body.bytes.clone(),
            }],
            tasks: Vec::new(),
            attention: false,
        }
    };
    match found.images.len() {
        0 => Err(Problem::bad("the request has no image")),
        images if images > options.max_images => Err(Problem::too_large(format!(
            "{images} images in one request, at most {} are taken",
            options.max_images
        ))),
        _ => Ok(found),
    }
}

fn from_json(body: &[u8]) -> Result<Contents, Problem> {
    let request: JsonRequest = serde_json::from_slice(body)
        .map_err(|error| Problem::bad(format!("the JSON is not as expected: {error}")))?;
    let decoded = request.images.iter().enumerate().map(|(i, text)| {
        let name = format!("image {}", i + 1);
        let text = match text.strip_prefix("data:") {
            Some(address) => address.split_once(',').map_or("", |(_, data)| data),
            None => text,
        };
        let bytes = BASE64.decode(text.trim());
        let bytes = bytes.map_err(|error| Problem::bad(format!("`{name}` is not base64: {error}")))?;
        Ok(Upload {
            name,
            bytes: bytes.into(),
        })
    });
    Ok(Contents {
        images: decoded.collect::<Result<_, Problem>>()?,
        tasks: request.tasks,
        attention: request.attention,
    })
}

async fn from_form(headers: &HeaderMap, body: Bytes) -> Result<Contents, Problem> {
    let mut request = axum::http::Request::new(Body::from(body));
    *request.headers_mut() = headers.clone();
    // The body is in memory: its size was checked when it was read.
    axum::extract::DefaultBodyLimit::disable().apply(&mut request);
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| Problem::bad(error.body_text()))?;
    let mut found = Contents {
        images: Vec::new(),
        tasks: Vec::new(),
        attention: false,
    };
    let broken = |error: axum::extract::multipart::MultipartError| Problem::bad(error.body_text());
    while let Some(field) = form.next_field().await.map_err(broken)? {
        let field_name = field.name().unwrap_or_default().to_owned();
        match (field.file_name().map(file_name), field_name.as_str()) {
            (None, "tasks") => found.tasks.extend(names(&field.text().await.map_err(broken)?)),
            (None, "attention") => {
                let text = field.text().await.map_err(broken)?;
                found.attention = match text.trim() {
                    "true" | "1" | "on" => true,
                    "false" | "0" | "" => false,
                    other => {
                        return Err(Problem::bad(format!(
                            "`attention` is `{other}`, expected true or false"
                        )));
                    }
                };
            }
            (file, _) => {
                let number = found.images.len() + 1;
                let name = file.filter(|name| !name.is_empty());
                found.images.push(Upload {
                    name: name.unwrap_or_else(|| format!("image {number}")),
                    bytes: field.bytes().await.map_err(broken)?,
                });
            }
        }
    }
    Ok(found)
}

/// Names of tasks, parted by commas.
pub(crate) fn names(text: &str) -> impl Iterator<Item = String> {
    text.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

/// The last part of what a client calls its file.
fn file_name(path: &str) -> String {
    let name = Path::new(path)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_default()
}
