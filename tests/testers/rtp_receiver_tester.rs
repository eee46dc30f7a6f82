//! `rtp_receiver_tester` against GStreamer's payloaders, and against packets that are wrong.

use std::{
    net::UdpSocket,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::port::free_port;
use crate::support::{Pipeline, Program, decoded_frames, run, text};
use gst::prelude::*;

const TESTER: &str = env!("CARGO_BIN_EXE_rtp_receiver_tester");

const FRAMES: usize = 60;

/// A tester on a port of its own, and the port.
fn listen(more: &[&str]) -> (Program, u16) {
    let program = Program::start(TESTER, &[&["--port", "0", "--json"], more].concat());
    let port = bound_port(&program);
    (program, port)
}

fn bound_port(program: &Program) -> u16 {
    let address = program.wait_for_line("listening on udp://");
    address.rsplit(':').next().unwrap().parse().unwrap()
}

fn h264(payloader: &str) -> String {
    format!(
        "videotestsrc is-live=true num-buffers={FRAMES} ! video/x-raw,format=I420,width=320,height=240,framerate=60/1 \
         ! x264enc speed-preset=ultrafast key-int-max=20 bframes=0 ! rtph264pay name=pay {payloader}"
    )
}

fn h265(payloader: &str) -> String {
    format!(
        "videotestsrc is-live=true num-buffers={FRAMES} ! video/x-raw,format=I420,width=320,height=240,framerate=60/1 \
         ! x265enc speed-preset=ultrafast key-int-max=20 tune=zerolatency option-string=info=0 ! rtph265pay name=pay {payloader}"
    )
}

fn to(port: u16) -> String {
    format!("! udpsink host=127.0.0.1 port={port}")
}

#[test]
fn h264_until_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("got.h264");
    let (tester, port) = listen(&["--expect-pt", "96", "--codec", "h264", "--until-end", "--dump", text(&dump)]);
    let sender = Pipeline::start(&h264(&format!("pt=96 config-interval=-1 {}", to(port))));
    let ended = tester.end().expect_code(0);
    assert_eq!(sender.end(), Ok(()));
    let report = ended.json();
    assert_eq!(report["frames"], FRAMES);
    assert_eq!(report["access_units"], FRAMES);
    assert_eq!(report["keyframes"], 3);
    assert_eq!(report["lost"], 0);
    assert_eq!(report["payload_type"], 96);
    assert_eq!(report["codec"], "h264");
    assert_eq!((&report["width"], &report["height"]), (&320.into(), &240.into()));
    assert_eq!(report["warning"], serde_json::json!([]));
    assert_eq!(decoded_frames(&dump).len(), FRAMES);
}

#[test]
fn either_codec_is_recognised() {
    for (launch, codec) in [(h264 as fn(&str) -> String, "h264"), (h265, "h265")] {
        let folder = tempfile::tempdir().unwrap();
        let dump = folder.path().join("got");
        let (tester, port) = listen(&["--until-end", "--dump", text(&dump)]);
        let sender = Pipeline::start(&launch(&format!("pt=101 config-interval=-1 {}", to(port))));
        let report = tester.end().expect_code(0).json();
        assert_eq!(report["codec"], codec);
        assert_eq!(report["access_units"], FRAMES);
        assert_eq!(report["payload_type"], 101);
        assert_eq!(decoded_frames(&dump).len(), FRAMES);
        drop(sender);
    }
}

#[test]
fn the_threshold_ends_the_run() {
    let (tester, port) = listen(&["--packet-threshold", "5"]);
    let sender = Pipeline::start(&h264(&format!("pt=96 config-interval=-1 {}", to(port))));
    let report = tester.end().expect_code(0).json();
    assert!(report["packets"].as_u64().unwrap() >= 5);
    assert!(report["frames"].as_u64().unwrap() < FRAMES as u64);
    drop(sender);
}

#[test]
fn a_goodbye_ends_the_run() {
    let (tester, port) = listen(&["--until-end", "--timeout-ms", "60000"]);
    let sender = Pipeline::start(&format!(
        "rtpbin name=bin {} ! bin.send_rtp_sink_0 bin.send_rtp_src_0 {} \
         bin.send_rtcp_src_0 ! udpsink host=127.0.0.1 port={port} sync=false async=false",
        h264("pt=96 config-interval=-1"),
        to(port),
    ));
    let report = tester.end().expect_code(0).json();
    assert_eq!(report["goodbye"], true);
    assert_eq!(report["frames"], FRAMES);
    drop(sender);
}

