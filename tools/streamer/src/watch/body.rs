//! Bodies of requests: of one kind, of a size, and in time.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, StatusCode, header},
};
use serde::de::DeserializeOwned;

use super::refusal::{Refused, refuse};

/// A client has this long to send its body.
const BODY_TIME: Duration = Duration::from_secs(5);
/// Largest request in JSON.
const JSON_MAX: usize = 8 << 10;

/// The body, as text of this kind and of `max` bytes at most.
///
/// # Errors
/// 400, 408, 413 and 415.
pub async fn text(headers: &HeaderMap, body: Body, kind: &str, max: usize) -> Result<String, Refused> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    if !given.eq_ignore_ascii_case(kind) {
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("the body has to be {kind}")));
    }
    let bytes = tokio::time::timeout(BODY_TIME, to_bytes(body, max))
        .await
        .map_err(|_| refuse(StatusCode::REQUEST_TIMEOUT, "the body did not come"))?
        .map_err(|_| refuse(StatusCode::PAYLOAD_TOO_LARGE, format!("the body may have {max} bytes")))?;
    String::from_utf8(bytes.into()).map_err(|_| refuse(StatusCode::BAD_REQUEST, "the body is no UTF-8"))
}

/// The body, as a request in JSON. A page of a foreign host cannot send that type without asking first.
///
/// # Errors
/// As for [`text`], and 400 for what is no such request.
pub async fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Refused> {
    let text = text(headers, body, "application/json", JSON_MAX).await?;
    serde_json::from_str(&text)
        .map_err(|error| refuse(StatusCode::BAD_REQUEST, format!("this is no such request: {error}")))
}
