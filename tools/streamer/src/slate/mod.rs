//! What outputs and recordings show while the producer is away: a picture that stands in for its own, into the same encoder.

mod image;
mod last_picture;
mod picture;
mod words;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gst::glib;
use gst_video::{VideoFormat, VideoInfo};
use tools_cli::{
    aside::{Aside, OPEN_MAX},
    failure::Failure,
};
use tools_media::capture_time;

use self::{
    image::Image,
    picture::{Ground, compose},
};
use super::{handoff::StandIn, log::tell, media::Media, options, seen::Seen, stage::Place, summary};

/// From one picture to the next.
const INTERVAL: Duration = Duration::from_millis(200);
/// The rate that an encoder is told, which had access units of the producer before it.
const FPS: gst::Fraction = gst::Fraction::new_raw(5, 1);
/// Without a frame for so many times the usual time between two the producer is away,
const PACES: u32 = 4;
/// but not sooner,
const PATIENCE_MIN: Duration = Duration::from_secs(1);
/// and not later than this.
const PATIENCE_MAX: Duration = Duration::from_secs(10);
/// No picture that stands in is younger than the first of a producer that is back.
const CAPTURE_MARGIN: Duration = Duration::from_millis(50);

/// What is behind the words.
#[derive(Clone, Debug)]
enum Look {
    Freeze,
    Black,
    Image(Arc<Image>),
}

/// Stands in for a producer that is away.
#[derive(Debug)]
pub struct Slate {
    look: Look,
    showing: Option<Showing>,
    times: u64,
    pictures: u64,
    /// Nothing can be shown in place of this producer's access units.
    gave_up: bool,
}

/// One time that the producer is away.
#[derive(Debug)]
struct Showing {
    /// When its last frame came.
    since: Instant,
    seen: Seen,
    state: State,
    due: Instant,
}

#[derive(Debug)]
enum State {
    /// The picture is being made.
    Composing(Aside<Result<gst::Sample, String>>),
    Shown(gst::Sample),
    /// It cannot be.
    Failed,
}

/// The way in for pictures of the slate, and what stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A stage for such pictures, in place of access units of the producer.
    Encoder(Media),
    /// A stage for the producer's pictures, as it had one.
    Stage(Media),
}

impl Slate {
    /// What was asked for, if anything.
    ///
    /// # Errors
    /// [`Failure::Configuration`] for an image that cannot be shown.
    pub fn new(asked: &options::Slate) -> Result<Option<Self>, Failure> {
        let look = match asked {
            options::Slate::None => return Ok(None),
            options::Slate::Freeze => Look::Freeze,
            options::Slate::Black => Look::Black,
            options::Slate::Image(path) => Look::Image(
                Image::read(path)
                    .map_err(|why| Failure::Configuration(format!("--slate {}: {why}", path.display())))?
                    .into(),
            ),
        };
        Ok(Some(Self { look, showing: None, times: 0, pictures: 0, gave_up: false }))
    }

    /// Shows the next picture when it is due. What it needs for that.
    pub fn look(&mut self, place: &Place) -> Option<Wish> {
        let seen_at = place.handoff.seen_at()?;
        if let Some(showing) = self.showing.take_if(|showing| showing.since != seen_at) {
            if matches!(showing.state, State::Shown(_)) {
                let away = seen_at.saturating_duration_since(showing.since).as_secs_f64();
                tell(&format!("slate: the producer is back after {away:.1} s"));
            }
            self.gave_up = false;
        }
        if self.gave_up {
            return None;
        }
        if self.showing.is_none() {
            self.showing = self.begin(place, seen_at);
        }
        let showing = self.showing.as_mut()?;
        if let State::Composing(composing) = &showing.state {
            let composed = composing.look()?;
            showing.state = match composed.unwrap_or_else(|_| Err("it takes too long".to_owned())) {
                Ok(sample) => {
                    self.times += 1;
                    tell(&format!("slate: {} is shown to all outputs", words(&showing.seen)));
                    State::Shown(sample)
                }
                Err(why) => {
                    tell(&format!("warning: slate: nothing can be shown: {why}"));
                    State::Failed
                }
            };
        }
        let State::Shown(sample) = &showing.state else {
            return None;
        };
        let now = Instant::now();
        if now < showing.due {
            return None;
        }
        match place.handoff.stand_in(&stamped(sample, &showing.seen)?, showing.since, place.timebase.now()?) {
            StandIn::Given => {
                self.pictures += 1;
                // What was late does not come twice as fast behind that.
                showing.due = (showing.due + INTERVAL).max(now);
                None
            }
            StandIn::Wants(media) if showing.seen.media.is_encoded() => Some(Wish::Encoder(media)),
            StandIn::Wants(media) => Some(Wish::Stage(media)),
            StandIn::Busy | StandIn::Over => None,
        }
    }

    /// Nothing is shown until the producer is back.
    pub fn give_up(&mut self) {
        self.gave_up = true;
    }

