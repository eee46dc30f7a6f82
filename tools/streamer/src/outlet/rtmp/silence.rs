//! A silent sound track beside the picture, for servers that demand sound.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use gst::prelude::*;
use tools_cli::failure::Failure;
use tools_media::elements;

const RATE: u32 = 48_000;
/// Samples of an AAC frame.
const FRAME: u64 = 1024;
/// AAC encoders, those first that spend no bits on silence.
const ENCODERS: [&str; 4] = ["avenc_aac", "fdkaacenc", "voaacenc", "faac"];
/// Bits a second, for those that spend them all the same.
const BITRATE: &str = "32000";
/// AudioSpecificConfig of AAC-LC, 48 kHz, one channel (ISO/IEC 14496-3, 1.6.2.1).
const CONFIG: [u8; 2] = [0x11, 0x88];
/// A frame of it in which nothing sounds (4.4.2): a single channel element, element 0, with global gain 0, long windows and no
/// scale factor bands, hence without sections, scale factors and spectrum; no pulse, noise shaping and gain control; the end.
const SILENCE: [u8; 4] = [0x00, 0x00, 0x00, 0x07];

/// Gives `muxer` a silent track that lasts as long as what comes to its pad `picture`, from 0 on. The muxer takes as much of it as
/// there is of the picture, and ends it with the picture.
///
/// # Errors
/// [`Failure::Pipeline`] when an element is missing or the muxer takes no sound.
pub fn add(pipeline: &gst::Pipeline, muxer: &gst::Element, picture: &gst::Pad) -> Result<(), Failure> {
    let encoder = ENCODERS.into_iter().find(|encoder| gst::ElementFactory::find(encoder).is_some());
    let track = match encoder {
        Some(encoder) => encoded(pipeline, encoder)?,
        None => constant(pipeline)?,
    };
    join(&track, muxer, picture)
}

/// What makes the track: its first element, which ends it, and its last one.
struct Track {
    source: gst::Element,
    last: gst::Element,
}

/// GStreamer's silence through an encoder.
fn encoded(pipeline: &gst::Pipeline, encoder: &str) -> Result<Track, Failure> {
    let source = elements::make("audiotestsrc")?;
    source.set_property_from_str("wave", "silence");
    source.set_property("samplesperbuffer", FRAME as i32);
    let raw = gst::Caps::builder("audio/x-raw").field("rate", RATE as i32).field("channels", 1).build();
    let (convert, raw) = (elements::make("audioconvert")?, elements::filter(raw)?);
    let (encoder, parser) = (elements::make(encoder)?, elements::make("aacparse")?);
    encoder.set_property_from_str("bitrate", BITRATE);
    elements::add_chain(pipeline, &[&source, &convert, &raw, &encoder, &parser])?;
    Ok(Track { source, last: parser })
}

/// The same frame again and again.
fn constant(pipeline: &gst::Pipeline) -> Result<Track, Failure> {
    let source = elements::make_app::<gst_app::AppSrc>("appsrc")?;
    source.set_format(gst::Format::Time);
    source.set_max_bytes(0);
    source.set_caps(Some(
        &gst::Caps::builder("audio/mpeg")
            .field("mpegversion", 4)
            .field("stream-format", "raw")
            .field("framed", true)
            .field("rate", RATE as i32)
            .field("channels", 1)
            .field("codec_data", gst::Buffer::from_slice(CONFIG))
            .build(),
    ));
    let count = AtomicU64::new(0);
    let give = move |source: &gst_app::AppSrc, _| {
        let count = count.fetch_add(1, Ordering::Relaxed);
        let time = |count: u64| gst::ClockTime::from_nseconds(count * FRAME * 1_000_000_000 / u64::from(RATE));
        let mut buffer = gst::Buffer::from_slice(SILENCE);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(time(count));
            buffer.set_duration(time(count + 1) - time(count));
        }
        // Refused by a pipeline that is being torn down.
        let _ = source.push_buffer(buffer);
    };
    source.set_callbacks(gst_app::AppSrcCallbacks::builder().need_data(give).build());
    elements::add_chain(pipeline, &[source.upcast_ref()])?;
    Ok(Track { source: source.clone().upcast(), last: source.upcast() })
}

