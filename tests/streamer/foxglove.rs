//! `--foxglove`: clients that watch, come late, stall or break the rules. They are Foxglove's own client for JavaScript, Python's
//! `websockets` with Foxglove's own schemas, and raw sockets.
//!
//! Longer than other files: the cases share a scene and the clients that watch it.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use cvmmap::{Address, PlaneKind, SnapshotReader, Subscriber, Target};
use serde_json::Value;

use crate::held::{open_files, resident_kib};
use crate::{
    many_support::{SMALL, Scene, line},
    nats_server::NatsServer,
    recorder_support::{checksum, decoded_frames, read_mcap},
    streamer_support::{
        ENDLESS, Names, PATIENCE, Producer, RtpReceiver, Running, ffmpeg, finish, free_port, json, read_until, wait_for,
    },
};

const TOPICS: [&str; 3] = ["/camera/video", "/camera/depth", "/camera/body"];

/// The client of other people's packages.
fn client(mode: &str, port: u16) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/peers/venv/bin/python");
    assert!(python.exists(), "{} is not there: run scripts/setup.sh --tests", python.display());
    let mut command = Command::new(python);
    command.arg(root.join("tests/streamer/foxglove.py")).args([mode, &port.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a client sees until so many access units, depth pictures and packets have come; access units go to `folder`.
fn watch(port: u16, folder: &Path, counts: [u32; 3], protocol: &str) -> Value {
    let counts = counts.map(|count| count.to_string());
    let (status, stdout, complaints) = finish(client("watch", port).arg(folder).args(counts).arg(protocol));
    assert_eq!(status, Some(0), "{complaints}");
    json(&stdout)
}

/// Pictures that FFmpeg makes of the access units, without a complaint.
fn pictures(folder: &Path, codec: &str) -> usize {
    let format = if codec == "h264" { "h264" } else { "hevc" };
    let decoded = ffmpeg()
        .args(["-v", "warning", "-f", format, "-i"])
        .arg(folder.join("video"))
        .args(["-f", "framecrc", "-"])
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&decoded.stderr).into_owned();
    assert!(decoded.status.success() && complaints.is_empty(), "{complaints}");
    String::from_utf8_lossy(&decoded.stdout).lines().filter(|line| !line.starts_with('#')).count()
}

/// Depth in the segment of a producer, as it stands there, by the time of its frame.
struct Segment {
    is_over: Arc<AtomicBool>,
    reader: thread::JoinHandle<HashMap<u64, Vec<u8>>>,
}

impl Segment {
    fn watch(target: &Target) -> Self {
        let address = Address::from(target);
        let mut subscriber = Subscriber::connect(&address).unwrap();
        let is_over = Arc::<AtomicBool>::default();
        let ends = Arc::clone(&is_over);
        let read = move || {
            let mut reader = SnapshotReader::new(&address, cvmmap::Coherence::Metadata);
            let mut seen = HashMap::new();
            while !ends.load(Ordering::Relaxed) {
                let Ok(cvmmap::Event::Frame(announced)) = subscriber.wait(Some(PATIENCE)) else { continue };
                let Ok(mut snapshot) = reader.begin(&announced, subscriber.arrival()) else { continue };
                let metadata = *snapshot.metadata();
                let Some(plane) = metadata.plane(PlaneKind::Depth) else { continue };
                let mut bytes = vec![0; plane.size as usize];
                let read = snapshot.read(PlaneKind::Depth, &mut bytes, plane.stride as usize);
                if read.is_ok() && snapshot.finish().is_ok() {
                    seen.insert(metadata.timestamp_ns, bytes);
                }
            }
            seen
        };
        Self { is_over, reader: thread::spawn(read) }
    }

    fn end(self) -> HashMap<u64, Vec<u8>> {
        self.is_over.store(true, Ordering::Relaxed);
        self.reader.join().unwrap()
    }
}

/// Checksum of a plane in whole millimetres, with 0 for what is no measurement.
fn millimetres(plane: &[u8]) -> String {
    let floats = plane.chunks_exact(4).map(|float| f32::from_le_bytes(float.try_into().unwrap()));
    let pixels = floats.map(|depth| if depth.is_nan() { 0 } else { depth.round() as u16 });
    checksum(&pixels.flat_map(u16::to_le_bytes).collect::<Vec<_>>())
}

fn list<'a>(found: &'a Value, leaf: &str) -> &'a Vec<Value> {
    found[leaf].as_array().unwrap()
}

