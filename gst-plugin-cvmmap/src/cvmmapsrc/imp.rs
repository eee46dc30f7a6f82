//! What GStreamer asks of the element. Longer than other files, as a type's virtual methods stand in one.

use std::{
    iter,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cvmmap::nats::{Control, Subjects};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::{
    prelude::*,
    subclass::{base_src::CreateSuccess, prelude::*},
};

use super::{
    Coherence,
    buffers::allocation::offer_video_pool,
    category::CAT,
    control,
    ingest::{Ingest, follower::Captured},
    link::Link,
    negotiation::negotiate,
    planes::media::{Media, possible_caps, source_caps},
    settings::Settings,
    stats::{Count, Stats},
    stream::Stream,
    time::{clocks::Now, latency::Latency, timeline::Stamp},
    waiting::{fit, frame_rate_from, next_frame},
};
use crate::lock::lock;

/// Lock order: `stream`, then any other; no two of the others at once.
#[derive(Default)]
pub struct CvmmapSrc {
    settings: Mutex<Settings>,
    stats: Arc<Stats>,
    /// Shared, so that `unlock()` reaches it while `create()` waits in it.
    ingest: Mutex<Option<Arc<Ingest>>>,
    /// What the producer says over NATS.
    link: Mutex<Option<Arc<Link>>>,
    /// Whether downstream has agreed on a pool that the ingest does not know yet.
    pool_is_new: AtomicBool,
    /// GstBaseSrc is told of a pause now.
    is_pausing: AtomicBool,
    /// Of the streaming thread.
    stream: Mutex<Stream>,
    latency: Mutex<Latency>,
}

#[glib::object_subclass]
impl ObjectSubclass for CvmmapSrc {
    const NAME: &'static str = "GstCvmmapSrc";
    type Type = super::CvmmapSrc;
    type ParentType = gst_base::PushSrc;
    type Interfaces = (gst::URIHandler,);
}

impl ObjectImpl for CvmmapSrc {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(Settings::param_specs);
        &PROPERTIES
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> =
            LazyLock::new(|| control::signals(|element| element.imp().control()));
        &SIGNALS
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.set_live(true);
        obj.set_format(gst::Format::Time);
        obj.set_element_flags(gst::ElementFlags::REQUIRE_CLOCK);
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        lock(&self.settings).set(pspec.name(), value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "stats" => self.counted().to_value(),
            name => lock(&self.settings).get(name).expect("every property has a getter"),
        }
    }
}

impl GstObjectImpl for CvmmapSrc {}

impl ElementImpl for CvmmapSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "cv-mmap source",
                "Source/Video",
                "Live video from a cv-mmap producer's shared memory",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let template =
                gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, source_caps());
            vec![template.expect("caps of a fixed table")]
        });
        &TEMPLATES
    }

    fn send_event(&self, event: gst::Event) -> bool {
        if let (gst::EventView::FlushStop(flush), Some(ingest)) = (event.view(), self.ingest()) {
            // GstBaseSrc takes it as well. Who has it knows that no frame of before is still under way in `create()`.
            let pad = self.obj().static_pad("src").expect("it is always there");
            let _streaming = pad.stream_lock();
            ingest.discard();
            let resets_time = flush.resets_time();
            if resets_time {
                lock(&self.stream).start_over();
            }
            let is_taken = self.parent_send_event(event);
            if resets_time {
                self.take_base_time();
            }
            return is_taken;
        }
        self.parent_send_event(event)
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        let playing = match transition {
            gst::StateChange::PausedToPlaying => Some(true),
            gst::StateChange::PlayingToPaused => Some(false),
            _ => None,
        };
        if let (Some(playing), Some(ingest)) = (playing, self.ingest()) {
            ingest.set_playing(playing);
        }
        self.is_pausing.store(playing == Some(false), Ordering::Relaxed);
        let changed = self.parent_change_state(transition);
        self.is_pausing.store(false, Ordering::Relaxed);
        changed
    }
}

