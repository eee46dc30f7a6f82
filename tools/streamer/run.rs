//! A run from the checked plan to the summary.

use std::{io::Write, sync::Arc, time::Duration};

use super::{
    events::Events,
    options::Options,
    plan::{Plan, Stream},
    recorder_service::RecorderService,
    stream::Streamer,
    summary::{self, Summary},
    supervisor::Supervisor,
};
use crate::{
    common::{failure::Failure, report},
    recorder::Recorders,
    simulator::Simulator,
};

/// Runs what was typed, to its end.
///
/// # Errors
/// What the specification's exit codes tell apart.
pub fn run(options: &Options) -> Result<(), Failure> {
    let plan = Plan::new(options)?;
    gst::init()
        .map_err(|error| error.to_string())
        .and_then(|()| gstcvmmap::plugin_register_static().map_err(|error| error.to_string()))
        .and_then(|()| gstflvhevc::plugin_register_static().map_err(|error| error.to_string()))
        .map_err(|error| Failure::Pipeline(format!("GStreamer does not start: {error}")))?;

    // Signals are heard from here on: nothing that is set up below is left behind by one.
    let events = Events::new();
    let simulator = plan.simulator.as_ref().map(Simulator::new).transpose()?;
    let (outcome, stream) = match &plan.stream {
        None => (Supervisor::new(&events, simulator.as_ref(), None).run(), None),
        Some(plan) => run_stream(&events, simulator.as_ref(), plan)?,
    };
    if let Err(Failure::Configuration(_)) = outcome {
        // Nothing ran.
        return outcome;
    }
    let summary = Summary {
        simulator: simulator.as_ref().map(|simulator| summary::Simulator { published: simulator.published() }),
        stream,
    };
    let told = report::print(&summary, plan.json, || summary.to_string()).map(drop);
    outcome.and(told)
}

/// How long files may take to be made whole when the run is over.
const FINISH_MAX: Duration = Duration::from_secs(30);

type Account = (Result<(), Failure>, Option<summary::Stream>);

/// Streams and records.
fn run_stream(events: &Events, simulator: Option<&Simulator>, plan: &Stream) -> Result<Account, Failure> {
    if plan.rtp.is_empty() && plan.rtmp.is_empty() && plan.recordings.is_empty() {
        tell("no output is asked for: frames are encoded and sent nowhere");
    }
    let recorders = Recorders::new(tell);
    let streamed = plan.recordings.start(&recorders).and_then(|()| {
        let _service = RecorderService::start(plan, &recorders)?;
        stream(events, simulator, plan, &recorders)
    });
    let recordings = recorders.finish(FINISH_MAX);
    let (outcome, summary) = streamed?;
    let fault = recordings.iter().find_map(|(format, status)| status.fault(*format));
    let recordings = recordings.iter().map(|(format, status)| summary::Recording::new(*format, status)).collect();
    Ok((outcome.and(fault.map_or(Ok(()), Err)), summary.map(|stream| summary::Stream { recordings, ..stream })))
}

fn stream(
    events: &Events,
    simulator: Option<&Simulator>,
    plan: &Stream,
    recorders: &Arc<Recorders>,
) -> Result<Account, Failure> {
    let mut streamer = Streamer::new(plan, recorders)?;
    let outcome = Supervisor::new(events, simulator, Some(&mut streamer)).run();
    Ok((outcome, Some(streamer.summary())))
}

/// One line for the person at the terminal.
pub(super) fn tell(line: &str) {
    // In one piece, for GStreamer writes there too; a closed stderr is no reason to stop streaming.
    let _ = std::io::stderr().write_all(format!("cvmmap_streamer: {line}\n").as_bytes());
}
