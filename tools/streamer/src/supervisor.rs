//! The main loop: what pipelines and signals say, until there is nothing left to do.

use std::time::Duration;

use gst::prelude::*;
use tools_cli::failure::Failure;

use super::{
    events::{Event, Events, Role, TICK_MS},
    ingest::FRAMES_WAIT,
    log::tell,
    stream::Streamer,
    subject::Subject,
};
use crate::simulator::Simulator;

/// After a signal, encoder and outputs have this long to say goodbye,
const GOODBYE_MAX: Duration = Duration::from_millis(600);
/// and after the end of the stream this long to send what is left.
const SENDING_MAX: Duration = Duration::from_secs(3);
/// After the last simulated frame, the stream is looked at this often,
const TAIL_TICK: Duration = Duration::from_millis(100);
/// and ends when nothing has moved for so many looks.
const TAIL_QUIET_TICKS: u32 = 5;

/// Whether the run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Go,
    End,
}

/// A run of what there is to run.
pub struct Supervisor<'a, 'b> {
    events: &'a Events,
    simulator: Option<&'a Simulator>,
    streamer: Option<&'a mut Streamer<'b>>,
    stopping: bool,
    /// The input ended without a frame.
    gave_up_waiting: bool,
    tail: Option<Tail>,
}

/// The end of a simulated stream: frames still on their way.
struct Tail {
    ingested: u64,
    quiet_ticks: u32,
}

impl<'a, 'b> Supervisor<'a, 'b> {
    /// A run that has not begun.
    pub fn new(events: &'a Events, simulator: Option<&'a Simulator>, streamer: Option<&'a mut Streamer<'b>>) -> Self {
        Self { events, simulator, streamer, stopping: false, gave_up_waiting: false, tail: None }
    }

    /// Runs until the stream, or without one the simulator, ends.
    ///
    /// # Errors
    /// What an element complains of.
    pub fn run(mut self) -> Result<(), Failure> {
        let _watches = [Role::Simulator, Role::Ingest].map(|role| self.events.watch(role, self.pipeline(role)?));
        let _ticks = self.events.tick(Duration::from_millis(TICK_MS.into()));
        self.start()?;
        while self.hear(self.events.next())? == Next::Go {}
        if let Some(streamer) = self.streamer.as_ref().filter(|_| self.gave_up_waiting) {
            return Err(Failure::Timeout(streamer.nothing_came()));
        }
        self.streamer.as_ref().and_then(|streamer| streamer.fault()).map_or(Ok(()), Err)
    }

    /// The simulator claims its names first and publishes last, when the stream is there to see its first frame.
    fn start(&mut self) -> Result<(), Failure> {
        self.set_state(Role::Simulator, gst::State::Paused)?;
        if let Some(streamer) = &mut self.streamer {
            streamer.start()?;
        }
        self.set_state(Role::Ingest, gst::State::Playing)?;
        self.set_state(Role::Simulator, gst::State::Playing)
    }

    fn set_state(&self, role: Role, state: gst::State) -> Result<(), Failure> {
        let Some(pipeline) = self.pipeline(role) else {
            return Ok(());
        };
        let Err(refused) = pipeline.set_state(state) else {
            return Ok(());
        };
        let said = pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        Err(match said.as_ref().map(|message| (message, message.view())) {
            Some((message, gst::MessageView::Error(error))) => {
                Subject::of(role, message, pipeline).failure(&error.error(), error.debug().as_deref())
            }
            _ => Failure::Pipeline(format!("the pipeline does not start: {refused}")),
        })
    }

    fn hear(&mut self, event: Event) -> Result<Next, Failure> {
        match event {
            Event::Signal => Ok(self.stop()),
            Event::GoodbyeOver => {
                tell("an output did not finish in time and is cut off");
                Ok(Next::End)
            }
            Event::Tick => self.look_after_stream(),
            Event::TailTick => {
                self.look_at_tail();
                Ok(Next::Go)
            }
            Event::Message(role, message) => self.read(role, &message),
        }
    }

    fn look_after_stream(&mut self) -> Result<Next, Failure> {
        let Some(streamer) = &mut self.streamer else {
            return Ok(Next::Go);
        };
        streamer.look()?;
        Ok(if streamer.has_ended() { Next::End } else { Next::Go })
    }