#[test]
fn lost_packets_are_counted() {
    let (tester, port) = listen(&["--until-end"]);
    let sender = Pipeline::paused(&h264(&format!("pt=96 config-interval=-1 ! identity name=line {}", to(port))));
    let line = sender.0.by_name("line").unwrap();
    let count = AtomicU32::new(0);
    line.static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        match count.fetch_add(1, Ordering::Relaxed) {
            10 | 12 => gst::PadProbeReturn::Drop,
            _ => gst::PadProbeReturn::Ok,
        }
    });
    // Payloaders push lists where they can; the probe wants packets.
    sender.0.by_name("pay").unwrap().static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER_LIST, {
        let input = line.static_pad("sink").unwrap();
        move |_, info| {
            if let Some(gst::PadProbeData::BufferList(list)) = info.data.take() {
                for buffer in list.iter_owned() {
                    let _ = input.chain(buffer);
                }
            }
            gst::PadProbeReturn::Handled
        }
    });
    sender.play();
    let report = tester.end().expect_code(0).json();
    assert_eq!(report["lost"], 2);
    assert_eq!(report["reordered"], 0);
    drop(sender);
}

#[test]
fn another_payload_type_exits_3() {
    let (tester, port) = listen(&["--expect-pt", "96"]);
    let sender = Pipeline::start(&h264(&format!("pt=97 {}", to(port))));
    tester.end().expect_code(3).expect_said("payload type 97 came, 96 is expected");
    drop(sender);

    let (tester, port) = listen(&[]);
    send(port, &[&packet(33, 1, 0, 1)]);
    tester.end().expect_code(3).expect_said("payload type 33");
}

#[test]
fn too_few_packets_exit_4() {
    let (tester, port) = listen(&["--packet-threshold", "3", "--timeout-ms", "500"]);
    send(port, &[&packet(96, 1, 0, 1), &packet(96, 2, 0, 1)]);
    tester.end().expect_code(4).expect_said("2 of 3 packets");
}

#[test]
fn nothing_exits_124() {
    let (tester, _) = listen(&["--timeout-ms", "200"]);
    tester.end().expect_code(124).expect_said("no packet came within 200 ms");
}

#[test]
fn another_codec_exits_7() {
    let (tester, port) = listen(&["--codec", "h265", "--timeout-ms", "3000"]);
    let sender = Pipeline::start(&h264(&format!("pt=96 config-interval=-1 {}", to(port))));
    tester.end().expect_code(7).expect_said("no access unit of h265");
    drop(sender);
}

/// Well-formed RTP around noise that begins with the right NAL unit types, so that some of it passes for parameter sets.
#[test]
fn noise_exits_7() {
    let (tester, port) = listen(&["--until-end", "--timeout-ms", "3000"]);
    let mut state = 11_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize
    };
    let kinds = [0x67, 0x68, 0x65, 0x7c, 0x5c, 0x78, 0x42, 0x40, 0x62, 0x60, 0x26];
    let packets: Vec<Vec<u8>> = (0..400_u16)
        .map(|number| {
            let mut bytes = packet(96, number, u32::from(number / 2) * 3000, 1);
            bytes[12] = kinds[random() % kinds.len()];
            bytes.extend((0..200).map(|_| random() as u8));
            bytes
        })
        .collect();
    send(port, &packets.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let ended = tester.end().expect_code(7);
    assert!(ended.json()["packets"].as_u64().unwrap() > 300);
}

#[test]
fn broken_packets_exit_7() {
    let version_1 = [&[0x40][..], &packet(96, 1, 0, 1)[1..]].concat();
    let cases: [(&[&[u8]], &str); 5] = [
        (&[&version_1], "packet 0: byte 0 says RTP version 1"),
        (&[&packet(96, 1, 0, 1), &packet(96, 2, 0, 2)], "packet 1: SSRC 0x00000002"),
        (&[&packet(96, 9000, 0, 1), &packet(96, 1, 0, 1)], "began anew"),
        (&[&packet(96, 1, 0, 1)[..12]], "without payload"),
        (&[b"x"], "a datagram of 1 bytes"),
    ];
    for (packets, said) in cases {
        let (tester, port) = listen(&[]);
        send(port, packets);
        tester.end().expect_code(7).expect_said(said);
    }
}

#[test]
fn what_cannot_be_opened_exits_2() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    run(TESTER, &["--port", &port]).expect_code(2).expect_said(&port);
    run(TESTER, &["--port", "0", "--dump", "/nowhere/x"]).expect_code(2).expect_said("/nowhere/x");
    // Neither a folder nor a pipe is read.
    run(TESTER, &["--sdp", "/"]).expect_code(2).expect_said("plain file");
    run(TESTER, &["--sdp", "/dev/zero"]).expect_code(2).expect_said("plain file");
}

#[test]
fn a_wrong_command_line_exits_1() {
    run(TESTER, &[]).expect_code(1).expect_said("--port");
    run(TESTER, &["--port", "5004", "--expect-pt", "95"]).expect_code(1);
    run(TESTER, &["--port", "5004", "--sdp", "x"]).expect_code(1);
    let help = run(TESTER, &["--help"]).expect_code(0);
    assert!(help.stdout.contains("Examples:"));
}

