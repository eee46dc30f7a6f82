//! What a command line asks for, checked: whatever a [`Plan`] holds can be tried.

mod address;
mod encoding;
mod foxglove;
mod http;
mod input;
mod rtmp;
mod rtp;
mod rtsp;
mod simulated;
mod srt;
mod wrong;

use std::fmt;

use cvmmap::Codec;
use tools_cli::{failure::Failure, nats};

use self::wrong::usage;
pub use self::{
    encoding::{Encoding, check_kbit},
    foxglove::{Foxglove, FoxgloveServer, server as foxglove_server},
    http::{Access, Http, server as http_server},
    input::Input,
    rtmp::{Rtmp, check_packaging},
    rtp::Rtp,
    rtsp::{Login, Rtsp, server as rtsp_server},
    srt::Srt,
};
use super::options::{InputMode, Options, Slate, VideoSource};
use crate::{recorder::args::Recordings, simulator};

/// The servers of all cameras.
#[derive(Clone, Debug, Default)]
pub struct Servers {
    /// For browsers.
    pub http: Option<Http>,
    /// For Foxglove.
    pub foxglove: Option<FoxgloveServer>,
    /// For players.
    pub rtsp: Option<Rtsp>,
}

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
    /// Whether capture times go into the bit stream.
    pub timestamp_sei: bool,
    /// What is shown while the producer is away.
    pub slate: Slate,
    /// How to encode.
    pub encoding: Encoding,
    /// RTP outputs.
    pub rtp: Vec<Rtp>,
    /// RTMP outputs.
    pub rtmp: Vec<Rtmp>,
    /// SRT outputs.
    pub srt: Vec<Srt>,
    /// Whether players may watch it, at the RTSP server of the program.
    pub rtsp: bool,
    /// What is recorded, and how.
    pub recordings: Recordings,
    /// Where browsers watch.
    pub http: Option<Http>,
    /// Where Foxglove does.
    pub foxglove: Option<Foxglove>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.simulator.is_some() {
            parts.push("simulates a producer".to_owned());
        }
        if let Some(stream) = &self.stream {
            parts.push(format!("reads {}", stream.input));
            parts.push(stream.codec.map_or("in the producer's codec".to_owned(), |codec| codec.to_string()));
            parts.extend(stream.rtp.iter().map(|rtp| format!("RTP to {}", rtp.destination)));
            parts.extend(stream.rtmp.iter().map(|rtmp| format!("RTMP to {}", rtmp.url)));
            parts.extend(stream.srt.iter().map(|srt| format!("SRT to {}", srt.url)));
            let recordings = [&stream.recordings.mcap, &stream.recordings.mp4];
            parts.extend(recordings.into_iter().flatten().map(|path| format!("recorded to {}", path.display())));
            parts.extend(stream.http.as_ref().map(|http| format!("shown at {}", http.listen)));
            parts.extend(stream.foxglove.as_ref().map(|foxglove| format!("Foxglove at {}", foxglove.server.listen)));
        }
        f.write_str(&parts.join(", "))
    }
}

impl Stream {
    /// Whether access units go anywhere.
    pub fn has_outputs(&self) -> bool {
        !self.rtp.is_empty()
            || !self.rtmp.is_empty()
            || !self.srt.is_empty()
            || self.rtsp
            || !self.recordings.is_empty()
            || self.http.is_some()
            || self.foxglove.is_some()
    }

    /// Whether an output wants the producer's depth.
    pub fn wants_depth(&self) -> bool {
        self.rtmp.iter().any(|rtmp| rtmp.depth.is_some())
    }
}

impl Plan {
    /// Whether it ends by itself.
    pub fn has_a_limit(&self) -> bool {
        let of_simulator = self.simulator.as_ref().is_some_and(|simulator| simulator.frames > 0);
        of_simulator || self.stream.as_ref().is_some_and(|stream| stream.max_frames > 0)
    }

    /// Checks what was typed.
    ///
    /// # Errors
    /// [`Failure::Usage`] for what contradicts itself or the specification, [`Failure::Configuration`] for what cannot
    /// be set up.
    pub fn new(options: &Options) -> Result<Self, Failure> {
        let nats = options.nats.server()?;
        if options.queue_size == 0 {
            return Err(usage("--queue-size must be 1 or more"));
        }
        let encoding = encoding::encoding(options)?;
        let simulated = options.input_mode == InputMode::Dummy;
        let input = input::input(options)?;
        let stream = stream(options, encoding, input.clone(), nats.clone())?;
        // Without outputs a simulator serves other consumers alone; --codec is then taken and not needed.
        let stream = (!simulated || stream.has_outputs()).then_some(stream);
        stream.as_ref().map(|stream| check_source(options, stream)).transpose()?;
        let simulator = simulated.then(|| simulated::camera(options, &input, nats.clone())).transpose()?;
        if let Some(nats) = nats {
            nats.check()?;
        }
        Ok(Self { simulator, stream, json: options.json })
    }
}

fn stream(options: &Options, encoding: Encoding, input: Input, nats: Option<nats::Server>) -> Result<Stream, Failure> {
    let video_source = match (options.input_mode, options.input_video_source) {
        (InputMode::Dummy, _) if options.dummy_encoded.is_none() => VideoSource::Raw,
        (_, video_source) => video_source,
    };
    let recordings = Recordings::new(&options.recording, encoding.live.b_frames)?;
    Ok(Stream {
        foxglove: foxglove::shown(&options.output, &recordings.settings, encoding.live.b_frames)?,
        rtsp: options.output.rtsp.is_some() || options.output.rtsp_of_all,
        input,
        nats,
        queue_size: options.queue_size,
        max_frames: options.ingest_max_frames,
        idle_timeout_ms: options.ingest_idle_timeout_ms,
        video_source,
        codec: options.codec,
        timestamp_sei: options.output.timestamp_sei,
        slate: options.output.slate.clone(),
        encoding,
        rtp: rtp::outputs(options)?,
        rtmp: rtmp::outputs(options)?,
        srt: srt::outputs(&options.output)?,
        recordings,
        http: http::server(options)?,
    })
}

fn check_source(options: &Options, stream: &Stream) -> Result<(), Failure> {
    if options.input_video_source == VideoSource::Encoded && stream.video_source == VideoSource::Raw {
        return Err(usage(
            "the simulated producer has pictures alone; leave --input-video-source out, or add --dummy-encoded",
        ));
    }
    if stream.codec.is_none() && stream.video_source == VideoSource::Raw {
        return Err(usage("--codec h264 or --codec h265 is missing"));
    }
    Ok(())
}
