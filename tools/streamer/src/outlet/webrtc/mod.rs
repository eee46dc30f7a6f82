//! WebRTC: any number of viewers, each answered by WHEP, all fed with the one encode by one thread from one socket.

mod engine;
mod limits;
mod picture;
mod signalling;
mod viewer;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread,
};

use cvmmap::Codec;
use tokio::sync::mpsc;
use tools_cli::failure::Failure;

pub use self::signalling::{Refusal, Signalling};
use self::{
    engine::{Counts, Engine},
    viewer::Terms,
};
use super::{
    Outlet,
    feed::{AskForKeyframe, Feed, Unit},
    meter::Meter,
};
use crate::log::{self, tell};

/// Access units on their way to the thread: a second of a fast camera.
const UNITS_MAX: usize = 64;

/// How viewers are served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where viewers ask over HTTP; they are served from the same address, and from the same port where it is free.
    pub http: SocketAddr,
    /// Viewers at most.
    pub viewers_max: usize,
    /// Whether the encoder makes B-frames.
    pub reordered: bool,
}

/// Serves viewers.
pub struct Viewers {
    codec: Codec,
    settings: Settings,
    signalling: Arc<Signalling>,
    feed: Arc<Feed>,
    ask_for_keyframe: AskForKeyframe,
    /// Where access units go while the thread runs.
    units: Arc<Mutex<Option<mpsc::Sender<Unit>>>>,
    counts: Arc<Counts>,
    thread: Option<thread::JoinHandle<()>>,
    ended: bool,
}

impl std::fmt::Debug for Viewers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Viewers")
            .field("settings", &self.settings)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl Viewers {
    /// Makes the output; nobody is served yet.
    pub fn new(
        codec: Codec,
        settings: Settings,
        signalling: Arc<Signalling>,
        ask_for_keyframe: AskForKeyframe,
    ) -> Self {
        let (units, counts) = (Arc::<Mutex<Option<mpsc::Sender<Unit>>>>::default(), Arc::<Counts>::default());
        let tap = {
            let (units, counts) = (Arc::clone(&units), Arc::clone(&counts));
            move |unit| {
                let units = units.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(Err(mpsc::error::TrySendError::Full(_))) = units.as_ref().map(|units| units.try_send(unit))
                {
                    counts.overflow.store(true, Ordering::Relaxed);
                }
            }
        };
        let feed = Feed::tapped(Arc::<Meter>::default(), Arc::clone(&ask_for_keyframe), Box::new(tap));
        Self { codec, settings, signalling, feed, ask_for_keyframe, units, counts, thread: None, ended: false }
    }

    fn end(&mut self) {
        self.ended = true;
        self.signalling.close();
        // The thread ends when there are no more access units.
        *self.units.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Outlet for Viewers {
    fn title(&self) -> String {
        format!("WebRTC at http://{}/", self.settings.http)
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    fn start(&mut self) -> Result<(), Failure> {
        let http = self.settings.http;
        let unusable = |error: &dyn std::fmt::Display| {
            Failure::Configuration(format!("{}: no UDP socket there: {error}", self.title()))
        };
        let socket =
            UdpSocket::bind(http).or_else(|_| UdpSocket::bind((http.ip(), 0))).map_err(|error| unusable(&error))?;
        let bound = socket.local_addr().map_err(|error| unusable(&error))?;
        let local = if bound.ip().is_unspecified() { SocketAddr::new(outward(bound), bound.port()) } else { bound };
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = crypto
            .dtls_provider
            .generate_certificate()
            .ok_or_else(|| Failure::Pipeline(format!("{}: no certificate can be made", self.title())))?;
        let (sender, units) = mpsc::channel(UNITS_MAX);
        *self.units.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        let engine = Engine {
            socket,
            terms: Terms { codec: self.codec, local, certificate, crypto },
            viewers_max: self.settings.viewers_max,
            reordered: self.settings.reordered,
            units,
            questions: self.signalling.open(),
            ask_for_keyframe: Arc::clone(&self.ask_for_keyframe),
            meter: Arc::clone(self.feed.meter()),
            counts: Arc::clone(&self.counts),
        };
        let run = move || {
            if let Err(error) = engine.run() {
                tell(&format!("WebRTC: nobody can be served: {error}"));
            }
        };
        let thread = thread::Builder::new().name("webrtc".to_owned()).spawn(log::carried(run));
        self.thread = Some(thread.map_err(|error| Failure::Pipeline(format!("{}: no thread: {error}", self.title())))?);
        Ok(())
    }

    fn look(&mut self) -> Result<(), Failure> {
        if !self.ended && self.thread.as_ref().is_some_and(thread::JoinHandle::is_finished) {
            tell("warning: WebRTC: its thread ended; it is started again");
            self.thread = None;
            return self.start();
        }
        Ok(())
    }

    fn finish(&mut self) {
        self.end();
    }

    fn has_ended(&self) -> bool {
        self.ended && self.thread.as_ref().is_none_or(thread::JoinHandle::is_finished)
    }

    fn fault(&self) -> Option<Failure> {
        None
    }

    fn state(&self) -> &'static str {
        if self.counts.viewers.load(Ordering::Relaxed) > 0 { "sending" } else { "waiting" }
    }

    fn connects(&self) -> Option<u64> {
        Some(self.counts.connects.load(Ordering::Relaxed))
    }

    fn stop(&mut self) {
        self.end();
        // It says goodbye, which waits for nobody.
        if let Some(Err(_)) = self.thread.take().map(thread::JoinHandle::join) {
            tell("warning: WebRTC: its thread panicked");
        }
    }
}

/// The address of this machine by which others reach it: nothing is sent to find it. Without a network, that of this machine alone.
fn outward(bound: SocketAddr) -> IpAddr {
    // Addresses of documentation, RFC 5737 and RFC 3849.
    let (anywhere, alone) = match bound {
        SocketAddr::V4(_) => ("192.0.2.1:9", IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SocketAddr::V6(_) => ("[2001:db8::1]:9", IpAddr::V6(Ipv6Addr::LOCALHOST)),
    };
    let routed = UdpSocket::bind((bound.ip(), 0)).and_then(|socket| {
        socket.connect(anywhere)?;
        socket.local_addr()
    });
    routed.map_or(alone, |address| address.ip())
}