/// The SDP of a payloader, from the caps that it has settled on.
fn session_description(sender: &Pipeline, port: u16, codec: &str) -> String {
    let pad = sender.0.by_name("pay").unwrap().static_pad("src").unwrap();
    let caps = pad.current_caps().expect("the payloader has caps");
    let caps = caps.structure(0).unwrap();
    let parameters: Vec<_> = ["sprop-parameter-sets", "sprop-vps", "sprop-sps", "sprop-pps"]
        .iter()
        .filter_map(|key| Some(format!("{key}={}", caps.get::<&str>(*key).ok()?)))
        .collect();
    format!(
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video {port} RTP/AVP 98\r\n\
         a=rtpmap:98 {codec}/90000\r\na=fmtp:98 {}\r\n",
        parameters.join(";")
    )
}

#[test]
fn an_sdp_that_comes_late_tells_all() {
    for (launch, codec, parser) in [
        (h264 as fn(&str) -> String, "H264", "h264parse ! video/x-h264,stream-format=avc"),
        (h265, "H265", "h265parse ! video/x-h265,stream-format=hvc1"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stream.sdp");
        let tester = Program::start(TESTER, &["--sdp", text(&path), "--packet-threshold", "50", "--json"]);
        // Only the SDP can say it, so the tester cannot choose.
        let port = free_port();
        let description = launch(&format!("pt=98 config-interval=-1 {}", to(port)));
        let description = description.replace(" ! rtp", &format!(" ! {parser} ! rtp"));
        let sender = Pipeline::paused(&description);
        let (settled, settles) = std::sync::mpsc::channel();
        let pad = sender.0.by_name("pay").unwrap().static_pad("src").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, {
            move |_, _| {
                let _ = settled.send(());
                gst::PadProbeReturn::Remove
            }
        });
        sender.play();
        settles.recv().unwrap();
        std::fs::write(&path, session_description(&sender, port, codec)).unwrap();
        let report = tester.end().expect_code(0).json();
        assert_eq!(report["codec"], codec.to_lowercase());
        assert_eq!(report["payload_type"], 98);
        drop(sender);
    }
}

#[test]
fn an_sdp_of_another_payload_type_exits_3() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream.sdp");
    let sdp = "v=0\r\ns=x\r\nt=0 0\r\nm=video 5004 RTP/AVP 98\r\na=rtpmap:98 H264/90000\r\n";
    std::fs::write(&path, sdp).unwrap();
    run(TESTER, &["--sdp", text(&path), "--expect-pt", "96"])
        .expect_code(3)
        .expect_said("announces payload type 98, 96 is expected");
}

#[test]
fn an_sdp_that_is_none_fails_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream.sdp");
    let look = |path: &Path| run(TESTER, &["--sdp", text(path), "--timeout-ms", "200"]);
    look(&path).expect_code(124).expect_said("did not appear");
    std::fs::write(&path, b"\xff\xfe\0garbage").unwrap();
    look(&path).expect_code(7).expect_said("stream.sdp");
    std::fs::write(&path, "v=0\r\nm=video 5004 RTP/AVP 98\r\n").unwrap();
    look(&path).expect_code(7).expect_said("rtpmap");
    std::fs::write(&path, vec![b'v'; 70_000]).unwrap();
    look(&path).expect_code(2).expect_said("larger than");
}

fn packet(payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32) -> Vec<u8> {
    let mut bytes = vec![0x80, payload_type];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend([0x41, 0x9a, 0, 0]);
    bytes
}

fn send(port: u16, packets: &[&[u8]]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for packet in packets {
        socket.send_to(packet, ("127.0.0.1", port)).unwrap();
    }
}

/// At every fourth border of two frames, the last packet of one comes behind the first of the next. Then the sender says
/// goodbye, long before the threshold.
#[test]
fn packets_that_overtake_each_other_make_no_frames() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let sender =
        Pipeline::start(&h264(&format!("pt=96 config-interval=-1 {}", to(socket.local_addr().unwrap().port()))));
    let (mut packets, mut ended) = (Vec::<Vec<u8>>::new(), 0);
    let mut bytes = [0; 65_535];
    while ended < FRAMES {
        let length = socket.recv(&mut bytes).unwrap();
        ended += usize::from(bytes[1] & 0x80 != 0);
        packets.push(bytes[..length].to_vec());
    }
    drop(sender);
    let borders = (1..packets.len()).filter(|at| packets[at - 1][4..8] != packets[*at][4..8]).collect::<Vec<_>>();
    borders.iter().skip(3).step_by(4).for_each(|at| packets.swap(at - 1, *at));
    let (tester, port) = listen(&["--packet-threshold", "100000", "--timeout-ms", "60000"]);
    let source = packets[0][8..12].to_vec();
    packets.push([&[0x80, 201, 0, 1][..], &source, &[0x81, 203, 0, 1], &source].concat());
    send(port, &packets.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let report = tester.end().expect_code(4).expect_said("before the sender said goodbye").json();
    assert_eq!((&report["frames"], &report["access_units"]), (&FRAMES.into(), &FRAMES.into()));
    assert!(report["reordered"].as_u64().unwrap() > 0);
    assert_eq!((&report["lost"], &report["goodbye"]), (&0.into(), &true.into()));
}
