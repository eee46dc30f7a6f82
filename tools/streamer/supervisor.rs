//! The main loop: what pipelines and signals say, until there is nothing left to do.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};

use gst::{glib, prelude::*};

use super::{complaint, complaint::Warnings, pipeline, pipeline::Streamer, run::tell};
use crate::{
    common::failure::Failure,
    simulator::{self, Simulator},
};

/// After a signal, outputs have this long to say goodbye,
const GOODBYE_MAX: Duration = Duration::from_millis(500);
/// and after the end of the stream this long to send what is left.
const DRAIN_MAX: Duration = Duration::from_secs(3);
/// Outputs are looked after this often.
const OUTLET_TICK: Duration = Duration::from_millis(20);
/// After the last simulated frame, the stream is looked at this often,
const TAIL_TICK: Duration = Duration::from_millis(100);
/// and ends when nothing has moved for so many looks.
const TAIL_QUIET_TICKS: u32 = 5;
/// SIGINT and SIGTERM. Source: signal(7).
const SIGNALS: [i32; 2] = [2, 15];

/// How a run ended without failing.
#[derive(Debug)]
pub enum Ending {
    /// The stream ended, a limit was reached, or a signal came.
    Done,
    /// The hardware encoder gave nothing; why.
    EncoderBroken(String),
}

/// Runs pipelines and hears signals.
#[derive(Debug)]
pub struct Supervisor {
    events: Events,
    /// The simulator outlives a stream that is started over with another encoder.
    simulator_ended: Cell<bool>,
    signals: Vec<glib::SourceId>,
}

type Events = Rc<RefCell<VecDeque<Event>>>;

#[derive(Debug)]
enum Event {
    Signal,
    GoodbyeOver,
    OutletTick,
    TailTick,
    Message(Role, gst::Message),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Simulator,
    Streamer,
}

impl Supervisor {
    /// Hears signals from now on.
    pub fn new() -> Self {
        let events = Events::default();
        let signals = SIGNALS
            .map(|signal| {
                let events = Rc::clone(&events);
                glib_unix::unix_signal_add_local(signal, move || {
                    events.borrow_mut().push_back(Event::Signal);
                    glib::ControlFlow::Continue
                })
            })
            .into();
        Self { events, simulator_ended: Cell::new(false), signals }
    }

    /// Runs until the stream, or without one the simulator, ends.
    ///
    /// # Errors
    /// What an element complains of.
    pub fn run(&self, simulator: Option<&Simulator>, streamer: Option<&Streamer>) -> Result<Ending, Failure> {
        let mut run =
            Run { supervisor: self, simulator, streamer, stopping: false, tail: None, warnings: Warnings::default() };
        // What an earlier stream had to say is over.
        self.events.borrow_mut().retain(|event| matches!(event, Event::Signal | Event::Message(Role::Simulator, _)));
        let _watches = [
            simulator.map(|simulator| self.watch(Role::Simulator, simulator.pipeline())),
            streamer.map(|streamer| self.watch(Role::Streamer, streamer.pipeline())),
        ];
        let _ticks = streamer.map(|_| self.tick());
        run.start()?;
        let context = glib::MainContext::default();
        loop {
            let event = self.events.borrow_mut().pop_front();
            match event {
                None => {
                    context.iteration(true);
                }
                Some(event) => {
                    if let Some(ending) = run.hear(event)? {
                        return run.judge(ending);
                    }
                }
            }
        }
    }

    fn tick(&self) -> Ticks {
        let events = Rc::clone(&self.events);
        Ticks(Some(glib::timeout_add_local(OUTLET_TICK, move || {
            events.borrow_mut().push_back(Event::OutletTick);
            glib::ControlFlow::Continue
        })))
    }

    fn watch(&self, role: Role, pipeline: &gst::Pipeline) -> Option<gst::bus::BusWatchGuard> {
        let events = Rc::clone(&self.events);
        pipeline
            .bus()?
            .add_watch_local(move |_, message| {
                events.borrow_mut().push_back(Event::Message(role, message.clone()));
                glib::ControlFlow::Continue
            })
            .ok()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        for signal in self.signals.drain(..) {
            signal.remove();
        }
    }
}

/// A timer that ends with its owner.
struct Ticks(Option<glib::SourceId>);

impl Drop for Ticks {
    fn drop(&mut self) {
        if let Some(source) = self.0.take() {
            source.remove();
        }
    }
}

/// The end of a simulated stream: frames still on their way.
struct Tail {
    ingested: u64,
    quiet_ticks: u32,
}

struct Run<'a> {
    supervisor: &'a Supervisor,
    simulator: Option<&'a Simulator>,
    streamer: Option<&'a Streamer>,
    stopping: bool,
    tail: Option<Tail>,
    warnings: Warnings,
}

