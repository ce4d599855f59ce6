//! The page at `/`: try tasks on an image.

use axum::http::{HeaderName, header};
use axum::response::Html;

/// All of it, without anything from elsewhere.
const PAGE: &str = include_str!("page/index.html");

/// Nothing is loaded from elsewhere, and nothing is sent elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data: blob:; \
    connect-src 'self'; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page.
pub(crate) async fn page() -> ([(HeaderName, &'static str); 1], Html<&'static str>) {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(PAGE))
}
