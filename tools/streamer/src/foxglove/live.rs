//! One camera as clients see it, while its stream runs.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::Instant,
};

use cvmmap::body::Packet;
use prost::Message as _;
use tools_mcap::{depth::DepthCoding, topics::Leaf};
use tools_media::capture_time;

use super::{
    bodies::Bodies,
    channels::{AskForKeyframe, Channel, Channels, Source},
    depth_source::DepthSource,
    outbox::Message,
};
use crate::{messages, outlet::meter::Meter, plan::Foxglove, soundness, watch::DepthFeed};

/// A camera.
#[derive(Debug)]
pub struct Live {
    channels: Arc<Channels>,
    open: Mutex<Option<Open>>,
}

/// What a stream is shown by.
pub struct Terms {
    /// What its topics are called and hold.
    pub plan: Foxglove,
    /// Its depth.
    pub depth: Arc<DepthFeed>,
    /// Where access units are counted.
    pub meter: Arc<Meter>,
    /// Asks its encoder for a keyframe.
    pub ask_for_keyframe: AskForKeyframe,
}

/// Its topics.
#[derive(Debug)]
struct Open {
    plan: Foxglove,
    meter: Arc<Meter>,
    video: Arc<Channel>,
    depth: Option<Arc<Channel>>,
    /// There when there was a packet.
    bodies: Option<Bodies>,
}

impl Live {
    /// Nothing is there of it yet.
    pub fn new(channels: &Arc<Channels>) -> Self {
        Self { channels: Arc::clone(channels), open: Mutex::default() }
    }

    /// Its stream begins. Returns the channel of its picture.
    pub fn open(&self, terms: Terms) -> Arc<Channel> {
        let Terms { plan, depth, meter, ask_for_keyframe } = terms;
        let encoder = Source::Encoder(ask_for_keyframe, Mutex::default());
        let video = Channel::new(plan.topics.name(Leaf::Video), Leaf::Video, encoder);
        self.channels.open(&video);
        let depth = (plan.depth != DepthCoding::Off).then(|| {
            let (coding, frame_id) = (plan.depth, plan.frame_id.clone());
            let source = DepthSource { feed: depth, coding, frame_id, is_packing: AtomicBool::new(false) };
            let channel = Channel::new(plan.topics.name(Leaf::Depth), Leaf::Depth, Source::Depth(source));
            self.channels.open(&channel);
            channel
        });
        let open = Open { plan, meter, video: Arc::clone(&video), depth, bodies: None };
        if let Some(before) = self.lock().replace(open) {
            self.end(before);
        }
        video
    }

    /// The stream is over whose picture this is.
    pub fn close(&self, video: &Arc<Channel>) {
        if let Some(open) = self.lock().take_if(|open| Arc::ptr_eq(&open.video, video)) {
            self.end(open);
        }
    }

    fn end(&self, open: Open) {
        let Open { video, depth, bodies, .. } = open;
        [Some(video), depth].iter().flatten().for_each(|channel| self.channels.close(channel));
        if let Some(bodies) = bodies {
            bodies.close(&self.channels);
        }
    }

    /// Takes in an access unit; waits for nobody.
    pub fn video(&self, sample: &gst::SampleRef, captured: Option<Instant>) {
        let open = self.lock();
        let Some(open) = open.as_ref().filter(|open| open.video.is_wanted()) else {
            return;
        };
        let time = sample.buffer().and_then(capture_time::of).filter(|_| soundness::is_sound(sample));
        let made = time.and_then(|time_ns| {
            let unit = messages::video(sample, time_ns, &open.plan.frame_id).ok()?;
            let is_keyframe = !sample.buffer()?.flags().contains(gst::BufferFlags::DELTA_UNIT);
            let (data, meter) = (unit.encode_to_vec(), Some(Arc::clone(&open.meter)));
            Some(Message { time_ns, data, is_keyframe, captured, meter })
        });
        match made {
            Some(message) => open.video.offer(message),
            None => open.video.skip(),
        }
    }

    /// Takes in a body-tracking packet; waits for nobody.
    pub fn body(&self, packet: &[u8]) {
        let is_wanted = |open: &Open| open.bodies.as_ref().is_none_or(Bodies::is_wanted);
        if !self.lock().as_ref().is_some_and(is_wanted) {
            return;
        }
        let Ok(parsed) = Packet::parse(packet) else {
            return;
        };
        // Pictures do not wait until it is drawn.
        let bodies = self.lock().as_mut().map(|open| {
            let bodies = open.bodies.get_or_insert_with(|| Bodies::open(&open.plan, &self.channels));
            bodies.clone()
        });
        if let Some(bodies) = bodies {
            bodies.offer(packet, &parsed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