#[test]
fn every_topic_is_what_a_recording_of_the_same_run_holds() {
    for (codec, protocols) in
        [("h264", ["foxglove.sdk.v1", "foxglove.websocket.v1"]), ("h265", ["foxglove.sdk.v1", "foxglove.sdk.v1"])]
    {
        let server = NatsServer::start();
        let names = Names::new();
        let port = free_port();
        let uri = format!("cvmmap://fox{}@{}", std::process::id(), names.path("").display());
        let file = names.path("run.mcap");
        let mut program = crate::streamer_support::program();
        program
            .args(["--input-mode", "dummy", "--input-uri", &uri, "--nats-url", &server.url()])
            .args(["--dummy-width", "160", "--dummy-height", "120", "--dummy-depth", "--dummy-body", "34"])
            .args(ENDLESS)
            // Without a keyframe for those who come late there would be no second one.
            .args(["--codec", codec, "--gop", "100000", "--json", "--foxglove", &format!(":{port}"), "--mcap"])
            .arg(&file);
        let mut streamer = Running::start(&mut program);
        let mut stderr = streamer.stderr();
        read_until(&mut stderr, &format!("Foxglove at ws://127.0.0.1:{port}"));
        read_until(&mut stderr, "encoder: ");
        thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        let segment = Segment::watch(&uri.parse().unwrap());
        let seen = protocols.map(|protocol| {
            let folder = names.path(&format!("{codec}-{protocol}"));
            fs::create_dir_all(&folder).unwrap();
            let seen = watch(port, &folder, [60, 30, 5], protocol);
            assert_eq!(pictures(&folder, codec), list(&seen, "video").len(), "{codec}, {protocol}");
            seen
        });
        let segment = segment.end();
        streamer.signal("-INT");
        let (status, stdout, _) = streamer.wait();
        assert_eq!(status, Some(0), "{stdout}");
        let summary = json(&stdout);
        let output = &summary["outputs"]["foxglove"];
        let units = seen.iter().map(|seen| list(seen, "video").len()).sum::<usize>() as u64;
        assert!(output["sent"].as_u64().unwrap() >= units && output["connects"] == 2, "{summary}");
        assert!(output["latency_ms"]["p50"].is_f64() && output["dropped"] == 0, "{summary}");

        let recorded = read_mcap(&file);
        let at = |leaf: &str, time: &Value| {
            let same = list(&recorded, leaf).iter().find(|message| message["log_time"] == *time);
            same.unwrap_or_else(|| panic!("{codec}: nothing of {time} in {leaf}"))
        };
        for seen in &seen {
            for topic in TOPICS {
                let mut channel = recorded["channels"][topic].clone();
                channel.as_object_mut().unwrap().remove("metadata");
                assert_eq!(seen["channels"][topic], channel, "{topic}");
            }
            let video = list(seen, "video");
            for unit in video {
                let same = at("video", &unit["log_time"]);
                assert_eq!((&unit["sha"], &unit["format"]), (&same["sha"], &same["format"]));
                assert_eq!((&unit["timestamp"], &unit["frame_id"]), (&same["timestamp"], &same["frame_id"]));
                assert_eq!(unit["timestamp"], unit["log_time"]);
            }
            // None is missing between the first one and the last.
            let all = list(&recorded, "video").iter().map(|unit| &unit["log_time"]);
            let all = all.skip_while(|time| **time != video[0]["log_time"]).take(video.len()).collect::<Vec<_>>();
            assert_eq!(video.iter().map(|unit| &unit["log_time"]).collect::<Vec<_>>(), all);
            let depth = list(seen, "depth");
            for picture in depth.iter().filter(|picture| !picture["pixels"].is_null()) {
                assert_eq!(picture["timestamp"], picture["log_time"]);
                assert_eq!((&picture["width"], &picture["height"]), (&160.into(), &120.into()));
                let recorded = list(&recorded, "depth").iter().find(|one| one["log_time"] == picture["log_time"]);
                if let Some(recorded) = recorded {
                    assert_eq!(picture["pixels"], recorded["sha"]);
                }
            }
            let unpacked = depth.iter().filter(|picture| !picture["pixels"].is_null());
            let compared = unpacked.filter_map(|picture| {
                let plane = segment.get(&picture["log_time"].as_u64().unwrap())?;
                assert_eq!(picture["pixels"], millimetres(plane));
                Some(())
            });
            assert!(compared.count() >= 2, "{codec}: {} of the segment", segment.len());
            for packet in list(seen, "body") {
                assert_eq!(packet["sha"], at("body", &packet["log_time"])["sha"]);
            }
        }
        assert!(decoded_frames(&PathBuf::from(format!("{}.video", file.display()))).0 >= units);
    }
}