impl BaseSrcImpl for CvmmapSrc {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let element = self.obj().clone().upcast::<gst::Element>();
        let address = settings
            .address
            .address(&element)
            .map_err(|error| gst::error_msg!(gst::ResourceError::Settings, ("{error}")))?;
        let client = settings.nats.connect(&element)?;
        *lock(&self.stream) = Stream::default();
        *lock(&self.latency) = Latency::default();
        self.stats.reset();
        let coherence = match settings.coherence {
            Coherence::Cadence => cvmmap::Coherence::Cadence,
            Coherence::Metadata => cvmmap::Coherence::Metadata,
        };
        let (stall_timeout, stats) = (settings.stall_timeout(), Arc::clone(&self.stats));
        let ingest =
            Ingest::start(&address, coherence, settings.queue_size, settings.planes, stall_timeout, stats, &element)
                .map_err(|error| {
                    gst::error_msg!(gst::ResourceError::OpenRead, ("endpoint {}: {error}", address.zmq_endpoint()))
                })?;
        gst::info!(CAT, imp = self, "following segment {} by {}", address.shm_name(), address.zmq_endpoint());
        let ingest = Arc::new(ingest);
        let link = client
            .zip(Subjects::for_address(&address))
            .map(|(client, subjects)| Link::start(client, subjects, &element, Arc::downgrade(&ingest)));
        *lock(&self.link) = link.map(Arc::new);
        *lock(&self.ingest) = Some(ingest);
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let link = lock(&self.link).take();
        drop(link);
        let ingest = lock(&self.ingest).take();
        drop(ingest);
        gst::info!(CAT, imp = self, "stopped: {}", self.stats.structure());
        Ok(())
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        // A pause ends the wait by itself.
        if !self.is_pausing.load(Ordering::Relaxed)
            && let Some(ingest) = self.ingest()
        {
            ingest.set_flushing(true);
        }
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        if let Some(ingest) = self.ingest() {
            ingest.set_flushing(false);
        }
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn caps(&self, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        let caps = possible_caps(&lock(&self.settings).planes);
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First),
            None => caps,
        })
    }

    fn negotiate(&self) -> Result<(), gst::LoggableError> {
        // The producer decides; until its first frame there is nothing to agree on.
        let (media, frame_rate) = {
            let stream = lock(&self.stream);
            (stream.media, stream.frame_rate())
        };
        let Some(media) = media else {
            return Ok(());
        };
        let may_convert = lock(&self.settings).planes.are_pictures();
        let agreed = negotiate(&self.obj(), &media, frame_rate, may_convert)?;
        lock(&self.stream).agreed = agreed;
        Ok(())
    }

    fn decide_allocation(&self, query: &mut gst::query::Allocation) -> Result<(), gst::LoggableError> {
        self.pool_is_new.store(true, Ordering::Relaxed);
        offer_video_pool(query)?;
        self.parent_decide_allocation(query)
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            let known = lock(&self.latency);
            latency.set(true, known.least(), known.most());
            return true;
        }
        BaseSrcImplExt::parent_query(self, query)
    }
}

impl PushSrcImpl for CvmmapSrc {
    fn create(&self, _buffer: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
        let ingest = self.ingest().ok_or(gst::FlowError::Flushing)?;
        let (idle_timeout, max_frames) = {
            let settings = lock(&self.settings);
            (settings.idle_timeout(), settings.max_frames)
        };
        if max_frames > 0 && lock(&self.stream).pushed >= max_frames {
            gst::info!(CAT, imp = self, "{max_frames} frames are through");
            return Err(gst::FlowError::Eos);
        }
        self.tell_agreement(&ingest);
        let captured = loop {
            let captured = next_frame(&self.obj(), &ingest, idle_timeout)?;
            self.learn_frame_rate(&ingest, &captured)?;
            if !ingest.is_current(&captured) {
                continue;
            }
            self.agree_on(captured.media)?;
            self.tell_agreement(&ingest);
            if let Some(captured) = fit(&self.obj(), &ingest, captured)? {
                break captured;
            }
            self.stats.add(Count::Dropped, 1);
        };
        let buffer = self.stamp(captured);
        self.stats.add(Count::Pushed, 1);
        Ok(CreateSuccess::NewBuffer(buffer))
    }
}

impl URIHandlerImpl for CvmmapSrc {
    const URI_TYPE: gst::URIType = gst::URIType::Src;

    fn protocols() -> &'static [&'static str] {
        &[cvmmap::SCHEME]
    }

    fn uri(&self) -> Option<String> {
        lock(&self.settings).address.uri()
    }

    fn set_uri(&self, uri: &str) -> Result<(), glib::Error> {
        let runs = lock(&self.ingest).is_some();
        lock(&self.settings).address.set_uri(uri, runs)?;
        self.obj().notify("uri");
        Ok(())
    }
}

impl CvmmapSrc {
    /// Has pictures be copied as downstream agreed to, if that is new.
    fn tell_agreement(&self, ingest: &Ingest) {
        let stream = lock(&self.stream);
        if let (Some(Media::Raw(picture)), Some(agreed)) = (stream.media, &stream.agreed)
            && self.pool_is_new.swap(false, Ordering::Relaxed)
        {
            ingest.canvases().agree_on(picture, agreed.clone(), self.obj().buffer_pool());
        }
    }

