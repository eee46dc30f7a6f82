//! How whoever is asked says no.

use super::proto::ErrorCode;

/// A request that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", .code.name())]
pub struct Refusal {
    /// The reply's code.
    pub code: ErrorCode,
    /// What a person should know; may be empty.
    pub message: String,
}

impl Refusal {
    /// A refusal with words.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The fields of a reply. A refusal that says `OK` is an error.
    pub(super) fn fields(self) -> (i32, String) {
        let code = if self.code == ErrorCode::Ok { ErrorCode::Error } else { self.code };
        (code.into(), self.message)
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self::new(code, "")
    }
}

/// The refusal of a request that is no message of its kind.
pub(super) fn not_a_message(kind: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidPayload, format!("not a {kind}"))
}
