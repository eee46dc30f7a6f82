//! `rtmp_stub_tester` against real publishers, files of other programs, and broken ones.
//!
//! Longer than other files: it is a table of streams with what the tester has to say of each, and the bytes that they are made of.

use std::{
    io::{Cursor, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
};

use crate::support::{Ended, Pipeline, Program, decoded_frames, ffmpeg, run, sample, text};
use gst::prelude::*;
use tools_testers::flv::{
    file::{OwnedTag, Reader},
    mode::Mode,
    stream_check::StreamCheck,
};

const TESTER: &str = env!("CARGO_BIN_EXE_rtmp_stub_tester");

const AVC_FFMPEG: &str = "imageio-ffmpeg9-avc.flv";
const AVC_GSTREAMER: &str = "gst1.22-flvmux-avc-streamable.flv";
const HVC1_FFMPEG: &str = "imageio-ffmpeg9-hevc-hvc1.flv";
const HVC1_B_FRAMES: &str = "imageio-ffmpeg9-hevc-hvc1-bframes.flv";
const HVC1_GSTREAMER: &str = "gst1.28-eflvmux-hevc-hvc1.flv";
const DOMESTIC: &str = "handmade-from-ffmpeg9-hevc-codecid12.flv";
const BROKEN: &str = "gst1.28-eflvmux-hevc-DEFAULT-legacy-BROKEN-codecid8.flv";

/// A tester that listens on a port of its own; and its address.
fn listen(mode: &str, more: &[&str]) -> (Program, String) {
    let arguments = [&["--mode", mode, "--listen-port", "0", "--json"], more].concat();
    let program = Program::start(TESTER, &arguments);
    let address = program.wait_for_line("listening on rtmp://");
    (program, address.trim_end_matches('/').to_owned())
}

fn check_file(mode: &str, path: &Path) -> Ended {
    run(TESTER, &["--mode", mode, "--file", text(path), "--json"])
}

fn tags(path: &Path) -> Vec<OwnedTag> {
    let mut reader = Reader::open(path).unwrap();
    std::iter::from_fn(|| reader.next_tag().unwrap()).collect()
}

/// One FLV tag with its PreviousTagSize, as a file has it and as rtmp2sink takes it.
fn tag_bytes(tag: &OwnedTag) -> Vec<u8> {
    let size = u32::try_from(tag.body.len()).unwrap();
    let time = tag.timestamp.to_be_bytes();
    let mut bytes = vec![tag.kind.id()];
    bytes.extend(&size.to_be_bytes()[1..]);
    bytes.extend([time[1], time[2], time[3], time[0], 0, 0, 0]);
    bytes.extend(&tag.body);
    bytes.extend((size + 11).to_be_bytes());
    bytes
}

/// Publishes tags with the stock rtmp2sink.
fn publish(address: &str, tags: &[OwnedTag]) -> Pipeline {
    publish_with("rtmp2sink", address, tags)
}

/// Publishes tags as they come from a camera, so that a server can say something in between.
fn publish_at_pace(sink: &str, address: &str, tags: &[OwnedTag]) -> Pipeline {
    publish_slowly(sink, address, tags, std::time::Duration::from_millis(10))
}

fn publish_with(sink: &str, address: &str, tags: &[OwnedTag]) -> Pipeline {
    publish_slowly(sink, address, tags, std::time::Duration::ZERO)
}

fn publish_slowly(sink: &str, address: &str, tags: &[OwnedTag], pause: std::time::Duration) -> Pipeline {
    if sink == "ertmpsink" {
        static PLUGIN: std::sync::Once = std::sync::Once::new();
        PLUGIN.call_once(|| {
            gst::init().unwrap();
            gstflvhevc::plugin_register_static().unwrap();
        });
    }
    let pipeline = Pipeline::paused(&format!(
        "appsrc name=tags format=time caps=video/x-flv ! {sink} location=rtmp://{address}/live/camera"
    ));
    let source = pipeline.0.by_name("tags").unwrap();
    let source = source.downcast::<gst_app::AppSrc>().unwrap();
    pipeline.play();
    for tag in tags {
        let mut buffer = gst::Buffer::from_mut_slice(tag_bytes(tag));
        let time = gst::ClockTime::from_mseconds(u64::from(tag.timestamp));
        buffer.get_mut().unwrap().set_dts(time);
        if source.push_buffer(buffer).is_err() {
            break;
        }
        std::thread::sleep(pause);
    }
    let _ = source.end_of_stream();
    pipeline
}

#[test]
fn stock_flvmux_and_rtmp2sink_publish_h264() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("got.flv");
    let (tester, address) = listen("h264", &["--until-end", "--dump", text(&dump)]);
    let sender = Pipeline::start(&format!(
        "videotestsrc num-buffers=60 ! video/x-raw,format=I420,width=320,height=240 \
         ! x264enc speed-preset=ultrafast key-int-max=20 ! flvmux streamable=true \
         ! rtmp2sink location=rtmp://{address}/live/camera"
    ));
    assert_eq!(sender.end(), Ok(()));
    let ended = tester.end().expect_code(0);
    assert!(!ended.stdout.contains("camera") && !ended.stderr.contains("camera"), "{}{}", ended.stdout, ended.stderr);
    let report = ended.json();
    assert_eq!(report["frames"], 60);
    assert_eq!(report["keyframes"], 3);
    assert_eq!(report["app"], "live");
    assert_eq!(report["stream"], "***");
    assert_eq!(decoded_frames(&dump).len(), 60);
    check_file("h264", &dump).expect_code(0);
}

