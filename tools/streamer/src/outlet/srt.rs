//! MPEG-TS over SRT: to a receiver that is called, again and again, or to all that call.

mod probe;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cvmmap::Codec;
use gst::prelude::*;
use probe::Probe;
use tools_cli::failure::Failure;
use tools_media::{codec, elements};

use super::{
    feed::Feed,
    line::Line,
    meter::Part,
    publisher::{self, Publisher},
    retry::Bounds,
};
use crate::{
    plan::Srt,
    srt_url::{Mode, SrtUrl},
};

/// As RTMP has it when nothing is said.
const RETRY: Bounds = Bounds { min: Duration::from_millis(250), max: Duration::from_millis(1500) };
/// The last packets have been sent, and sent again where they were lost, after so many times the latency.
const TAIL: u32 = 2;
/// And nobody waits longer at the end of a run.
const TAIL_MAX: Duration = Duration::from_millis(500);

/// A receiver, or the place where receivers call.
#[derive(Debug)]
pub struct Peer {
    codec: Codec,
    url: SrtUrl,
    /// Whether somebody listens where it is called.
    probe: Mutex<Option<Probe>>,
}

/// Makes the output; nobody is called yet.
///
/// # Errors
/// [`Failure::Pipeline`] when an element is missing.
pub fn publisher(codec: Codec, plan: &Srt, feed: Arc<Feed>) -> Result<Publisher<Peer>, Failure> {
    let peer = Peer { codec, url: plan.url.clone(), probe: Mutex::default() };
    // What cannot be made is told now, not when the run is under way.
    Connection::new(&peer, &feed)?;
    Ok(Publisher::new(peer, feed))
}

impl publisher::Server for Peer {
    fn title(&self) -> String {
        match self.url.mode {
            Mode::Caller => format!("SRT to {}", self.url),
            Mode::Listener => format!("SRT at {}", self.url),
        }
    }

    fn retry(&self) -> Bounds {
        RETRY
    }

    /// A port that is taken will stay so.
    fn is_required(&self) -> bool {
        self.url.mode == Mode::Listener
    }

    fn connect(&self, feed: &Arc<Feed>) -> Result<Box<dyn publisher::Connection>, Failure> {
        let connection = Connection::new(self, feed)?;
        if self.url.mode == Mode::Caller {
            *self.probe() = Probe::ask(self.url.address);
        }
        connection.line.start()?;
        Ok(Box::new(connection))
    }

    fn shown(&self, said: &str) -> String {
        self.url.redact(said)
    }

    fn advised(&self, why: &str) -> String {
        let why = self.shown(why);
        match self.url.mode {
            Mode::Caller if why.starts_with("no answer") => {
                let is_there = self.probe().take().is_some_and(|probe| probe.is_answered());
                let cause = match (is_there, self.url.reveal_passphrase()) {
                    (true, Some(_)) => "somebody listens there and does not take the call: is it the same passphrase?",
                    (true, None) => "somebody listens there and does not take the call: does it want a passphrase?",
                    (false, _) => "nobody seems to listen there",
                };
                format!("{why}; {cause}")
            }
            _ => why,
        }
    }
}

impl Peer {
    fn probe(&self) -> MutexGuard<'_, Option<Probe>> {
        self.probe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Connection {
    line: Line,
    sink: gst::Element,
    mode: Mode,
    tail: Duration,
}

impl Connection {
    fn new(peer: &Peer, feed: &Arc<Feed>) -> Result<Self, Failure> {
        let Peer { codec, url, .. } = peer;
        let source = feed.source()?;
        // To a byte stream, as MPEG-TS has it.
        let parser = elements::make(codec::parser(*codec))?;
        let muxer = elements::make("mpegtsmux")?;
        let sink = elements::make("srtsink")?;
        // The URI first: it sets the rest anew.
        sink.set_property("uri", format!("srt://{}", url.address));
        sink.set_property("latency", i32::try_from(url.latency.as_millis()).unwrap_or(i32::MAX));
        sink.set_property("sync", false);
        sink.set_property("async", false);
        sink.set_property("wait-for-connection", false);
        // A connection that breaks is followed by another pipeline.
        sink.set_property("auto-reconnect", false);
        if let Some(passphrase) = url.reveal_passphrase() {
            sink.set_property("passphrase", passphrase);
            sink.set_property_from_str("pbkeylen", &url.key_length.to_string());
        }
        if let Some(stream_id) = url.reveal_stream_id() {
            sink.set_property("streamid", stream_id);
        }
        if url.mode == Mode::Listener {
            sink.set_property_from_str("mode", "listener");
            sink.set_property("localaddress", url.address.ip().to_string());
            sink.set_property("localport", u32::from(url.address.port()));
            welcome(&sink, feed);
        }
        send_all(&sink);
        feed.meter().watch(&sink, part_of_unit);
        let pipeline = gst::Pipeline::new();
        elements::add_chain(&pipeline, &[source.upcast_ref(), &parser, &muxer, &sink])?;
        let tail = (url.latency * TAIL).min(TAIL_MAX);
        Ok(Self { line: Line::new(pipeline, source), sink, mode: url.mode, tail })
    }
}

impl publisher::Connection for Connection {
    fn line(&self) -> &Line {
        &self.line
    }

    /// Of a caller that is not connected there are no statistics.
    fn is_accepted(&self) -> bool {
        match self.mode {
            Mode::Caller => self.sink.property::<gst::Structure>("stats").has_field("negotiated-latency-ms"),
            Mode::Listener => true,
        }
    }

    fn tail(&self) -> Duration {
        self.tail
    }

    fn stop(self: Box<Self>) {
        self.line.stop();
    }
}

/// Whoever calls gets a picture that needs no other one.
fn welcome(sink: &gst::Element, feed: &Arc<Feed>) {
    let feed = Arc::downgrade(feed);
    sink.connect("caller-added", false, move |_| {
        if let Some(feed) = feed.upgrade() {
            feed.ask_for_keyframe();
        }
        None
    });
}

/// The sink leaves buffers out that are marked as headers, and the muxer marks those in which a picture follows its tables.
fn send_all(sink: &gst::Element) {
    let unmark = |buffer: &mut gst::Buffer| {
        if buffer.flags().contains(gst::BufferFlags::HEADER) {
            buffer.make_mut().unset_flags(gst::BufferFlags::HEADER);
        }
    };
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    elements::pad(sink, "sink").add_probe(mask, move |_, info| {
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => unmark(buffer),
            Some(gst::PadProbeData::BufferList(list)) => {
                let buffers = list.iter_owned().map(|mut buffer| {
                    unmark(&mut buffer);
                    buffer
                });
                *list = buffers.collect();
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

/// Each access unit begins one packet of the elementary stream. Source: ISO/IEC 13818-1, 2.4.3.2 and 2.4.3.6.
fn part_of_unit(buffer: &gst::BufferRef) -> Part {
    const PACKET: usize = 188;
    let Ok(bytes) = buffer.map_readable() else {
        return Part::None;
    };
    let begins_unit = |packet: &[u8]| {
        let payload = match packet[3] & 0x30 {
            0x10 => 4,
            0x30 => 5 + usize::from(packet[4]),
            _ => return false,
        };
        // The stream_id of video is 1110 xxxx.
        packet[1] & 0x40 != 0
            && matches!(packet.get(payload..payload + 4), Some([0, 0, 1, stream_id]) if stream_id & 0xf0 == 0xe0)
    };
    if bytes.chunks_exact(PACKET).any(begins_unit) { Part::Last } else { Part::None }
}
