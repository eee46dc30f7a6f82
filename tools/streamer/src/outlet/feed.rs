//! From the encoder's thread to an output's: the backlog in front of the `appsrc` of whatever pipeline sends for the output
//! at the moment.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use gst::prelude::*;
use tools_cli::failure::Failure;
use tools_media::{
    elements,
    running_time::{decoding_time, running_time},
};

use super::{
    Meter,
    backlog::{Backlog, Taken, Weight},
};
use crate::adaptation::Congestion;

/// Asks the encoder for a keyframe.
pub type AskForKeyframe = Arc<dyn Fn() + Send + Sync>;

/// An access unit out of the encoder.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The access unit, with its caps.
    pub sample: gst::Sample,
    /// When its frame was captured.
    pub captured: Option<Instant>,
}

/// Takes access units of an output that has no pipeline; never waits.
pub type Tap = Box<dyn Fn(Unit) + Send + Sync>;

/// What goes to one output.
pub struct Feed {
    meter: Arc<Meter>,
    /// Where access units go in place of a pipeline. Whoever takes them counts them.
    tap: Option<Tap>,
    ask_for_keyframe: AskForKeyframe,
    /// It is no loss when nobody is there.
    on_demand: bool,
    /// When the encoder last gave something.
    heard: Mutex<Option<Instant>>,
    /// What goes to the same output beside this, in its time.
    companion: Option<Arc<Feed>>,
    line: Mutex<Option<Line>>,
}

/// The pipeline that sends at the moment.
struct Line {
    source: gst_app::AppSrc,
    backlog: Backlog<Unit>,
    behind_since: Option<Instant>,
    /// Running time of the first access unit: what is sent begins at 0.
    start: Option<i64>,
    /// What came before the start of the feed that it follows is left out.
    follows: bool,
    /// Something was sent.
    begun: bool,
    /// Bytes that were sent.
    taken: u64,
    /// Decoding time of the last one: a new encoder's B-frames would have it begin before the end of the old one's.
    last: gst::ClockTime,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("meter", &self.meter).finish_non_exhaustive()
    }
}

impl Feed {
    /// A feed to nowhere: what it is offered is dropped until there is a pipeline.
    pub fn new(ask_for_keyframe: AskForKeyframe) -> Arc<Self> {
        Self::with_companion(ask_for_keyframe, None)
    }

