//! What each address does, and the document that says so.

mod guard;
mod predict;
mod status;
mod tasks;

use std::sync::Arc;

use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use axum::{Json, Router};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::page;
use crate::problem::Problem;

/// Answers of `/v1`, for all methods.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "vpt serve",
        description = "One frozen Vision Transformer in memory, many tasks told apart by small files.\n\nErrors are `application/problem+json` (RFC 9457). \
            Where the server was started with an access token, everything below `/v1` and `/metrics` wants it as `Authorization: Bearer`.",
        license(name = "MIT OR Apache-2.0")
    ),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// All addresses.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let (guarded, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(predict::predict_one))
        .routes(routes!(predict::predict_many))
        .routes(routes!(tasks::list))
        .routes(routes!(tasks::show, tasks::put, tasks::delete))
        .routes(routes!(status::metrics))
        .layer(from_fn_with_state(Arc::clone(app), guard::token))
        .routes(routes!(status::healthz))
        .routes(routes!(status::readyz))
        .split_for_parts();
    let document = Arc::new(document);
    guarded
        .route(
            "/openapi.json",
            get(move || async move { Json((*document).clone()) }),
        )
        .route("/", get(page::page))
        .fallback(async || {
            Problem::new(
                StatusCode::NOT_FOUND,
                "there is nothing here; see `/openapi.json`",
            )
        })
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "another method is wanted here; see `/openapi.json`",
            )
        })
        .layer(from_fn(guard::headers))
        .layer(from_fn_with_state(Arc::clone(app), guard::observed))
        .with_state(Arc::clone(app))
}