#[test]
fn ffmpeg_publishes_enhanced_h265() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("got.flv");
    let stream = folder.path().join("got.h265");
    let (tester, address) =
        listen("h265-enhanced", &["--until-end", "--dump", text(&dump), "--dump-es", text(&stream)]);
    let url = format!("rtmp://{address}/live/camera");
    let input = sample(HVC1_B_FRAMES);
    let status = ffmpeg(&["-i", text(&input), "-c", "copy", "-f", "flv", &url]).status().unwrap();
    assert!(status.success());
    let report = tester.end().expect_code(0).json();
    assert_eq!(report["frames"], 125);
    assert_eq!(report["max_composition_ms"], 240);
    // What was sent, both ways.
    let expected = decoded_frames(&input);
    assert_eq!(decoded_frames(&dump), expected);
    assert_eq!(decoded_frames(&stream), expected);
}

#[test]
fn domestic_h265_arrives_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("got.flv");
    let stream = folder.path().join("got.h265");
    let (tester, address) =
        listen("h265-domestic", &["--until-end", "--dump", text(&dump), "--dump-es", text(&stream)]);
    assert_eq!(publish(&address, &tags(&sample(DOMESTIC))).end(), Ok(()));
    let report = tester.end().expect_code(0).json();
    assert_eq!(report["frames"], 125);
    assert_eq!(std::fs::read(&dump).unwrap(), std::fs::read(sample(DOMESTIC)).unwrap());
    assert_eq!(decoded_frames(&stream), decoded_frames(&sample(DOMESTIC)));
}

#[test]
fn the_threshold_ends_the_run() {
    let (tester, address) = listen("h264", &["--video-threshold", "7"]);
    let sender = publish(&address, &tags(&sample(AVC_FFMPEG)));
    let report = tester.end().expect_code(0).json();
    assert_eq!(report["frames"], 7);
    assert_eq!(report["outcome"], "pass");
    drop(sender);
}

#[test]
fn a_refused_publisher_is_told_so() {
    let (tester, address) = listen("h264", &["--refuse"]);
    let input = sample(AVC_FFMPEG);
    let url = format!("rtmp://{address}/live/camera");
    let output = ffmpeg(&["-i", text(&input), "-c", "copy", "-f", "flv", &url]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("refuse"));
    tester.end().expect_code(0);

    let (tester, address) = listen("h264", &["--refuse"]);
    let error = publish(&address, &tags(&input)).end().unwrap_err();
    assert!(error.contains("denied"), "{error}");
    tester.end().expect_code(0);
}

#[test]
fn a_publisher_is_refused_at_the_step_that_is_asked_for() {
    for (step, said) in [("connect", "connect"), ("createStream", "createStream"), ("publish", "publish")] {
        let (tester, address) = listen("h264", &["--refuse", step]);
        let error = publish_with("ertmpsink", &address, &tags(&sample(AVC_FFMPEG))).end().unwrap_err();
        assert!(error.contains(&format!("refuses {said}")) && error.contains("started to refuse"), "{error}");
        let report = tester.end().expect_code(0).json();
        // What the client offers is told at every step.
        assert_eq!(report["caps_ex"], 15.0);
        assert_eq!(report["four_cc_list"], "avc1,hvc1,av01,vp09,vp08,vvc1");
        assert!(report["video_four_cc_info"].as_str().unwrap().starts_with("avc1=4,hvc1=4"), "{report}");
    }
    run(TESTER, &["--mode", "h264", "--refuse", "play"]).expect_code(1).expect_said("createStream");
}

#[test]
fn a_publisher_that_reconnects_passes_and_one_that_does_not_is_late() {
    let (tester, address) = listen("h264", &["--reconnect-after", "30", "--until-end", "--video-threshold", "60"]);
    let input = sample(AVC_FFMPEG);
    let sender = publish_at_pace("ertmpsink", &address, &tags(&input));
    assert_eq!(sender.end(), Ok(()));
    let report = tester.end().expect_code(0).json();
    assert_eq!((&report["frames"], &report["reconnects"]), (&125.into(), &1.into()), "{report}");
    assert_eq!(report["reconnect_step_ms"], 40, "no picture is lost or sent twice: {report}");
    assert_eq!(report["sequence_headers"], 2);

    let (tester, address) = listen("h264", &["--reconnect-after", "30", "--timeout-ms", "2000"]);
    let sender = publish_at_pace("rtmp2sink", &address, &tags(&input));
    tester.end().expect_code(124).expect_said("asked to reconnect");
    drop(sender);
}

