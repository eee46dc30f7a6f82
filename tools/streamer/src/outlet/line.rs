//! A pipeline that sends for an output, from its start to its end, which nobody waits for.

use std::{sync::mpsc, time::Instant};

use gst::prelude::*;
use tools_cli::{
    aside::{Aside, OPEN_MAX},
    failure::Failure,
};

use crate::complaint;

/// A pipeline of its own, with an `appsrc` at its head.
#[derive(Debug)]
pub struct Line {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
}

/// What a line has to say.
#[derive(Debug)]
pub enum Said {
    /// The end of the stream has been sent.
    Ended,
    /// It is broken; why.
    Broke(String),
    /// Something that it goes on after.
    Warned(String),
}

impl Line {
    /// Joins `source` to `pipeline`.
    pub fn new(pipeline: gst::Pipeline, source: gst_app::AppSrc) -> Self {
        Self { pipeline, source }
    }

    /// Its head.
    pub fn source(&self) -> &gst_app::AppSrc {
        &self.source
    }

    /// Begins to take access units.
    ///
    /// # Errors
    /// What an element complains of.
    pub fn start(&self) -> Result<(), Failure> {
        start(&self.pipeline)
    }

    /// The same without waiting for it: an element opens its device.
    pub fn open(&self) -> Aside<Result<(), Failure>> {
        let pipeline = self.pipeline.clone();
        Aside::begin(OPEN_MAX, move || start(&pipeline))
    }

    /// The next thing that it says.
    pub fn said(&self) -> Option<Said> {
        said(&self.pipeline)
    }

    /// Stops it. For a line whose elements do not keep anybody waiting.
    pub fn stop(self) {
        // Of a pipeline that is given up nothing more is asked.
        let _ = self.pipeline.set_state(gst::State::Null);
    }

    /// Stops it in a thread of its own: an encoder may never return.
    pub fn retire(self) -> Retired {
        let (alive, gone) = mpsc::channel();
        std::thread::spawn(move || {
            // Of a pipeline that is given up nothing more is asked.
            let _ = self.pipeline.set_state(gst::State::Null);
            drop(alive);
        });
        Retired(gone)
    }
}

fn start(pipeline: &gst::Pipeline) -> Result<(), Failure> {
    let Err(refused) = pipeline.set_state(gst::State::Playing) else {
        return Ok(());
    };
    let why = match said(pipeline) {
        Some(Said::Broke(why)) => why,
        _ => format!("the pipeline does not start: {refused}"),
    };
    Err(Failure::Pipeline(why))
}

fn said(pipeline: &gst::Pipeline) -> Option<Said> {
    let heard = [gst::MessageType::Error, gst::MessageType::Eos, gst::MessageType::Warning];
    let message = pipeline.bus()?.pop_filtered(&heard)?;
    Some(match message.view() {
        gst::MessageView::Error(error) => Said::Broke(complaint::sentence(&error.error(), error.debug().as_deref())),
        gst::MessageView::Warning(warning) => {
            Said::Warned(complaint::sentence(&warning.error(), warning.debug().as_deref()))
        }
        _ => Said::Ended,
    })
}

/// A line that is being stopped.
#[derive(Debug)]
pub struct Retired(mpsc::Receiver<()>);

impl Retired {
    /// Waits for its end, until `deadline`.
    pub fn wait(&self, deadline: Instant) {
        // Gone or not: what is still there then goes with the process.
        let _ = self.0.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}
