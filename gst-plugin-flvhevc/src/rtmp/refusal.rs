//! Why a session with a server is over, in a sentence for its user.

use std::fmt;

/// What the client is waiting for, or what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Handshake,
    Connect,
    CreateStream,
    Publish,
    Publishing,
}

impl Step {
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshake => "the handshake",
            Self::Connect => "connect",
            Self::CreateStream => "createStream",
            Self::Publish => "publish",
            Self::Publishing => "the stream",
        }
    }
}

/// Longest part of a server's own words that is repeated.
const WORDS_MAX: usize = 200;

/// What a server said, safe to print: one line, of bounded length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(String);

impl Words {
    pub fn new(text: &str) -> Self {
        let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        let line = printable.take(WORDS_MAX).collect::<String>();
        Self(line.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A server's code and description, as its information object has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    pub code: Words,
    pub description: Words,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.description.as_str()) {
            ("", "") => f.write_str("without a reason"),
            (code, "") => f.write_str(code),
            ("", description) => f.write_str(description),
            (code, description) => write!(f, "{code}: {description}"),
        }
    }
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("whoever listens there does not speak RTMP: its version is {0}")]
    Version(u8),
    #[error("the server refuses {}: {}", .0.name(), .1)]
    Refused(Step, Reason),
    #[error("the server ends the stream: {0}")]
    Ended(Reason),
    #[error("the server asks for a user name and a password ({0})")]
    NeedsPassword(&'static str),
    #[error("the server does not accept the user name or the password: {0}")]
    WrongPassword(Reason),
    #[error("the server asks for the unknown authentication '{}'", .0.as_str())]
    UnknownAuthentication(Words),
    #[error("the server sends a message of {size} bytes, at most {max} are accepted")]
    MessageTooLarge { size: usize, max: usize },
    #[error("the server uses more than {0} chunk streams")]
    TooManyChunkStreams(usize),
    #[error("the server has more than {0} bytes of unfinished messages under way")]
    TooMuchUnfinished(usize),
    #[error("the server asks for more answers than it takes")]
    TooManyAnswers,
    #[error("the server breaks the protocol: {0}")]
    Malformed(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_are_one_short_line() {
        assert_eq!(Words::new("a\n\tb\u{1b}[31m  c").as_str(), "a b [31m c");
        assert!(Words::new(&"x".repeat(100_000)).as_str().len() == WORDS_MAX);
        let reason = Reason { code: Words::new("NetStream.Publish.BadName"), description: Words::new("taken") };
        assert_eq!(
            Refusal::Refused(Step::Publish, reason).to_string(),
            "the server refuses publish: NetStream.Publish.BadName: taken"
        );
    }
}
