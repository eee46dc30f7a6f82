//! A run from the checked plan to the summary.

use std::{io::Write, sync::Arc, time::Duration};

use super::{
    encoder,
    options::{EncoderDevice, Options},
    pipeline::Streamer,
    plan::{Plan, Stream},
    summary::{self, Summary},
    supervisor::{Ending, Supervisor},
};
use crate::{common::failure::Failure, recorder::Recorders, simulator::Simulator};

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
    let supervisor = Supervisor::new();
    let simulator = plan.simulator.as_ref().map(Simulator::new).transpose()?;
    let (outcome, stream) = match &plan.stream {
        None => (supervisor.run(simulator.as_ref(), None).map(|_| ()), None),
        Some(plan) => run_stream(&supervisor, simulator.as_ref(), plan)?,
    };
    if let Err(Failure::Configuration(_)) = outcome {
        // Nothing ran.
        return outcome;
    }
    let summary = Summary {
        simulator: simulator.as_ref().map(|simulator| summary::Simulator { published: simulator.published() }),
        stream,
    };
    print(&summary, plan.json);
    outcome
}

/// How long files may take to be made whole when the run is over.
const FINISH_MAX: Duration = Duration::from_secs(30);

type Account = (Result<(), Failure>, Option<summary::Stream>);

/// Streams and records.
fn run_stream(supervisor: &Supervisor, simulator: Option<&Simulator>, plan: &Stream) -> Result<Account, Failure> {
    if plan.rtp.is_empty() && plan.rtmp.is_empty() && plan.recordings.is_empty() {
        tell("no output is asked for: frames are encoded and sent nowhere");
    }
    let recorders = Recorders::new(tell);
    let streamed = plan.recordings.start(&recorders).and_then(|()| stream(supervisor, simulator, plan, &recorders));
    let recordings = recorders.finish(FINISH_MAX);
    let (outcome, summary) = streamed?;
    let fault = recordings.iter().find_map(|(format, status)| status.fault(*format));
    let recordings = recordings.iter().map(|(format, status)| summary::Recording::new(*format, status)).collect();
    Ok((outcome.and(fault.map_or(Ok(()), Err)), summary.map(|stream| summary::Stream { recordings, ..stream })))
}

/// Streams; a second time, in software, when the hardware encoder turns out not to work.
fn stream(
    supervisor: &Supervisor,
    simulator: Option<&Simulator>,
    plan: &Stream,
    recorders: &Arc<Recorders>,
) -> Result<Account, Failure> {
    let encoding = &plan.encoding;
    let mut choice = encoder::Choice::pick(encoding)?;
    loop {
        let streamer = Streamer::new(plan, choice, recorders)?;
        let ending = supervisor.run(simulator, Some(&streamer));
        match ending {
            Ok(Ending::EncoderBroken(reason)) if encoding.device == EncoderDevice::Auto => {
                choice = encoder::Choice::software(encoding.codec, Some(reason))?;
            }
            Ok(Ending::EncoderBroken(reason)) => {
                let advice = format!("{reason}; take --encoder-device auto or software");
                return Ok((Err(Failure::Pipeline(advice)), Some(streamer.summary())));
            }
            Ok(Ending::Done) => return Ok((Ok(()), Some(streamer.summary()))),
            Err(failure) => return Ok((Err(failure), Some(streamer.summary()))),
        }
    }
}

/// One line for the person at the terminal.
pub(super) fn tell(line: &str) {
    // A closed stderr is no reason to stop streaming.
    let _ = writeln!(std::io::stderr(), "cvmmap_streamer: {line}");
}

fn print(summary: &Summary, json: bool) {
    let mut stdout = std::io::stdout().lock();
    // A reader that closed its end early has seen what it wanted.
    let _ = if json {
        serde_json::to_writer(&mut stdout, summary).map_err(Into::into).and_then(|()| writeln!(stdout))
    } else {
        write!(stdout, "{summary}")
    };
}
