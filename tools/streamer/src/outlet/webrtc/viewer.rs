//! One viewer: a WebRTC session without sockets or clocks of its own.

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use cvmmap::Codec;
use str0m::{
    Candidate, Event, Input, Output, Rtc, RtcConfig, RtcError,
    change::SdpOffer,
    config::{CryptoProvider, DtlsCert},
    format::{self, PayloadParams},
    media::{MediaTime, Mid, Pt},
    net::{DatagramRecv, Protocol, Receive},
    rtp::{AbsCaptureTime, Extension},
};

use super::signalling::Refusal;

/// How long packets are kept for viewers that ask for them again,
const HISTORY: Duration = Duration::from_millis(500);
/// and how many.
const HISTORY_PACKETS: usize = 1024;
/// A viewer is looked after this often at least.
const LOOK_MAX: Duration = Duration::from_millis(500);
/// A viewer has this long to connect,
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// and is let go when nothing has come from it for so long: receivers report every second.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// A viewer that loses a larger share of its packets cannot keep up: it gets nothing until a keyframe,
const LOSS_MAX: f32 = 0.1;
/// and not before this pause is over;
const PAUSE: Duration = Duration::from_secs(1);
/// after which it has recovered when it lost little for so long;
const RECOVERY: Duration = Duration::from_secs(3);
/// one that has not kept up for so long is let go.
const SUFFERING_MAX: Duration = Duration::from_secs(10);
/// No player offers more: a picture, sound, data, and some to spare.
const MEDIA_LINES_MAX: usize = 8;

/// What all viewers of a stream share.
#[derive(Debug)]
pub struct Terms {
    /// Codec of the stream.
    pub codec: Codec,
    /// The address that packets go to and come from.
    pub local: SocketAddr,
    /// Certificate of this run.
    pub certificate: DtlsCert,
    /// Encryption.
    pub crypto: Arc<CryptoProvider>,
}

/// An access unit on its way to viewers.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Byte stream.
    pub data: Arc<[u8]>,
    /// Whether it needs no other one.
    pub is_keyframe: bool,
    /// When it is shown, in nanoseconds from the start of the stream.
    pub time: u64,
    /// When its frame was captured,
    pub captured: Instant,
    /// and when by the producer's clock.
    pub captured_at: Option<SystemTime>,
}

/// What a viewer wants after something happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nothing.
    None,
    /// A keyframe.
    Keyframe,
    /// To be let go; why.
    Leave(&'static str),
}

/// One WebRTC session.
pub struct Viewer {
    rtc: Rtc,
    local: SocketAddr,
    video: Option<(Mid, Pt)>,
    born: Instant,
    heard: Instant,
    is_connected: bool,
    awaits_keyframe: bool,
    paused_until: Option<Instant>,
    /// When it first and last lost too much.
    suffers: Option<(Instant, Instant)>,
    deadline: Instant,
}

impl std::fmt::Debug for Viewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Viewer")
            .field("video", &self.video)
            .field("is_connected", &self.is_connected)
            .finish_non_exhaustive()
    }
}

impl Viewer {
    /// Answers an offer, with the session description.
    ///
    /// # Errors
    /// Why it cannot be answered.
    pub fn new(offer: &str, terms: &Terms, now: Instant) -> Result<(Self, String), Refusal> {
        let malformed = |why: &dyn std::fmt::Display| Refusal::Malformed(why.to_string());
        if offer.lines().filter(|line| line.starts_with("m=")).count() > MEDIA_LINES_MAX {
            return Err(malformed(&format!("it has more than {MEDIA_LINES_MAX} media lines")));
        }
        // A library that reads what strangers send.
        catch_unwind(AssertUnwindSafe(|| {
            let offer = SdpOffer::from_sdp_string(offer).map_err(|error| malformed(&error))?;
            let mut rtc = config(terms).build(now);
            let candidate = Candidate::host(terms.local, Protocol::Udp).map_err(|error| malformed(&error))?;
            rtc.add_local_candidate(candidate);
            let answer = rtc.sdp_api().accept_offer(offer).map_err(|error| malformed(&error))?;
            let mut viewer = Self {
                rtc,
                local: terms.local,
                video: None,
                born: now,
                heard: now,
                is_connected: false,
                awaits_keyframe: true,
                paused_until: None,
                suffers: None,
                deadline: now,
            };
            let answer = answer.to_sdp_string();
            viewer.find_video(&answer, terms.codec);
            if viewer.video.is_none() {
                return Err(Refusal::NoCodec(terms.codec));
            }
            Ok((viewer, answer))
        }))
        .unwrap_or_else(|_| Err(malformed(&"it cannot be read")))
    }

