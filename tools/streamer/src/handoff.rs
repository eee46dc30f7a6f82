//! From the producer's thread to the pipeline that makes access units of its frames at the moment. That one may hang, and
//! be replaced: the producer's thread waits here, where it can be called away, and never in an encoder.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{
    media::{Media, Watch},
    seen::Seen,
};

/// Least time from one frame to the next; RTP and FLV tell such frames apart.
const STEP: gst::ClockTime = gst::ClockTime::from_mseconds(1);

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
        let (width, height) = self.lock().watch.size();
        format!("{width}x{height}")
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
                let media = state.watch.another_picture();
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
            state.is_offered = true;
            let media = state.watch.media(sample).ok_or(gst::FlowError::NotNegotiated)?;
            let is_delta = sample.buffer().is_some_and(|unit| unit.flags().contains(gst::BufferFlags::DELTA_UNIT));
            if media.is_encoded() && is_delta && state.awaits_keyframe {
                state.dropped += 1;
                return Ok(gst::FlowSuccess::Ok);
            }
            state.awaits_keyframe = false;
            state.seen = Seen::after(state.seen.take(), media, sample, state.keeps);
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
