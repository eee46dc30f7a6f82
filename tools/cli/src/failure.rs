//! How a program fails: one kind for each documented exit code.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use super::printable;

/// A failure, with the sentence that is told on stderr.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line is not understood, or contradicts itself.
    #[error("{0}")]
    Usage(String),
    /// The command line is understood, but what it asks for cannot be set up: a label too long, a port in use.
    #[error("{0}")]
    Configuration(String),
    /// RTP packets of another payload type than expected.
    #[error("{0}")]
    PayloadType(String),
    /// Fewer packets or frames than asked for.
    #[error("{0}")]
    Threshold(String),
    /// The pipeline could not start, or broke: a missing encoder, a server that refuses.
    #[error("{0}")]
    Pipeline(String),
    /// The publisher sends another RTMP packaging than expected.
    #[error("{0}")]
    RtmpMode(String),
    /// What was received breaks its protocol.
    #[error("{0}")]
    Protocol(String),
    /// Nothing came in time.
    #[error("{0}")]
    Timeout(String),
    /// A signal ended the work before it was done; nothing unfinished is left.
    #[error("interrupted; nothing unfinished is left behind")]
    Interrupted {
        /// Its number.
        signal: u8,
    },
    /// A signal ended the work before it was done; what was done until then is kept.
    #[error("interrupted; what was converted until then is in {}", left.display())]
    CutShort {
        /// Its number.
        signal: u8,
        /// The file that is kept.
        left: PathBuf,
    },
}

impl Failure {
    /// The process exit code. Source: the specification's exit code table.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 1,
            Self::Configuration(_) => 2,
            Self::PayloadType(_) => 3,
            Self::Threshold(_) => 4,
            Self::Pipeline(_) => 5,
            Self::RtmpMode(_) => 6,
            Self::Protocol(_) => 7,
            Self::Timeout(_) => 124,
            // As shells count signals.
            Self::Interrupted { signal } | Self::CutShort { signal, .. } => 128 + signal,
        }
    }
}

/// Ends a program: silence and 0 for success, else one line on stderr and the failure's code.
pub fn exit_with(program: &str, outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // A closed stderr is no reason for another exit code.
            let _ = writeln!(io::stderr(), "{program}: {}", printable::line(&failure.to_string()));
            ExitCode::from(failure.exit_code())
        }
    }
}
