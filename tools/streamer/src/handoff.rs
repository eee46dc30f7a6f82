//! From the producer's thread to the pipeline that makes access units of its frames at the moment. That one may hang, and
//! be replaced: the producer's thread waits here, where it can be called away, and never in an encoder.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tools_media::capture_time;

use super::{options::Codec, parameter_sets};

/// Least time from one frame to the next; RTP and FLV tell such frames apart.
const STEP: gst::ClockTime = gst::ClockTime::from_mseconds(1);
/// A pause of this length is none.
const STEADY: Duration = Duration::from_millis(250);

/// What frames hold that one pipeline can take. Encoders are made anew for another picture, for not all of them get
/// through a change: x265 gives broken NAL units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// Pictures of one size and format, the so manieth since the beginning.
    Raw(u64),
    /// Access units with these parameter sets, by their digest.
    Encoded(Codec, u64),
}

impl Media {
    /// Whether the producer encodes.
    pub fn is_encoded(self) -> bool {
        matches!(self, Self::Encoded(..))
    }
}

/// What was last seen of a producer.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When its last frame came.
    pub at: Instant,
    /// When that was taken, by its clock.
    pub captured_ns: Option<u64>,
    /// The usual time between two frames.
    pub pace: Duration,
    /// What the frame held,
    pub media: Media,
    /// and how.
    pub caps: gst::Caps,
    /// Its picture, where it is kept.
    pub picture: Option<gst::Buffer>,
}

/// What became of a picture in a producer's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandIn {
    /// It was handed on.
    Given,
    /// The taker has another one at work.
    Busy,
    /// Nobody takes such pictures.
    Wants(Media),
    /// The producer is back, or nothing is handed on any more.
    Over,
}

/// Tells what frames hold.
#[derive(Debug, Default)]
struct Watch {
    last: Option<(gst::Caps, Media)>,
    pictures: u64,
}

impl Watch {
    fn media(&mut self, sample: &gst::SampleRef) -> Option<Media> {
        let caps = sample.caps()?;
        let same_caps = self.last.as_ref().filter(|(last, _)| last.as_ref() == caps).map(|(_, media)| *media);
        let codec = match caps.structure(0)?.name().as_str() {
            "video/x-h264" => Codec::H264,
            "video/x-h265" => Codec::H265,
            _ => {
                return Some(same_caps.unwrap_or_else(|| {
                    let media = Media::Raw(self.pictures);
                    self.pictures += 1;
                    self.keep(caps, media)
                }));
            }
        };
        let keyframe = sample.buffer().filter(|unit| !unit.flags().contains(gst::BufferFlags::DELTA_UNIT));
        let digest = keyframe.and_then(|unit| parameter_sets::digest(codec, &unit.map_readable().ok()?));
        Some(match (digest, same_caps) {
            (None, Some(media)) => media,
            (digest, _) => self.keep(caps, Media::Encoded(codec, digest.unwrap_or_default())),
        })
    }

    fn keep(&mut self, caps: &gst::CapsRef, media: Media) -> Media {
        self.last = Some((caps.to_owned(), media));
        media
    }
}

/// Hands frames on, one at a time.
#[derive(Debug, Default)]
pub struct Handoff {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taker: Option<Taker>,
    watch: Watch,
    /// What waits for a taker.
    waits: Option<Media>,
    /// What no encoder takes: such frames are dropped.
    refused: Option<Media>,
    dropped: u64,
    /// Nothing is handed on any more.
    closed: bool,
    timestamps: Rising,
    /// A frame is being handed on.
    is_offered: bool,
    seen: Option<Seen>,
    /// The last picture is kept.
    keeps: bool,
    /// Pictures in the producer's place, of another kind than its frames.
    others: Option<(gst::Caps, Media)>,
    /// Pictures stood in for access units: what comes needs a keyframe.
    awaits_keyframe: bool,
}

#[derive(Debug)]
struct Taker {
    source: gst_app::AppSrc,
    media: Media,
    /// It has asked for a frame, and was given none since.
    hungry: bool,
    /// Frames that it was given.
    given: u64,
}

impl State {
    /// A frame came.
    fn note(&mut self, media: Media, sample: &gst::SampleRef) {
        let (at, before) = (Instant::now(), self.seen.take());
        let gap = before.as_ref().map(|before| at.saturating_duration_since(before.at));
        let pace = match (before.map(|before| before.pace), gap) {
            // What ends a long silence says nothing.
            (Some(pace), Some(gap)) if !pace.is_zero() && gap < pace * 8 + STEADY => (pace * 7 + gap) / 8,
            (Some(pace), Some(_)) if !pace.is_zero() => pace,
            (_, gap) => gap.unwrap_or_default(),
        };
        let Some(caps) = sample.caps_owned() else {
            return;
        };
        let captured_ns = sample.buffer().and_then(capture_time::of);
        let picture = if self.keeps && !media.is_encoded() { sample.buffer_owned() } else { None };
        self.seen = Some(Seen { at, captured_ns, pace, media, caps, picture });
    }

