//! # ertmpsink
//!
//! Publishes an FLV stream to an RTMP server, as `rtmp2sink` does, and beside that
//!
//! - it is bounded: whatever a server sends costs at most 1 MiB, every step has a time limit, and the change to NULL ends
//!   within a second, with a farewell where somebody listens;
//! - it negotiates Enhanced RTMP: it says which codecs it passes on, tells when a server does not list the stream's, and
//!   follows a server that asks to reconnect, at a keyframe and without losing an access unit. The old connection is kept until
//!   the new one publishes, unless the server refuses a second publisher of the stream: then it leaves first;
//! - it sends a server what that one understands: further tracks, and presentation times to the nanosecond
//!   (`flvhevcmux nanosecond-timestamps=true`), go to servers that say in `capsEx` that they know them, and are taken out of
//!   the stream for all others. A server that says nothing of `capsEx` and lists codecs gets tracks;
//! - it is fresh after a stall: at most a tenth of a second of the stream waits in the kernel, and a live stream goes on with
//!   a new keyframe instead of old pictures.
//!
//! ## Example
//!
//! ```text
//! gst-launch-1.0 videotestsrc is-live=true ! video/x-raw,format=I420,framerate=25/1 ! x265enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! h265parse ! flvhevcmux ! ertmpsink location=rtmp://127.0.0.1/live/stream
//! ```
//!
//! ## Pad
//!
//! `sink`: `video/x-flv` in whole tags, as `flvmux`, `eflvmux` and `flvhevcmux` make it. What stands in `streamheader` is sent
//! first on every connection.
//!
//! ## Properties
//!
//! | property | type, default | |
//! | --- | --- | --- |
//! | `location` | string | `rtmp[s]://[USER:PASSWORD@]HOST[:PORT]/APP/STREAM[?QUERY]`; ports 1935 and 443 |
//! | `username`, `password` | string | for servers that ask (Adobe's and Limelight's method); before those of `location` |
//! | `timeout` | s, 5 | for each step (name, connection, TLS, handshake, connect, createStream, publish), and for a server that takes nothing; 0: 30 s for a step, no limit to a stall |
//! | `tls-ca-file` | string | PEM file of the authorities that are trusted, instead of the system's |
//! | `max-backlog-time` | ns, 1 s | how much of a live stream may wait for the network; a longer backlog is dropped and the stream goes on with a keyframe. 0: nothing is dropped, `render` waits, as it does for streams that are not live |
//! | `send-buffer` | bytes, 0 | how much may wait in the kernel for the network; 0: a tenth of a second of the stream |
//! | `tracks` | `negotiated`, `always` | which servers get the tracks beside the first one: those that say that they know them, or all |
//! | `stats` | structure, read-only | below |
//!
//! | `stats` field | |
//! | --- | --- |
//! | `in-chunk-size`, `out-chunk-size`, `in-window-ack-size`, `out-window-ack-size` (`guint`), `in-bytes-total`, `out-bytes-total`, `in-bytes-acked`, `out-bytes-acked` (`guint64`) | as `rtmp2sink` has them |
//! | `state` (string) | `off`, `connecting`, `publishing`, `stalled` (nothing taken for a second), `failed` |
//! | `tags`, `dropped` (`guint64`) | tags that were sent; that were not, because the server was too slow or new |
//! | `withheld` (`guint64`) | tags of tracks that the server does not know |
//! | `stalls`, `connects`, `reconnects` (`guint64`) | times that the server took nothing for a second; that a stream was begun; that a connection followed another |
//! | `backlog-time` (`guint64`, ns) | of what waits at the moment |
//! | `server-caps-ex` (`guint`), `server-codecs` (string) | what the server said about itself in its answer to connect |
//!
//! ## Messages
//!
//! Trouble that ends the stream is an error message, also while no buffer comes; its text says what the server refused, or
//! what to do. A codec that the server does not list, tracks that it does not know, and a reconnect that failed, are warnings.

mod advice;
mod backlog;
mod failure;
mod imp;
mod intake;
mod link;
mod outgoing;
mod rate;
mod resolver;
mod settings;
mod shared;
mod stats;
mod tls;
mod transport;
mod waker;
mod worker;

use std::path::Path;

use gst::{glib, prelude::*};

glib::wrapper! {
    /// The `ertmpsink` element.
    pub struct ErtmpSink(ObjectSubclass<imp::ErtmpSink>)
        @extends gst_base::BaseSink, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "ertmpsink", gst::Rank::NONE, ErtmpSink::static_type())
}

/// Whether `ertmpsink` can use a `tls-ca-file`.
///
/// # Errors
/// What is wrong with the file, without its name.
pub fn check_ca_file(file: &Path) -> Result<(), String> {
    tls::authorities_of(file).map(|_| ())
}