    fn ingest(&self) -> Option<Arc<Ingest>> {
        lock(&self.ingest).clone()
    }

    fn link(&self) -> Option<Arc<Link>> {
        lock(&self.link).clone()
    }

    /// Requests to the producer, while the element runs.
    fn control(&self) -> Option<Control> {
        self.link().map(|link| link.consumer().control().clone())
    }

    fn counted(&self) -> gst::Structure {
        let mut structure = self.stats.structure();
        if let Some(link) = self.link() {
            link.count_into(&mut structure);
        }
        structure
    }

    /// Holds the very first frame until the second tells the frame rate, unless the producer tells it.
    fn learn_frame_rate(&self, ingest: &Ingest, first: &Captured) -> Result<(), gst::FlowError> {
        {
            let mut stream = lock(&self.stream);
            // Access units may come at another rate than pictures.
            if stream.media.is_some_and(|last| !last.is_paced_like(&first.media)) {
                stream.learned_frame_rate = None;
            }
            if stream.learned_frame_rate.is_some() || first.media.told_frame_rate().is_some() {
                return Ok(());
            }
        }
        if let Some(frame_rate) = frame_rate_from(ingest, first)? {
            lock(&self.stream).learned_frame_rate = Some(frame_rate);
        }
        Ok(())
    }

    /// Agrees with downstream on what a frame holds, when that differs from the last one.
    fn agree_on(&self, media: Media) -> Result<(), gst::FlowError> {
        let is_new = lock(&self.stream).begin(media);
        if !is_new || self.obj().negotiate() {
            return Ok(());
        }
        // Asked again for the next frame, should downstream have changed its mind.
        lock(&self.stream).media = None;
        if self.obj().src_pad().pad_flags().contains(gst::PadFlags::FLUSHING) {
            return Err(gst::FlowError::Flushing);
        }
        Err(gst::FlowError::NotNegotiated)
    }

    /// Has running time begin where the pipeline has it begin. Since 1.28 it gives that out only when its sinks have a frame, whose
    /// time it is to be.
    fn take_base_time(&self) {
        // The pipeline gets a new one first: this one is not newer then.
        let own = self.obj().base_time();
        let top = iter::successors(self.obj().parent(), GstObjectExt::parent).last();
        if let Some(pipeline) = top.and_downcast::<gst::Pipeline>()
            && let Some(base_time) = pipeline.base_time()
            && own != Some(base_time)
        {
            self.obj().set_base_time(base_time);
        }
    }

    /// Gives a frame its time, its place in the sequence and its flags.
    fn stamp(&self, captured: Captured) -> gst::Buffer {
        let mode = lock(&self.settings).timestamp_mode;
        let link = self.link();
        let (clock, base_time) = (self.obj().clock(), self.obj().base_time().unwrap_or_default());
        let mut stream = lock(&self.stream);
        // Before the base time it is negative, which `current_running_time()` does not say.
        let running_time =
            || clock.as_ref().map_or(0, |clock| clock.time().nseconds() as i64 - base_time.nseconds() as i64);
        let now = Now::read(running_time, captured.arrived);
        if link.as_ref().is_some_and(|link| link.has_started_over()) {
            stream.follow_source_over();
        }
        let place = stream.place(&captured, mode, now);
        drop(stream);
        self.note_latency(place.stamp, captured.copied - captured.arrived, place.room);
        if place.lost > 0 {
            let _ = self.obj().post_message(place.loss_message(self.obj().upcast_ref()));
        }
        let Captured { mut buffer, frame_id, timestamp_ns, .. } = captured;
        place.mark(buffer.make_mut(), frame_id, timestamp_ns);
        if let Some(link) = link {
            link.attach_body(buffer.make_mut(), timestamp_ns);
        }
        buffer
    }

    /// Takes note of how old a frame was when it had been copied, and tells the pipeline when that changes the latency.
    fn note_latency(&self, stamp: Stamp, copy: Duration, room: Option<gst::ClockTime>) {
        let age = stamp.arrived.saturating_sub(stamp.captured).saturating_add(copy.as_nanos() as i64);
        let (least, most) = {
            let mut latency = lock(&self.latency);
            if !latency.note(gst::ClockTime::from_nseconds(age.unsigned_abs()), room) {
                return;
            }
            (latency.least(), latency.most())
        };
        gst::debug!(CAT, imp = self, "latency is {least} now, and {most:?} at most");
        let _ = self.obj().post_message(gst::message::Latency::builder().src(&*self.obj()).build());
    }
}
