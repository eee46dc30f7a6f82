//! Translates between GStreamer and [`Session`], which decides what goes into the stream.

use super::{
    buffers::{clock_time, header_buffer, is_gap, running_times, tag_buffer},
    caps,
    settings::{HevcPackaging, Settings},
    stats::Stats,
};
use crate::flv::{
    session::{Declared, Dropped, Frame, Headers, Session},
    timeline::Times,
};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::prelude::*};
use std::sync::{LazyLock, Mutex};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("flvhevcmux", gst::DebugColorFlags::empty(), Some("FLV muxer with H.265"))
});

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Video,
    Audio,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }

    fn of(pad: &impl IsA<gst::Pad>) -> Self {
        if pad.as_ref().name() == Self::Video.name() { Self::Video } else { Self::Audio }
    }
}

/// What lasts from start to stop.
#[derive(Default)]
struct State {
    session: Session,
    /// Caps were refused: nothing can be muxed any more.
    refused: bool,
    /// Frames were lost since the last video tag.
    lost_video: bool,
    warned_untimed: bool,
    last_dts: gst::ClockTime,
}

/// `settings`, `state` and `stats` are leaves: none is held while another is taken or while GStreamer is called with
/// something that may block.
#[derive(Default)]
pub struct FlvHevcMux {
    /// Keeps pads from being released while their buffers are taken: the base class drops a pad's peeked buffer on release
    /// without the lock that taking it holds, which frees the buffer twice. Comes before all locks of the base class.
    release: Mutex<()>,
    settings: Mutex<Settings>,
    state: Mutex<State>,
    stats: Mutex<Stats>,
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
        match pspec.name() {
            "hevc-packaging" => {
                let packaging: HevcPackaging = value.get().expect("type checked upstream");
                gst::debug!(CAT, imp = self, "hevc-packaging is now {packaging:?}");
                self.settings.lock().unwrap().hevc_packaging = packaging;
            }
            name => unreachable!("no writable property {name}"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "hevc-packaging" => self.settings.lock().unwrap().hevc_packaging.to_value(),
            "stats" => self.stats.lock().unwrap().to_structure().to_value(),
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
            let sink =
                |kind: Kind, caps| template(kind.name(), gst::PadDirection::Sink, gst::PadPresence::Request, caps);
            vec![
                template("src", gst::PadDirection::Src, gst::PadPresence::Always, caps::stream_template()),
                sink(Kind::Video, caps::video_template()),
                sink(Kind::Audio, caps::audio_template()),
            ]
        });
        &TEMPLATES
    }

    fn release_pad(&self, pad: &gst::Pad) {
        let kind = Kind::of(pad);
        {
            let _no_taking = self.release.lock().unwrap();
            self.parent_release_pad(pad);
        }
        let mut state = self.state.lock().unwrap();
        match kind {
            Kind::Video => state.session.remove_video(),
            Kind::Audio => state.session.remove_audio(),
        }
    }
}