#[test]
fn foxgloves_own_client_gets_what_a_recording_of_the_same_run_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = root.join("target/peers/browser/node_modules");
    if !modules.join("@foxglove/ws-protocol").exists() {
        eprintln!(
            "SKIPPED: no @foxglove/ws-protocol in {}; scripts/setup.sh --with-browser installs it",
            modules.display()
        );
        return;
    }
    let server = NatsServer::start();
    let names = Names::new();
    let port = free_port();
    let uri = format!("cvmmap://foxown{}@{}", std::process::id(), names.path("").display());
    let file = names.path("run.mcap");
    let mut program = crate::streamer_support::program();
    program
        .args(["--input-mode", "dummy", "--input-uri", &uri, "--nats-url", &server.url()])
        .args(["--dummy-width", "160", "--dummy-height", "120", "--dummy-depth", "--dummy-body", "34"])
        .args(ENDLESS)
        .args(["--codec", "h264", "--foxglove", &format!(":{port}"), "--mcap"])
        .arg(&file);
    let mut streamer = Running::start(&mut program);
    let mut stderr = streamer.stderr();
    read_until(&mut stderr, "encoder: ");
    thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    let mut client = Command::new("node");
    client.arg(root.join("tests/streamer/foxglove_client.mjs")).arg(&modules).args([
        &port.to_string(),
        "60",
        "30",
        "5",
    ]);
    let (status, stdout, complaints) = finish(client.stdout(Stdio::piped()).stderr(Stdio::piped()));
    assert_eq!(status, Some(0), "{complaints}");
    let seen = json(&stdout);
    streamer.signal("-INT");
    assert_eq!(streamer.wait().0, Some(0));

    let recorded = read_mcap(&file);
    for topic in TOPICS {
        let mut channel = recorded["channels"][topic].clone();
        channel.as_object_mut().unwrap().remove("metadata");
        assert_eq!(seen["channels"][topic], channel, "{topic}");
    }
    for (leaf, bytes, all) in [("video", "bytes", true), ("body", "sha", true), ("depth", "bytes", false)] {
        let find = |time: &Value| list(&recorded, leaf).iter().find(|message| message["log_time"] == *time);
        let found = list(&seen, leaf).iter().filter_map(|message| Some((message, find(&message["log_time"])?)));
        let found = found.map(|(live, kept)| assert_eq!(live["bytes"], kept[bytes], "{leaf}")).count();
        // A recording takes the newest depth, a client may have got another one.
        assert!(found >= if all { list(&seen, leaf).len() } else { 2 }, "{leaf}: {found}");
    }
}

