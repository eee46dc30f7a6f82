//! Messages of a camera, made in one place for recordings and for those who watch live.

use cvmmap::body::Packet;
use tools_mcap::schema::{foxglove::CompressedVideo, timestamp};
use tools_media::annex_b;

/// An access unit as a message.
///
/// # Errors
/// What is wrong with it.
pub fn video(sample: &gst::SampleRef, timestamp_ns: u64, frame_id: &str) -> Result<CompressedVideo, &'static str> {
    let caps = sample.caps();
    let (format, is_stream) = caps.and_then(annex_b::codec).ok_or("the stream is neither H.264 nor H.265")?;
    let buffer = sample.buffer().ok_or("an access unit is missing")?;
    let unit = buffer.map_readable().map_err(|_| "an access unit cannot be read")?;
    let data =
        if is_stream { unit.to_vec() } else { annex_b::from_lengths(&unit).ok_or("an access unit is damaged")? };
    Ok(CompressedVideo {
        timestamp: Some(timestamp(timestamp_ns)),
        frame_id: frame_id.to_owned(),
        data,
        format: format.to_owned(),
    })
}

/// The time of a body-tracking packet, which is a message as it is. `None` for what is no packet.
pub fn body_time(packet: &[u8]) -> Option<u64> {
    Packet::parse(packet).ok().as_ref().map(time_of)
}

/// The time of the bodies.
pub fn time_of(packet: &Packet) -> u64 {
    if packet.timestamp_ns == 0 { packet.sdk_timestamp_ns } else { packet.timestamp_ns }
}
