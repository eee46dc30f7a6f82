//! What stands in for a browser: HTTP and WebSockets by hand, and a WebRTC player.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

use str0m::{
    Candidate, Event, Input, Output, Rtc, RtcConfig,
    change::SdpAnswer,
    media::{Direction, KeyframeRequestKind, MediaData, MediaKind, Mid},
    net::{Protocol, Receive},
    rtp::Extension,
};

pub const PATIENCE: Duration = Duration::from_secs(30);
pub const SDP: (&str, &str) = ("Content-Type", "application/sdp");

/// What a server answered.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.headers.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Connects, once the server is there.
pub fn connect(port: u16) -> TcpStream {
    let until = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return stream;
            }
            Err(error) => assert!(Instant::now() < until, "no server: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One request on a connection of its own.
pub fn ask(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut stream = connect(port);
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request += &format!("Host: 127.0.0.1:{port}\r\n");
    }
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    // A server that refuses early does not read the rest.
    let _ = stream.write_all(format!("{request}\r\n").as_bytes()).and_then(|()| stream.write_all(body));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an answer has headers");
    let headers = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
    Response { status, headers, body: answer[end + 4..].to_vec() }
}

/// Whether a network loses this datagram on its way to the player.
pub type Loses = Box<dyn FnMut(&[u8]) -> bool + Send>;

/// A player of its own. It answers checks, asks for packets that are missing, and for nothing else that it is not told to ask for.
pub struct Player {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    pub mid: Mid,
    pub session: String,
    pub started: Instant,
    pub loses: Loses,
}

/// Whether a datagram is RTP. Source: RFC 7983, RFC 5761.
pub fn is_rtp(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, kind, ..] if !(64..96).contains(&(kind & 0x7f)))
}

/// An offer for one picture, and what is needed to take the answer.
pub fn offer(
    configure: impl FnOnce(RtcConfig) -> RtcConfig,
) -> (Rtc, UdpSocket, String, str0m::change::SdpPendingOffer, Mid) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let config = RtcConfig::new().set_crypto_provider(Arc::new(str0m::crypto::from_feature_flags()));
    let mut rtc = configure(config).build(Instant::now());
    rtc.add_local_candidate(Candidate::host(socket.local_addr().unwrap(), Protocol::Udp).unwrap());
    let mut changes = rtc.sdp_api();
    let mid = changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    let (offer, pending) = changes.apply().unwrap();
    (rtc, socket, offer.to_sdp_string(), pending, mid)
}

impl Player {
    /// Asks for the picture until it is there.
    pub fn start(port: u16, camera: &str) -> Self {
        Self::start_with(port, camera, |sdp| sdp)
    }

    /// The same with another offer.
    pub fn start_with(port: u16, camera: &str, change: impl Fn(String) -> String) -> Self {
        let until = Instant::now() + PATIENCE;
        loop {
            let started = Instant::now();
            let (mut rtc, socket, sdp, pending, mid) = offer(|config| {
                let config = config.set_extension(12, Extension::AbsoluteCaptureTime);
                config.clear_codecs().enable_h264(true).enable_h265(true)
            });
            let sdp = change(sdp);
            let answer = ask(port, "POST", &format!("/whep/{camera}"), &[SDP], sdp.as_bytes());
            if answer.status != 201 {
                assert!(answer.status == 503 && Instant::now() < until, "{}: {}", answer.status, answer.text());
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
            let session = answer.header("Location").expect("it has a place").to_owned();
            let sdp = SdpAnswer::from_sdp_string(&answer.text()).unwrap();
            rtc.sdp_api().accept_answer(pending, sdp).unwrap();
            let local = socket.local_addr().unwrap();
            return Self { rtc, socket, local, mid, session, started, loses: Box::new(|_| false) };
        }
    }

    /// Plays until `enough` says so of a picture, and sends whatever is due meanwhile. False when the session ends.
    pub fn play(&mut self, mut enough: impl FnMut(&MediaData) -> bool) -> bool {
        let mut until = Instant::now() + PATIENCE;
        let mut buffer = [0; 2048];
        while Instant::now() < until {
            let timeout = match self.rtc.poll_output().unwrap() {
                Output::Timeout(timeout) => timeout,
                Output::Transmit(packet) => {
                    let _ = self.socket.send_to(&packet.contents, packet.destination);
                    continue;
                }
                Output::Event(Event::MediaData(data)) => {
                    until = Instant::now() + PATIENCE;
                    if enough(&data) {
                        return true;
                    }
                    continue;
                }
                Output::Event(Event::Closed) => return false,
                Output::Event(_) => continue,
            };
            let wait = timeout
                .saturating_duration_since(Instant::now())
                .clamp(Duration::from_millis(1), Duration::from_millis(50));
            self.socket.set_read_timeout(Some(wait)).unwrap();
            let received = self.socket.recv_from(&mut buffer);
            let now = Instant::now();
            let input = match &received {
                Ok((size, _)) if (self.loses)(&buffer[..*size]) => continue,
                Ok((size, source)) => {
                    let Ok(contents) = buffer[..*size].try_into() else {
                        continue;
                    };
                    Input::Receive(
                        now,
                        Receive { proto: Protocol::Udp, source: *source, destination: self.local, contents },
                    )
                }
                Err(_) => Input::Timeout(now),
            };
            self.rtc.handle_input(input).unwrap();
        }
        panic!("nothing came for {PATIENCE:?}");
    }

    pub fn ask_for_keyframe(&mut self, how: KeyframeRequestKind) {
        let mut writer = self.rtc.writer(self.mid).expect("the picture is negotiated");
        writer.request_keyframe(None, how).unwrap();
    }

    /// Where it is reached, in SDP's words.
    pub fn candidate(&self) -> String {
        Candidate::host(self.local, Protocol::Udp).unwrap().to_sdp_string()
    }
}

/// Opens a WebSocket. Source: RFC 6455.
pub struct WebSocket(TcpStream);

impl WebSocket {
    pub fn open(port: u16, path: &str) -> Self {
        let mut stream = connect(port);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        Self(stream)
    }

    /// The next message.
    pub fn read(&mut self) -> Vec<u8> {
        let mut message = Vec::new();
        loop {
            let mut head = [0; 2];
            self.0.read_exact(&mut head).unwrap();
            let length = match head[1] & 0x7f {
                126 => {
                    let mut length = [0; 2];
                    self.0.read_exact(&mut length).unwrap();
                    u64::from(u16::from_be_bytes(length))
                }
                127 => {
                    let mut length = [0; 8];
                    self.0.read_exact(&mut length).unwrap();
                    u64::from_be_bytes(length)
                }
                length => u64::from(length),
            };
            assert!(length < 1 << 26, "{length}");
            let mut part = vec![0; length as usize];
            self.0.read_exact(&mut part).unwrap();
            match head[0] & 0x0f {
                0..=2 => message.extend_from_slice(&part),
                8 => panic!("closed"),
                _ => continue,
            }
            if head[0] & 0x80 != 0 {
                return message;
            }
        }
    }
}