#[test]
fn a_stall_lasts_until_the_publisher_gives_up() {
    let (tester, address) = listen("h264", &["--stall-after", "5", "--timeout-ms", "60000"]);
    let mut publisher = RawPublisher::offer(&address, b"");
    for tag in &tags(&sample(AVC_FFMPEG))[..8] {
        publisher.whole(tag);
    }
    tester.wait_for_line("stalling");
    drop(publisher.stream.shutdown(std::net::Shutdown::Both));
    let report = tester.end().expect_code(0).json();
    assert_eq!((&report["frames"], &report["left_stalled_server"]), (&5.into(), &true.into()), "{report}");

    let (tester, address) = listen("h264", &["--stall-after", "5", "--timeout-ms", "700"]);
    let sender = publish(&address, &tags(&sample(AVC_FFMPEG)));
    let report = tester.end().expect_code(0).json();
    assert_eq!(report["left_stalled_server"], false);
    assert!(report["stalled_ms"].as_u64().unwrap() >= 700, "{report}");
    drop(sender);
}

#[test]
fn a_client_that_hangs_up_at_once_is_not_the_publisher() {
    let (tester, address) = listen("h264", &[]);
    drop(TcpStream::connect(&address).unwrap());
    let sender = publish(&address, &tags(&sample(AVC_FFMPEG)));
    tester.end().expect_code(0).expect_said("hung up");
    drop(sender);
}

#[test]
fn another_packaging_exits_6() {
    for (mode, name, said) in [
        ("h265-domestic", HVC1_FFMPEG, "videocodecid is 1752589105 (FourCC hvc1)"),
        ("h265-enhanced", DOMESTIC, "videocodecid is 12 (domestic H.265)"),
        ("h264", DOMESTIC, "where h264 wants 7"),
        ("h265-enhanced", AVC_FFMPEG, "videocodecid is 7 (H.264)"),
    ] {
        let (tester, address) = listen(mode, &[]);
        let sender = publish(&address, &tags(&sample(name)));
        tester.end().expect_code(6).expect_said(said);
        drop(sender);
    }
}

#[test]
fn too_few_frames_exit_4() {
    let (tester, address) = listen("h264", &["--video-threshold", "126"]);
    publish(&address, &tags(&sample(AVC_FFMPEG))).end().unwrap();
    tester.end().expect_code(4).expect_said("125 of 126");
}

#[test]
fn no_publisher_exits_124() {
    run(TESTER, &["--mode", "h264", "--listen-port", "0", "--timeout-ms", "200"])
        .expect_code(124)
        .expect_said("no video came within 200 ms");
}

#[test]
fn a_client_that_stalls_exits_124() {
    for bytes in [&[][..], &[3], &[3; 1000], &[3; 1537]] {
        let (tester, address) = listen("h264", &["--timeout-ms", "300"]);
        let mut client = TcpStream::connect(&address).unwrap();
        client.write_all(bytes).unwrap();
        tester.end().expect_code(124);
    }
}

#[test]
fn a_publisher_that_stalls_after_the_threshold_exits_124() {
    let (tester, address) = listen("h264", &["--until-end", "--timeout-ms", "3000"]);
    let pipeline = Pipeline::paused(&format!(
        "appsrc name=tags format=time caps=video/x-flv ! rtmp2sink location=rtmp://{address}/live/camera"
    ));
    let source = pipeline.0.by_name("tags").unwrap();
    let source = source.downcast::<gst_app::AppSrc>().unwrap();
    pipeline.play();
    for tag in &tags(&sample(AVC_FFMPEG))[..5] {
        let buffer = gst::Buffer::from_mut_slice(tag_bytes(tag));
        source.push_buffer(buffer).unwrap();
    }
    tester.end().expect_code(124).expect_said("stalled");
}

#[test]
fn garbage_exits_7() {
    let (tester, address) = listen("h264", &[]);
    let mut client = TcpStream::connect(&address).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    tester.end().expect_code(7).expect_said("handshake");

    // After a good handshake, bytes that begin no chunk, and ones that only look like it.
    for garbage in [&[0xff_u8; 64][..], &[0x03; 200], b"\x02\0\0\0\0\0\x04\x01\0\0\0\0\xff\xff\xff\xff"] {
        let (tester, address) = listen("h264", &["--timeout-ms", "5000"]);
        let mut client = TcpStream::connect(&address).unwrap();
        client.write_all(&[3]).unwrap();
        client.write_all(&[0; 1536]).unwrap();
        client.read_exact(&mut [0; 1 + 2 * 1536]).unwrap();
        client.write_all(&[0; 1536]).unwrap();
        client.write_all(garbage).unwrap();
        tester.end().expect_code(7).expect_said("RTMP");
    }
}

/// A publisher of which the test decides every byte, at the point where media may follow.
struct RawPublisher {
    stream: TcpStream,
}

impl RawPublisher {
    fn connect(address: &str) -> Self {
        Self::offer(address, b"\0\x0afourCcList\x0a\0\0\0\x01\x02\0\x04hvc1")
    }

