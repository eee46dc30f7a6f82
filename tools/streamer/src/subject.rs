//! Whom a message is about, and what a user is told of it.

use gst::glib;
use tools_cli::failure::Failure;

use super::{complaint, events::Role, ingest};
use crate::simulator;

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The simulated producer.
    Simulator,
    /// The source of frames.
    Input,
    /// Anything else.
    Pipeline,
}

impl Subject {
    /// Who said `message` in a pipeline.
    pub fn of(role: Role, message: &gst::Message, pipeline: &gst::Pipeline) -> Self {
        match (role, complaint::culprit(message, pipeline).as_deref()) {
            (Role::Simulator, Some(simulator::SINK)) => Self::Simulator,
            (Role::Ingest, Some(ingest::INPUT)) => Self::Input,
            _ => Self::Pipeline,
        }
    }

    /// What it says, in one line.
    pub fn line(self, error: &glib::Error, debug: Option<&str>) -> String {
        let (name, text) = match self {
            Self::Simulator => ("simulator", complaint::own_sentence(error, debug)),
            Self::Input => ("input", complaint::own_sentence(error, debug)),
            Self::Pipeline => ("pipeline", complaint::sentence(error, debug)),
        };
        format!("{name}: {text}")
    }

    /// What an error of it means for the run.
    pub fn failure(self, error: &glib::Error, debug: Option<&str>) -> Failure {
        let line = self.line(error, debug);
        let names_taken = matches!(
            error.kind::<gst::ResourceError>(),
            Some(
                gst::ResourceError::Busy
                    | gst::ResourceError::OpenWrite
                    | gst::ResourceError::OpenReadWrite
                    | gst::ResourceError::Settings
            )
        );
        if self == Self::Simulator && names_taken { Failure::Configuration(line) } else { Failure::Pipeline(line) }
    }
}