    /// The same, with `companion` beside it: that follows its time and never holds it up.
    pub fn with_companion(ask_for_keyframe: AskForKeyframe, companion: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self { companion, ..Self::bare(ask_for_keyframe) })
    }

    /// A feed to whoever comes, if anybody does.
    pub fn on_demand(ask_for_keyframe: AskForKeyframe) -> Arc<Self> {
        Arc::new(Self { on_demand: true, ..Self::bare(ask_for_keyframe) })
    }

    fn bare(ask_for_keyframe: AskForKeyframe) -> Self {
        Self {
            meter: Arc::default(),
            tap: None,
            ask_for_keyframe,
            on_demand: false,
            heard: Mutex::default(),
            companion: None,
            line: Mutex::default(),
        }
    }

    /// A feed to `tap`, which counts in `meter` what becomes of the access units.
    pub fn tapped(meter: Arc<Meter>, ask_for_keyframe: AskForKeyframe, tap: Tap) -> Arc<Self> {
        Arc::new(Self { meter, tap: Some(tap), ..Self::bare(ask_for_keyframe) })
    }

    /// What goes beside it.
    pub fn companion(&self) -> Option<&Arc<Self>> {
        self.companion.as_ref()
    }

    /// What went through.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Asks the encoder for a keyframe.
    pub fn ask_for_keyframe(&self) {
        (self.ask_for_keyframe)();
    }

    /// Makes the head of a sending pipeline.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when GStreamer has no `appsrc`.
    pub fn source(self: &Arc<Self>) -> Result<gst_app::AppSrc, Failure> {
        let source = elements::make_app::<gst_app::AppSrc>("appsrc")?;
        self.prepare(&source, |feed, source| feed.serve(source));
        Ok(source)
    }

    /// Makes `source` the head of a pipeline that somebody else starts: access units go there from when it asks for them.
    pub fn lend(self: &Arc<Self>, source: &gst_app::AppSrc) {
        self.prepare(source, |feed, source| {
            if feed.line().as_ref().is_none_or(|line| line.source != *source) {
                feed.attach(source, None);
            }
            feed.serve(source);
        });
    }

    /// From now on nothing goes to `source`.
    pub fn take_back(&self, source: &gst_app::AppSrc) {
        let mut line = self.line();
        if line.as_ref().is_some_and(|line| line.source == *source) {
            *line = None;
        }
    }

    fn prepare(
        self: &Arc<Self>,
        source: &gst_app::AppSrc,
        serve: impl Fn(&Self, &gst_app::AppSrc) + Send + Sync + 'static,
    ) {
        source.set_format(gst::Format::Time);
        // The backlog is the queue.
        source.set_max_bytes(0);
        let feed: Weak<Self> = Arc::downgrade(self);
        source.set_callbacks(
            gst_app::AppSrcCallbacks::builder()
                .need_data(move |source, _| {
                    if let Some(feed) = feed.upgrade() {
                        serve(&feed, source);
                    }
                })
                .build(),
        );
    }

    /// From now on access units go to `source`, from the next keyframe on, and those of the companion to `beside`.
    pub fn attach(&self, source: &gst_app::AppSrc, beside: Option<&gst_app::AppSrc>) {
        if let (Some(companion), Some(beside)) = (&self.companion, beside) {
            companion.begin(beside, true);
        }
        self.begin(source, false);
    }

    fn begin(&self, source: &gst_app::AppSrc, follows: bool) {
        self.meter.begin();
        *self.line() = Some(Line {
            source: source.clone(),
            backlog: Backlog::default(),
            behind_since: None,
            start: None,
            follows,
            begun: false,
            taken: 0,
            last: gst::ClockTime::ZERO,
        });
        (self.ask_for_keyframe)();
    }

    /// From now on access units go nowhere.
    pub fn detach(&self) {
        *self.line() = None;
        if let Some(companion) = &self.companion {
            companion.detach();
        }
    }

    /// The feed that it is a companion of has sent the access unit of `time`; its first was that of `start`. The muxer waits for
    /// what stands beside it: a gap tells that there is nothing before `time` to come.
    fn follow(&self, start: i64, time: gst::ClockTime) {
        let mut guard = self.line();
        let Some(line) = guard.as_mut() else {
            return;
        };
        let begins = line.start.replace(start).is_none();
        line.last = line.last.max(time);
        // The output knows nothing of what has not begun, and does not wait for it.
        if line.begun {
            // Refused by a pipeline that is being torn down.
            let _ = line.source.send_event(gst::event::Gap::builder(time).build());
        }
        drop(guard);
        if begins {
            (self.ask_for_keyframe)();
        }
    }

    /// How far the output is behind, and what it has taken since it was connected.
    pub fn congestion(&self) -> Option<Congestion> {
        self.line().as_ref().map(|line| Congestion { lag: line.backlog.lag(), taken: line.taken })
    }

    /// Since when the output has taken nothing, when that cost it pictures.
    pub fn behind_since(&self) -> Option<Instant> {
        self.line().as_ref()?.behind_since
    }

    /// Takes in an access unit; never waits for the output.
    pub fn offer(&self, unit: Unit) {
        if let Some(tap) = &self.tap {
            return tap(unit);
        }
        *self.heard() = Some(Instant::now());
        let mut line = self.line();
        if line.is_some() || !self.on_demand {
            self.meter.offer();
        }
        let Some(line) = line.as_mut() else {
            return;
        };
        let Some(weight) = weight(&unit) else {
            return;
        };
        if line.is_too_early(&unit) {
            return;
        }
        if let Some(unit) = line.backlog.offer(weight, unit) {
            self.push(line, &unit);
        } else if line.backlog.is_behind() && line.behind_since.is_none() {
            line.behind_since = Some(Instant::now());
        }
    }

    fn push(&self, line: &mut Line, unit: &Unit) {
        let pushed = line.push(unit, &self.meter);
        if let (Some(companion), Some((start, time))) = (&self.companion, pushed) {
            companion.follow(start, time);
        }
    }

    /// Ends the stream behind what is queued.
    pub fn finish(&self) {
        if let Some(companion) = &self.companion {
            companion.finish();
        }
        if let Some(line) = self.line().as_mut()
            && line.backlog.end()
        {
            line.end();
        }
    }

    /// Answers a `source` that has nothing left.
    fn serve(&self, source: &gst_app::AppSrc) {
        let mut guard = self.line();
        let Some(line) = guard.as_mut().filter(|line| line.source == *source) else {
            return;
        };
        line.behind_since = None;
        match line.backlog.take() {
            Taken::Unit(unit) => self.push(line, &unit),
            Taken::Later => {}
            Taken::LaterFromKeyframe => {
                drop(guard);
                (self.ask_for_keyframe)();
            }
            Taken::End => line.end(),
        }
    }

    /// Whether the encoder gave something in the last so long.
    pub fn is_alive(&self, within: Duration) -> bool {
        self.heard().is_some_and(|heard| heard.elapsed() < within)
    }

    fn heard(&self) -> MutexGuard<'_, Option<Instant>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self) -> MutexGuard<'_, Option<Line>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Whether it is from before the start of the feed that this one follows.
    fn is_too_early(&self, unit: &Unit) -> bool {
        self.follows && self.start.is_none_or(|start| decoding_time(&unit.sample).is_none_or(|time| time < start))
    }

    /// Returns the start of what is sent, and the place of this behind it.
    fn push(&mut self, unit: &Unit, meter: &Meter) -> Option<(i64, gst::ClockTime)> {
        let (buffer, time) = (unit.sample.buffer()?, decoding_time(&unit.sample)?);
        let shift = |time: Option<gst::ClockTime>, start| {
            let time = running_time(&unit.sample, time?)?;
            Some(gst::ClockTime::from_nseconds(u64::try_from(time - start).unwrap_or(0)))
        };
        let start = *self.start.get_or_insert(time);
        let [pts, dts] = [buffer.pts(), buffer.dts()].map(|time| shift(time, start).map(|time| time.max(self.last)));
        self.last = dts.unwrap_or(self.last);
        let mut buffer = buffer.copy();
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(pts);
            buffer.set_dts(dts);
        }
        let mut sample = gst::Sample::builder().buffer(&buffer);
        if let Some(caps) = unit.sample.caps_owned() {
            sample = sample.caps(&caps);
            meter.depart(unit.captured);
            self.taken += buffer.size() as u64;
            // Refused by a pipeline that is broken or being torn down: its messages say so.
            let _ = self.source.push_sample(&sample.build());
            self.begun = true;
        }
        Some((start, dts.or(pts)?))
    }

    fn end(&self) {
        // As above.
        let _ = self.source.end_of_stream();
    }
}

fn weight(unit: &Unit) -> Option<Weight> {
    let buffer = unit.sample.buffer()?;
    let time = Duration::from_nanos(u64::try_from(decoding_time(&unit.sample)?).unwrap_or(0));
    Some(Weight { is_keyframe: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT), bytes: buffer.size(), time })
}
