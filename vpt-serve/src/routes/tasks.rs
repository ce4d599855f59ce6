//! Which tasks there are, and adding and removing them.

use std::path::Path as FilePath;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::{Problem, ProblemDetails};
use crate::request::read_body;
use crate::task::{Failure, ServedTask};

/// What is served.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TaskList {
    /// What all tasks are on.
    backbone: BackboneSummary,
    /// By name.
    tasks: Vec<TaskSummary>,
}

/// The frozen backbone.
#[derive(Debug, Serialize, ToSchema)]
struct BackboneSummary {
    /// timm's name.
    #[schema(example = "vit_base_patch16_224")]
    architecture: String,
    /// Hash that task files name.
    sha256: String,
    /// How many numbers it has.
    parameters: usize,
}

/// A task.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TaskSummary {
    /// What it is called here.
    name: String,
    /// `classification`, `ordinal`, `multi-label`, `detection` or `segmentation`.
    kind: String,
    /// In the order of the logits.
    classes: Vec<String>,
    /// How it was tuned.
    method: String,
    /// Height and width of what the backbone reads.
    input_size: [usize; 2],
    /// Size of its file.
    file_bytes: usize,
    /// Hash of its file.
    sha256: String,
    /// Whether its images share batches with those of other tasks: deep prompts, or none, on the frozen backbone.
    mixes: bool,
    /// Whether it may leave an image undecided.
    abstains: bool,
}

impl From<&ServedTask> for TaskSummary {
    fn from(task: &ServedTask) -> Self {
        let metadata = &task.metadata;
        Self {
            name: task.name.clone(),
            kind: metadata.task.kind.to_string(),
            classes: metadata.task.classes.clone(),
            method: metadata.method.to_string(),
            input_size: metadata.preprocess.input_size,
            file_bytes: task.file_bytes,
            sha256: task.sha256.clone(),
            mixes: task.shared.mixes(),
            abstains: metadata.calibration.abstain_below.is_some(),
        }
    }
}

/// What is served
#[utoipa::path(
    get, path = "/v1/tasks", tag = "tasks",
    responses(
        (status = 200, description = "The backbone and its tasks", body = TaskList),
        (status = 401, description = "Without the token", body = ProblemDetails, content_type = "application/problem+json"),
    ),
    security((), ("token" = []))
)]
pub(super) async fn list(State(app): State<Arc<App>>) -> Json<TaskList> {
    let registry = &app.registry;
    let tasks = registry.all();
    Json(TaskList {
        backbone: BackboneSummary {
            architecture: registry.architecture().to_owned(),
            sha256: registry.sha256().to_owned(),
            parameters: registry.parameters(),
        },
        tasks: tasks.iter().map(|task| TaskSummary::from(&**task)).collect(),
    })
}

/// One task
#[utoipa::path(
    get, path = "/v1/tasks/{name}", tag = "tasks",
    params(("name" = String, Path, description = "Name of the task")),
    responses(
        (status = 200, description = "The task", body = TaskSummary),
        (status = "4XX", description = "Without the token (401), no such task (404)", body = ProblemDetails,
            content_type = "application/problem+json"),
    ),
    security((), ("token" = []))
)]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<TaskSummary>, Problem> {
    let task = app.registry.get(&name).ok_or_else(|| Problem::no_task(&name))?;
    Ok(Json(TaskSummary::from(&*task)))
}

/// Add or replace a task
///
/// The body is the task file. Requests that are under way are answered by the task that they began with. It is served until the
/// server ends; what is to stay belongs into a watched folder.
#[utoipa::path(
    put, path = "/v1/tasks/{name}", tag = "tasks",
    params(("name" = String, Path, description = "Name of the task")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "Replaced", body = TaskSummary),
        (status = 201, description = "Added", body = TaskSummary),
        (status = "4XX", description = "A bad name (400), without the token (401), a server without one (403), a task of another backbone, \
            with both hashes (409), too large (413), no task file (422)", body = ProblemDetails, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<TaskSummary>), Problem> {
    may_change(&app)?;
    let options = &app.options;
    // A task of full fine-tuning is as large as its backbone.
    let most = options.max_body_bytes.max(8 * app.registry.parameters());
    let budget = Arc::new(tokio::sync::Semaphore::new(most));
    let held = read_body(request.into_body(), most, &budget, options.timeout).await?;
    let (registry, put_name) = (Arc::clone(&app.registry), name.clone());
    let put = spawn_blocking(move || registry.put(&put_name, FilePath::new(&put_name), &held.bytes));
    let replaced = put.await.map_err(|_| Failure::panicked())??;
    tracing::info!(task = name, replaced, "task added over HTTP");
    let status = if replaced {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let task = app.registry.get(&name).ok_or_else(|| Problem::no_task(&name))?;
    Ok((status, Json(TaskSummary::from(&*task))))
}

/// Remove a task
///
/// Requests that are under way are still answered.
#[utoipa::path(
    delete, path = "/v1/tasks/{name}", tag = "tasks",
    params(("name" = String, Path, description = "Name of the task")),
    responses(
        (status = 204, description = "Removed"),
        (status = "4XX", description = "Without the token (401), a server without one (403), no such task (404)", body = ProblemDetails,
            content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    may_change(&app)?;
    match app.registry.remove(&name) {
        true => {
            tracing::info!(task = name, "task removed over HTTP");
            Ok(StatusCode::NO_CONTENT)
        }
        false => Err(Problem::no_task(&name)),
    }
}

/// Only who has the token may change what others see; without a token nobody.
fn may_change(app: &App) -> Result<(), Problem> {
    match app.options.token {
        Some(_) => Ok(()),
        None => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the server was started without an access token, so tasks cannot be changed over HTTP; start it with VPT_TOKEN or `--token-file`",
        )),
    }
}