    /// Finds where the picture goes in the answer. The session tells that itself only when it is connected.
    fn find_video(&mut self, answer: &str, codec: Codec) {
        let mids = answer.split("\r\nm=").filter(|section| section.starts_with("video "));
        let mids = mids.filter_map(|section| section.lines().find_map(|line| line.strip_prefix("a=mid:")));
        for mid in mids.map(Mid::from) {
            let is_taken = self.rtc.media(mid).is_some_and(|media| media.direction().is_sending());
            let Some(writer) = self.rtc.writer(mid).filter(|_| is_taken) else {
                continue;
            };
            if let Some(pt) = best(writer.payload_params(), codec) {
                self.video = Some((mid, pt));
                return;
            }
        }
    }

    /// When it has to be looked after.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether pictures can be sent to it.
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Whether a datagram is for it.
    pub fn accepts(&self, from: SocketAddr, datagram: DatagramRecv<'_>, now: Instant) -> bool {
        self.rtc.accepts(&Input::Receive(now, self.receive(from, datagram)))
    }

    /// Takes in a datagram. Packets to send go to `send`.
    pub fn hear(
        &mut self,
        from: SocketAddr,
        datagram: DatagramRecv<'_>,
        now: Instant,
        send: &mut dyn FnMut(&[u8], SocketAddr),
    ) -> Wish {
        let receive = self.receive(from, datagram);
        self.heard = now;
        self.guard(now, send, |rtc| rtc.handle_input(Input::Receive(now, receive)))
    }

    /// Does what is due.
    pub fn look(&mut self, now: Instant, send: &mut dyn FnMut(&[u8], SocketAddr)) -> Wish {
        if !self.is_connected && now > self.born + CONNECT_MAX {
            return Wish::Leave("it did not connect");
        }
        if now > self.heard + SILENCE_MAX {
            return Wish::Leave("nothing came from it");
        }
        if self.suffers.is_some_and(|(since, _)| now > since + SUFFERING_MAX) {
            return Wish::Leave("it could not keep up");
        }
        self.guard(now, send, |rtc| rtc.handle_input(Input::Timeout(now)))
    }

    /// Learns of another address of the viewer.
    pub fn add_candidate(
        &mut self,
        candidate: Candidate,
        now: Instant,
        send: &mut dyn FnMut(&[u8], SocketAddr),
    ) -> Wish {
        self.guard(now, send, |rtc| {
            rtc.add_remote_candidate(candidate);
            Ok(())
        })
    }

    /// Says goodbye.
    pub fn close(&mut self, now: Instant, send: &mut dyn FnMut(&[u8], SocketAddr)) {
        self.guard(now, send, Rtc::close);
    }

    /// Goes on with a keyframe: something was lost on the way here.
    pub fn skip(&mut self) {
        self.awaits_keyframe = true;
    }

    /// Sends a picture. Whether it was sent, and what the viewer wants.
    pub fn show(&mut self, picture: &Picture, now: Instant, send: &mut dyn FnMut(&[u8], SocketAddr)) -> (bool, Wish) {
        let Some((mid, pt)) = self.video.filter(|_| self.is_connected) else {
            return (false, Wish::None);
        };
        if self.paused_until.is_some_and(|until| now < until) {
            return (false, Wish::None);
        }
        if self.paused_until.take().is_some() && !picture.is_keyframe {
            return (false, Wish::Keyframe);
        }
        if self.awaits_keyframe && !picture.is_keyframe {
            return (false, Wish::None);
        }
        self.awaits_keyframe = false;
        let by_our_clock = || SystemTime::now() - now.saturating_duration_since(picture.captured);
        let captured = picture.captured_at.unwrap_or_else(by_our_clock);
        let wish = self.guard(now, send, |rtc| {
            let Some(writer) = rtc.writer(mid) else {
                return Ok(());
            };
            writer
                .abs_capture_time(AbsCaptureTime { capture_time: captured, clock_offset: Some(0) })
                // A picture is shown when it is there.
                .playout_delay(MediaTime::ZERO, MediaTime::ZERO)
                .write(pt, picture.captured, MediaTime::from_90khz(in_90khz(picture.time)), Arc::clone(&picture.data))
        });
        (true, wish)
    }

