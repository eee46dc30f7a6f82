//! Why a file could not be encoded.

use tools_cli::failure::Failure;

/// What went wrong with a file.
#[derive(Debug)]
pub enum EncodeError {
    /// The encoder does not work. Another one may, from the first picture on.
    Encoder(String),
    Other(Failure),
}

impl From<Failure> for EncodeError {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}
