//! What the tests of recordings share: SVO2 files in every form that is known, and readers that are not ours.
//!
//! Longer than other files: what a recording is made of goes from one function into the next.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use gst::prelude::*;
use tools_media::x265;

/// One eye.
pub const WIDTH: usize = 320;
pub const HEIGHT: usize = 176;
/// Frames from one keyframe to the next.
pub const GOP: usize = 10;
/// 2026-02-10 13:22:52 UTC.
pub const UNIX: u64 = 1_770_729_772_000_000_000;
/// A camera that counts from its boot.
pub const BOOT: u64 = 5_145_757_000_000;

/// Encoders that begin anew with every tenth picture,
pub const H264: &str = "x264enc tune=zerolatency key-int-max=10 option-string=scenecut=0 ! h264parse \
                        config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au";
pub const H265: &str = "x265enc name=x265 tune=zerolatency key-int-max=10 \
                        option-string=scenecut=0:repeat-headers=1:open-gop=0:info=0 ! h265parse config-interval=-1 ! \
                        video/x-h265,stream-format=byte-stream,alignment=au";
/// and one that leaves lines as they are.
pub const FINE: &str = "x264enc tune=zerolatency pass=quant quantizer=8 ! h264parse config-interval=-1 ! \
                        video/x-h264,stream-format=byte-stream,alignment=au";

/// Usual distance of two pictures, 30 a second.
pub const INTERVAL: u64 = 33_333_333;

/// A picture's number is written across it in bars, one for each bit; the right eye shows it inverted.
const BITS: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    H264,
    H265,
    /// H.264 that never has a keyframe, and renews its pictures a column at a time.
    Refreshed,
    /// Four strips of grey JPEG that hold packed YUYV.
    Strips,
    /// Nobody knows; it begins like a PNG.
    Lossless,
}

/// An SVO2 file to be written.
#[derive(Clone, Debug)]
pub struct Svo2 {
    pub form: Form,
    pub frames: usize,
    /// Timestamp of the first picture.
    pub begin: u64,
    pub compression: Option<mcap::Compression>,
    pub footer: bool,
    /// Each picture that many times over, for a long file.
    pub repeat: usize,
    /// The usual distance of two pictures.
    pub interval: u64,
}

impl Default for Svo2 {
    fn default() -> Self {
        Self {
            form: Form::H264,
            frames: 40,
            begin: UNIX,
            compression: None,
            footer: true,
            repeat: 1,
            interval: INTERVAL,
        }
    }
}

/// When a picture is taken: not quite regularly, and after the sixth one there is a pause.
pub fn timestamp(begin: u64, number: usize) -> u64 {
    Svo2 { begin, ..Svo2::default() }.timestamp(number)
}

impl Svo2 {
    /// When a picture is taken.
    pub fn timestamp(&self, number: usize) -> u64 {
        let pause = if number > 5 { 200_000_000 } else { 0 };
        self.begin + number as u64 * self.interval + (number as u64 * 7919 % 1000) * 1000 + pause
    }

    /// When all pictures are taken.
    pub fn timestamps(&self) -> Vec<u64> {
        (0..self.frames * self.repeat).map(|number| self.timestamp(number)).collect()
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) -> PathBuf {
        self.write_messages(path, &messages(self.form, self.frames))
    }

    /// Writes the file, with H.264 of these pictures of both eyes.
    pub fn write_pictures(&self, path: &Path, size: (usize, usize), pictures: Vec<Vec<u8>>) -> PathBuf {
        let messages: Vec<_> = encoded(FINE, size, pictures).iter().map(|unit| framed(unit, 0)).collect();
        self.write_messages(path, &messages)
    }

