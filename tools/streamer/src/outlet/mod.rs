//! Outputs: each hangs on the one encoder by a bounded backlog of its own and sends in a pipeline of its own, so that none
//! holds up, breaks or ends another.

mod backlog;
mod fan_out;
mod feed;
mod foxglove;
mod line;
pub mod meter;
mod publisher;
pub mod retry;
mod rtmp;
mod rtp;
mod rtsp;
mod srt;
mod webrtc;

use std::sync::Arc;

use cvmmap::Codec;
use tools_cli::failure::Failure;

use super::{adaptation::Congestion, foxglove::Live, options::VideoSource, plan::Stream, summary, watch::DepthFeed};

pub use fan_out::FanOut;
use feed::Feed;
pub use line::{Line, Retired, Said};
pub use meter::Meter;
pub use rtsp::Place as RtspPlace;
pub use webrtc::{Refusal, Signalling};

/// One output.
trait Outlet: std::fmt::Debug {
    /// The start of what is said about it: what it is, and its receiver without secrets.
    fn title(&self) -> String;
    /// What it is fed by.
    fn feed(&self) -> &Arc<Feed>;
    /// Begins to send, or tries to.
    fn start(&mut self) -> Result<(), Failure>;
    /// Does what is due. An error ends the run.
    fn look(&mut self) -> Result<(), Failure>;
    /// Sends what is left and says goodbye; an output that cannot has ended at once.
    fn finish(&mut self);
    /// Whether nothing more will be sent.
    fn has_ended(&self) -> bool;
    /// Why the run fails because of it, as far as can be told now.
    fn fault(&self) -> Option<Failure>;
    /// Name of its state in the summary.
    fn state(&self) -> &'static str;
    /// How often a receiver has agreed to take the stream, where one is asked.
    fn connects(&self) -> Option<u64>;
    /// How it does, where its receiver can be too slow.
    fn congestion(&self) -> Option<Congestion> {
        None
    }
    /// Stops its pipeline.
    fn stop(&mut self);
}

/// Where those who watch ask for the picture, and what they see of a camera beside it.
#[derive(Clone, Debug)]
pub struct Doors {
    /// Browsers,
    pub signalling: Arc<Signalling>,
    /// players,
    pub rtsp: RtspPlace,
    /// and Foxglove,
    pub foxglove: Arc<Live>,
    /// which has its depth, too.
    pub depth: Arc<DepthFeed>,
}

/// The outputs of a run.
#[derive(Debug)]
pub struct Outlets {
    outlets: Vec<(String, Box<dyn Outlet>)>,
    finishing: bool,
}