    /// Whether it stands in for access units of the producer, which need no encoder of ours.
    pub fn replaces_units(&self) -> bool {
        self.showing.as_ref().is_some_and(|showing| showing.seen.media.is_encoded())
    }

    /// What it did so far.
    pub fn summary(&self) -> summary::Slate {
        let is_shown = self.showing.as_ref().is_some_and(|showing| matches!(showing.state, State::Shown(_)));
        summary::Slate { shown: is_shown && !self.gave_up, times: self.times, pictures: self.pictures }
    }

    fn begin(&self, place: &Place, since: Instant) -> Option<Showing> {
        if since.elapsed() < PATIENCE_MIN {
            return None;
        }
        let seen = place.handoff.seen()?;
        if since.elapsed() < (seen.pace * PACES).clamp(PATIENCE_MIN, PATIENCE_MAX) {
            return None;
        }
        let group = if seen.media.is_encoded() { place.fan_out.group() } else { Vec::new() };
        let (look, words) = (self.look.clone(), words(&seen));
        let (caps, last) = (seen.caps.clone(), seen.picture.clone());
        let composing = Aside::begin(OPEN_MAX, move || match group.is_empty() {
            true => in_place_of_picture(&caps, last, &look, &words),
            false => in_place_of_units(&group, &look, &words),
        });
        Some(Showing { since, seen, state: State::Composing(composing), due: Instant::now() })
    }
}

impl Look {
    fn ground<'a>(&'a self, last: Option<&'a gst::BufferRef>) -> Ground<'a> {
        match self {
            Self::Freeze => last.map_or(Ground::Black, Ground::Last),
            Self::Black => Ground::Black,
            Self::Image(image) => Ground::Image(image),
        }
    }
}

/// "no signal since 14:03:07", in local time.
fn words(seen: &Seen) -> String {
    let since = glib::DateTime::now_local().and_then(|now| now.add_seconds(-seen.at.elapsed().as_secs_f64()));
    let since = since.and_then(|since| since.format("%H:%M:%S"));
    since.map_or_else(|_| "no signal".to_owned(), |since| format!("no signal since {since}"))
}

fn in_place_of_picture(
    caps: &gst::Caps,
    last: Option<gst::Buffer>,
    look: &Look,
    words: &str,
) -> Result<gst::Sample, String> {
    let info = VideoInfo::from_caps(caps).map_err(|error| error.to_string())?;
    // For the encoder it is one more picture of the same kind.
    made(&info, caps, look, last.as_deref(), words)
}

fn in_place_of_units(group: &[gst::Sample], look: &Look, words: &str) -> Result<gst::Sample, String> {
    let last = match look {
        Look::Freeze => last_picture::decode(group)
            .inspect_err(|why| tell(&format!("warning: slate: {why}; black takes the place of the last picture")))
            .ok(),
        _ => None,
    };
    let unit = group.first().and_then(|unit| unit.caps()).and_then(|caps| caps.structure(0));
    let side = |name| unit.and_then(|unit| unit.get::<i32>(name).ok()).and_then(|side| u32::try_from(side).ok());
    let size = side("width").zip(side("height")).ok_or("the size of the pictures is not known")?;
    let par = unit.and_then(|unit| unit.get::<gst::Fraction>("pixel-aspect-ratio").ok());
    let (width, height) = last.as_ref().map_or(size, |last| (last.info.width(), last.info.height()));
    let colours = last.as_ref().map(|last| last.info.colorimetry());
    let plain = || {
        let plain = VideoInfo::builder(VideoFormat::I420, width, height).fps(FPS);
        plain.par(par.unwrap_or(gst::Fraction::new(1, 1)))
    };
    let info = match &colours {
        Some(colours) => plain().colorimetry(colours).build(),
        None => plain().build(),
    };
    let info = info.map_err(|error| error.to_string())?;
    let caps = info.to_caps().map_err(|error| error.to_string())?;
    made(&info, &caps, look, last.as_ref().map(|last| last.buffer.as_ref()), words)
}

fn made(
    info: &VideoInfo,
    caps: &gst::Caps,
    look: &Look,
    last: Option<&gst::BufferRef>,
    words: &str,
) -> Result<gst::Sample, String> {
    let composed = compose(info, &look.ground(last), words).or_else(|| {
        tell("warning: slate: black takes the place of what cannot be drawn");
        compose(info, &Ground::Black, words)
    });
    let buffer = composed.ok_or("there is no memory for a picture")?;
    Ok(gst::Sample::builder().buffer(&buffer).caps(caps).build())
}

/// The picture as one that was taken now, by the producer's clock.
fn stamped(sample: &gst::Sample, seen: &Seen) -> Option<gst::Sample> {
    // Pixels are shared.
    let mut buffer = sample.buffer()?.copy();
    if let Some(captured_ns) = seen.captured_ns {
        let elapsed = seen.at.elapsed().saturating_sub(CAPTURE_MARGIN);
        let now = captured_ns.saturating_add(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
        capture_time::tell(buffer.get_mut()?, now);
    }
    Some(gst::Sample::builder().buffer(&buffer).caps(&sample.caps_owned()?).build())
}
