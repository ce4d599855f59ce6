//! Images in, what tasks say of them out.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::{Answers, TaskAnswer};
use crate::app::App;
use crate::problem::{Problem, ProblemDetails};
use crate::request::{Contents, FormRequest, HeldBody, JsonRequest, contents, names, read_body};
use crate::task::ServedTask;

/// What the address of one task may ask for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OneQuery {
    /// Whether to say where the task looked (tasks of whole images only).
    #[serde(default)]
    attention: bool,
}

/// What the address of several tasks may ask for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ManyQuery {
    /// Names of tasks, parted by commas; all that there are if neither address nor body names any.
    tasks: Option<String>,
    /// Whether to say where the tasks looked (tasks of whole images only).
    #[serde(default)]
    attention: bool,
}

/// What one task says of one or more images
///
/// The body is an image file (JPEG, PNG, GIF, BMP, TIFF, WebP, DICOM), a form with files, or JSON.
#[utoipa::path(
    post, path = "/v1/tasks/{name}/predict", tag = "predict",
    params(("name" = String, Path, description = "Name of the task"), OneQuery),
    request_body(content(
        (JsonRequest = "application/json"), (FormRequest = "multipart/form-data"), (Vec<u8> = "application/octet-stream")
    )),
    responses(
        (status = 200, description = "One prediction for each image, in their order", body = TaskAnswer),
        (status = "4XX", description = "The request is not as it must be: 400, 401 without the token, 404 without the task, 408 too slow, \
            413 too large, 422 an image that cannot be read, 429 the queue is full (try again after `Retry-After`)",
            body = ProblemDetails, content_type = "application/problem+json"),
        (status = "5XX", description = "The model failed (500), or there was no time (503, try again after `Retry-After`)",
            body = ProblemDetails, content_type = "application/problem+json"),
    ),
    security((), ("token" = []))
)]
pub(super) async fn predict_one(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    query: Result<Query<OneQuery>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Json<TaskAnswer>, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad(error.body_text()))?;
    let task = app.registry.get(&name).ok_or_else(|| Problem::no_task(&name))?;
    let (contents, _held) = read(&app, request).await?;
    if !contents.tasks.is_empty() {
        return Err(Problem::bad(
            "`tasks` belongs to `/v1/predict`; here the address names the task",
        ));
    }
    let attention = query.attention || contents.attention;
    let answers = app.judge(vec![task], contents, attention).await?;
    let answer = answers.into_iter().next();
    answer.map(Json).ok_or_else(|| Problem::no_task(&name))
}

/// What several tasks say of the same images
///
/// Each image is decoded once; its patches are embedded once for tasks that share a batch.
#[utoipa::path(
    post, path = "/v1/predict", tag = "predict",
    params(ManyQuery),
    request_body(content(
        (JsonRequest = "application/json"), (FormRequest = "multipart/form-data"), (Vec<u8> = "application/octet-stream")
    )),
    responses(
        (status = 200, description = "One result for each task", body = Answers),
        (status = "4XX", description = "As for one task", body = ProblemDetails, content_type = "application/problem+json"),
        (status = "5XX", description = "As for one task", body = ProblemDetails, content_type = "application/problem+json"),
    ),
    security((), ("token" = []))
)]
pub(super) async fn predict_many(
    State(app): State<Arc<App>>,
    query: Result<Query<ManyQuery>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Json<Answers>, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad(error.body_text()))?;
    let (contents, _held) = read(&app, request).await?;
    let of_query = query.tasks.iter().flat_map(|text| names(text));
    let tasks = chosen(&app, of_query.chain(contents.tasks.iter().cloned()))?;
    let attention = query.attention || contents.attention;
    let results = app.judge(tasks, contents, attention).await?;
    Ok(Json(Answers { results }))
}

/// The images of a request, and its hold on the memory for bodies.
async fn read(app: &App, request: Request) -> Result<(Contents, HeldBody), Problem> {
    if app.is_stopping() {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the server is going down",
        ));
    }
    let options = &app.options;
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > options.max_body_bytes) {
        let most = options.max_body_bytes;
        return Err(Problem::too_large(format!(
            "the request has more than {most} bytes"
        )));
    }
    if app.engine.is_full() {
        return Err(Problem::busy("the queue is full, try again later"));
    }
    let (parts, body) = request.into_parts();
    let held = read_body(body, options.max_body_bytes, &app.bodies, options.timeout).await?;
    let contents = contents(&parts.headers, &held, options).await?;
    Ok((contents, held))
}

/// The tasks of these names, each once; all if there is no name.
fn chosen(app: &App, names: impl Iterator<Item = String>) -> Result<Vec<Arc<ServedTask>>, Problem> {
    let mut seen = BTreeSet::new();
    let names: Vec<String> = names.filter(|name| seen.insert(name.clone())).collect();
    let tasks = match names.is_empty() {
        true => app.registry.all(),
        false => {
            let task = |name: &String| app.registry.get(name).ok_or_else(|| Problem::no_task(name));
            names.iter().map(task).collect::<Result<_, _>>()?
        }
    };
    match tasks.is_empty() {
        true => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "no task is served; add one with `PUT /v1/tasks/{name}`",
        )),
        false => Ok(tasks),
    }
}