impl Outlets {
    /// Makes the outputs for a stream of this codec; nothing is sent yet. They are fed by `fan_out`, and by `depth` where they
    /// want it; those who watch come by `doors`.
    ///
    /// # Errors
    /// [`Failure::Configuration`] for a session description that cannot be written or authorities that cannot be used,
    /// [`Failure::Pipeline`] for an element that is missing.
    pub fn new(
        codec: Codec,
        plan: &Stream,
        fan_out: &FanOut,
        depth: Option<&FanOut>,
        doors: &Doors,
    ) -> Result<Self, Failure> {
        let mut depth_feeds = Vec::new();
        let mut outlets = Vec::<(String, Box<dyn Outlet>)>::new();
        for (index, rtp) in plan.rtp.iter().enumerate() {
            let feed = Feed::new(fan_out.ask_for_keyframe());
            outlets.push((numbered("rtp", index), Box::new(rtp::Sender::new(codec, rtp, feed)?)));
        }
        for (index, rtmp) in plan.rtmp.iter().enumerate() {
            let depth_feed = depth.filter(|_| rtmp.depth.is_some()).map(|depth| Feed::new(depth.ask_for_keyframe()));
            depth_feeds.extend(depth_feed.clone());
            let feed = Feed::with_companion(fan_out.ask_for_keyframe(), depth_feed);
            outlets.push((numbered("rtmp", index), Box::new(rtmp::publisher(codec, rtmp, feed)?)));
        }
        for (index, srt) in plan.srt.iter().enumerate() {
            let feed = Feed::new(fan_out.ask_for_keyframe());
            outlets.push((numbered("srt", index), Box::new(srt::publisher(codec, srt, feed)?)));
        }
        if plan.rtsp {
            let feed = Feed::on_demand(fan_out.ask_for_keyframe());
            outlets.push(("rtsp".to_owned(), Box::new(rtsp::Service::new(codec, &doors.rtsp, feed))));
        }
        if let Some(http) = &plan.http {
            let settings = webrtc::Settings {
                http: http.listen,
                viewers_max: http.viewers_max,
                reordered: plan.encoding.live.b_frames > 0 && plan.video_source != VideoSource::Encoded,
            };
            let viewers =
                webrtc::Viewers::new(codec, settings, Arc::clone(&doors.signalling), fan_out.ask_for_keyframe());
            outlets.push(("webrtc".to_owned(), Box::new(viewers)));
        }
        if let Some(foxglove) = &plan.foxglove {
            let topics = foxglove::Topics::new(foxglove, &doors.foxglove, &doors.depth, fan_out.ask_for_keyframe());
            outlets.push(("foxglove".to_owned(), Box::new(topics)));
        }
        let feeds = outlets.iter().map(|(_, outlet)| Arc::clone(outlet.feed())).collect();
        fan_out.serve(feeds);
        if let Some(depth) = depth {
            depth.serve(depth_feeds);
        }
        Ok(Self { outlets, finishing: false })
    }

    /// Begins to send.
    ///
    /// # Errors
    /// What an output complains of.
    pub fn start(&mut self) -> Result<(), Failure> {
        self.outlets.iter_mut().try_for_each(|(_, outlet)| outlet.start())
    }

    /// Does what is due.
    ///
    /// # Errors
    /// What ends the run.
    pub fn look(&mut self) -> Result<(), Failure> {
        self.outlets.iter_mut().try_for_each(|(_, outlet)| outlet.look())
    }

    /// Sends what is left.
    pub fn finish(&mut self) {
        self.finishing = true;
        self.outlets.iter_mut().for_each(|(_, outlet)| outlet.finish());
    }

    /// Whether nothing more will be sent.
    pub fn have_ended(&self) -> bool {
        (self.finishing || !self.outlets.is_empty()) && self.outlets.iter().all(|(_, outlet)| outlet.has_ended())
    }

    /// Why the run fails because of its outputs, as far as can be told now.
    pub fn fault(&self) -> Option<Failure> {
        let faults = self.outlets.iter().filter_map(|(_, outlet)| outlet.fault()).map(|fault| fault.to_string());
        let faults = faults.collect::<Vec<_>>();
        (!faults.is_empty()).then(|| Failure::Pipeline(faults.join("; ")))
    }

    /// How the one does that is furthest behind, of those whose receivers can be too slow.
    pub fn slowest(&self) -> Option<Congestion> {
        self.outlets.iter().filter_map(|(_, outlet)| outlet.congestion()).max_by_key(|congestion| congestion.lag)
    }

    /// What happened so far.
    pub fn summary(&self) -> Vec<(String, summary::Output)> {
        let account =
            |outlet: &dyn Outlet| summary::Output::new(outlet.feed().meter(), outlet.state(), outlet.connects());
        self.outlets.iter().map(|(name, outlet)| (name.clone(), account(&**outlet))).collect()
    }
}

impl Drop for Outlets {
    fn drop(&mut self) {
        self.outlets.iter_mut().for_each(|(_, outlet)| outlet.stop());
    }
}

/// Names in the summary: `rtmp`, `rtmp-2` and so on.
fn numbered(kind: &str, index: usize) -> String {
    if index == 0 { kind.to_owned() } else { format!("{kind}-{}", index + 1) }
}
