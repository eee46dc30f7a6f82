//! Body-tracking packets as GStreamer sees them: messages, and metas on the frames they belong to.

use cvmmap::body::{ActionState, Body, Packet, TrackingState};
use gst::prelude::*;

/// Name of the element message that carries a packet.
pub const BODY_MESSAGE: &str = "cvmmap-body";
/// Name of the custom meta that carries a packet on its frame.
pub const BODY_META: &str = "GstCvmmapBodyMeta";

/// Makes the meta known to GStreamer.
pub(crate) fn register() {
    if !gst::meta::CustomMeta::is_registered(BODY_META) {
        gst::meta::CustomMeta::register(BODY_META, &[]);
    }
}

/// The packet of a body message or meta, byte for byte.
pub fn packet_bytes(structure: &gst::StructureRef) -> Option<Vec<u8>> {
    let buffer = structure.get::<gst::Buffer>("packet").ok()?;
    let map = buffer.map_readable().ok()?;
    Some(map.to_vec())
}

/// The packet that a buffer carries, byte for byte.
pub fn packet_of(buffer: &gst::BufferRef) -> Option<Vec<u8>> {
    packet_bytes(gst::meta::CustomMeta::from_buffer(buffer, BODY_META).ok()?.structure())
}

/// Puts a described packet on a buffer.
pub(crate) fn attach(buffer: &mut gst::BufferRef, described: &gst::StructureRef) {
    // Not registered only when the plugin is not.
    if let Ok(mut meta) = gst::meta::CustomMeta::add(buffer, BODY_META) {
        for (field, value) in described.iter() {
            meta.mut_structure().set_value(field, value.clone());
        }
    }
}

/// Puts a packet on a buffer, for `cvmmapsink` to publish with the frame. False when it cannot be written.
pub fn attach_packet(buffer: &mut gst::BufferRef, packet: &Packet) -> bool {
    let Ok(bytes) = packet.to_bytes() else {
        return false;
    };
    attach(buffer, &describe(packet, bytes));
    true
}

/// A packet with what is mostly asked of it, and its bytes for the rest.
pub(crate) fn describe(packet: &Packet, bytes: Vec<u8>) -> gst::Structure {
    let bodies = packet.bodies.iter().map(|body| describe_body(body).to_send_value());
    gst::Structure::builder(BODY_MESSAGE)
        .field("frame-id", packet.frame_id)
        .field("timestamp", packet.timestamp_ns)
        .field("sdk-timestamp", packet.sdk_timestamp_ns)
        .field("format", packet.format.keypoints() as u32)
        .field("is-new", packet.flags.is_new)
        .field("bodies", gst::Array::from_iter(bodies))
        .field("packet", gst::Buffer::from_slice(bytes))
        .build()
}

fn describe_body(body: &Body) -> gst::Structure {
    let floats = |values: &[f32]| gst::Array::from_iter(values.iter().map(ToSendValue::to_send_value));
    let keypoints = usize::from(body.keypoint_count).min(body.keypoint_2d.len());
    gst::Structure::builder("body")
        .field("id", body.id)
        .field(
            "tracking",
            match body.tracking_state {
                TrackingState::Off => "off",
                TrackingState::Ok => "ok",
                TrackingState::Searching => "searching",
                TrackingState::Terminate => "terminate",
            },
        )
        .field("moving", body.action_state == ActionState::Moving)
        .field("confidence", body.confidence)
        .field("position", floats(&body.position))
        .field("velocity", floats(&body.velocity))
        .field("dimensions", floats(&body.dimensions))
        .field("bounding-box-2d", floats(body.bounding_box_2d.as_flattened()))
        .field("keypoints-2d", floats(body.keypoint_2d[..keypoints].as_flattened()))
        .field("keypoints-3d", floats(body.keypoint_3d[..keypoints].as_flattened()))
        .build()
}
