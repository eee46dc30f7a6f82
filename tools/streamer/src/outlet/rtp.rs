//! RTP over UDP unicast, with reports from which a receiver learns when a picture was captured.

pub mod capture_clock;
mod session;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use capture_clock::CaptureClock;
use cvmmap::Codec;
use gst::prelude::*;
use tools_cli::failure::Failure;
use tools_media::elements;

use super::{
    Outlet,
    feed::Feed,
    line::{Line, Said},
    meter::Part,
};
use crate::{log::tell, plan::Rtp, sdp};

/// Sends to one receiver.
#[derive(Debug)]
pub struct Sender {
    destination: SocketAddr,
    feed: Arc<Feed>,
    line: Option<Line>,
    ended: bool,
    broke: Option<String>,
}

impl Sender {
    /// Makes the output; nothing is sent yet.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when the session description cannot be written, [`Failure::Pipeline`] when an element
    /// is missing.
    pub fn new(codec: Codec, plan: &Rtp, feed: Arc<Feed>) -> Result<Self, Failure> {
        let source = feed.source()?;
        let payloader = elements::make(match codec {
            Codec::H264 => "rtph264pay",
            Codec::H265 => "rtph265pay",
        })?;
        payloader.set_property("pt", u32::from(plan.payload_type));
        // The parser puts parameter sets before every keyframe. Asked for the same, the H.264 payloader would put them
        // before every slice of it.
        payloader.set_property_from_str("aggregate-mode", "zero-latency");
        let sink = session::udp_sink(plan.destination)?;

        if let Some(path) = &plan.sdp {
            describe(&payloader, sdp::File::new(path)?, plan);
        }
        feed.meter().watch(&sink, part_of_unit);
        let clock = CaptureClock::watch(&payloader, plan.capture_time);
        let pipeline = gst::Pipeline::new();
        elements::add_chain(&pipeline, &[source.upcast_ref(), &payloader])?;
        elements::add_chain(&pipeline, &[&sink])?;
        session::join(&pipeline, &payloader, &sink, plan, clock)?;
        let line = Some(Line::new(pipeline, source));
        Ok(Self { destination: plan.destination, feed, line, ended: false, broke: None })
    }

    /// An output that worked and broke leaves the others at work; the run fails when it ends.
    fn lose(&mut self, why: &str) -> Result<(), Failure> {
        let failure = format!("{}: {why}", self.title());
        if self.feed.meter().sent() == 0 {
            return Err(Failure::Pipeline(failure));
        }
        self.feed.detach();
        tell(&format!("{failure}; nothing more is sent there"));
        self.broke = Some(failure);
        self.ended = true;
        if let Some(line) = self.line.take() {
            line.stop();
        }
        Ok(())
    }
}

impl Outlet for Sender {
    fn title(&self) -> String {
        format!("RTP to {}", self.destination)
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    fn start(&mut self) -> Result<(), Failure> {
        let Some(line) = &self.line else {
            return Ok(());
        };
        line.start().map_err(|failure| Failure::Pipeline(format!("{}: {failure}", self.title())))?;
        self.feed.attach(line.source(), None);
        Ok(())
    }

    fn look(&mut self) -> Result<(), Failure> {
        while let Some(said) = self.line.as_ref().and_then(Line::said) {
            match said {
                Said::Ended => self.ended = true,
                Said::Warned(text) => tell(&format!("warning: {}: {text}", self.title())),
                Said::Broke(why) => return self.lose(&why),
            }
        }
        Ok(())
    }

    fn finish(&mut self) {
        self.feed.finish();
    }

    fn has_ended(&self) -> bool {
        self.ended
    }

    fn fault(&self) -> Option<Failure> {
        self.broke.clone().map(Failure::Pipeline)
    }

    fn state(&self) -> &'static str {
        if self.broke.is_some() { "broken" } else { "sending" }
    }

    fn connects(&self) -> Option<u64> {
        None
    }

    fn stop(&mut self) {
        self.feed.detach();
        if let Some(line) = self.line.take() {
            line.stop();
        }
    }
}

/// The marker bit ends an access unit. Source: RFC 3550 section 5.1, RFC 6184 section 5.1, RFC 7798 section 4.1.
pub fn part_of_unit(packet: &gst::BufferRef) -> Part {
    let mut header = [0; 2];
    let ends_unit = packet.copy_to_slice(0, &mut header).is_ok() && header[1] & 0x80 != 0;
    if ends_unit { Part::Last } else { Part::Some }
}

/// Writes the session description each time the stream's parameters are known anew, before the first packet that has
/// them.
fn describe(payloader: &gst::Element, file: sdp::File, plan: &Rtp) {
    let (destination, rtcp) = (plan.destination, plan.rtcp);
    let (file, weak) = (Mutex::new(file), payloader.downgrade());
    elements::watch_caps(&elements::pad(payloader, "src"), move |caps| {
        let written = file.lock().unwrap_or_else(PoisonError::into_inner).write(caps, destination, rtcp);
        if let (Err(error), Some(payloader)) = (written, weak.upgrade()) {
            gst::element_error!(payloader, gst::ResourceError::Write, ["{error}"]);
        }
    });
}