    fn write_messages(&self, path: &Path, messages: &[Vec<u8>]) -> PathBuf {
        let mut writer = mcap::WriteOptions::new()
            .profile("")
            .library("libmcap stereolabs")
            .compression(self.compression)
            // Small enough for a few pictures in each.
            .chunk_size(Some(1024))
            .create(BufWriter::new(File::create(path).unwrap()))
            .unwrap();
        let mut id = 0;
        let mut channel = |topic: &str, schema: &str, encoding: &str, message_encoding: &str| {
            id += 1;
            Arc::new(mcap::Channel {
                id,
                topic: topic.to_owned(),
                schema: Some(Arc::new(mcap::Schema {
                    id,
                    name: schema.to_owned(),
                    encoding: encoding.to_owned(),
                    data: Cow::Borrowed(b"{}"),
                })),
                message_encoding: message_encoding.to_owned(),
                metadata: BTreeMap::new(),
            })
        };
        let header = channel("svo_header", "sl_type", "jsonschema", "json");
        let pictures = channel("Camera_SN12345/side_by_side", "side_by_side", "zed_sdk_encoded", "zed_sdk_encoded");
        let sensors = channel("Camera_SN12345/sensors", "sensors", "jsonschema", "json");
        let footer = channel("svo_footer", "sl_type", "jsonschema", "json");
        let mut send = |channel: &Arc<mcap::Channel<'static>>, time: u64, data: Cow<'_, [u8]>| {
            let message = mcap::Message {
                channel: Arc::clone(channel),
                sequence: 0,
                log_time: time,
                publish_time: time,
                data: Cow::Owned(data.into_owned()),
            };
            writer.write(&message).unwrap();
        };
        send(&header, 1, br#"{"version":"2.0.5"}"#.into());
        let mut times = Vec::new();
        for (number, message) in messages.iter().cycle().take(self.frames * self.repeat).enumerate() {
            let time = self.timestamp(number);
            times.push(time);
            send(&sensors, time, br#"{"data":""}"#.into());
            send(&pictures, time, message.into());
        }
        if self.footer {
            let list = serde_json::json!({ "Camera_SN12345/side_by_side": times, "Camera_SN12345/sensors": times });
            send(&footer, 2, list.to_string().into_bytes().into());
        }
        writer.finish().unwrap();
        path.to_owned()
    }
}

/// The messages of pictures with these numbers.
fn messages(form: Form, frames: usize) -> Vec<Vec<u8>> {
    gst::init().unwrap();
    let numbers = 0..frames;
    match form {
        Form::H264 => access_units(H264, numbers),
        Form::H265 => access_units(H265, numbers),
        // The encoder's first picture is a keyframe, which the recording does not have.
        Form::Refreshed => access_units(
            "x264enc tune=zerolatency intra-refresh=true key-int-max=10 option-string=scenecut=0 ! h264parse \
             config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au",
            0..frames + 1,
        )
        .split_off(1),
        Form::Strips => numbers.map(strips).collect(),
        Form::Lossless => numbers.map(|_| framed(b"\x89PNG\r\n\x1a\nsomething", 0)).collect(),
    }
}

/// Both eyes in grey: bars for the bits of the number.
fn grey(number: usize) -> Vec<u8> {
    let row: Vec<u8> = (0..2 * WIDTH)
        .map(|x| {
            let bit = number >> (x % WIDTH * BITS / WIDTH) & 1 == 1;
            if bit == (x < WIDTH) { 220 } else { 30 }
        })
        .collect();
    row.repeat(HEIGHT)
}

/// The numbers in pictures of one eye.
pub fn numbers_in(luminance: &[u8]) -> Vec<usize> {
    luminance
        .chunks_exact(WIDTH * HEIGHT)
        .map(|picture| {
            let bit = |at: usize| {
                let x = (2 * at + 1) * WIDTH / BITS / 2;
                usize::from(picture[HEIGHT / 2 * WIDTH + x] > 125) << at
            };
            (0..BITS).map(bit).sum()
        })
        .collect()
}

fn run(pipeline: &str, input: Vec<gst::Buffer>, caps: &gst::Caps) -> Vec<Vec<u8>> {
    let pipeline = format!("appsrc name=in format=time ! {pipeline} ! appsink name=out sync=false");
    let pipeline = gst::parse::launch(&pipeline).unwrap().downcast::<gst::Pipeline>().unwrap();
    let source = pipeline.by_name("in").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    source.set_caps(Some(caps));
    source.set_max_bytes(0);
    if let Some(encoder) = pipeline.by_name("x265") {
        x265::keep_last_headers(&encoder);
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    for buffer in input {
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    let output = std::iter::from_fn(|| sink.pull_sample().ok())
        .map(|sample| sample.buffer().unwrap().map_readable().unwrap().to_vec())
        .collect();
    pipeline.set_state(gst::State::Null).unwrap();
    output
}

fn buffers(pictures: impl Iterator<Item = Vec<u8>>) -> Vec<gst::Buffer> {
    pictures
        .zip(0..)
        .map(|(picture, number)| {
            let mut buffer = gst::Buffer::from_mut_slice(picture);
            let time = gst::ClockTime::from_mseconds(number * 40);
            buffer.get_mut().unwrap().set_pts(time);
            buffer.get_mut().unwrap().set_duration(gst::ClockTime::from_mseconds(40));
            buffer
        })
        .collect()
}

fn access_units(encoder: &str, numbers: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    let units = encoded(encoder, (2 * WIDTH, HEIGHT), numbers.map(grey).collect());
    // The trailer is seen behind H.265.
    let trailer = if encoder.starts_with("x265enc") { 56 } else { 0 };
    units.iter().map(|unit| framed(unit, trailer)).collect()
}

/// Byte streams of pictures in grey.
pub fn encoded(encoder: &str, (width, height): (usize, usize), pictures: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    gst::init().unwrap();
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", width as i32)
        .field("height", height as i32)
        .field("framerate", gst::Fraction::new(25, 1))
        .build();
    let count = pictures.len();
    let coloured = pictures.into_iter().map(|mut picture| {
        picture.resize(picture.len() * 3 / 2, 128);
        picture
    });
    let units = run(encoder, buffers(coloured), &caps);
    assert_eq!(units.len(), count);
    units
}

/// One eye: bars for the bits of the number.
pub fn left(number: usize) -> Vec<u8> {
    grey(number).chunks_exact(2 * WIDTH).flat_map(|row| &row[..WIDTH]).copied().collect()
}

/// Two lengths before, a trailer behind.
fn framed(payload: &[u8], trailer: usize) -> Vec<u8> {
    let length = payload.len() as u32;
    let mut message = (4 + length + trailer as u32).to_le_bytes().to_vec();
    message.extend(length.to_le_bytes());
    message.extend(payload);
    // Whoever takes it for a part of the stream sees the beginning of a slice.
    message.extend([0, 0, 1, 0x02].iter().cycle().take(trailer));
    message
}

fn strips(number: usize) -> Vec<u8> {
    let packed: Vec<u8> = grey(number).into_iter().flat_map(|y| [y, 128]).collect();
    let (row, height) = (4 * WIDTH, HEIGHT / 4);
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "GRAY8")
        .field("width", row as i32)
        .field("height", height as i32)
        .field("framerate", gst::Fraction::new(25, 1))
        .build();
    let quarters = packed.chunks_exact(row * height).map(<[u8]>::to_vec);
    let strips = run("jpegenc quality=90", buffers(quarters), &caps);
    let mut message = vec![0; 8];
    for strip in &strips {
        message.extend((strip.len() as u64).to_le_bytes());
    }
    message.extend(strips.concat());
    message
}

/// Where a picture's bytes are in an uncompressed file, by its timestamp.
pub fn place_of(file: &[u8], timestamp: u64) -> usize {
    let mut stored = Vec::new();
    let mut at = 0;
    // The log time and the publish time, which are the same, are before the message.
    let time = timestamp.to_le_bytes();
    while let Some(found) = file[at..].windows(16).position(|window| window[..8] == time && window[8..] == time) {
        stored.push(at + found + 16);
        at += found + 16;
    }
    // The sensors' reading has the same time and comes first.
    stored[1]
}

/// What ffprobe says of the video in a file.
pub fn probe(path: &Path) -> serde_json::Value {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_format", "-show_streams", "-show_frames", "-count_frames"])
        .args(["-select_streams", "v"])
        .arg(path)
        .output()
        .expect("ffprobe is there: scripts/setup.sh --tests installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// When each picture of a file is shown, in nanoseconds.
pub fn shown_at(probed: &serde_json::Value) -> Vec<u64> {
    let frames = probed["frames"].as_array().unwrap();
    frames.iter().map(|frame| (number(&frame["pts_time"]) * 1e9) as u64).collect()
}

pub fn number(value: &serde_json::Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

/// The numbers in the pictures of a file, as ffmpeg decodes it.
pub fn numbers(path: &Path) -> Vec<usize> {
    numbers_in(&luminance(path, "null"))
}

/// Luminance of all pictures of a file, behind a filter of ffmpeg.
pub fn luminance(path: &Path, filter: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(path)
        .args(["-vf", filter, "-fps_mode", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The boxes at the top of an MP4 file, in their order.
pub fn boxes(path: &Path) -> Vec<String> {
    let file = fs::read(path).unwrap();
    let mut boxes = Vec::new();
    let mut at = 0;
    while at + 8 <= file.len() {
        let size = u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        boxes.push(String::from_utf8_lossy(&file[at + 4..at + 8]).into_owned());
        let size = match size {
            0 => break,
            1 => u64::from_be_bytes(file[at + 8..at + 16].try_into().unwrap()) as usize,
            size => size,
        };
        at += size;
    }
    boxes
}

/// The names in a directory.
pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What Python's `mcap` and `mcap-protobuf-support` read.
pub fn read_mcap(path: &Path) -> serde_json::Value {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = manifest.join("target/peers/venv/bin/python");
    assert!(python.exists(), "{} is not there: run scripts/setup.sh --tests", python.display());
    let script = manifest.join("tests/support/recordings_read_mcap.py");
    let output = Command::new(python).arg(script).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Asserts that a program says so, and leaves nothing, when a disk gets full on which a file of `size` bytes was to be made:
/// at once, while pictures are encoded, and with the last bytes. In a mount namespace of its own the program gets such a
/// file system, and we what is left in it.
pub fn expect_full_disk(directory: &Path, program: &str, input: &Path, name: &str, flags: &[&str], size: u64) {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let disk = directory.join("disk");
    fs::create_dir(&disk).unwrap();
    for size in [4096, size / 2, size - 4096] {
        let script = format!(
            "mount -t tmpfs -o size={size} tmpfs \"$1\" || exit 99; \"$2\" --input \"$3\" --output \"$1/{name}\" {}; \
             code=$?; ls -A \"$1\"; exit $code",
            flags.join(" ")
        );
        let output = Command::new("unshare")
            .args(["--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", &script, "sh"])
            .args([&text(&disk), program, &text(input)])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{said}");
        assert!(said.contains("the disk is full; make room, or take another --output"), "{said}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "something is left of {size} bytes");
    }
}
