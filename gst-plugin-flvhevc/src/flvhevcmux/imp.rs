//! Translates between GStreamer and [`Session`], which decides what goes into the stream.

use super::{
    buffers::{clock_time, decode_time, is_gap},
    caps,
    settings::Settings,
    sinks::{AUDIO, Kind, Sinks, VIDEO, VIDEO_TRACKS},
    stats::Stats,
};
use crate::flv::{file_facts::FileFacts, session::Session, video::TrackId};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::prelude::*};
use std::{
    collections::BTreeSet,
    sync::{LazyLock, Mutex},
};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("flvhevcmux", gst::DebugColorFlags::empty(), Some("FLV muxer with H.265"))
});

/// What lasts from start to stop, and the counters until the next start.
#[derive(Default)]
pub(super) struct State {
    pub session: Session,
    pub file: FileFacts,
    pub stats: Stats,
    /// Caps were refused: nothing can be muxed any more.
    refused: bool,
    /// Tracks of which frames were lost since their last tag.
    pub lost_video: BTreeSet<TrackId>,
    pub warned_untimed: bool,
    /// Running time of the last tag.
    pub last_dts: gst::ClockTime,
}

impl State {
    /// Running time begins at 0, at a start and after a flush. The stream's own timestamps go on where they are: a server sees
    /// one stream.
    fn start_time_over(&mut self) {
        self.last_dts = gst::ClockTime::ZERO;
        self.session.start_time_over();
    }
}

/// `settings` and `state` are leaves: none is held while another is taken or while GStreamer is called with something that
/// may block. `sinks` is held while pads are looked at, and nothing that waits for it holds a lock of the base class.
#[derive(Default)]
pub struct FlvHevcMux {
    /// Keeps pads from being released while their buffers are taken: the base class drops a pad's peeked buffer on release
    /// without the lock that taking it holds, which frees the buffer twice. Comes before all locks of the base class.
    release: Mutex<()>,
    pub(super) sinks: Mutex<Sinks>,
    pub(super) settings: Mutex<Settings>,
    pub(super) state: Mutex<State>,
}

#[glib::object_subclass]
impl ObjectSubclass for FlvHevcMux {
    const NAME: &'static str = "GstFlvHevcMux";
    type Type = super::FlvHevcMux;
    type ParentType = gst_base::Aggregator;
}