    /// Ends the stream when the last simulated frame is through.
    fn look_at_tail(&mut self) {
        let (Some(tail), Some(streamer)) = (&mut self.tail, &self.streamer) else {
            return;
        };
        let (ingested, waiting) = streamer.progress();
        tail.quiet_ticks = if waiting == 0 && ingested == tail.ingested { tail.quiet_ticks + 1 } else { 0 };
        tail.ingested = ingested;
        if tail.quiet_ticks == TAIL_QUIET_TICKS {
            streamer.ingest().send_event(gst::event::Eos::new());
        } else if tail.quiet_ticks < TAIL_QUIET_TICKS {
            self.events.after(TAIL_TICK, || Event::TailTick);
        }
    }

    /// Ends the stream in order; at once when told twice.
    fn stop(&mut self) -> Next {
        let Some(streamer) = self.streamer.as_mut().filter(|_| !self.stopping) else {
            return Next::End;
        };
        self.stopping = true;
        streamer.finish(true);
        // An output that cannot take the end is cut off by the timer.
        self.events.after(GOODBYE_MAX, || Event::GoodbyeOver);
        Next::Go
    }

    fn read(&mut self, role: Role, message: &gst::Message) -> Result<Next, Failure> {
        let Some(pipeline) = self.pipeline(role) else {
            return Ok(Next::Go);
        };
        match message.view() {
            gst::MessageView::Eos(_) => return Ok(self.ended(role)),
            // What breaks while it is being stopped is not missed.
            gst::MessageView::Error(_) if self.stopping => {}
            gst::MessageView::Error(error) => {
                let subject = Subject::of(role, message, pipeline);
                return Err(subject.failure(&error.error(), error.debug().as_deref()));
            }
            gst::MessageView::Warning(warning) => {
                let subject = Subject::of(role, message, pipeline);
                let line = subject.line(&warning.error(), warning.debug().as_deref());
                let lacks_plane = subject == Subject::Input && warning.error().matches(gst::ResourceError::NotFound);
                if lacks_plane && self.streamer.as_ref().is_some_and(|streamer| streamer.needs_access_units()) {
                    return Err(Failure::Pipeline(
                        "input: the producer has no access units; take --input-video-source auto or raw, and --codec"
                            .to_owned(),
                    ));
                }
                tell(&format!("warning: {line}"));
            }
            gst::MessageView::Application(question)
                if question.structure().is_some_and(|it| it.name() == FRAMES_WAIT) =>
            {
                // At once: frames are lost meanwhile.
                return self.look_after_stream();
            }
            gst::MessageView::Latency(_) => {
                // Each element goes on with the latency it had when one does not answer.
                let _ = pipeline.recalculate_latency();
            }
            gst::MessageView::Element(element) if role == Role::Ingest => match (element.structure(), &self.streamer) {
                (Some(told), Some(streamer)) if told.name() == gstcvmmap::body::BODY_MESSAGE => {
                    if let Some(packet) = gstcvmmap::body::packet_bytes(told) {
                        streamer.record_body(&packet);
                    }
                }
                (Some(told), _) if told.name() == gstcvmmap::STATUS_MESSAGE => {
                    self.hear_producer(told.get("status").unwrap_or_default());
                }
                _ => {}
            },
            _ => {}
        }
        Ok(Next::Go)
    }

    /// Outlets stay as they are when the producer leaves or starts over; only the decoders behind them need a keyframe.
    fn hear_producer(&self, status: &str) {
        tell(&format!("producer: {status}"));
        if let Some(streamer) = self.streamer.as_ref().filter(|_| status == "stream-reset") {
            streamer.force_keyframe();
        }
    }

    fn ended(&mut self, role: Role) -> Next {
        let Some(streamer) = &mut self.streamer else {
            return Next::End;
        };
        match role {
            Role::Ingest if self.stopping => {}
            Role::Ingest => {
                // A simulated stream has an end of its own.
                self.gave_up_waiting = self.tail.is_none() && streamer.progress().0 == 0;
                streamer.finish(false);
                self.events.after(SENDING_MAX, || Event::GoodbyeOver);
            }
            Role::Simulator => {
                self.tail = Some(Tail { ingested: 0, quiet_ticks: 0 });
                self.look_at_tail();
            }
        }
        Next::Go
    }

    fn pipeline(&self, role: Role) -> Option<&gst::Pipeline> {
        match role {
            Role::Simulator => self.simulator.map(Simulator::pipeline),
            Role::Ingest => self.streamer.as_ref().map(|streamer| streamer.ingest()),
        }
    }
}