fn join(track: &Track, muxer: &gst::Element, picture: &gst::Pad) -> Result<(), Failure> {
    let cannot = || Failure::Pipeline(format!("{} takes no sound", muxer.name()));
    let sound = muxer.request_pad_simple("audio").ok_or_else(cannot)?;
    elements::pad(&track.last, "src").link(&sound).map_err(|_| cannot())?;
    let ended = Arc::new(AtomicBool::new(false));
    let picture_ended = Arc::clone(&ended);
    let source = track.source.downgrade();
    picture.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos)
            && !picture_ended.swap(true, Ordering::Relaxed)
            && let Some(source) = source.upgrade()
        {
            // The source ends in its own thread. Asking it for that may wait, and the muxer waits for this pad.
            source.call_async(|source| {
                // Refused by a pipeline that is being torn down.
                let _ = source.send_event(gst::event::Eos::new());
            });
        }
        gst::PadProbeReturn::Ok
    });
    // Until it has ended.
    sound.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        // Not `Drop`: the bindings free the buffer themselves, and GStreamer 1.22 complains that there is none to free.
        if ended.load(Ordering::Relaxed) { gst::PadProbeReturn::Handled } else { gst::PadProbeReturn::Ok }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{process::Command, sync::mpsc, time::Duration};

    use super::*;

    const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(120);
    /// Parameter sets of a picture that nobody decodes here.
    const AVCC: &[u8] = b"\x01\x42\xc0\x0d\xff\xe1\0\x1b\
        \x67\x42\xc0\x0d\xda\x05\x07\xec\x05\xa8\x30\x30\x35\x28\0\0\x03\0\x08\0\0\x03\x01\x94\x78\xa1\x55\
        \x01\0\x04\x68\xce\x3c\x80";
    const FRAMES: u64 = 10 * 60 * 30;

    /// Muxes ten minutes of a picture of 30 frames a second with silence. Types and timestamps of the tags.
    fn mux(muxer: &str, silence: fn(&gst::Pipeline) -> Result<Track, Failure>) -> Vec<(u8, u32)> {
        gst::init().unwrap();
        let _ = gstflvhevc::plugin_register_static();
        let pipeline = gst::Pipeline::new();
        let muxer = elements::make(muxer).unwrap();
        muxer.set_property("streamable", true);
        let sink = elements::make("fakesink").unwrap();
        sink.set_property("async", false);
        let source = elements::make_app::<gst_app::AppSrc>("appsrc").unwrap();
        source.set_format(gst::Format::Time);
        source.set_property("block", true);
        let caps = gst::Caps::builder("video/x-h264")
            .field("stream-format", "avc")
            .field("alignment", "au")
            .field("codec_data", gst::Buffer::from_slice(AVCC))
            .build();
        source.set_caps(Some(&caps));
        elements::add_chain(&pipeline, &[&muxer, &sink]).unwrap();
        pipeline.add(&source).unwrap();
        let pad = muxer.request_pad_simple("video").unwrap();
        source.static_pad("src").unwrap().link(&pad).unwrap();
        join(&silence(&pipeline).unwrap(), &muxer, &pad).unwrap();
        let (told, tags) = mpsc::channel();
        elements::pad(&sink, "sink").add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let mut head = [0; 12];
            if info.buffer().is_some_and(|tag| tag.copy_to_slice(0, &mut head).is_ok()) && head[0] != b'F' {
                let _ = told.send((head[0], u32::from_be_bytes([head[7], head[4], head[5], head[6]])));
            }
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        for frame in 0..FRAMES {
            let mut buffer = gst::Buffer::from_slice([0, 0, 0, 2, if frame % 30 == 0 { 0x65 } else { 0x41 }, 0x88]);
            let edit = buffer.get_mut().unwrap();
            let time = gst::ClockTime::from_nseconds(frame * 100_000_000 / 3);
            edit.set_pts(time);
            edit.set_dts(time);
            if frame % 30 != 0 {
                edit.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
            source.push_buffer(buffer).unwrap();
        }
        source.end_of_stream().unwrap();
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = pipeline.bus().unwrap().timed_pop_filtered(PATIENCE, &kinds).expect("an end");
        assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
        pipeline.set_state(gst::State::Null).unwrap();
        std::iter::from_fn(|| tags.recv_timeout(Duration::ZERO).ok()).collect()
    }

    /// At every picture the sound reaches it, and its frames lie where they belong: after ten minutes as at the start.
    fn check(tags: &[(u8, u32)]) {
        let mut sounds = 0_u64;
        let mut last = 0;
        for (kind, time) in tags.iter().skip_while(|(_, time)| *time == 0) {
            assert!(*time >= last, "time goes back to {time}");
            last = *time;
            if *kind == 8 {
                sounds += 1;
                let due = sounds * FRAME * 1000 / u64::from(RATE);
                assert!(u64::from(*time).abs_diff(due) <= 1, "sound {sounds} at {time} ms and not at {due}");
            } else if *kind == 9 {
                let reached = (sounds + 1) * FRAME * 1000 / u64::from(RATE);
                assert!(u64::from(*time) < reached + 20, "picture at {time} ms, sound up to {reached}");
                assert!(
                    u64::from(*time) + 20 > sounds * FRAME * 1000 / u64::from(RATE),
                    "sound runs ahead of {time} ms"
                );
            }
        }
        assert!((599_900..600_100).contains(&last), "{last}");
        assert_eq!(tags.iter().filter(|(kind, _)| *kind == 9).count() as u64, FRAMES + 2, "with its header and end");
    }

    #[test]
    fn encoded_silence_keeps_step_for_ten_minutes() {
        let encoder = |pipeline: &gst::Pipeline| encoded(pipeline, ENCODERS[0]);
        check(&mux("flvmux", encoder));
        check(&mux("flvhevcmux", encoder));
    }

    #[test]
    fn the_constant_frame_keeps_step_for_ten_minutes() {
        check(&mux("flvmux", constant));
        check(&mux("flvhevcmux", constant));
    }

    /// What decodes to zeros, says FFmpeg.
    #[test]
    fn the_constant_frame_is_silent() {
        let adts = |frame: &[u8]| {
            // ADTS (1.A.2.2): AAC-LC, 48 kHz, one channel, no CRC.
            let size = frame.len() as u32 + 7;
            let header =
                [0xff, 0xf1, 0x4c, 0x40 | (size >> 11) as u8, (size >> 3) as u8, (size << 5) as u8 | 0x1f, 0xfc];
            [&header, frame].concat()
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("silence.aac");
        std::fs::write(&file, adts(&SILENCE).repeat(50)).unwrap();
        let decoded = Command::new("ffmpeg")
            .args(["-hide_banner", "-nostdin", "-v", "error", "-i"])
            .arg(&file)
            .args(["-f", "s16le", "-"])
            .output()
            .unwrap();
        assert!(decoded.status.success() && decoded.stderr.is_empty(), "{}", String::from_utf8_lossy(&decoded.stderr));
        assert!(decoded.stdout.len() >= 48 * 2 * 1024, "{} bytes", decoded.stdout.len());
        assert!(decoded.stdout.iter().all(|byte| *byte == 0));
    }
}