fn held(streamer: &Running) -> (usize, u64) {
    (open_files(streamer), resident_kib(streamer))
}

#[test]
fn rude_clients_leave_nothing_behind_and_disturb_nobody() {
    let names = Names::new();
    let receiver = RtpReceiver::start("h264");
    let port = free_port();
    let mut streamer = Running::start(
        names
            .simulator()
            .args(ENDLESS)
            .args(["--codec", "h264", "--gop", "100000", "--dummy-depth", "--json", "--foxglove", &format!(":{port}")])
            .args(["--rtp", "--rtp-endpoint", &receiver.endpoint()]),
    );
    let mut stderr = streamer.stderr();
    read_until(&mut stderr, "encoder: ");
    let said = thread::spawn(move || std::io::read_to_string(&mut stderr).unwrap());
    let folder = names.path("seen");
    fs::create_dir(&folder).unwrap();
    watch(port, &folder, [10, 5, 0], "foxglove.sdk.v1");
    let (open, before) = held(&streamer);
    for _ in 0..2 {
        let (status, stdout, complaints) = finish(&mut client("rude", port));
        assert_eq!((status, stdout.as_str()), (Some(0), "survived\n"), "{complaints}");
    }
    wait_for("everything closed", || held(&streamer).0 <= open + 2);
    let (_, after) = held(&streamer);
    println!("resident before {before} KiB, after {after} KiB");
    assert!(after < before + (48 << 10), "{before} KiB became {after} KiB");
    watch(port, &folder, [30, 5, 0], "foxglove.sdk.v1");
    assert_eq!(pictures(&folder, "h264"), 30);
    streamer.signal("-INT");
    let (status, stdout, _) = streamer.wait();
    let said = said.join().unwrap();
    assert_eq!(status, Some(0), "{said}");
    // What a stranger does is not worth a line.
    assert!(said.lines().count() < 20, "{said}");
    let summary = json(&stdout);
    assert_eq!(summary["outputs"]["rtp"]["dropped"], 0, "{summary}");
    assert_eq!(summary["outputs"]["rtp"]["sent"], summary["encoded"], "{summary}");
}

#[test]
fn a_client_that_reads_nothing_is_let_go_and_costs_nobody_a_picture() {
    let names = Names::new();
    let receiver = RtpReceiver::start("h264");
    let port = free_port();
    let _producer = Producer::start(&names, "format=BGR,width=640,height=360,framerate=30/1");
    let mut streamer = Running::start(
        names
            .streamer()
            .args(["--codec", "h264", "--gop", "100000", "--bitrate", "20000", "--json", "--foxglove"])
            .args([&format!(":{port}"), "--rtp", "--rtp-endpoint", &receiver.endpoint()]),
    );
    let mut stderr = streamer.stderr();
    read_until(&mut stderr, "encoder: ");
    thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    let folder = names.path("seen");
    fs::create_dir(&folder).unwrap();
    watch(port, &folder, [10, 0, 0], "foxglove.sdk.v1");
    let (open, before) = held(&streamer);
    let stalled = (0..8).map(|_| {
        let mut stalled = client("stall", port);
        let mut stalled = Running::start(stalled.stdin(Stdio::piped()));
        read_until(&mut stalled.stdout(), "stalled");
        stalled
    });
    let stalled = stalled.collect::<Vec<_>>();
    assert!(held(&streamer).0 >= open + 8);
    // Others see every picture meanwhile.
    let seen = watch(port, &folder, [120, 0, 0], "foxglove.sdk.v1");
    assert_eq!(pictures(&folder, "h264"), list(&seen, "video").len());
    let mut most = 0;
    wait_for("those that read nothing are let go", || {
        let (now, resident) = held(&streamer);
        most = most.max(resident);
        now <= open + 2
    });
    println!("resident before {before} KiB, at most {most} KiB");
    assert!(most < before + (96 << 10), "{before} KiB became {most} KiB");
    drop(stalled);
    streamer.signal("-INT");
    let (status, stdout, _) = streamer.wait();
    assert_eq!(status, Some(0), "{stdout}");
    let summary = json(&stdout);
    assert!(summary["outputs"]["foxglove"]["dropped"].as_u64().unwrap() > 0, "{summary}");
    assert_eq!(summary["outputs"]["rtp"]["dropped"], 0, "{summary}");
    assert_eq!(summary["outputs"]["rtp"]["sent"], summary["encoded"], "{summary}");
}