    /// `more`: entries of connect's command object.
    fn offer(address: &str, more: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&[3]).unwrap();
        stream.write_all(&[0; 1536]).unwrap();
        let mut answer = [0; 1 + 2 * 1536];
        stream.read_exact(&mut answer).unwrap();
        stream.write_all(&answer[1..=1536]).unwrap();
        // Answers that stay unread would make a later close a reset.
        let mut answers = stream.try_clone().unwrap();
        std::thread::spawn(move || std::io::copy(&mut answers, &mut std::io::sink()));
        let mut publisher = Self { stream };
        let object = [b"\x03\0\x03app\x02\0\x04live", more, b"\0\0\x09"].concat();
        publisher.command(0, b"\x02\0\x07connect", &object);
        publisher.command(0, b"\x02\0\x0ccreateStream", b"\x05");
        publisher.command(1, b"\x02\0\x07publish", b"\x05\x02\0\x06camera\x02\0\x04live");
        publisher
    }

    /// A command of transaction 1.
    fn command(&mut self, stream: u8, name: &[u8], values: &[u8]) {
        let body = [name, b"\0\x3f\xf0\0\0\0\0\0\0", values].concat();
        let [_, length @ ..] = u32::try_from(body.len()).unwrap().to_be_bytes();
        let mut bytes = [&[3, 0, 0, 0], &length[..], &[20, stream, 0, 0, 0]].concat();
        for (number, piece) in body.chunks(128).enumerate() {
            if number > 0 {
                bytes.push(0xc3);
            }
            bytes.extend(piece);
        }
        self.stream.write_all(&bytes).unwrap();
    }

    /// The chunk header of a message of up to 128 bytes, or the first one of a longer message.
    fn header(&mut self, chunk_stream: u8, timestamp: u8, length: usize, kind: u8) {
        let length = u32::try_from(length).unwrap().to_be_bytes();
        let mut bytes = vec![chunk_stream, 0, 0, timestamp];
        bytes.extend(&length[1..]);
        bytes.extend([kind, 1, 0, 0, 0]);
        self.stream.write_all(&bytes).unwrap();
    }

    fn whole(&mut self, tag: &OwnedTag) {
        self.header(6, 0, tag.body.len(), tag.kind.id());
        for (number, piece) in tag.body.chunks(128).enumerate() {
            if number > 0 {
                self.stream.write_all(&[0xc6]).unwrap();
            }
            self.stream.write_all(piece).unwrap();
        }
    }
}

#[test]
fn a_publisher_that_is_cut_off_ends_the_run() {
    let (tester, address) = listen("h265-enhanced", &["--video-threshold", "2"]);
    let all = tags(&sample(HVC1_FFMPEG));
    let mut publisher = RawPublisher::connect(&address);
    for tag in &all[..4] {
        publisher.whole(tag);
    }
    publisher.header(6, 40, 5000, 9);
    publisher.stream.write_all(&all[4].body[..100]).unwrap();
    publisher.stream.shutdown(std::net::Shutdown::Write).unwrap();
    let report = tester.end().expect_code(4).json();
    assert_eq!(report["frames"], 1);
    assert_eq!(report["four_cc_list"], "hvc1");
    assert!(report["warning"].to_string().contains("in the middle"));
}

#[test]
fn interleaved_messages_are_put_together() {
    let (tester, address) = listen("h265-enhanced", &[]);
    let all = tags(&sample(HVC1_FFMPEG));
    let mut publisher = RawPublisher::connect(&address);
    publisher.whole(&all[0]);
    publisher.whole(&all[1]);
    let frame = &all[3].body;
    publisher.header(6, 0, frame.len(), 9);
    for (number, piece) in frame.chunks(128).enumerate() {
        if number > 0 {
            // An audio message between any two chunks of the frame.
            publisher.header(5, 0, 2, 8);
            publisher.stream.write_all(&[0x2f, 1, 0xc6]).unwrap();
        }
        publisher.stream.write_all(piece).unwrap();
    }
    let report = tester.end().expect_code(0).json();
    assert_eq!(report["frames"], 1);
    assert_eq!(report["audio_tags"], (frame.len() - 1) / 128);
}

#[test]
fn media_that_nobody_announced_exits_7() {
    let (tester, address) = listen("h265-enhanced", &[]);
    let mut publisher = RawPublisher::connect(&address);
    publisher.header(6, 0, 5, 22);
    publisher.stream.write_all(&[0; 5]).unwrap();
    tester.end().expect_code(7).expect_said("aggregate");

    let (tester, address) = listen("h265-enhanced", &[]);
    let mut publisher = RawPublisher::connect(&address);
    // Strict arrays in strict arrays, a thousand deep.
    let nested: Vec<u8> = [10, 0, 0, 0, 1].repeat(1000);
    publisher.header(6, 0, 13 + nested.len(), 18);
    let body = [&b"\x02\0\x0aonMetaData"[..], &nested].concat();
    for (number, piece) in body.chunks(128).enumerate() {
        if number > 0 {
            publisher.stream.write_all(&[0xc6]).unwrap();
        }
        publisher.stream.write_all(piece).unwrap();
    }
    tester.end().expect_code(7).expect_said("nest deeper");
}

#[test]
fn a_bound_port_exits_2() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    run(TESTER, &["--mode", "h264", "--listen-port", &port]).expect_code(2).expect_said(&port);
    let nowhere = "/nowhere/x.flv";
    run(TESTER, &["--mode", "h264", "--file", nowhere]).expect_code(2).expect_said(nowhere);
    run(TESTER, &["--mode", "h264", "--listen-port", "0", "--dump", nowhere]).expect_code(2).expect_said(nowhere);
}

