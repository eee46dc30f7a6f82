//! A camera's run from the checked plan to the summary.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tools_cli::{failure::Failure, file_format::FileFormat};
use tools_media::encoders::{Choice, Device, PICK_MAX};

use super::{
    encoder_control::Control,
    events::Events,
    log::{tell, teller},
    micro_service::MicroService,
    options::VideoSource,
    plan::{Encoding, Plan, Stream},
    recorder_control::RecorderControl,
    stream::Streamer,
    summary::{self, Summary},
    supervisor::Supervisor,
    watch::{self, Desk},
};
use crate::{
    recorder::{Recorders, State, Status},
    simulator::Simulator,
};

/// How a run ended, and its account if anything ran.
pub type Outcome = (Result<(), Failure>, Option<Summary>);

/// Runs a camera to its end; those who watch see it as `camera`.
pub fn run(events: &Events, plan: &Plan, camera: &Arc<watch::Camera>) -> Outcome {
    match try_run(events, plan, camera) {
        Ok((outcome, summary)) => {
            // Nothing ran.
            let nothing = matches!(outcome, Err(Failure::Configuration(_)));
            (outcome, (!nothing).then_some(summary))
        }
        Err(failure) => (Err(failure), None),
    }
}

fn try_run(
    events: &Events,
    plan: &Plan,
    camera: &Arc<watch::Camera>,
) -> Result<(Result<(), Failure>, Summary), Failure> {
    let simulator = plan.simulator.as_ref().map(Simulator::new).transpose()?;
    let (outcome, stream) = match &plan.stream {
        None => (Supervisor::new(events, simulator.as_ref(), None).run(), None),
        Some(plan) => run_stream(events, simulator.as_ref(), plan, camera)?,
    };
    let simulator = simulator.as_ref().map(|simulator| summary::Simulator { published: simulator.published() });
    Ok((outcome, Summary { simulator, stream }))
}

/// How long a disk may take to begin recordings, before the stream does.
const BEGIN_MAX: Duration = Duration::from_secs(10);
/// How long files may take to be made whole when the run is over,
pub const FINISH_MAX: Duration = Duration::from_secs(30);
/// of which so much is no news,
const FINISH_QUIET: Duration = Duration::from_secs(1);
/// and how long once somebody waits for the end.
const LEAVE_MAX: Duration = Duration::from_millis(200);

type Account = (Result<(), Failure>, Option<summary::Stream>);

/// Streams and records.
fn run_stream(
    events: &Events,
    simulator: Option<&Simulator>,
    plan: &Stream,
    camera: &Arc<watch::Camera>,
) -> Result<Account, Failure> {
    if !plan.has_outputs() {
        tell("no output is asked for: frames are encoded and sent nowhere");
    }
    let recorders = plan.recordings.recorders(Arc::new(teller()))?;
    let streamed = begin_recordings(events, plan, &recorders).and_then(|()| {
        let control = Arc::new(Control::default());
        let recorder = RecorderControl::all(plan, &recorders);
        let service = MicroService::start(plan, &recorder, &control)?;
        let producer = service.as_ref().map(MicroService::producer);
        let _desk = watch::Camera::open_desk(camera, Desk::new(recorder, &control, producer));
        let switch = {
            let (recorders, camera) = (Arc::downgrade(&recorders), Arc::downgrade(camera));
            move |is_wanted: bool| {
                let camera = camera.clone();
                let show = move |time, plane: &_| {
                    camera.upgrade().iter().for_each(|camera| camera.doors.depth.offer(time, plane))
                };
                if let Some(recorders) = recorders.upgrade() {
                    recorders.show_depth(is_wanted.then(|| Arc::new(show) as _));
                }
            }
        };
        camera.doors.depth.connect(Box::new(switch));
        stream(events, simulator, plan, &recorders, camera, &control)
    });
    let recordings = finish_recordings(events, &recorders);
    let (outcome, summary) = streamed?;
    let fault = recordings.iter().find_map(|(format, status)| status.fault(*format));
    let recordings = summary::Recording::all(&recordings);
    Ok((outcome.and(fault.map_or(Ok(()), Err)), summary.map(|stream| summary::Stream { recordings, ..stream })))
}

fn stream(
    events: &Events,
    simulator: Option<&Simulator>,
    plan: &Stream,
    recorders: &Arc<Recorders>,
    camera: &Arc<watch::Camera>,
    control: &Arc<Control>,
) -> Result<Account, Failure> {
    let mut streamer = Streamer::new(plan, recorders, camera, control, pick_encoder(events, plan)?)?;
    let outcome = Supervisor::new(events, simulator, Some(&mut streamer)).run();
    Ok((outcome, Some(streamer.summary())))
}

/// Picks the encoder before anything runs, where it is known that one is needed, and where one is named: whoever does wants to
/// know now that it is not there. After a signal there is none.
fn pick_encoder(events: &Events, plan: &Stream) -> Result<Option<Choice>, Failure> {
    let needed = match plan.video_source {
        VideoSource::Raw => true,
        VideoSource::Auto => plan.encoding.device != Device::Auto,
        VideoSource::Encoded => false,
    };
    let Some(codec) = plan.codec.filter(|_| needed) else {
        return Ok(None);
    };
    let Encoding { device, live, .. } = plan.encoding;
    let patience = |signals| if signals == 0 { PICK_MAX } else { Duration::ZERO };
    events.beside(move || Choice::pick(codec, device, live.needs()), patience).transpose()
}

/// Begins what is recorded from the start.
fn begin_recordings(events: &Events, plan: &Stream, recorders: &Arc<Recorders>) -> Result<(), Failure> {
    let (recordings, recorders) = (plan.recordings.clone(), Arc::clone(recorders));
    let patience = |signals| if signals == 0 { BEGIN_MAX } else { LEAVE_MAX };
    events.beside(move || recordings.start(&recorders), patience).unwrap_or_else(|| {
        Err(Failure::Configuration("the disk of the recordings or of --record-root does not answer".to_owned()))
    })
}

/// Makes the files whole, however the stream ended. A second signal leaves those that are not.
fn finish_recordings(events: &Events, recorders: &Arc<Recorders>) -> Vec<(FileFormat, Status)> {
    let until = Instant::now() + FINISH_MAX;
    let patience = move |signals| match signals {
        0 | 1 => until.saturating_duration_since(Instant::now()),
        _ => LEAVE_MAX,
    };
    let finishing = Arc::clone(recorders);
    let finish = move || {
        finishing.finish(FINISH_QUIET);
        let waits = finishing.statuses().into_iter().any(|(_, status)| status.state == State::Recording);
        if waits {
            tell("waiting for the disk to take the rest of the recordings; a second signal leaves them unfinished");
            finishing.finish(FINISH_MAX);
        }
    };
    events.beside(finish, patience);
    // A look at a file may wait for the disk, too.
    let leaving = Arc::clone(recorders);
    events.beside(move || leaving.abandon(), |_| LEAVE_MAX);
    recorders.statuses()
}