    fn ready(&self, media: Media) -> Option<&gst_app::AppSrc> {
        self.taker.as_ref().filter(|taker| taker.hungry && taker.media == media).map(|taker| &taker.source)
    }
}

impl Handoff {
    /// From now on frames go to `source`, the head of a pipeline for such frames.
    pub fn attach(&self, source: &gst_app::AppSrc, media: Media) {
        let mut state = self.lock();
        state.taker = Some(Taker { source: source.clone(), media, hungry: false, given: 0 });
        state.waits = None;
        drop(state);
        self.changed.notify_all();
    }

    /// From now on nobody takes frames.
    pub fn detach(&self) {
        self.lock().taker = None;
        self.changed.notify_all();
    }

    /// From now on such frames are dropped, with those that were given to the last taker in vain.
    pub fn refuse(&self, media: Media) {
        let mut state = self.lock();
        state.dropped += state.taker.take().map_or(0, |taker| taker.given);
        state.refused = Some(media);
        drop(state);
        self.changed.notify_all();
    }

    /// A frame was dropped before it came here.
    pub fn drop_one(&self) {
        self.lock().dropped += 1;
    }

    /// Frames that were dropped for nothing can be made of them.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Size of the last picture, for a person.
    pub fn picture(&self) -> String {
        let state = self.lock();
        let caps = state.watch.last.as_ref().and_then(|(caps, _)| caps.structure(0));
        let side = |name| caps.and_then(|caps| caps.get::<i32>(name).ok()).unwrap_or_default();
        format!("{}x{}", side("width"), side("height"))
    }

    /// `source` wants a frame.
    pub fn feed(&self, source: &gst_app::AppSrc) {
        if let Some(taker) = self.lock().taker.as_mut().filter(|taker| taker.source == *source) {
            taker.hungry = true;
        }
        self.changed.notify_all();
    }

    /// From now on the last picture is kept.
    pub fn keep_last(&self) {
        self.lock().keeps = true;
    }

    /// When the producer's last frame came; none while one is being handed on.
    pub fn seen_at(&self) -> Option<Instant> {
        let state = self.lock();
        state.seen.as_ref().filter(|_| !state.is_offered).map(|seen| seen.at)
    }

    /// What was last seen of the producer.
    pub fn seen(&self) -> Option<Seen> {
        self.lock().seen.clone()
    }

    /// Hands on a picture in the place of the producer's, while no frame has come since `since`; waits for nothing. `now` is
    /// running time.
    pub fn stand_in(&self, picture: &gst::Sample, since: Instant, now: gst::ClockTime) -> StandIn {
        let mut guard = self.lock();
        let state = &mut *guard;
        let (Some(seen), Some(caps)) = (&state.seen, picture.caps()) else {
            return StandIn::Over;
        };
        if state.closed || seen.at != since {
            return StandIn::Over;
        }
        let replaces_units = seen.media.is_encoded();
        let media = match &state.others {
            _ if !replaces_units && seen.caps.as_ref() == caps => seen.media,
            Some((known, media)) if known.as_ref() == caps => *media,
            _ => {
                let media = Media::Raw(state.watch.pictures);
                state.watch.pictures += 1;
                state.others = Some((caps.to_owned(), media));
                media
            }
        };
        if state.refused == Some(media) {
            return StandIn::Busy;
        }
        if state.taker.as_ref().is_none_or(|taker| taker.media != media) {
            return StandIn::Wants(media);
        }
        if state.ready(media).is_none() {
            return StandIn::Busy;
        }
        let timed = state.timestamps.stamp_now(picture, now);
        state.awaits_keyframe |= replaces_units;
        if let Some(taker) = &mut state.taker {
            taker.hungry = false;
            taker.given += 1;
            // Refused by a pipeline that is broken or being torn down: its messages say so.
            let _ = taker.source.push_sample(&timed);
        }
        StandIn::Given
    }

    /// Hands a frame on, and waits until the next one is wanted, so that this is the newest by then. `now` is running
    /// time; `ask` is called when nobody takes such frames.
    ///
    /// # Errors
    /// [`gst::FlowError::Flushing`] when it is closed.
    pub fn offer(
        &self,
        sample: &gst::Sample,
        now: impl Fn() -> Option<gst::ClockTime>,
        ask: impl Fn(),
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.lock().is_offered = true;
        let offered = self.hand_on(sample, now, ask);
        self.lock().is_offered = false;
        offered
    }

