//! What a command line asks for, checked: whatever a [`Plan`] holds can be tried.

use std::{
    fmt,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

use cvmmap::{Address, AddressError, Target};
use tools_cli::{failure::Failure, nats, typed_url};

use super::{
    endpoint,
    options::{Codec, EncoderDevice, InputMode, Options, RtmpAudio, RtmpDepth, RtmpMode, VideoSource},
    outlet::retry,
    rtmp_url::RtmpUrl,
};
use crate::{recorder::args::Recordings, simulator};

/// Longest simulator label in bytes. Source: cv-mmap IPC contract, section 3.
const LABEL_MAX: usize = cvmmap::LABEL_SIZE;
/// Label of a simulated producer that is given none.
const DEFAULT_LABEL: &str = "dummy";
/// Largest simulated side: what H.264 and H.265 encoders take.
const SIDE_MAX: u32 = 16_384;
/// Fastest simulated rate; faster than any camera.
const FPS_MAX: u32 = 1_000;
/// Longest wait for an RTMP server that anybody means.
const RETRY_MAX_MS: u32 = 3_600_000;
/// Most B-frames in a row that x264 and x265 take.
const B_FRAMES_MAX: u32 = 16;
/// Viewers at most, when nothing is said,
const VIEWERS_MAX_DEFAULT: u32 = 32;
/// and whatever is said: one thread serves them.
const VIEWERS_MAX: u32 = 1000;

/// A run of the program.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Simulate a producer.
    pub simulator: Option<simulator::Settings>,
    /// Encode and send a producer's frames.
    pub stream: Option<Stream>,
    /// Summary as JSON.
    pub json: bool,
}

/// From a producer to its outputs.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Producer.
    pub input: Input,
    /// NATS server.
    pub nats: Option<nats::Server>,
    /// Frames that wait for the encoder at most.
    pub queue_size: u32,
    /// End after this many frames; 0 is unlimited.
    pub max_frames: u64,
    /// End when no frame has come for this long; 0 waits for ever.
    pub idle_timeout_ms: u32,
    /// What to take of each frame.
    pub video_source: VideoSource,
    /// Codec; none is that of the producer's access units.
    pub codec: Option<Codec>,
    /// How to encode.
    pub encoding: Encoding,
    /// RTP outputs.
    pub rtp: Vec<Rtp>,
    /// RTMP outputs.
    pub rtmp: Vec<Rtmp>,
    /// What is recorded, and how.
    pub recordings: Recordings,
    /// Where browsers watch.
    pub http: Option<Http>,
}

/// The HTTP server.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    /// Its address.
    pub listen: SocketAddr,
    /// Viewers at most.
    pub viewers_max: usize,
}

/// Which producer.
#[derive(Clone, Debug)]
pub enum Input {
    /// By name.
    Target(Target),
    /// By segment and endpoint.
    Address(Address),
}