impl AggregatorImpl for FlvHevcMux {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        *self.state.lock().unwrap() = State::default();
        *self.stats.lock().unwrap() = Stats::default();
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *self.state.lock().unwrap() = State::default();
        Ok(())
    }

    fn flush(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.state.lock().unwrap().session.resume();
        Ok(gst::FlowSuccess::Ok)
    }

    fn create_new_pad(
        &self,
        template: &gst::PadTemplate,
        _name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst_base::AggregatorPad> {
        let name = template.name_template();
        if self.obj().static_pad(name).is_some() {
            gst::warning!(CAT, imp = self, "FLV has one {name} stream: pad exists");
            return None;
        }
        Some(gst::PadBuilder::<gst_base::AggregatorPad>::from_template(template).name(name).build())
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
                    Kind::Video => &[caps::H264, caps::H265],
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
            gst::EventView::FlushStop(_) if Kind::of(pad) == Kind::Video => {
                self.state.lock().unwrap().session.interrupt_video();
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
        let (_, _, times) = self.earliest()?;
        Some(clock_time(decode_time(times).unwrap_or(0)))
    }

    fn aggregate(&self, _timeout: bool) -> Result<gst::FlowSuccess, gst::FlowError> {
        if self.state.lock().unwrap().refused {
            return Err(gst::FlowError::NotNegotiated);
        }
        let Some((pad, buffer, times)) = self.take_earliest() else {
            let pads: Vec<_> = self.sink_pads().collect();
            if !pads.is_empty() && pads.iter().all(|pad| pad.is_eos()) {
                self.report_end();
                return Err(gst::FlowError::Eos);
            }
            return Err(gst_base::AGGREGATOR_FLOW_NEED_DATA);
        };
        if is_gap(&buffer) {
            return Ok(gst::FlowSuccess::Ok);
        }
        match self.frame(&pad, &buffer, times) {
            Ok(frame) => self.push(&pad, frame, &buffer, times),
            Err(dropped) => {
                self.report_drop(&pad, &buffer, times, &dropped);
                Ok(gst::FlowSuccess::Ok)
            }
        }
    }
}

/// A buffer's turn in the stream.
fn decode_time(times: Times) -> Option<i64> {
    times.dts.or(times.pts)
}

impl FlvHevcMux {
    fn sink_pads(&self) -> impl Iterator<Item = gst_base::AggregatorPad> {
        self.obj().sink_pads().into_iter().filter_map(|pad| pad.downcast().ok())
    }

    /// The queued buffer that is to be decoded first. One without timestamps goes at once.
    fn earliest(&self) -> Option<(gst_base::AggregatorPad, gst::Buffer, Times)> {
        self.sink_pads()
            .filter_map(|pad| {
                let buffer = pad.peek_buffer()?;
                let times = running_times(&pad, &buffer);
                Some((pad, buffer, times))
            })
            .min_by_key(|(pad, _, times)| (decode_time(*times), Kind::of(pad)))
    }

    fn take_earliest(&self) -> Option<(gst_base::AggregatorPad, gst::Buffer, Times)> {
        let _no_release = self.release.lock().unwrap();
        let earliest = self.earliest()?;
        earliest.0.drop_buffer();
        Some(earliest)
    }

    fn configure(&self, pad: &gst_base::AggregatorPad, caps: &gst::CapsRef) -> Result<(), String> {
        gst::info!(CAT, obj = pad, "caps are {caps:?}");
        let interleave_time = match Kind::of(pad) {
            Kind::Video => {
                let packaging = self.settings.lock().unwrap().hevc_packaging;
                let config = caps::video_config(caps, packaging)?;
                let session = &mut self.state.lock().unwrap().session;
                session.configure_video(config).map_err(|change| change.to_string())?;
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

    fn frame(&self, pad: &gst_base::AggregatorPad, buffer: &gst::Buffer, times: Times) -> Result<Frame, Dropped> {
        let has = |kind: Kind| self.obj().static_pad(kind.name()).is_some();
        let declared = Declared { audio: has(Kind::Audio), video: has(Kind::Video) };
        let delta_unit = buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let (result, request_keyframe) = {
            let session = &mut self.state.lock().unwrap().session;
            let result = match Kind::of(pad) {
                Kind::Audio => session.audio_frame(buffer.size(), times, declared),
                Kind::Video => match buffer.map_readable() {
                    Ok(data) => session.video_frame(&data, delta_unit, times, declared),
                    Err(_) => {
                        session.interrupt_video();
                        Err(Dropped::Unreadable)
                    }
                },
            };
            (result, session.take_keyframe_request())
        };
        if request_keyframe {
            gst::info!(CAT, obj = pad, "asking upstream for a keyframe");
            pad.push_event(gst_video::UpstreamForceKeyUnitEvent::builder().build());
        }
        result
    }

    fn push(
        &self,
        pad: &gst_base::AggregatorPad,
        frame: Frame,
        payload: &gst::Buffer,
        times: Times,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut tag = tag_buffer(&frame, payload).map_err(|error| {
            gst::element_imp_error!(self, gst::StreamError::Mux, ["no tag made: {error}"]);
            gst::FlowError::Error
        })?;
        let dts = self.stamp(pad, tag.make_mut(), payload, times);
        if frame.raised {
            self.stats.lock().unwrap().timestamps_raised += 1;
            gst::debug!(CAT, obj = pad, "late buffer moved up to the latest timestamp");
        }
        if let Some(headers) = frame.headers {
            self.push_headers(headers, dts)?;
        }
        self.obj().set_position(dts);
        self.send(tag, true)
    }

    /// Gives a tag its times and flags; returns its decode time, which never goes back either.
    fn stamp(
        &self,
        pad: &gst_base::AggregatorPad,
        tag: &mut gst::BufferRef,
        payload: &gst::Buffer,
        times: Times,
    ) -> gst::ClockTime {
        let mut state = self.state.lock().unwrap();
        let lost = Kind::of(pad) == Kind::Video && std::mem::take(&mut state.lost_video);
        if lost || payload.flags().contains(gst::BufferFlags::DISCONT) {
            tag.set_flags(gst::BufferFlags::DISCONT);
        }
        let dts = decode_time(times).map_or(state.last_dts, clock_time).max(state.last_dts);
        state.last_dts = dts;
        tag.set_dts(dts);
        tag.set_pts(times.pts.map_or(dts, clock_time));
        let warn = times.pts.is_none() && !std::mem::replace(&mut state.warned_untimed, times.pts.is_none());
        drop(state);
        if warn {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Mux,
                [
                    "{} pad: buffer without PTS, its timestamp is guessed: insert a parser or let the source stamp its buffers",
                    pad.name()
                ]
            );
        }
        dts
    }

    fn push_headers(&self, headers: Headers, dts: gst::ClockTime) -> Result<(), gst::FlowError> {
        gst::info!(CAT, imp = self, "writing {} headers", headers.in_band.len());
        if !headers.first {
            self.stats.lock().unwrap().header_changes += 1;
        }
        let caps = caps::stream_caps(headers.stream.into_iter().map(header_buffer));
        self.obj().set_src_caps(&caps);
        for (position, header) in headers.in_band.into_iter().enumerate() {
            let mut buffer = header_buffer(header);
            let header = buffer.make_mut();
            header.set_dts(dts);
            header.set_pts(dts);
            let is_tag = !(headers.first && position == 0);
            self.send(buffer, is_tag)?;
        }
        Ok(())
    }

    /// Pushes a tag, or the file header.
    fn send(&self, buffer: gst::Buffer, is_tag: bool) -> Result<gst::FlowSuccess, gst::FlowError> {
        {
            let mut stats = self.stats.lock().unwrap();
            stats.tags += u64::from(is_tag);
            stats.bytes += buffer.size() as u64;
        }
        self.obj().finish_buffer(buffer)
    }

    /// Makes a lost frame visible: counter, QoS message, and a warning whose number grows slower than the losses'.
    fn report_drop(&self, pad: &gst_base::AggregatorPad, buffer: &gst::Buffer, times: Times, dropped: &Dropped) {
        let (count, stats) = {
            let mut stats = self.stats.lock().unwrap();
            (stats.count_drop(dropped), *stats)
        };
        self.state.lock().unwrap().lost_video |= Kind::of(pad) == Kind::Video;
        if *dropped == Dropped::BeforeKeyframe {
            gst::debug!(CAT, obj = pad, "dropped: {dropped}");
            return;
        }
        let running_time = decode_time(times).map(clock_time);
        let message = gst::message::Qos::builder(self.obj().latency().is_some())
            .src(&*self.obj())
            .running_time(running_time)
            .timestamp(buffer.pts())
            .duration(buffer.duration())
            .stats(gst::format::Buffers::from_u64(stats.tags), gst::format::Buffers::from_u64(stats.dropped()))
            .build();
        let _ = self.obj().post_message(message);
        gst::debug!(CAT, obj = pad, "dropped: {dropped}");
        if count.is_power_of_two() {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Mux,
                ["{} pad: frame dropped, {count} of its kind: {dropped}", pad.name()]
            );
        }
    }

    fn report_end(&self) {
        let stats = *self.stats.lock().unwrap();
        gst::info!(CAT, imp = self, "end of stream: {stats:?}");
        if stats.tags == 0 && stats.dropped() > 0 {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Mux,
                ["nothing was muxed: no sound keyframe came in {} frames", stats.dropped()]
            );
        }
    }
}