#[test]
fn a_wrong_command_line_exits_1() {
    run(TESTER, &[]).expect_code(1).expect_said("--mode");
    run(TESTER, &["--mode", "vp9"]).expect_code(1).expect_said("vp9");
    run(TESTER, &["--mode", "h264", "--video-threshold", "0"]).expect_code(1);
    let help = run(TESTER, &["--help"]).expect_code(0);
    assert!(help.stdout.contains("Examples:"));
}

#[test]
fn files_of_other_programs_pass() {
    for (mode, name, frames) in [
        ("h264", AVC_FFMPEG, 125),
        ("h264", AVC_GSTREAMER, 125),
        ("h265-enhanced", HVC1_FFMPEG, 125),
        ("h265-enhanced", HVC1_B_FRAMES, 125),
        ("h265-enhanced", HVC1_GSTREAMER, 125),
        ("h265-domestic", DOMESTIC, 125),
    ] {
        let report = check_file(mode, &sample(name)).expect_code(0).json();
        assert_eq!(report["frames"], frames, "{name}");
        assert_eq!(report["sequence_headers"], 1, "{name}");
        assert_eq!(report["last_timestamp_ms"], 4960, "{name}");
    }
}

#[test]
fn swapped_fourcc_is_a_warning() {
    let report = check_file("h265-enhanced", &sample(HVC1_GSTREAMER)).json();
    let warnings = report["warning"].to_string();
    assert!(warnings.contains("wrong order"), "{warnings}");
}

#[test]
fn codec_id_8_is_rejected_by_name() {
    check_file("h265-enhanced", &sample(BROKEN))
        .expect_code(6)
        .expect_said("tag 1 (video, timestamp 0 ms), body byte 0 (0x18)")
        .expect_said("codec id 8")
        .expect_said("FourCC hvc1");
}

#[test]
fn text_output_is_key_value_lines() {
    let path = sample(AVC_FFMPEG);
    let ended = run(TESTER, &["--mode", "h264", "--file", text(&path)]).expect_code(0);
    assert!(ended.stdout.lines().any(|line| line == "frames=125"));
    assert!(ended.stdout.lines().any(|line| line == "outcome=pass"));
    assert!(ended.stdout.lines().all(|line| line.contains('=')));
}

type Edit = fn(&mut OwnedTag);

/// Changes one thing in a good file.
struct Change {
    mode: &'static str,
    file: &'static str,
    /// Index of the tag that changes.
    tag: usize,
    change: Edit,
    code: i32,
    said: &'static [&'static str],
}

