//! One pass of prepared H.264 access units, and sound if wanted, through a muxer.

use std::{fmt, sync::Arc};

use anyhow::{Context, Result, bail};
use clap::Args as ClapArgs;
use gst::prelude::*;

/// What goes into the muxer.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct Stream {
    /// Bytes of an access unit
    #[arg(long)]
    pub unit: usize,
    /// Feeds AAC too, two frames for each access unit
    #[arg(long)]
    pub sound: bool,
}

#[derive(ClapArgs)]
pub struct Args {
    /// The muxer, as a pipeline description
    #[arg(long)]
    muxer: String,
    /// Access units to send
    #[arg(long)]
    units: u32,
    #[command(flatten)]
    stream: Stream,
}

const FRAME_TIME: gst::ClockTime = gst::ClockTime::from_mseconds(40);
const SOUND_FRAMES_PER_UNIT: u32 = 2;
const SOUND_FRAME: usize = 200;
const KEYFRAME_EVERY: u32 = 60;

/// avcC of 320x240 constrained baseline, and the AudioSpecificConfig of AAC-LC at 48 kHz.
const VIDEO_CAPS: &str = "video/x-h264,stream-format=avc,alignment=au,width=320,height=240,framerate=25/1,\
     codec_data=(buffer)0142c00dffe1001b6742c00dda0507ec05a8303035280000030008000003019478a15501000468ce3c80";
const AUDIO_CAPS: &str = "audio/mpeg,mpegversion=4,stream-format=raw,rate=48000,channels=2,codec_data=(buffer)1190";

/// All frames of a kind share their bytes: what it takes to fill them is no muxer's.
type Payload = Arc<[u8]>;

impl Stream {
    pub fn tags_per_unit(self) -> f64 {
        f64::from(1 + if self.sound { SOUND_FRAMES_PER_UNIT } else { 0 })
    }

    /// An access unit of one NAL unit: an IDR slice, or one of another picture.
    fn access_unit(self, keyframe: bool) -> Payload {
        let mut unit = vec![0x5A; self.unit];
        unit[..4].copy_from_slice(&(self.unit as u32 - 4).to_be_bytes());
        unit[4] = if keyframe { 0x65 } else { 0x41 };
        unit.into()
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let sound = if self.sound { " and AAC" } else { "" };
        write!(formatter, "a tag, H.264 of {} bytes{sound}", self.unit)
    }
}

pub fn run(args: &Args) -> Result<()> {
    gst::init()?;
    gstflvhevc::plugin_register_static()?;
    let Args { muxer, units, stream } = args;
    let feed = |name| format!("appsrc name={name} format=time max-bytes=0 ! mux.{name}");
    let sound = if stream.sound { feed("audio") } else { String::new() };
    let description = format!("{muxer} name=mux ! fakesink sync=false {} {sound}", feed("video"));
    let pipeline = gst::parse::launch(&description)?.downcast::<gst::Pipeline>().ok().context("a pipeline")?;
    let source = |name: &str| pipeline.by_name(name).and_downcast::<gst_app::AppSrc>().context("an appsrc");

    let video = source("video")?;
    video.set_caps(Some(&VIDEO_CAPS.parse()?));
    let (key, delta) = (stream.access_unit(true), stream.access_unit(false));
    for count in 0..*units {
        let keyframe = count % KEYFRAME_EVERY == 0;
        let mut buffer = frame(if keyframe { &key } else { &delta }, FRAME_TIME, count);
        if !keyframe {
            buffer.make_mut().set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        video.push_buffer(buffer)?;
    }
    video.end_of_stream()?;
    if stream.sound {
        let audio = source("audio")?;
        audio.set_caps(Some(&AUDIO_CAPS.parse()?));
        let payload = Payload::from([0x21; SOUND_FRAME]);
        let time = FRAME_TIME / u64::from(SOUND_FRAMES_PER_UNIT);
        for count in 0..units * SOUND_FRAMES_PER_UNIT {
            audio.push_buffer(frame(&payload, time, count))?;
        }
        audio.end_of_stream()?;
    }

    pipeline.set_state(gst::State::Playing)?;
    let bus = pipeline.bus().context("a bus")?;
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error, gst::MessageType::Warning];
    let message = bus.timed_pop_filtered(gst::ClockTime::NONE, &kinds).context("an end")?;
    pipeline.set_state(gst::State::Null)?;
    if message.type_() != gst::MessageType::Eos {
        bail!("{muxer}: {message:?}");
    }
    Ok(())
}

fn frame(payload: &Payload, duration: gst::ClockTime, count: u32) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(Arc::clone(payload));
    let edit = buffer.make_mut();
    let time = duration * u64::from(count);
    edit.set_pts(time);
    edit.set_dts(time);
    edit.set_duration(duration);
    buffer
}