#[test]
fn cameras_of_a_configuration_come_and_go_on_one_server() {
    let scene = Scene::new();
    let port = free_port();
    let write = |cameras: &[(&str, String)]| {
        scene.write(SMALL, cameras);
        let text = fs::read_to_string(scene.path()).unwrap();
        fs::write(scene.path(), format!("[foxglove]\nlisten = \":{port}\"\n{text}")).unwrap();
    };
    let nothing = String::new;
    write(&[("left", nothing()), ("right", nothing()), ("hidden", "foxglove = false".to_owned())]);
    let mut streamer = scene.start(&[]);
    let mut stderr = streamer.stderr();
    read_until(&mut stderr, "Foxglove at");
    let mut following = client("topics", port);
    let mut following = Running::start(following.stdin(Stdio::piped()));
    let mut topics = following.stdout();
    let mut wait_topics = |wanted: &[&str]| {
        let wanted = wanted.iter().flat_map(|name| ["depth", "video"].map(|leaf| format!("/{name}/{leaf}")));
        let wanted = wanted.collect::<Vec<_>>();
        loop {
            let told = line(&mut topics);
            assert!(!told.is_empty(), "the client ended");
            if serde_json::from_str::<Vec<String>>(&told).unwrap() == wanted {
                return;
            }
        }
    };
    wait_topics(&["left", "right"]);
    let folder = scene.names.path("seen");
    fs::create_dir(&folder).unwrap();
    let seen = watch(port, &folder, [20, 0, 0], "foxglove.sdk.v1");
    for topic in ["/left/video", "/right/video"] {
        assert!(list(&seen, "video").iter().any(|unit| unit["topic"] == topic), "{topic}");
    }
    let frames = list(&seen, "video").iter().map(|unit| (unit["topic"].clone(), unit["frame_id"].clone()));
    assert!(frames.into_iter().all(|(topic, frame)| topic == format!("/{}/video", frame.as_str().unwrap())));
    let output = |name: &str| {
        let cameras = scene.cameras();
        let camera = cameras.as_array().unwrap().iter().find(|camera| camera["name"] == name).unwrap();
        camera["counts"]["outputs"]["foxglove"].clone()
    };
    wait_for("the count of what was sent", || output("left")["sent"].as_u64() > Some(0));
    assert!(output("hidden").is_null());
    let (_, metrics) = scene.get("/metrics", &[]);
    let sent = metrics
        .lines()
        .find(|line| line.starts_with("cvmmap_output_sent") && line.contains("foxglove") && line.contains("\"left\""));
    assert!(sent.is_some_and(|line| !line.ends_with(" 0.0")), "{metrics}");
    write(&[("left", nothing()), ("new", nothing()), ("hidden", "foxglove = true".to_owned())]);
    streamer.signal("-HUP");
    read_until(&mut stderr, "read again");
    wait_topics(&["hidden", "left", "new"]);
    // Another address, for a moment none, and back.
    let text = fs::read_to_string(scene.path()).unwrap();
    let other = free_port();
    fs::write(scene.path(), text.replace(&format!(":{port}"), &format!(":{other}"))).unwrap();
    streamer.signal("-HUP");
    let told = read_until(&mut stderr, "read again");
    assert!(told.contains(", and Foxglove"), "{told}");
    watch(other, &folder, [3, 0, 0], "foxglove.sdk.v1");
    streamer.signal("-INT");
    let (status, stdout, _) = streamer.wait();
    assert_eq!(status, Some(0), "{stdout}");
}

