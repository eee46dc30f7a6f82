//! What makes access units of the producer's frames: an encoder, or nothing but a parser when the frames are access units
//! already. A pipeline of its own, that can be given up for another while it hangs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use cvmmap::Codec;
use gst::prelude::*;
use tools_cli::{
    aside::{Aside, Hangs},
    failure::Failure,
};
use tools_media::{
    codec, elements,
    encoders::{Choice, Rate},
};

use super::{
    encode_time::EncodeTime,
    handoff::Handoff,
    media::Media,
    outlet::{FanOut, Line, Retired, Said},
    padding,
    plan::Encoding,
    scaling,
    timebase::Timebase,
    watchdog::Watchdog,
};

/// Where the colour of four pixels is said to be: in their middle.
const CHROMA_SITE: &str = "jpeg";
/// Threads that convert a picture; more have too few rows each.
const THREADS_MAX: usize = 4;

/// Where a stage takes frames from and brings access units to.
#[derive(Debug)]
pub struct Place {
    /// Frames come from here.
    pub handoff: Arc<Handoff>,
    /// Access units go there.
    pub fan_out: FanOut,
    /// Time of all pipelines.
    pub timebase: Timebase,
    /// Where encoders are timed.
    pub encode_time: Arc<EncodeTime>,
}

/// A pipeline from frames to access units.
#[derive(Debug)]
pub struct Stage {
    line: Line,
    end: gst_app::AppSink,
    maker: Maker,
    media: Media,
    counts: Arc<Counts>,
    /// Its elements are being started.
    opening: Option<Aside<Result<(), Failure>>>,
    watchdog: Watchdog,
}

#[derive(Debug)]
enum Maker {
    Encoder { choice: Choice, sentence: String, rate: Rate },
    Producer(Codec),
}

/// What makes access units of frames.
#[derive(Debug, Default)]
struct Makers {
    before: Vec<gst::Element>,
    encoder: Option<gst::Element>,
    after: Option<gst::Element>,
}

#[derive(Debug, Default)]
struct Counts {
    taken: AtomicU64,
    given: AtomicU64,
}