    fn hand_on(
        &self,
        sample: &gst::Sample,
        now: impl Fn() -> Option<gst::ClockTime>,
        ask: impl Fn(),
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let media = {
            let mut state = self.lock();
            let media = state.watch.media(sample).ok_or(gst::FlowError::NotNegotiated)?;
            let is_delta = sample.buffer().is_some_and(|unit| unit.flags().contains(gst::BufferFlags::DELTA_UNIT));
            if media.is_encoded() && is_delta && state.awaits_keyframe {
                state.dropped += 1;
                return Ok(gst::FlowSuccess::Ok);
            }
            state.awaits_keyframe = false;
            state.note(media, sample);
            media
        };
        let mut state = self.wait(|state| {
            if state.refused == Some(media) {
                return true;
            }
            if state.taker.as_ref().is_none_or(|taker| taker.media != media)
                && state.waits.replace(media) != Some(media)
            {
                ask();
            }
            state.ready(media).is_some()
        })?;
        if state.refused == Some(media) {
            state.dropped += 1;
            state.waits = None;
            return Ok(gst::FlowSuccess::Ok);
        }
        let timed = state.timestamps.stamp(sample, now());
        let Some(taker) = &mut state.taker else {
            return Err(gst::FlowError::Flushing);
        };
        taker.hungry = false;
        taker.given += 1;
        // Refused by a pipeline that is broken or being torn down: its messages say so.
        let _ = taker.source.push_sample(&timed);
        drop(state);
        let wanted = |state: &mut State| state.taker.as_ref().is_none_or(|taker| taker.hungry || taker.media != media);
        self.wait(wanted).map(|_| gst::FlowSuccess::Ok)
    }

    /// What waits for somebody to take it.
    pub fn waits(&self) -> Option<Media> {
        self.lock().waits
    }

    /// Whether the taker is at work on a frame.
    pub fn is_busy(&self) -> bool {
        self.lock().taker.as_ref().is_some_and(|taker| !taker.hungry)
    }

    /// Calls the producer's thread away, until it is opened again.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Takes frames again.
    pub fn open(&self) {
        let mut state = self.lock();
        state.closed = false;
        state.waits = None;
    }

    fn wait(&self, mut ready: impl FnMut(&mut State) -> bool) -> Result<MutexGuard<'_, State>, gst::FlowError> {
        let waits = |state: &mut State| !state.closed && !ready(state);
        let state = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(gst::FlowError::Flushing) } else { Ok(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Timestamps that rise with every frame, whatever the producer's clock does.
#[derive(Debug, Default)]
struct Rising {
    last: Option<gst::ClockTime>,
}

impl Rising {
    /// The time of a frame: its own, or that of its arrival while its own lies behind the last one.
    fn next(&mut self, pts: gst::ClockTime, now: gst::ClockTime) -> gst::ClockTime {
        let next = match self.last {
            Some(last) if pts < last + STEP => now.max(last + STEP),
            _ => pts,
        };
        self.last = Some(next);
        next
    }

    /// A picture that is taken now.
    fn stamp_now(&mut self, picture: &gst::Sample, now: gst::ClockTime) -> gst::Sample {
        let (Some(mut buffer), Some(caps)) = (picture.buffer_owned(), picture.caps_owned()) else {
            return picture.clone();
        };
        buffer.make_mut().set_pts(self.next(now, now));
        gst::Sample::builder().buffer(&buffer).caps(&caps).build()
    }

    fn stamp(&mut self, sample: &gst::Sample, now: Option<gst::ClockTime>) -> gst::Sample {
        let (Some(buffer), Some(caps)) = (sample.buffer_owned(), sample.caps()) else {
            return sample.clone();
        };
        let (Some(pts), Some(now)) = (buffer.pts(), now) else {
            return sample.clone();
        };
        let next = self.next(pts, now);
        if next == pts {
            return sample.clone();
        }
        let mut buffer = buffer.copy();
        buffer.make_mut().set_pts(next);
        gst::Sample::builder().buffer(&buffer).caps(&caps.to_owned()).build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_rise_through_every_jump() {
        let ms = gst::ClockTime::from_mseconds;
        let mut rising = Rising::default();
        assert_eq!(rising.next(ms(100), ms(105)), ms(100));
        assert_eq!(rising.next(ms(133), ms(138)), ms(133));
        // The clock was set back by more than a frame: arrival counts.
        assert_eq!(rising.next(ms(133), ms(171)), ms(171));
        assert_eq!(rising.next(ms(140), ms(205)), ms(205));
        // Two at once.
        assert_eq!(rising.next(ms(140), ms(205)), ms(206));
        // And forward again.
        assert_eq!(rising.next(ms(240), ms(245)), ms(240));
    }
}