    fn receive<'a>(&self, from: SocketAddr, contents: DatagramRecv<'a>) -> Receive<'a> {
        Receive { proto: Protocol::Udp, source: from, destination: self.local, contents }
    }

    /// Does something with the session and sends what comes of it. A library that reads what strangers send may panic: that
    /// ends this session and no other.
    fn guard(
        &mut self,
        now: Instant,
        send: &mut dyn FnMut(&[u8], SocketAddr),
        act: impl FnOnce(&mut Rtc) -> Result<(), RtcError>,
    ) -> Wish {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            act(&mut self.rtc)?;
            self.drain(now, send)
        }));
        match outcome {
            Ok(Ok(_)) if !self.rtc.is_alive() => Wish::Leave("it left"),
            Ok(Ok(wish)) => wish,
            Ok(Err(_)) | Err(_) => Wish::Leave("its session broke"),
        }
    }

    fn drain(&mut self, now: Instant, send: &mut dyn FnMut(&[u8], SocketAddr)) -> Result<Wish, RtcError> {
        let mut wish = Wish::None;
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(deadline) => {
                    self.deadline = deadline.min(now + LOOK_MAX);
                    return Ok(wish);
                }
                Output::Transmit(packet) => send(&packet.contents, packet.destination),
                Output::Event(Event::Connected) => {
                    self.is_connected = true;
                    if let Some((mid, _)) = self.video
                        && let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(mid, None)
                    {
                        stream.set_rtx_cache(HISTORY_PACKETS, HISTORY, None);
                    }
                    wish = Wish::Keyframe;
                }
                Output::Event(Event::KeyframeRequest(_)) => wish = Wish::Keyframe,
                Output::Event(Event::MediaEgressStats(stats)) => self.judge(stats.loss, now),
                Output::Event(Event::Closed) => return Ok(Wish::Leave("it left")),
                Output::Event(_) => {}
            }
        }
    }

    /// Looks at what the viewer reports of its losses.
    fn judge(&mut self, loss: Option<f32>, now: Instant) {
        match loss {
            Some(loss) if loss > LOSS_MAX => {
                let (since, _) = self.suffers.unwrap_or((now, now));
                self.suffers = Some((since, now));
                self.paused_until = Some(now + PAUSE);
                self.awaits_keyframe = true;
            }
            // While nothing is sent, nothing is lost: a report of that says nothing.
            Some(_) if self.suffers.is_some_and(|(_, last)| now > last + PAUSE + RECOVERY) => self.suffers = None,
            _ => {}
        }
    }
}

fn config(terms: &Terms) -> RtcConfig {
    let config = RtcConfig::new()
        .set_crypto_provider(Arc::clone(&terms.crypto))
        .set_dtls_cert(terms.certificate.clone())
        // Answers checks and begins none: an offer cannot make this side send to an address that it names.
        .set_ice_lite(true)
        .set_stats_interval(Some(Duration::from_secs(1)))
        .set_extension(5, Extension::AbsoluteCaptureTime)
        .set_extension(6, Extension::PlayoutDelay)
        .clear_codecs();
    match terms.codec {
        Codec::H264 => config.enable_h264(true),
        Codec::H265 => config.enable_h265(true),
    }
}

/// The payload type to send as: access units are larger than packets.
fn best<'a>(params: impl Iterator<Item = &'a PayloadParams>, codec: Codec) -> Option<Pt> {
    let (theirs, splits) = match codec {
        Codec::H264 => (format::Codec::H264, Some(1)),
        Codec::H265 => (format::Codec::H265, None),
    };
    params
        .filter(|params| params.spec().codec == theirs)
        .find(|params| splits.is_none() || params.spec().format.packetization_mode == splits)
        .map(PayloadParams::pt)
}

fn in_90khz(nanoseconds: u64) -> u64 {
    // 90,000 in 10^9, in whole numbers that do not overflow for 58 years.
    (u128::from(nanoseconds) * 9 / 100_000) as u64
}
