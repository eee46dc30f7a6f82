//! Why a sink gives up.

use crate::rtmp::refusal::Refusal;

/// What kind of trouble it is, for whoever handles errors by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No connection, or none that was agreed on.
    Open,
    /// The connection broke.
    Write,
    /// The server does not let this publisher in.
    NotAuthorized,
    /// A property has a value that cannot be used.
    Settings,
}

/// A failure, in a sentence for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    pub text: String,
}

impl Failure {
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::NeedsPassword(_) | Refusal::WrongPassword(_) | Refusal::UnknownAuthentication(_) => {
                Kind::NotAuthorized
            }
            Refusal::Ended(_) => Kind::Write,
            _ => Kind::Open,
        };
        Self::new(kind, refusal.to_string())
    }
}
