//! Where the measured way ends: whatever comes is decoded at once, with nothing in between that waits for more. RTP comes to
//! GStreamer's depayloader; RTMP to `rtmp_stub_tester`, which hands every tag on through a pipe; RTSP and SRT to an FFmpeg.

use std::{
    env,
    io::{BufRead, BufReader, Read},
    net::UdpSocket,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, PoisonError},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use gst::prelude::*;

use super::{
    number::{self, Arrivals},
    player::Player,
    way::{Destination, Kind, Protocol, Way},
};
use crate::clip::Size;

pub struct Receiver {
    _decoder: Decoder,
    /// Where to publish.
    pub destination: Destination,
}

/// What decodes.
enum Decoder {
    Pipeline { _pipeline: Pipeline },
    Player { _player: Player },
}

struct Pipeline {
    pipeline: gst::Element,
    server: Option<Child>,
}

impl Receiver {
    pub fn start(way: &Way, kind: Kind, size: Size, arrivals: &Arrivals) -> Result<Self> {
        match way.protocol {
            Protocol::Rtp => Self::rtp(way, arrivals),
            Protocol::Rtmp => Self::rtmp(way, arrivals),
            Protocol::Rtsp | Protocol::Srt => {
                let (player, destination) = Player::start(way, kind, size, arrivals)?;
                Ok(Self { _decoder: Decoder::Player { _player: player }, destination })
            }
        }
    }

    fn rtp(way: &Way, arrivals: &Arrivals) -> Result<Self> {
        let port = UdpSocket::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let codec = way.codec;
        let source = format!(
            "udpsrc address=127.0.0.1 port={port} buffer-size=8388608 \
             caps=application/x-rtp,media=video,clock-rate=90000,encoding-name={},payload=96 ! rtp{codec}depay \
             ! video/x-{codec},stream-format=byte-stream,alignment=au",
            codec.to_uppercase()
        );
        let pipeline = decode(&source, codec, arrivals)?;
        pipeline.set_state(gst::State::Playing)?;
        // The socket is there when the state change is over.
        pipeline.state(gst::ClockTime::from_seconds(10)).0?;
        let decoder = Decoder::Pipeline { _pipeline: Pipeline { pipeline, server: None } };
        Ok(Self { _decoder: decoder, destination: Destination::Rtp(port) })
    }

    fn rtmp(way: &Way, arrivals: &Arrivals) -> Result<Self> {
        let mut server = Command::new(env::current_exe()?.with_file_name("rtmp_stub_tester"))
            .args(["--mode", way.tester_mode(), "--listen-port", "0", "--until-end", "--dump", "/dev/stdout"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting rtmp_stub_tester")?;
        let tags = server.stdout.take().context("a piped output")?;
        let mut words = BufReader::new(server.stderr.take().context("a piped output")?).lines();

        let pipeline = decode("appsrc name=in format=time is-live=true", way.codec, arrivals)?;
        let source = pipeline.downcast_ref::<gst::Bin>().and_then(|bin| bin.by_name("in"));
        let source = source.and_downcast::<gst_app::AppSrc>().context("an appsrc")?;
        let codec = way.codec;
        thread::spawn(move || feed(tags, codec, &source));
        pipeline.set_state(gst::State::Playing)?;

        let Some(url) = words.find_map(|line| line.ok()?.split_once("listening on ").map(|(_, url)| url.to_owned()))
        else {
            bail!("rtmp_stub_tester does not listen: {}", server.wait()?);
        };
        thread::spawn(move || words.for_each(drop));
        let decoder = Decoder::Pipeline { _pipeline: Pipeline { pipeline, server: Some(server) } };
        Ok(Self { _decoder: decoder, destination: Destination::Rtmp(format!("{url}live/latency")) })
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Decodes what `source` gives and reads the numbers.
fn decode(source: &str, codec: &str, arrivals: &Arrivals) -> Result<gst::Element> {
    let pipeline =
        gst::parse::launch(&format!("{source} ! avdec_{codec} max-threads=1 ! appsink name=out sync=false"))?;
    let sink = pipeline.downcast_ref::<gst::Bin>().and_then(|bin| bin.by_name("out"));
    let sink = sink.and_downcast::<gst_app::AppSink>().context("an appsink")?;
    let arrivals = Arc::clone(arrivals);
    let callbacks = gst_app::AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let now = Instant::now();
            if let Some(number) = number_of(&sample) {
                arrivals.lock().unwrap_or_else(PoisonError::into_inner).push((number, now));
            }
            Ok(gst::FlowSuccess::Ok)
        })
        .build();
    sink.set_callbacks(callbacks);
    Ok(pipeline)
}

fn number_of(sample: &gst::Sample) -> Option<u16> {
    let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer()?, &info).ok()?;
    let (luma, stride) = (frame.plane_data(0).ok()?, *info.stride().first()? as usize);
    number::read(luma, stride)
}

/// Hands the coded frames of the tags to the decoder.
fn feed(tags: ChildStdout, codec: &str, decoder: &gst_app::AppSrc) -> Result<()> {
    let mut tags = BufReader::new(tags);
    // The file header and the first PreviousTagSize.
    tags.read_exact(&mut [0; 13])?;
    loop {
        let mut header = [0; 11];
        tags.read_exact(&mut header)?;
        let mut body = vec![0; u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize];
        tags.read_exact(&mut body)?;
        tags.read_exact(&mut [0; 4])?;
        if header[0] != 9 || body.len() < 8 {
            continue;
        }
        let kind = if body[0] & 0x80 != 0 { body[0] & 0x0F } else { body[1] };
        match kind {
            0 => {
                let format = if codec == "h264" { "avc" } else { "hvc1" };
                let caps = gst::Caps::builder(format!("video/x-{codec}"))
                    .field("stream-format", format)
                    .field("alignment", "au")
                    .field("codec_data", gst::Buffer::from_slice(body.split_off(5)))
                    .build();
                decoder.set_caps(Some(&caps));
            }
            1 | 3 => {
                // Enhanced CodedFrames alone have the composition time behind the FourCC.
                let payload = if body[0] & 0x80 != 0 && kind == 1 { 8 } else { 5 };
                decoder.push_buffer(gst::Buffer::from_slice(body.split_off(payload)))?;
            }
            _ => {}
        }
    }
}