impl Input {
    /// Name of the camera.
    pub fn name(&self) -> String {
        match self {
            Self::Target(target) => target.instance().to_owned(),
            Self::Address(address) => address.label().unwrap_or(address.shm_name()).to_owned(),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self {
            Self::Target(target) => {
                write!(f, "{target}, ")?;
                &Address::from(target)
            }
            Self::Address(address) => address,
        };
        write!(f, "segment /dev/shm/{}, endpoint {}", place.shm_name(), place.zmq_endpoint())
    }
}

/// How to encode.
#[derive(Clone, Copy, Debug)]
pub struct Encoding {
    /// Which encoders may be taken.
    pub device: EncoderDevice,
    /// Frames from one keyframe to the next.
    pub gop: u32,
    /// B-frames between two reference frames.
    pub b_frames: u32,
}

/// RTP output.
#[derive(Clone, Debug)]
pub struct Rtp {
    /// Unicast destination.
    pub destination: SocketAddr,
    /// Payload type.
    pub payload_type: u8,
    /// Where the session description goes.
    pub sdp: Option<PathBuf>,
}

/// RTMP output.
#[derive(Clone, Debug)]
pub struct Rtmp {
    /// Publish URL.
    pub url: RtmpUrl,
    /// How H.265 is packaged; H.264 has one packaging.
    pub mode: Option<RtmpMode>,
    /// Sound beside the picture.
    pub audio: RtmpAudio,
    /// Where depth in colour goes beside the picture.
    pub depth: Option<RtmpDepth>,
    /// How long to wait before the next attempt.
    pub retry: retry::Bounds,
    /// Whether the run fails when the first attempt does.
    pub required: bool,
    /// Authorities that vouch for an `rtmps://` server, in place of the system's.
    pub ca_file: Option<PathBuf>,
}

impl Stream {
    /// Whether an output wants the producer's depth.
    pub fn wants_depth(&self) -> bool {
        self.rtmp.iter().any(|rtmp| rtmp.depth.is_some())
    }
}

impl Plan {
    /// Checks what was typed.
    ///
    /// # Errors
    /// [`Failure::Usage`] for what contradicts itself or the specification, [`Failure::Configuration`] for what cannot
    /// be set up.
    pub fn new(options: &Options) -> Result<Self, Failure> {
        let nats = options.nats.server()?;
        check_latency_knobs(options)?;
        let simulated = options.input_mode == InputMode::Dummy;
        let input = input(options)?;
        let rtp = rtp(options)?;
        let rtmp = rtmp(options)?;
        let recordings = Recordings::new(&options.recording, options.b_frames)?;
        let http = http(options)?;

        // Without outputs a simulator serves other consumers alone; --codec is then taken and not needed.
        let stream = if simulated && rtp.is_empty() && rtmp.is_empty() && recordings.is_empty() && http.is_none() {
            None
        } else {
            Some(stream(options, input.clone(), nats.clone(), (rtp, rtmp), recordings, http)?)
        };
        let simulator = simulated.then(|| simulator(options, &input, nats.clone())).transpose()?;
        if let Some(nats) = nats {
            nats.check()?;
        }
        Ok(Self { simulator, stream, json: options.json })
    }
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::Usage(message.into())
}

fn check_latency_knobs(options: &Options) -> Result<(), Failure> {
    if options.queue_size == 0 {
        return Err(usage("--queue-size must be 1 or more"));
    }
    if options.gop == 0 || i32::try_from(options.gop).is_err() {
        return Err(usage(format!("--gop must be 1 to {}", i32::MAX)));
    }
    if options.b_frames > B_FRAMES_MAX || options.b_frames >= options.gop {
        return Err(usage(format!("--b-frames must be {B_FRAMES_MAX} at most and fewer than --gop")));
    }
    Ok(())
}

fn input(options: &Options) -> Result<Input, Failure> {
    match (&options.input_uri, &options.shm_name, &options.zmq_endpoint) {
        (Some(uri), None, None) => {
            uri.parse().map(Input::Target).map_err(|error| usage(format!("--input-uri: {error}")))
        }
        (None, Some(shm_name), Some(endpoint)) => {
            Address::new(shm_name, endpoint, None).map(Input::Address).map_err(|error| match error {
                AddressError::ShmName(_) => usage(format!("--shm-name: {error}")),
                _ => usage(format!("--zmq-endpoint: {error}")),
            })
        }
        (Some(_), ..) => {
            Err(usage("the input is named twice: take either --input-uri or --shm-name with --zmq-endpoint"))
        }
        (None, Some(_), None) => Err(usage("--shm-name needs --zmq-endpoint")),
        (None, None, Some(_)) => Err(usage("--zmq-endpoint needs --shm-name")),
        (None, None, None) => Err(usage("the input is missing: give --input-uri, or --shm-name with --zmq-endpoint")),
    }
}

fn rtp(options: &Options) -> Result<Vec<Rtp>, Failure> {
    if !(96..=127).contains(&options.rtp_payload_type) {
        return Err(usage(format!(
            "--rtp-payload-type {} is not a dynamic payload type; take 96 to 127",
            options.rtp_payload_type
        )));
    }
    let Options { rtp_endpoint: endpoints, rtp_sdp: sdps, .. } = options;
    if !options.rtp {
        return match (endpoints.is_empty(), sdps.is_empty()) {
            (false, _) => Err(usage("--rtp-endpoint needs --rtp")),
            (_, false) => Err(usage("--rtp-sdp needs --rtp")),
            (true, true) => Ok(Vec::new()),
        };
    }
    if endpoints.is_empty() {
        return Err(usage("--rtp needs --rtp-endpoint HOST:PORT"));
    }
    if !sdps.is_empty() && sdps.len() != endpoints.len() {
        return Err(usage(format!(
            "{} --rtp-sdp for {} --rtp-endpoint: give one for each, in the same order, or none",
            sdps.len(),
            endpoints.len()
        )));
    }
    if let Some(sdp) = twice(sdps) {
        return Err(usage(format!("--rtp-sdp {} is given twice", sdp.display())));
    }
    let destinations = endpoints.iter().map(|text| rtp_destination(text)).collect::<Result<Vec<_>, _>>()?;
    if let Some(destination) = twice(&destinations) {
        return Err(usage(format!("--rtp-endpoint {destination} is given twice")));
    }
    let mut sdps = sdps.iter().cloned();
    Ok(destinations
        .into_iter()
        .map(|destination| Rtp { destination, payload_type: options.rtp_payload_type as u8, sdp: sdps.next() })
        .collect())
}

/// What stands in `items` a second time.
fn twice<T: PartialEq>(items: &[T]) -> Option<&T> {
    items.iter().enumerate().find(|(index, item)| items[..*index].contains(item)).map(|(_, item)| item)
}

fn rtp_destination(text: &str) -> Result<SocketAddr, Failure> {
    let Some((host, Some(port))) = endpoint::split(text) else {
        return Err(usage(format!("--rtp-endpoint '{text}' must be HOST:PORT, an IPv6 address in brackets")));
    };
    let destination = (host, port)
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(|| Failure::Configuration(format!("--rtp-endpoint: host '{host}' cannot be resolved")))?;
    let ip = destination.ip();
    if ip.is_multicast() || ip.is_unspecified() || ip == IpAddr::from([255; 4]) {
        return Err(usage(format!("--rtp-endpoint: {ip} is not a unicast address")));
    }
    Ok(destination)
}

fn http(options: &Options) -> Result<Option<Http>, Failure> {
    let Some(text) = &options.http else {
        return match options.max_viewers {
            Some(_) => Err(usage("--max-viewers needs --http")),
            None => Ok(None),
        };
    };
    let Some((host, Some(port))) = endpoint::split(text) else {
        return Err(usage(format!("--http '{text}' must be HOST:PORT, an IPv6 address in brackets")));
    };
    let listen = (host, port)
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(|| Failure::Configuration(format!("--http: host '{host}' cannot be resolved")))?;
    if !listen.ip().is_loopback() {
        return Err(usage(format!(
            "--http: {} is not an address of this machine alone, and whoever reaches it could watch; take 127.0.0.1:{port}",
            listen.ip()
        )));
    }
    let viewers_max = options.max_viewers.unwrap_or(VIEWERS_MAX_DEFAULT);
    if !(1..=VIEWERS_MAX).contains(&viewers_max) {
        return Err(usage(format!("--max-viewers must be 1 to {VIEWERS_MAX}")));
    }
    Ok(Some(Http { listen, viewers_max: viewers_max as usize }))
}

fn rtmp(options: &Options) -> Result<Vec<Rtmp>, Failure> {
    let (min, max) = (options.rtmp_retry_min_ms, options.rtmp_retry_max_ms);
    if min == 0 || max < min || max > RETRY_MAX_MS {
        return Err(usage(format!(
            "--rtmp-retry-min-ms {min} and --rtmp-retry-max-ms {max} must be from 1 to {RETRY_MAX_MS}, the first not \
             above the second"
        )));
    }
    if !options.rtmp {
        if options.rtmp_ca_file.is_some() {
            return Err(usage("--rtmp-ca-file needs --rtmp"));
        }
        if options.rtmp_depth.is_some() {
            return Err(usage("--rtmp-depth needs --rtmp"));
        }
        if options.rtmp_audio != RtmpAudio::None {
            return Err(usage("--rtmp-audio needs --rtmp"));
        }
        return match (options.rtmp_url.is_empty(), options.rtmp_mode, options.rtmp_required) {
            (false, ..) => Err(usage("--rtmp-url needs --rtmp")),
            (_, Some(_), _) => Err(usage("--rtmp-mode needs --rtmp")),
            (.., true) => Err(usage("--rtmp-required needs --rtmp")),
            (true, None, false) => Ok(Vec::new()),
        };
    }
    if options.rtmp_url.is_empty() {
        return Err(usage("--rtmp needs --rtmp-url URL"));
    }
    let parse = |text: &String| {
        RtmpUrl::parse(text).ok_or_else(|| {
            usage(format!(
                "--rtmp-url '{}' must be rtmp://[USER:PASSWORD@]HOST[:PORT]/APP/STREAM, or rtmps://",
                typed_url::shown(text)
            ))
        })
    };
    let urls = options.rtmp_url.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    if let Some(url) = twice(&urls) {
        return Err(usage(format!("--rtmp-url {url} is given twice")));
    }
    if options.rtmp_ca_file.is_some() && !urls.iter().any(RtmpUrl::is_tls) {
        return Err(usage("--rtmp-ca-file needs an --rtmp-url that begins with rtmps://"));
    }
    if let Some(codec) = options.codec {
        check_packaging(codec, options.rtmp_mode).map_err(usage)?;
    }
    if options.rtmp_depth.is_some() && options.rtmp_mode == Some(RtmpMode::Domestic) {
        return Err(usage("--rtmp-depth is a track of Enhanced RTMP; take --rtmp-mode enhanced, or leave it out"));
    }
    if options.rtmp_depth.is_some() && options.input_mode == InputMode::Dummy && !options.dummy_depth {
        return Err(usage("--rtmp-depth needs --dummy-depth: without it the simulated producer has no depth"));
    }
    let [min, max] = [min, max].map(|ms| Duration::from_millis(ms.into()));
    let (mode, required) = (options.rtmp_mode, options.rtmp_required);
    let (audio, depth) = (options.rtmp_audio, options.rtmp_depth);
    let (retry, ca_file) = (retry::Bounds { min, max }, &options.rtmp_ca_file);
    Ok(urls
        .into_iter()
        .map(|url| Rtmp { url, mode, audio, depth, retry, required, ca_file: ca_file.clone() })
        .collect())
}

/// Whether a codec can be published over RTMP in this mode.
///
/// # Errors
/// A sentence that says what to do.
pub fn check_packaging(codec: Codec, mode: Option<RtmpMode>) -> Result<(), &'static str> {
    match (codec, mode) {
        (Codec::H264, Some(RtmpMode::Domestic)) => {
            Err("--rtmp-mode domestic is a packaging of H.265; leave it out for --codec h264")
        }
        (Codec::H265, None) => Err("--codec h265 over RTMP needs --rtmp-mode enhanced or --rtmp-mode domestic"),
        _ => Ok(()),
    }
}

