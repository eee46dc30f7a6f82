//! Skeletons of a camera: packets as they came, for programs, and beside them what a 3D panel draws.

use std::sync::Arc;

use cvmmap::body::Packet;
use prost::Message as _;
use tools_mcap::{scene, topics::Leaf};

use super::{
    channels::{Channel, Channels, Kind, Source},
    outbox::Message,
};
use crate::{messages, plan::Foxglove};

/// The topics.
#[derive(Clone, Debug)]
pub struct Bodies {
    packets: Arc<Channel>,
    scene: Arc<Channel>,
    frame_id: Arc<str>,
}

impl Bodies {
    /// The topics are there.
    pub fn open(plan: &Foxglove, channels: &Channels) -> Self {
        let packets = Channel::new(plan.topics.name(Leaf::Body), Leaf::Body, Source::Elsewhere);
        let scene = Channel::new(&plan.topics.body_scene(), Kind::SCENE, Source::Elsewhere);
        [&packets, &scene].into_iter().for_each(|channel| channels.open(channel));
        Self { packets, scene, frame_id: plan.frame_id.as_str().into() }
    }

    /// They are not any more.
    pub fn close(&self, channels: &Channels) {
        [&self.packets, &self.scene].into_iter().for_each(|channel| channels.close(channel));
    }

    /// Whether anybody wants a packet.
    pub fn is_wanted(&self) -> bool {
        self.packets.is_wanted() || self.scene.is_wanted()
    }

    /// Hands a packet to all who want it, as it came or drawn.
    pub fn offer(&self, packet: &[u8], parsed: &Packet) {
        let time_ns = messages::time_of(parsed);
        let message = |data| Message { time_ns, data, is_keyframe: true, captured: None, meter: None };
        if self.packets.is_wanted() {
            self.packets.offer(message(packet.to_vec()));
        }
        if self.scene.is_wanted() {
            self.scene.offer(message(scene::of(parsed, time_ns, &self.frame_id).encode_to_vec()));
        }
    }
}