#[test]
fn broken_tags_are_told_with_their_byte() {
    let changes = [
        Change {
            mode: "h265-domestic",
            file: DOMESTIC,
            tag: 2,
            change: |tag| tag.body[8] += 1,
            code: 7,
            said: &["tag 2 ", "a NAL unit length of"],
        },
        Change {
            mode: "h265-domestic",
            file: DOMESTIC,
            tag: 3,
            change: |tag| tag.body.extend([0, 0]),
            code: 7,
            said: &["tag 3 ", "body ends at byte 594", "a NAL unit length needs 4 bytes"],
        },
        Change {
            mode: "h265-domestic",
            file: DOMESTIC,
            tag: 3,
            change: |tag| tag.body[5..9].copy_from_slice(&[0, 0, 0, 1]),
            code: 7,
            said: &["tag 3 ", "body byte 5 (0x00)", "Annex B start code"],
        },
        Change {
            mode: "h265-domestic",
            file: DOMESTIC,
            tag: 3,
            change: |tag| tag.body[0] = 0x1c,
            code: 7,
            said: &["tag 3 (video, timestamp 40 ms), body byte 9 (0x02)", "in a key frame"],
        },
        Change {
            mode: "h265-domestic",
            file: DOMESTIC,
            tag: 2,
            change: |tag| tag.body[0] = 0x2c,
            code: 7,
            said: &["tag 2 ", "in an inter frame"],
        },
        Change {
            mode: "h265-domestic",
            file: DOMESTIC,
            tag: 5,
            change: |tag| tag.timestamp = 79,
            code: 7,
            said: &["tag 5 (video, timestamp 79 ms)", "later timestamp 80 ms"],
        },
        Change {
            mode: "h265-domestic",
            file: DOMESTIC,
            tag: 3,
            change: |tag| tag.body[2..5].copy_from_slice(&[0x0d, 0xbb, 0xa0]),
            code: 7,
            said: &["body byte 2 (0x0d)", "composition time of 900000 ms"],
        },
        Change {
            mode: "h265-domestic",
            file: DOMESTIC,
            tag: 1,
            change: |tag| tag.body[5] = 0,
            code: 7,
            said: &["tag 1 ", "body byte 5 (0x00)", "configurationVersion"],
        },
        Change {
            mode: "h265-domestic",
            file: DOMESTIC,
            tag: 1,
            change: |tag| tag.body.truncate(100),
            code: 7,
            said: &["tag 1 ", "body ends at byte 100"],
        },
        Change {
            mode: "h265-domestic",
            file: DOMESTIC,
            tag: 1,
            change: |tag| tag.body.push(0),
            code: 7,
            said: &["1 bytes behind the end of the hvcC"],
        },
        Change {
            mode: "h265-domestic",
            file: DOMESTIC,
            tag: 1,
            change: |tag| tag.body[0] = 0x2c,
            code: 7,
            said: &["body byte 0 (0x2c)", "frame type 2 of a sequence header"],
        },
        Change {
            mode: "h265-domestic",
            file: DOMESTIC,
            tag: 9,
            change: |tag| tag.body[0] = 0xac,
            code: 6,
            said: &["tag 9 ", "an enhanced video header", "must not mix"],
        },
        Change {
            mode: "h265-domestic",
            file: DOMESTIC,
            tag: 9,
            change: |tag| tag.body[0] = 0x27,
            code: 6,
            said: &["tag 9 ", "codec id 7 (H.264)", "must not mix"],
        },
        Change {
            mode: "h265-domestic",
            file: DOMESTIC,
            tag: 0,
            // The type byte of videocodecid: a date instead of a number.
            change: |tag| tag.body[128] = 11,
            code: 7,
            said: &["tag 0 (script"],
        },
        Change {
            mode: "h265-domestic",
            file: DOMESTIC,
            tag: 0,
            change: |tag| tag.body[116] = b'V',
            code: 7,
            said: &["tag 2 ", "before any onMetaData with a videocodecid"],
        },
        Change {
            mode: "h265-enhanced",
            file: HVC1_FFMPEG,
            tag: 3,
            change: |tag| tag.body[4] = b'2',
            code: 6,
            said: &["tag 3 ", "body byte 1 (0x68)", "FourCC hvc2"],
        },
        Change {
            mode: "h265-enhanced",
            file: HVC1_FFMPEG,
            tag: 3,
            change: |tag| {
                tag.body[0] = 0x96;
                tag.body.insert(1, 3);
                tag.body.insert(6, 0);
            },
            code: 6,
            said: &["body byte 6 (0x00)", "track 0 in a multitrack packet"],
        },
        Change {
            mode: "h265-enhanced",
            file: HVC1_FFMPEG,
            tag: 3,
            change: |tag| {
                tag.body[0] = 0x96;
                tag.body.insert(1, 0x13);
            },
            code: 7,
            said: &["body byte 1 (0x13)", "one track a packet"],
        },
        Change {
            mode: "h265-enhanced",
            file: HVC1_FFMPEG,
            tag: 3,
            change: |tag| {
                tag.body[0] = 0x97;
                tag.body.splice(1..1, [2, 0x0f, 0x42, 0x40, 3]);
            },
            code: 7,
            said: &["body byte 2 (0x0f)", "1000000 ns"],
        },
        Change {
            mode: "h265-enhanced",
            file: HVC1_GSTREAMER,
            tag: 127,
            change: |tag| tag.body.push(0),
            code: 7,
            said: &["tag 127 ", "1 bytes behind an end of sequence"],
        },
        Change {
            mode: "h264",
            file: AVC_FFMPEG,
            tag: 1,
            change: |tag| tag.body[10] &= 0xe0,
            code: 7,
            said: &["body byte 10 (0xe0)", "no SPS"],
        },
        Change {
            mode: "h264",
            file: AVC_FFMPEG,
            tag: 3,
            change: |tag| tag.body[0] = 0x17,
            code: 7,
            said: &["a key frame without an IDR slice"],
        },
        Change {
            mode: "h264",
            file: AVC_FFMPEG,
            tag: 3,
            change: |tag| tag.body[0] = 0x37,
            code: 7,
            said: &["frame type 3"],
        },
        Change {
            mode: "h264",
            file: AVC_FFMPEG,
            tag: 3,
            change: |tag| tag.body[1] = 7,
            code: 7,
            said: &["body byte 1 (0x07)", "packet type 7"],
        },
        Change {
            mode: "h264",
            file: AVC_FFMPEG,
            tag: 3,
            change: |tag| tag.body.clear(),
            code: 7,
            said: &["tag 3 ", "body ends at byte 0"],
        },
    ];
    let folder = tempfile::tempdir().unwrap();
    for (number, case) in changes.iter().enumerate() {
        let mut tags = tags(&sample(case.file));
        (case.change)(&mut tags[case.tag]);
        let path = write_flv(folder.path(), &tags);
        let mut ended = check_file(case.mode, &path);
        assert_eq!(ended.code, case.code, "case {number}: {}", ended.stderr);
        for said in case.said {
            ended = ended.expect_said(said);
        }
    }
}

