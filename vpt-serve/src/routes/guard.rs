//! What happens around every request: who asks, what is counted, what browsers are told.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::problem::Problem;

/// Lets nobody through who does not send the token, if there is one.
pub(super) async fn token(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(token) = &app.options.token else {
        return next.run(request).await;
    };
    let sent = request.headers().get(header::AUTHORIZATION);
    let sent = sent
        .and_then(|value| value.as_bytes().split_at_checked("Bearer ".len()))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "));
    match sent.is_some_and(|(_, sent)| bool::from(sent.ct_eq(token.as_bytes()))) {
        true => next.run(request).await,
        false => Problem::new(
            StatusCode::UNAUTHORIZED,
            "the server wants its access token as `Authorization: Bearer …`",
        )
        .into_response(),
    }
}

/// Counts and times the request. The log has neither names nor contents of images, only the pattern of the address.
pub(super) async fn observed(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let start = Instant::now();
    let response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), start.elapsed());
    app.metrics.request(method.as_str(), &route, status, took);
    tracing::info!(%method, route, status, milliseconds = took.as_millis() as u64, "answered");
    response
}

/// What keeps a browser from making something else of an answer.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