#[test]
fn an_open_address_has_to_be_meant() {
    let names = Names::new();
    let with = |extra: &[&str]| finish(names.streamer().args(["--codec", "h264"]).args(extra));
    for (flags, told) in [
        (&["--foxglove", "0.0.0.0:8765"][..], "--foxglove-insecure"),
        (&["--foxglove", "8765"], "HOST:PORT"),
        (&["--foxglove-insecure"], "--foxglove-insecure needs --foxglove"),
        (&["--foxglove-label", "x"], "--foxglove-label needs --foxglove"),
        (&["--foxglove", ":8765", "--foxglove-label", "/"], "--foxglove-label is empty"),
        (&["--foxglove", ":8765", "--b-frames", "2"], "B-frames"),
        (&["--foxglove", ":8765", "--mcap-depth-topic", "/camera/body_scene"], "/camera/body_scene"),
    ] {
        let (status, _, stderr) = with(flags);
        assert!(status == Some(1) && stderr.contains(told) && stderr.lines().count() == 1, "{flags:?}: {stderr}");
    }
}

#[test]
fn bodies_are_drawn_where_the_packet_of_the_same_time_has_them() {
    for keypoints in ["18", "34", "38"] {
        let server = NatsServer::start();
        let names = Names::new();
        let port = free_port();
        let uri = format!("cvmmap://drawn{}@{}", std::process::id(), names.path("").display());
        let mut program = crate::streamer_support::program();
        program
            .args([
                "--input-mode",
                "dummy",
                "--input-uri",
                &uri,
                "--nats-url",
                &server.url(),
                "--dummy-body",
                keypoints,
            ])
            .args(["--dummy-width", "160", "--dummy-height", "120"])
            .args(ENDLESS)
            .args(["--codec", "h264", "--foxglove", &format!(":{port}")]);
        let mut streamer = Running::start(&mut program);
        let mut stderr = streamer.stderr();
        read_until(&mut stderr, "encoder: ");
        thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        let (status, stdout, complaints) = finish(client("scenes", port).arg("20"));
        assert_eq!(status, Some(0), "{complaints}");
        let places = 2 * keypoints.parse::<u64>().unwrap();
        assert_eq!(json(&stdout), serde_json::json!({"ids": ["0", "1"], "places": places}));
        streamer.signal("-INT");
        assert_eq!(streamer.wait().0, Some(0));
    }
}

#[test]
fn a_body_that_is_gone_vanishes_and_a_strange_one_disturbs_nobody() {
    let server = NatsServer::start();
    let names = Names::new();
    let port = free_port();
    let uri = format!("cvmmap://crowd{}@{}", std::process::id(), names.path("").display());
    let target = uri.parse::<Target>().unwrap();
    let mut program = crate::streamer_support::program();
    program
        .args(["--input-mode", "dummy", "--input-uri", &uri, "--nats-url", &server.url()])
        .args(["--dummy-width", "160", "--dummy-height", "120"])
        .args(ENDLESS)
        .args(["--codec", "h264", "--foxglove", &format!(":{port}")]);
    let mut streamer = Running::start(&mut program);
    let mut stderr = streamer.stderr();
    read_until(&mut stderr, "encoder: ");
    let said = thread::spawn(move || std::io::read_to_string(&mut stderr).unwrap());
    let nats = server.url().rsplit_once(':').unwrap().1.to_owned();
    let subject = format!("cvmmap.{}.body", target.nats_target_key());
    let (status, stdout, complaints) = finish(client("crowd", port).args([nats, subject]));
    assert_eq!((status, stdout.as_str()), (Some(0), "drawn\n"), "{complaints}");
    streamer.signal("-INT");
    let (status, _, _) = streamer.wait();
    let said = said.join().unwrap();
    assert_eq!(status, Some(0), "{said}");
    // Packets that are none are warned of ever more seldom.
    assert!(said.lines().count() < 40, "{said}");
}
