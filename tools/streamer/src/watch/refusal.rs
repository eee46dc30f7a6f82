//! What is answered instead of what was asked for.

use axum::http::{StatusCode, header};

/// A refusal, in words for people.
pub type Refused = (StatusCode, [(header::HeaderName, &'static str); 1], String);

/// A refusal of this kind.
pub fn refuse(status: StatusCode, why: impl std::fmt::Display) -> Refused {
    // Of use with 429 and 503; elsewhere nobody reads it.
    (status, [(header::RETRY_AFTER, "1")], format!("{why}\n"))
}
