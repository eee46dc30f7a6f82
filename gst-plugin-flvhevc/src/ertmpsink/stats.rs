//! Counters behind the `stats` property, since the element was started. The first eight have rtmp2sink's names.

use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub in_chunk_size: u32,
    pub out_chunk_size: u32,
    pub in_window: u32,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub bytes_we_acknowledged: u64,
    pub bytes_acknowledged: u64,
    pub tags: u64,
    pub dropped: u64,
    pub withheld: u64,
    pub stalls: u64,
    pub connects: u64,
    pub reconnects: u64,
    /// The server has taken nothing for a while.
    pub is_stalled: bool,
    pub server_caps_ex: u32,
    pub server_codecs: String,
}

/// The property's value, of a sink in this phase whose backlog lasts so long.
pub fn structure(stats: &Stats, phase: &str, backlog: Duration) -> gst::Structure {
    let out_window = if stats.connects > 0 { crate::rtmp::session::WINDOW_SIZE } else { 0 };
    gst::Structure::builder("ertmpsink-stats")
        .field("in-chunk-size", stats.in_chunk_size)
        .field("out-chunk-size", stats.out_chunk_size)
        .field("in-window-ack-size", stats.in_window)
        .field("out-window-ack-size", out_window)
        .field("in-bytes-total", stats.bytes_received)
        .field("out-bytes-total", stats.bytes_sent)
        .field("in-bytes-acked", stats.bytes_we_acknowledged)
        .field("out-bytes-acked", stats.bytes_acknowledged)
        .field("state", phase)
        .field("tags", stats.tags)
        .field("dropped", stats.dropped)
        .field("withheld", stats.withheld)
        .field("stalls", stats.stalls)
        .field("backlog-time", backlog.as_nanos() as u64)
        .field("connects", stats.connects)
        .field("reconnects", stats.reconnects)
        .field("server-caps-ex", stats.server_caps_ex)
        .field("server-codecs", &stats.server_codecs)
        .build()
}