impl Run<'_> {
    /// The simulator claims its names first and publishes last, when the stream is there to see its first frame.
    fn start(&mut self) -> Result<(), Failure> {
        // A run after a failed encoder finds the simulator at work.
        let simulator =
            self.simulator.map(Simulator::pipeline).filter(|pipeline| pipeline.current_state() == gst::State::Null);
        if let Some(pipeline) = simulator {
            self.set_state(Role::Simulator, pipeline, gst::State::Paused)?;
        }
        if let Some(streamer) = self.streamer {
            streamer.outlets().start()?;
            self.set_state(Role::Streamer, streamer.pipeline(), gst::State::Playing)?;
        }
        if let Some(pipeline) = simulator {
            self.set_state(Role::Simulator, pipeline, gst::State::Playing)?;
        }
        if let Some(streamer) = self.streamer {
            tell(&streamer.encoder().sentence());
        }
        if self.supervisor.simulator_ended.get() {
            self.begin_tail();
        }
        Ok(())
    }

    fn set_state(&self, role: Role, pipeline: &gst::Pipeline, state: gst::State) -> Result<(), Failure> {
        let Err(refused) = pipeline.set_state(state) else {
            return Ok(());
        };
        let said = pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        Err(said
            .as_ref()
            .and_then(|message| self.failure(role, message))
            .unwrap_or_else(|| Failure::Pipeline(format!("the pipeline does not start: {refused}"))))
    }

    fn hear(&mut self, event: Event) -> Result<Option<Ending>, Failure> {
        match event {
            Event::Signal => Ok(self.stop()),
            Event::GoodbyeOver => {
                tell("an output did not finish in time and is cut off");
                Ok(Some(Ending::Done))
            }
            Event::OutletTick => self.look_after_outlets(),
            Event::TailTick => {
                self.look_at_tail();
                Ok(None)
            }
            Event::Message(role, message) => self.read(role, &message),
        }
    }

    fn look_after_outlets(&self) -> Result<Option<Ending>, Failure> {
        let Some(streamer) = self.streamer else {
            return Ok(None);
        };
        let mut outlets = streamer.outlets();
        outlets.look()?;
        match outlets.have_ended() {
            true => Ok(Some(Ending::Done)),
            false => Ok(None),
        }
    }

    /// What a run that has ended is worth.
    fn judge(&self, ending: Ending) -> Result<Ending, Failure> {
        match (&ending, self.streamer.and_then(|streamer| streamer.outlets().fault())) {
            (Ending::Done, Some(failure)) => Err(failure),
            _ => Ok(ending),
        }
    }

    /// Ends the stream when the last simulated frame is through.
    fn look_at_tail(&mut self) {
        let (Some(tail), Some(streamer)) = (&mut self.tail, self.streamer) else {
            return;
        };
        let (ingested, waiting) = streamer.progress();
        tail.quiet_ticks = if waiting == 0 && ingested == tail.ingested { tail.quiet_ticks + 1 } else { 0 };
        tail.ingested = ingested;
        if tail.quiet_ticks == TAIL_QUIET_TICKS {
            streamer.pipeline().send_event(gst::event::Eos::new());
        } else if tail.quiet_ticks < TAIL_QUIET_TICKS {
            self.after(TAIL_TICK, || Event::TailTick);
        }
    }

    fn after(&self, time: Duration, event: fn() -> Event) {
        let events = Rc::clone(&self.supervisor.events);
        glib::timeout_add_local_once(time, move || events.borrow_mut().push_back(event()));
    }

    /// Ends the stream in order; at once when told twice.
    fn stop(&mut self) -> Option<Ending> {
        let Some(streamer) = self.streamer.filter(|_| !self.stopping) else {
            return Some(Ending::Done);
        };
        self.stopping = true;
        // A pipeline that cannot take the end is cut off by the timer.
        streamer.pipeline().send_event(gst::event::Eos::new());
        self.after(GOODBYE_MAX, || Event::GoodbyeOver);
        None
    }

    fn read(&mut self, role: Role, message: &gst::Message) -> Result<Option<Ending>, Failure> {
        match message.view() {
            gst::MessageView::Eos(_) => return Ok(self.ended(role)),
            gst::MessageView::Error(_) if self.stopping => return Ok(Some(Ending::Done)),
            gst::MessageView::Error(_) => return self.broke(role, message),
            gst::MessageView::Warning(warning) => {
                let subject = self.subject(role, message);
                let text = subject.sentence(&warning.error(), warning.debug().as_deref());
                self.warnings.tell(&subject.line(&text));
            }
            gst::MessageView::Latency(_) => {
                if let Some(pipeline) = self.pipeline(role) {
                    // Each element goes on with the latency it had when one does not answer.
                    let _ = pipeline.recalculate_latency();
                }
            }
            gst::MessageView::Element(element) if role == Role::Streamer => {
                if let Some(status) = element.structure().and_then(producer_status) {
                    self.hear_producer(status);
                }
            }
            gst::MessageView::Application(application)
                if application.structure().is_some_and(|structure| structure.name() == pipeline::ENCODER_SILENT) =>
            {
                if let Some(streamer) = self.streamer.filter(|streamer| streamer.encoded_nothing()) {
                    return Ok(Some(Ending::EncoderBroken(format!("{} gives nothing", streamer.encoder().name()))));
                }
            }
            _ => {}
        }
        Ok(None)
    }

    /// Outlets stay as they are when the producer leaves or starts over; only the decoders behind them need a keyframe.
    fn hear_producer(&self, status: &str) {
        tell(&format!("producer: {status}"));
        if let Some(streamer) = self.streamer.filter(|_| status == "stream-reset") {
            streamer.force_keyframe();
        }
    }

    /// Decides what an error ends: the encoder's turn, or everything.
    fn broke(&mut self, role: Role, message: &gst::Message) -> Result<Option<Ending>, Failure> {
        let subject = self.subject(role, message);
        match (self.failure(role, message), self.streamer) {
            (None, _) => Ok(None),
            (Some(failure), Some(streamer))
                if subject == Subject::Encoder && streamer.encoder().is_hardware() && streamer.encoded_nothing() =>
            {
                Ok(Some(Ending::EncoderBroken(failure.to_string())))
            }
            (Some(failure), _) => Err(failure),
        }
    }

    fn ended(&mut self, role: Role) -> Option<Ending> {
        let Some(streamer) = self.streamer else {
            return Some(Ending::Done);
        };
        match role {
            Role::Streamer => {
                streamer.outlets().finish();
                if !self.stopping {
                    self.after(DRAIN_MAX, || Event::GoodbyeOver);
                }
            }
            Role::Simulator => {
                self.supervisor.simulator_ended.set(true);
                self.begin_tail();
            }
        }
        None
    }

    fn begin_tail(&mut self) {
        self.tail = Some(Tail { ingested: 0, quiet_ticks: 0 });
        self.look_at_tail();
    }

    fn pipeline(&self, role: Role) -> Option<&gst::Pipeline> {
        match role {
            Role::Simulator => self.simulator.map(Simulator::pipeline),
            Role::Streamer => self.streamer.map(Streamer::pipeline),
        }
    }

    fn failure(&self, role: Role, message: &gst::Message) -> Option<Failure> {
        let gst::MessageView::Error(error) = message.view() else {
            return None;
        };
        let subject = self.subject(role, message);
        let text = subject.sentence(&error.error(), error.debug().as_deref());
        let line = subject.line(&text);
        let names_taken = subject == Subject::Simulator
            && matches!(
                error.error().kind::<gst::ResourceError>(),
                Some(
                    gst::ResourceError::Busy
                        | gst::ResourceError::OpenWrite
                        | gst::ResourceError::OpenReadWrite
                        | gst::ResourceError::Settings
                )
            );
        Some(if names_taken { Failure::Configuration(line) } else { Failure::Pipeline(line) })
    }

    fn subject(&self, role: Role, message: &gst::Message) -> Subject {
        let culprit = self.pipeline(role).and_then(|pipeline| complaint::culprit(message, pipeline));
        match culprit.as_deref() {
            Some(simulator::SINK) => Subject::Simulator,
            Some(pipeline::INPUT) => Subject::Input,
            Some(pipeline::ENCODER) => Subject::Encoder,
            _ => Subject::Pipeline,
        }
    }
}

/// What the producer said over NATS, when the message tells of that.
fn producer_status(structure: &gst::StructureRef) -> Option<&str> {
    structure.get("status").ok().filter(|_| structure.name() == gstcvmmap::STATUS_MESSAGE)
}

/// Who a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Simulator,
    Input,
    Encoder,
    Pipeline,
}

impl Subject {
    fn sentence(self, error: &glib::Error, debug: Option<&str>) -> String {
        match self {
            Self::Simulator | Self::Input => complaint::own_sentence(error, debug),
            _ => complaint::sentence(error, debug),
        }
    }

    /// `text`, with who says it.
    fn line(self, text: &str) -> String {
        let name = match self {
            Self::Simulator => "simulator",
            Self::Input => "input",
            Self::Encoder => "encoder",
            Self::Pipeline => "pipeline",
        };
        format!("{name}: {text}")
    }
}