impl Stage {
    /// Encodes such pictures.
    ///
    /// # Errors
    /// When an element is missing or refuses its settings.
    pub fn encoder(
        choice: Choice,
        codec: Codec,
        encoding: &Encoding,
        media: Media,
        place: &Place,
    ) -> Result<Self, Failure> {
        // The border is drawn in I420, the one 4:2:0 format that videobox knows and every encoder's input is made from.
        let to_planar = elements::make("videoconvert")?;
        // Pictures come planar; it has only those to copy whose colour lies elsewhere, and the encoder waits for it.
        let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX) as u32;
        to_planar.set_property("n-threads", threads);
        let planar =
            gst::Caps::builder("video/x-raw").field("format", "I420").field("chroma-site", CHROMA_SITE).build();
        let planar = elements::filter(planar)?;
        let videobox = elements::make("videobox")?;
        tell_colours(&videobox);
        let mut before = vec![to_planar, planar];
        let mut entry = 0;
        if let Some(scale) = encoding.scale {
            before.extend(scaling::elements(scale, choice.side_min(), threads)?);
            entry = before.len() - 1;
        }
        padding::install(&before[entry], &videobox, choice.side_min());
        before.push(videobox);
        let (made, rate) = choice.live(&encoding.live)?;
        before.extend(made.before);
        let makers = Makers { before, encoder: Some(made.encoder), after: made.after };
        let sentence = format!("{}, {}", choice.sentence(), encoding.live.rate());
        let maker = Maker::Encoder { choice, sentence, rate };
        Self::new(makers, maker, (codec, media), encoding.live.b_frames, place)
    }

    /// Passes access units of this kind through.
    ///
    /// # Errors
    /// As above.
    pub fn passthrough(codec: Codec, media: Media, place: &Place) -> Result<Self, Failure> {
        Self::new(Makers::default(), Maker::Producer(codec), (codec, media), 0, place)
    }

    fn new(
        makers: Makers,
        maker: Maker,
        (codec, media): (Codec, Media),
        b_frames: u32,
        place: &Place,
    ) -> Result<Self, Failure> {
        let source = elements::make_app::<gst_app::AppSrc>("appsrc")?;
        source.set_format(gst::Format::Time);
        source.set_is_live(true);
        // The source's queue is the queue.
        source.set_max_bytes(0);
        let handoff = Arc::clone(&place.handoff);
        let feed = move |source: &gst_app::AppSrc, _| handoff.feed(source);
        source.set_callbacks(gst_app::AppSrcCallbacks::builder().need_data(feed).build());
        let stream_format = match codec {
            Codec::H264 => "avc",
            Codec::H265 => "hvc1",
        };
        let parser = elements::make(codec::parser(codec))?;
        // Parameter sets in every keyframe, and in the caps for the outputs' headers.
        parser.set_property("config-interval", -1);
        let parsed = elements::filter(
            gst::Caps::builder(codec::media_type(codec))
                .field("stream-format", stream_format)
                .field("alignment", "au")
                .build(),
        )?;
        let end = place.fan_out.end()?;
        let counts = Arc::new(Counts::default());
        count(makers.encoder.as_ref().unwrap_or(&parser), &counts);
        if let Some(encoder) = &makers.encoder {
            place.encode_time.watch(encoder);
        }
        let pipeline = gst::Pipeline::new();
        place.timebase.set(&pipeline);
        let chain = std::iter::once(source.upcast_ref())
            .chain(&makers.before)
            .chain(&makers.encoder)
            .chain(&makers.after)
            .chain([&parser, &parsed, end.upcast_ref()])
            .collect::<Vec<_>>();
        elements::add_chain(&pipeline, &chain)?;
        let (line, watchdog) = (Line::new(pipeline, source), Watchdog::new(b_frames));
        Ok(Self { line, end, maker, media, counts, opening: None, watchdog })
    }

    /// Begins to take frames, and to be listened to. [`Stage::said`] tells what comes of it.
    pub fn start(&mut self, place: &Place) {
        place.fan_out.listen_to(&self.end);
        // Before it asks for its first frame.
        place.handoff.attach(self.line.source(), self.media);
        self.opening = Some(self.line.open());
    }

    /// The next thing that its elements say.
    pub fn said(&mut self) -> Option<Said> {
        if let Some(said) = self.line.said() {
            return Some(said);
        }
        let opened = self.opening.as_ref()?.look()?;
        self.opening = None;
        match opened {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => Some(Said::Broke(failure.to_string())),
            Err(Hangs) => Some(Said::Broke(format!("{} hangs while it opens", self.name()))),
        }
    }

    /// Why its encoder has to be given up, if it has. To be asked every tick.
    pub fn silence(&mut self, handoff: &Handoff) -> Option<String> {
        if !self.is_hardware() || self.opening.is_some() {
            return None;
        }
        let (given, taken) = (self.given(), self.counts.taken.load(Ordering::Relaxed));
        let swallowed = self.watchdog.look(taken, given, handoff.is_busy())?;
        Some(match (given, swallowed) {
            (0, 0..=1) => format!("{} hangs at its first frame", self.name()),
            (_, 0..=1) => format!("{} hangs after {given} frames", self.name()),
            (0, _) => format!("{} gives nothing for {taken} frames", self.name()),
            _ => format!("{} stopped after {given} frames and gives nothing for {swallowed}", self.name()),
        })
    }

    /// Whether it has an encoder.
    pub fn encodes(&self) -> bool {
        matches!(self.maker, Maker::Encoder { .. })
    }

    /// Whether a hardware encoder is at work, which software can replace.
    pub fn is_hardware(&self) -> bool {
        matches!(&self.maker, Maker::Encoder { choice, .. } if choice.is_hardware())
    }

    /// What it takes.
    pub fn media(&self) -> Media {
        self.media
    }

    /// Access units so far.
    pub fn given(&self) -> u64 {
        self.counts.given.load(Ordering::Relaxed)
    }

    /// Who makes the access units, in the summary.
    pub fn name(&self) -> &'static str {
        match &self.maker {
            Maker::Encoder { choice, .. } => choice.name(),
            Maker::Producer(_) => "passthrough",
        }
    }

    /// Bit rate of its encoder in kbit/s, as far as it has one.
    pub fn kbit(&self) -> Option<u32> {
        match &self.maker {
            Maker::Encoder { rate, .. } => rate.kbit(),
            Maker::Producer(_) => None,
        }
    }

    /// Changes the bit rate while it runs. False when that takes another stage.
    pub fn change_rate(&self, kbit: u32) -> bool {
        matches!(&self.maker, Maker::Encoder { rate, .. } if rate.change(kbit))
    }

    /// One line for the user.
    pub fn sentence(&self) -> String {
        match &self.maker {
            Maker::Encoder { sentence, .. } => sentence.clone(),
            Maker::Producer(codec) => {
                format!("encoder: none; the producer's {codec} is passed through, flags of the encoder have no effect")
            }
        }
    }

    /// Gives what is still in it, then ends.
    pub fn finish(&self) {
        // Refused by a pipeline that is broken: its messages say so.
        let _ = self.line.source().end_of_stream();
    }

    /// Stops it, waiting for nothing.
    pub fn retire(self) -> Retired {
        self.line.retire()
    }
}

/// `videobox` hands on neither the colorimetry nor where colour lies, and GStreamer takes the one for its own choice without
/// the other.
fn tell_colours(videobox: &gst::Element) {
    elements::pad(videobox, "src").add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let gst::EventView::Caps(told) = event.view()
            && let Ok(picture) = gst_video::VideoInfo::from_caps(told.caps())
        {
            let mut caps = told.caps_owned();
            for structure in caps.make_mut().iter_mut() {
                structure.set("colorimetry", picture.colorimetry().to_string());
                structure.set("chroma-site", CHROMA_SITE);
            }
            *event = gst::event::Caps::builder(&caps).seqnum(told.seqnum()).build();
        }
        gst::PadProbeReturn::Ok
    });
}

/// Counts frames in and access units out.
fn count(maker: &gst::Element, counts: &Arc<Counts>) {
    let taken = Arc::clone(counts);
    elements::pad(maker, "sink").add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        taken.taken.fetch_add(1, Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    let given = Arc::clone(counts);
    elements::pad(maker, "src").add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        given.given.fetch_add(1, Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
}