impl ObjectImpl for FlvHevcMux {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecEnum::builder_with_default("hevc-packaging", Settings::default().hevc_packaging)
                    .nick("H.265 packaging")
                    .blurb("How H.265 is packaged in FLV")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoolean::builder("streamable")
                    .nick("Streamable")
                    .blurb("Write a stream; false completes a file at its end: duration, size and keyframes in onMetaData")
                    .default_value(Settings::default().streamable)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoolean::builder("skip-backwards-streams")
                    .nick("Skip backwards streams")
                    .blurb("Drop frames that come after their turn, in place of moving them up to the latest timestamp")
                    .default_value(Settings::default().skip_backwards_streams)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoolean::builder("nanosecond-timestamps")
                    .nick("Nanosecond timestamps")
                    .blurb("Tell presentation times to the nanosecond (Enhanced RTMP v2, ModEx), to servers that ask for it")
                    .default_value(Settings::default().nanosecond_timestamps)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb("Counters since the element was started")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings.lock().unwrap();
        let flag = || value.get().expect("type checked upstream");
        match pspec.name() {
            "hevc-packaging" => settings.hevc_packaging = value.get().expect("type checked upstream"),
            "streamable" => settings.streamable = flag(),
            "skip-backwards-streams" => settings.skip_backwards_streams = flag(),
            "nanosecond-timestamps" => settings.nanosecond_timestamps = flag(),
            name => unreachable!("no writable property {name}"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "hevc-packaging" => self.settings.lock().unwrap().hevc_packaging.to_value(),
            "streamable" => self.settings.lock().unwrap().streamable.to_value(),
            "skip-backwards-streams" => self.settings.lock().unwrap().skip_backwards_streams.to_value(),
            "nanosecond-timestamps" => self.settings.lock().unwrap().nanosecond_timestamps.to_value(),
            "stats" => self.state.lock().unwrap().stats.to_structure().to_value(),
            name => unreachable!("no readable property {name}"),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        // A live pad that never brought anything is waited for once, not before every tag.
        self.obj().set_ignore_inactive_pads(true);
    }
}

impl GstObjectImpl for FlvHevcMux {}

impl ElementImpl for FlvHevcMux {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "FLV muxer with H.265",
                "Codec/Muxer",
                "Muxes H.264, H.265 and AAC into FLV, H.265 as Enhanced RTMP or with codec-id 12",
                "The cvmmap-streamer authors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let template = |name, direction, presence, caps| {
                gst::PadTemplate::with_gtype(name, direction, presence, &caps, gst_base::AggregatorPad::static_type())
                    .expect("the arguments are constant and sound")
            };
            let sink = |name, caps| template(name, gst::PadDirection::Sink, gst::PadPresence::Request, caps);
            vec![
                template("src", gst::PadDirection::Src, gst::PadPresence::Always, caps::stream_template()),
                sink(VIDEO, caps::video_template()),
                sink(VIDEO_TRACKS, caps::video_template()),
                sink(AUDIO, caps::audio_template()),
            ]
        });
        &TEMPLATES
    }

    fn release_pad(&self, pad: &gst::Pad) {
        let kind = Kind::of(pad);
        {
            let _no_taking = self.release.lock().unwrap();
            let released = self.sinks.lock().unwrap().remove(kind);
            self.parent_release_pad(pad);
            drop(released);
        }
        let mut state = self.state.lock().unwrap();
        match kind {
            Kind::Video(track) => state.session.remove_video(track),
            Kind::Audio => state.session.remove_audio(),
        }
    }
}

