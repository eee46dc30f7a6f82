//! What is answered instead of what was asked for.

use std::sync::Arc;

use axum::http::{StatusCode, header};

use super::{camera::Camera, cameras::Cameras};

/// A refusal, in words for people.
pub type Refused = (StatusCode, [(header::HeaderName, &'static str); 1], String);

/// A refusal of this kind.
pub fn refuse(status: StatusCode, why: impl std::fmt::Display) -> Refused {
    // Of use with 429 and 503; elsewhere nobody reads it.
    (status, [(header::RETRY_AFTER, "1")], format!("{why}\n"))
}

/// The camera of this name.
///
/// # Errors
/// 404 with what is there, or 503 while there is nothing yet.
pub fn known(cameras: &Cameras, name: &str) -> Result<Arc<Camera>, Refused> {
    cameras.find(name).ok_or_else(|| {
        let there = cameras.names();
        match &there[..] {
            [] => refuse(StatusCode::SERVICE_UNAVAILABLE, "there is no camera here yet"),
            [one] => refuse(StatusCode::NOT_FOUND, format!("there is no such camera here; there is {one}")),
            several => {
                refuse(StatusCode::NOT_FOUND, format!("there is no such camera here; there are {}", several.join(", ")))
            }
        }
    })
}