fn stream(
    options: &Options,
    input: Input,
    nats: Option<nats::Server>,
    (rtp, rtmp): (Vec<Rtp>, Vec<Rtmp>),
    recordings: Recordings,
    http: Option<Http>,
) -> Result<Stream, Failure> {
    let video_source = match (options.input_mode, options.input_video_source) {
        (InputMode::Dummy, VideoSource::Encoded) if options.dummy_encoded.is_none() => {
            return Err(usage(
                "the simulated producer has pictures alone; leave --input-video-source out, or add --dummy-encoded",
            ));
        }
        (InputMode::Dummy, _) if options.dummy_encoded.is_none() => VideoSource::Raw,
        (_, video_source) => video_source,
    };
    if options.codec.is_none() && video_source == VideoSource::Raw {
        return Err(usage("--codec h264 or --codec h265 is missing"));
    }
    Ok(Stream {
        input,
        nats,
        queue_size: options.queue_size,
        max_frames: options.ingest_max_frames,
        idle_timeout_ms: options.ingest_idle_timeout_ms,
        video_source,
        codec: options.codec,
        encoding: Encoding { device: options.encoder_device, gop: options.gop, b_frames: options.b_frames },
        rtp,
        rtmp,
        recordings,
        http,
    })
}

fn simulator(options: &Options, input: &Input, nats: Option<nats::Server>) -> Result<simulator::Settings, Failure> {
    let address = match (input, &options.dummy_label) {
        (Input::Target(target), Some(label)) if label != target.instance() => {
            return Err(usage(format!(
                "--dummy-label '{label}' is not the name in --input-uri, which its consumers look for; leave it out"
            )));
        }
        (Input::Target(target), _) => Address::from(target),
        (Input::Address(address), label) => {
            let label = label.as_deref().unwrap_or(DEFAULT_LABEL);
            if label.len() > LABEL_MAX {
                return Err(Failure::Configuration(format!(
                    "--dummy-label '{label}' is {} bytes long; {LABEL_MAX} bytes at most",
                    label.len()
                )));
            }
            Address::new(address.shm_name(), address.zmq_endpoint(), Some(label))
                .map_err(|error| Failure::Configuration(format!("--dummy-label: {error}")))?
        }
    };
    for (flag, value, most) in [
        ("--dummy-width", options.dummy_width, SIDE_MAX),
        ("--dummy-height", options.dummy_height, SIDE_MAX),
        ("--dummy-fps", options.dummy_fps, FPS_MAX),
    ] {
        if !(1..=most).contains(&value) {
            return Err(usage(format!("{flag} must be 1 to {most}")));
        }
    }
    if i32::try_from(options.dummy_frames).is_err() {
        return Err(usage(format!("--dummy-frames must be {} at most", i32::MAX)));
    }
    Ok(simulator::Settings {
        address,
        permissions: options.dummy_perms.unwrap_or_default(),
        frames: options.dummy_frames,
        fps: options.dummy_fps,
        width: options.dummy_width,
        height: options.dummy_height,
        depth: options.dummy_depth,
        confidence: options.dummy_confidence,
        encoded: options.dummy_encoded,
        body: options.dummy_body,
        nats,
    })
}
