//! What a connection to a NATS server, and a request over it, fails with.

use super::options::OptionsError;

/// Longest sentence of a server that is kept.
const SENTENCE_MAX: usize = 300;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A file is missing or wrong.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The system gives no thread.
    #[error("no thread for NATS: {0}")]
    Thread(#[from] std::io::Error),
    /// The library takes no such address.
    #[error("the NATS server's address is refused")]
    Address,
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// There is no connection.
    #[error("no connection to {server}{}", because(.why.as_deref()))]
    NotConnected {
        /// The server.
        server: String,
        /// What was said last.
        why: Option<String>,
    },
    /// Nobody listens to the subject.
    #[error("nobody answers on {0}")]
    NoResponders(String),
    /// No answer in time.
    #[error("no answer on {0} in time")]
    TimedOut(String),
    /// The server does not let us ask, or hear the answer.
    #[error("the NATS server denies the right of {what}; whoever runs it grants that, see docs/security.md")]
    Denied {
        /// The request's subject.
        subject: String,
        /// In the server's words.
        what: String,
    },
    /// A micro service's error.
    #[error("{subject}: error {code}: {message}")]
    Service {
        /// The request's subject.
        subject: String,
        /// The service's code.
        code: String,
        /// The service's words.
        message: String,
    },
    /// The request did not get out.
    #[error("{subject}: {why}")]
    Failed {
        /// The request's subject.
        subject: String,
        /// What the library says.
        why: String,
    },
}

fn because(why: Option<&str>) -> String {
    why.map(|why| format!(": {why}")).unwrap_or_default()
}

/// A server's words without what a terminal would act on.
pub(super) fn sentence(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SENTENCE_MAX).collect()
}

/// What the library says of an attempt, which is one or two words, with what to do about it.
pub(super) fn advice(said: &str) -> String {
    let said = sentence(said.trim_start_matches("nats: "));
    let advice = match said.as_str() {
        "IO error" => {
            "no server there, or a TLS handshake that failed: check host and port, and that the server's certificate \
             names this host and is of an authority that is trusted or given"
        }
        "TLS error" => "check that the server offers TLS, its certificate and the authority given",
        "timed out" => "what listens there is silent, or no NATS server",
        "authorization violation" => "user, password, token or credentials file are missing or wrong",
        _ => return said,
    };
    format!("{said} ({advice})")
}