/// Legal here, and known to trip some server or player.
#[test]
fn oddities_are_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, &str, usize, Edit, &str); 7] = [
        (
            "h265-domestic",
            DOMESTIC,
            3,
            |tag| tag.body[2..5].copy_from_slice(&[0xff, 0xff, 0xdf]),
            "a negative composition time",
        ),
        ("h265-domestic", DOMESTIC, 3, |tag| tag.body[0] = 0x0c, "frame type 0"),
        ("h265-domestic", DOMESTIC, 1, |tag| tag.body[6] = 0, "general_profile_idc is 0"),
        ("h265-domestic", DOMESTIC, 1, |tag| tag.body[17] = 1, "differ from those of its SPS"),
        ("h265-domestic", DOMESTIC, 0, |tag| tag.body[17] = 9, "ECMA array does not hold"),
        (
            "h265-enhanced",
            HVC1_FFMPEG,
            3,
            // 500 microseconds more, in front of coded frames without composition time.
            |tag| {
                tag.body[0] = 0x97;
                tag.body.splice(1..1, [2, 7, 0xa1, 0x20, 3]);
            },
            "ModEx",
        ),
        ("h265-enhanced", HVC1_FFMPEG, 3, |tag| tag.body[0] = 0x83, "frame type 0"),
    ];
    for (mode, file, index, change, said) in cases {
        let mut tags = tags(&sample(file));
        change(&mut tags[index]);
        let ended = check_file(mode, &write_flv(folder.path(), &tags)).expect_code(0);
        let report = ended.json();
        let warnings = report["warning"].to_string();
        assert!(warnings.contains(&format!("tag {index} ")), "{said}: {warnings}");
        assert!(warnings.contains(said), "{said}: {warnings}");
        assert_eq!(report["frames"], 125, "{said}");
        assert_eq!(report["nanosecond_offsets"], u64::from(said == "ModEx"));
        if said.contains("composition") {
            assert_eq!(report["min_composition_ms"], -33);
        }
    }

    let mut all = tags(&sample(HVC1_FFMPEG));
    let empty = OwnedTag { kind: all[1].kind, timestamp: 0, body: b"\x90hvc1".to_vec() };
    all.insert(1, empty);
    let ended = check_file("h265-enhanced", &write_flv(folder.path(), &all)).expect_code(0);
    assert!(ended.stdout.contains("an empty sequence header"));
}

/// A video tag with a FourCC, as one of another track.
fn on_track(tag: &OwnedTag, track: u8) -> OwnedTag {
    let mut body = vec![tag.body[0] & 0xf0 | 6, tag.body[0] & 0x0f];
    body.extend(&tag.body[1..5]);
    body.push(track);
    body.extend(&tag.body[5..]);
    OwnedTag { kind: tag.kind, timestamp: tag.timestamp, body }
}

/// The first track as a file has it, and behind each of its tags that of another file as track 1.
fn two_tracks(first: &str) -> Vec<OwnedTag> {
    let second = tags(&sample(HVC1_FFMPEG)).into_iter().filter(|tag| tag.kind.id() == 9 && tag.body[0] != 0xd4);
    let second = second.map(|tag| on_track(&tag, 1));
    let mut all = tags(&sample(first)).into_iter().chain(second).collect::<Vec<_>>();
    all.sort_by_key(|tag| tag.timestamp);
    all
}

#[test]
fn further_tracks_are_checked_beside_the_first() {
    let folder = tempfile::tempdir().unwrap();
    for (mode, first) in [("h264", AVC_FFMPEG), ("h265-enhanced", HVC1_B_FRAMES)] {
        let es = folder.path().join("first.es");
        let file = write_flv(folder.path(), &two_tracks(first));
        let ended = run(TESTER, &["--mode", mode, "--file", text(&file), "--json", "--dump-es", text(&es)]);
        let report = ended.expect_code(0).json();
        assert_eq!((&report["frames"], &report["further_tracks"]), (&125.into(), &1.into()), "{mode}");
        assert_eq!(report["further_track_frames"], 125, "{mode}");
        assert!(report["warning"].to_string().contains("videoTrackIdInfoMap"), "{mode}");
        assert_eq!(decoded_frames(&es).len(), 125, "the first track alone is kept");
    }
    // Codec id 12 has no tracks.
    let file = write_flv(folder.path(), &two_tracks(DOMESTIC));
    check_file("h265-domestic", &file).expect_code(6).expect_said("enhanced video header");
    // Each track begins with a sequence header and a key frame of its own.
    for (missing, said) in [(0, "before the sequence header"), (1, "has to be a key frame")] {
        let mut all = two_tracks(AVC_FFMPEG);
        let of_second = all.iter().enumerate().filter(|(_, tag)| tag.kind.id() == 9 && tag.body[0] & 0x80 != 0);
        let index = of_second.map(|(index, _)| index).nth(missing).unwrap();
        all.remove(index);
        check_file("h264", &write_flv(folder.path(), &all)).expect_code(7).expect_said(said);
    }
}

/// AAC frames of 1024 samples at 48 kHz from a time in milliseconds on.
fn sound(from: u32, count: u32) -> Vec<OwnedTag> {
    let kind = tools_testers::flv::stream_check::TagKind::Audio;
    let header = OwnedTag { kind, timestamp: from, body: vec![0xaf, 0, 0x11, 0x90] };
    let frame = |number: u32| OwnedTag { kind, timestamp: from + number * 64 / 3, body: vec![0xaf, 1, 0x21, 0x10] };
    std::iter::once(header).chain((0..count).map(frame)).collect()
}