impl AggregatorImpl for FlvHevcMux {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let mut state = self.state.lock().unwrap();
        *state = State::default();
        state.start_time_over();
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let mut state = self.state.lock().unwrap();
        *state = State { stats: state.stats, ..State::default() };
        Ok(())
    }

    fn create_new_pad(
        &self,
        template: &gst::PadTemplate,
        name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst_base::AggregatorPad> {
        let mut sinks = self.sinks.lock().unwrap();
        let kind = match (template.name_template(), name) {
            (VIDEO_TRACKS, None | Some(VIDEO_TRACKS)) => sinks.free_track().map(Kind::Video),
            (VIDEO_TRACKS, Some(name)) => Kind::named(name),
            (name, _) => Kind::named(name),
        };
        let Some(kind) = kind else {
            gst::warning!(CAT, imp = self, "video tracks beside the first are video_1 to video_255");
            return None;
        };
        if sinks.pad(kind).is_some() {
            gst::warning!(CAT, imp = self, "there is one {kind} stream: the pad exists");
            return None;
        }
        let pad = gst::PadBuilder::<gst_base::AggregatorPad>::from_template(template).name(kind.to_string()).build();
        sinks.add(kind, pad.clone());
        Some(pad)
    }

    /// The stream's caps come with its headers, not from a negotiation.
    fn negotiate(&self) -> bool {
        true
    }

    fn sink_query(&self, pad: &gst_base::AggregatorPad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            // Caps of the right media type are let in, so that a wrong stream-format gets an error with advice and not just "not-negotiated".
            gst::QueryViewMut::AcceptCaps(query) => {
                let media_types: &[_] = match Kind::of(pad) {
                    Kind::Video(_) => &[caps::H264, caps::H265],
                    Kind::Audio => &[caps::AAC],
                };
                let structure = query.caps().structure(0);
                let accepted = structure.is_some_and(|caps| media_types.contains(&caps.name().as_str()));
                query.set_result(accepted);
                true
            }
            _ => self.parent_sink_query(pad, query),
        }
    }

    fn sink_event_pre_queue(
        &self,
        pad: &gst_base::AggregatorPad,
        event: gst::Event,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let event = match event.view() {
            // appsrc says BYTES unless told otherwise, though its buffers have timestamps.
            gst::EventView::Segment(segment) if segment.segment().format() != gst::Format::Time => {
                gst::warning!(
                    CAT,
                    obj = pad,
                    "segment in {:?} in place of TIME: timestamps are taken as running time",
                    segment.segment().format()
                );
                gst::event::Segment::builder(&gst::FormattedSegment::<gst::ClockTime>::new())
                    .seqnum(event.seqnum())
                    .build()
            }
            _ => event,
        };
        self.parent_sink_event_pre_queue(pad, event)
    }

    fn sink_event(&self, pad: &gst_base::AggregatorPad, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Caps(caps) => {
                if let Err(reason) = self.configure(pad, caps.caps()) {
                    self.state.lock().unwrap().refused = true;
                    gst::element_imp_error!(self, gst::CoreError::Negotiation, ["{} pad: {reason}", pad.name()]);
                    return false;
                }
            }
            // Nothing is muxed between the flush of the first pad and that of the last.
            gst::EventView::FlushStop(flush) => {
                let mut state = self.state.lock().unwrap();
                if let Kind::Video(track) = Kind::of(pad) {
                    state.session.interrupt_video(track);
                }
                if flush.resets_time() {
                    state.start_time_over();
                }
            }
            _ => (),
        }
        self.parent_sink_event(pad, event)
    }

    fn src_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Seek(_) => {
                gst::debug!(CAT, imp = self, "a muxed stream cannot be seeked");
                false
            }
            _ => self.parent_src_event(event),
        }
    }

    fn next_time(&self) -> Option<gst::ClockTime> {
        let earliest = self.sinks.lock().unwrap().earliest()?;
        Some(clock_time(decode_time(earliest.times).unwrap_or(0)))
    }

    fn aggregate(&self, _timeout: bool) -> Result<gst::FlowSuccess, gst::FlowError> {
        if self.state.lock().unwrap().refused {
            return Err(gst::FlowError::NotNegotiated);
        }
        let taken = {
            let _no_release = self.release.lock().unwrap();
            let sinks = self.sinks.lock().unwrap();
            sinks.take_earliest().ok_or_else(|| sinks.ended())
        };
        match taken {
            Ok(queued) if is_gap(&queued.buffer) => Ok(gst::FlowSuccess::Ok),
            Ok(queued) => match self.make_tag(&queued) {
                Ok(tag) => self.push(tag),
                Err(dropped) => {
                    self.report_drop(&queued, &dropped);
                    Ok(gst::FlowSuccess::Ok)
                }
            },
            Err(ended) if ended => {
                self.push_end()?;
                self.report_end();
                Err(gst::FlowError::Eos)
            }
            Err(_) => Err(gst_base::AGGREGATOR_FLOW_NEED_DATA),
        }
    }
}

impl FlvHevcMux {
    fn configure(&self, pad: &gst_base::AggregatorPad, caps: &gst::CapsRef) -> Result<(), String> {
        gst::info!(CAT, obj = pad, "caps are {caps:?}");
        let interleave_time = match Kind::of(pad) {
            Kind::Video(track) => {
                let packaging = self.settings.lock().unwrap().hevc_packaging;
                let config = caps::video_config(caps, track, packaging)?;
                let session = &mut self.state.lock().unwrap().session;
                session.configure_video(track, config).map_err(|change| change.to_string())?;
                session.interleave_time()
            }
            Kind::Audio => {
                let config = caps::audio_config(caps)?;
                let session = &mut self.state.lock().unwrap().session;
                session.configure_audio(config);
                session.interleave_time()
            }
        };
        let latency = gst::ClockTime::from_nseconds(interleave_time);
        self.obj().set_latency(latency, Some(latency));
        Ok(())
    }
}