#[test]
fn sound_is_read_and_its_distance_from_the_picture_told() {
    let folder = tempfile::tempdir().unwrap();
    let with = |sound: Vec<OwnedTag>| {
        let mut all = sound;
        all.extend(tags(&sample(AVC_FFMPEG)));
        all.sort_by_key(|tag| tag.timestamp);
        write_flv(folder.path(), &all)
    };
    let whole = check_file("h264", &with(sound(0, 235))).expect_code(0).json();
    assert_eq!((&whole["audio_frames"], &whole["max_sound_gap_ms"]), (&235.into(), &0.into()));
    // It ends at 4 s, the last picture is at 4.96 s.
    let cut = check_file("h264", &with(sound(0, 188))).expect_code(0).json();
    let gap = cut["max_sound_gap_ms"].as_u64().unwrap();
    assert!((940..980).contains(&gap), "{gap}");
    assert_eq!(check_file("h264", &sample(AVC_FFMPEG)).json()["max_sound_gap_ms"], serde_json::Value::Null);

    for (change, said) in [
        ((|all| drop(all.remove(0))) as fn(&mut Vec<OwnedTag>), "an AAC frame before its sequence header"),
        (|all| all[0].body[2..].fill(0), "audio object type 0"),
        (|all| all[3].body.truncate(2), "an AAC frame without data"),
        (|all| all[3].body[1] = 2, "AAC packet type 2"),
    ] {
        let mut all = sound(0, 10);
        change(&mut all);
        check_file("h264", &with(all)).expect_code(7).expect_said(said);
    }
}

#[test]
fn tags_in_the_wrong_order_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (order, said) in [
        (&[0, 2, 3][..], "before the sequence header"),
        (&[0, 1, 3], "the first frame has to be a key frame"),
        (&[1, 2], "before any onMetaData"),
    ] {
        let all = tags(&sample(DOMESTIC));
        let mut picked = Vec::new();
        for index in order {
            picked.push(OwnedTag { kind: all[*index].kind, timestamp: 0, body: all[*index].body.clone() });
        }
        check_file("h265-domestic", &write_flv(folder.path(), &picked)).expect_code(7).expect_said(said);
    }
}

#[test]
fn a_changed_sequence_header_needs_a_key_frame() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = tags(&sample(DOMESTIC));
    let mut header = OwnedTag { kind: all[1].kind, timestamp: 120, body: all[1].body.clone() };
    header.body[5 + 19] ^= 1; // avgFrameRate
    all.insert(6, header);
    check_file("h265-domestic", &write_flv(folder.path(), &all))
        .expect_code(7)
        .expect_said("an inter frame follows a changed sequence header");
}

#[test]
fn the_end_of_sequence_of_patched_ffmpegs_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = tags(&sample(DOMESTIC));
    all.push(OwnedTag { kind: all[1].kind, timestamp: 4960, body: vec![0x17, 2, 0, 0, 0] });
    let report = check_file("h265-domestic", &write_flv(folder.path(), &all)).expect_code(0).json();
    assert!(report["warning"].to_string().contains("H.264 form"));
}

#[test]
fn broken_files_are_told_with_their_offset() {
    let whole = std::fs::read(sample(DOMESTIC)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.flv");
    let length = whole.len();
    for (change, said) in [
        (&(|bytes: &mut Vec<u8>| bytes[0] = b'f') as &dyn Fn(&mut Vec<u8>), "no FLV file"),
        (&|bytes| bytes[3] = 2, "file offset 3"),
        (&|bytes| bytes[13] = 0x12 | 0x20, "file offset 13"),
        (&|bytes| bytes[13] = 15, "tag type 15"),
        (&|bytes| bytes[13 + 10] = 1, "StreamID"),
        (&|bytes| bytes[length - 1] ^= 1, "PreviousTagSize"),
        (&|bytes| bytes.truncate(length - 4), "PreviousTagSize"),
        (&|bytes| bytes.truncate(length - 100), "the file ends within the tag"),
        (&|bytes| bytes.truncate(10), "the file header"),
        (&|bytes| bytes.clear(), "the file header"),
    ] {
        let mut bytes = whole.clone();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        check_file("h265-domestic", &path).expect_code(7).expect_said(said);
    }
}

/// Whatever byte is wrong, the reader ends with a sentence.
#[test]
fn no_changed_byte_makes_the_reader_panic() {
    for (mode, name) in [(Mode::H264, AVC_FFMPEG), (Mode::H265Enhanced, HVC1_FFMPEG), (Mode::H265Domestic, DOMESTIC)] {
        let whole = std::fs::read(sample(name)).unwrap();
        let start = &whole[..8000];
        for at in 0..1500 {
            for value in [0, 1, 0x7f, 0x80, 0xff, start[at] ^ 0x10] {
                let mut bytes = start.to_vec();
                bytes[at] = value;
                read_all(mode, &bytes);
            }
            read_all(mode, &start[..at]);
        }
    }
}

fn read_all(mode: Mode, bytes: &[u8]) {
    let Ok(mut reader) = Reader::new(Cursor::new(bytes)) else {
        return;
    };
    let mut check = StreamCheck::new(mode);
    while let Ok(Some(tag)) = reader.next_tag() {
        if check.tag(&tag.as_tag()).is_err() {
            return;
        }
    }
}

fn write_flv(folder: &Path, tags: &[OwnedTag]) -> PathBuf {
    let path = folder.join("changed.flv");
    let mut bytes = b"FLV\x01\x01\0\0\0\x09\0\0\0\0".to_vec();
    for tag in tags {
        bytes.extend(tag_bytes(tag));
    }
    std::fs::write(&path, bytes).unwrap();
    path
}
