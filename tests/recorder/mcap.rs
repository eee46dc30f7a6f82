//! `cvmmap_streamer --mcap`, read back by other people's programs.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{Command, Stdio},
};

use crate::recorder_support::{Camera, decoded_frames, names_in, read_mcap};
use crate::streamer_support::{self, ENDLESS, Names, Producer, RtpReceiver, Running, finish, wait_for};
use serde_json::json;

/// The recording in a run's summary.
fn summary(stdout: &str) -> serde_json::Value {
    streamer_support::json(stdout)["recordings"][0].clone()
}

/// Video that was written out beside a recording when it was read.
fn video(file: &Path) -> std::path::PathBuf {
    file.with_file_name(format!("{}.video", file.file_name().unwrap().to_str().unwrap()))
}

#[test]
fn video_and_depth_of_each_frame_are_recorded() {
    let names = Names::new();
    let camera = Camera::start(&names.shm, &names.endpoint());
    let file = names.path("a.mcap");
    let mut streamer = names.streamer();
    streamer.args(["--codec", "h264", "--gop", "10", "--ingest-max-frames", "25", "--json", "--mcap"]).arg(&file);
    let (code, stdout, stderr) = finish(&mut streamer);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert_eq!(
        summary(&stdout),
        json!({"format": "mcap", "path": file, "files": 1, "video": 25, "depth": 25, "body": 0,
               "dropped": [0, 0, 0], "damaged": 0, "state": "finished"})
    );

    let read = read_mcap(&file);
    assert_eq!(read["compression"], json!(["zstd"]));
    assert_eq!(read["indexed_messages"], 50);
    assert_eq!(
        read["channels"],
        json!({
            "/camera/video": {"schema": "foxglove.CompressedVideo", "schema_encoding": "protobuf",
                              "message_encoding": "protobuf", "metadata": {}},
            "/camera/depth": {"schema": "cvmmap_streamer.DepthMap", "schema_encoding": "protobuf",
                              "message_encoding": "protobuf", "metadata": {"rvl_container": "ros_compressed_depth"}},
        })
    );
    let published = camera.published();
    let [video_messages, depth_messages] = ["video", "depth"].map(|topic| read[topic].as_array().unwrap().clone());
    assert_eq!((video_messages.len(), depth_messages.len()), (25, 25));
    for (index, (video, depth)) in video_messages.iter().zip(&depth_messages).enumerate() {
        let time = video["timestamp"].as_u64().unwrap();
        let frame = published.iter().find(|frame| frame.timestamp_ns == time).expect("the time is a frame's");
        for message in [video, depth] {
            assert_eq!([&message["timestamp"], &message["log_time"], &message["publish_time"]], [&json!(time); 3]);
            assert_eq!((&message["sequence"], &message["frame_id"]), (&json!(index), &json!("camera")));
        }
        assert_eq!((&video["format"], &video["begins"].as_str().unwrap()[..8]), (&json!("h264"), "00000001"));
        assert_eq!(depth["sha"], json!(frame.depth), "depth of frame {index}");
        // Metres, kept as millimetres, RVL_U16_LOSSLESS. Source: docs/mcap_layout.md.
        assert_eq!(
            [&depth["source_unit"], &depth["storage_unit"], &depth["encoding"]],
            [&json!(2), &json!(1), &json!(1)]
        );
    }
    assert_eq!(decoded_frames(&video(&file)), (25, String::new()));
}

#[test]
fn names_coding_and_compression_are_what_was_asked_for() {
    let names = Names::new();
    let _camera = Camera::start(&names.shm, &names.endpoint());
    for (compression, coding, depths) in [("lz4", "rvl-f32", 8), ("none", "off", 0)] {
        let file = names.path(&format!("{compression}.mcap"));
        let mut streamer = names.streamer();
        streamer.args(["--codec", "h265", "--ingest-max-frames", "8", "--mcap-compression", compression]);
        streamer.args(["--mcap-depth", coding, "--mcap-topic", "/v", "--mcap-depth-topic", "/d"]);
        streamer.args(["--mcap-frame-id", "left", "--mcap"]).arg(&file);
        let (code, stdout, stderr) = finish(&mut streamer);
        assert_eq!(code, Some(0), "{stdout}{stderr}");
        let read = read_mcap(&file);
        assert_eq!(read["compression"], json!([if compression == "none" { "" } else { compression }]));
        assert_eq!(read["channels"]["/v"]["schema"], "foxglove.CompressedVideo");
        assert_eq!((&read["video"][0]["format"], &read["video"][0]["frame_id"]), (&json!("h265"), &json!("left")));
        let depth = read["depth"].as_array().unwrap();
        assert_eq!(depth.len(), depths);
        // RVL_F32 in metres, with its quantisation.
        assert!(depth.iter().all(|depth| [&depth["encoding"], &depth["storage_unit"]] == [&json!(2), &json!(2)]));
        assert!(depth.iter().all(|depth| depth["quantised"] == true && depth["source_unit"] == 2));
        assert_eq!(decoded_frames(&video(&file)), (8, String::new()));
    }
}

/// The programs for recordings know a camera by what is in its topics, whatever they are called.
#[test]
fn a_recording_with_topics_of_any_name_has_a_camera() {
    let names = Names::new();
    let _camera = Camera::start(&names.shm, &names.endpoint());
    let file = names.path("named.mcap");
    let mut streamer = names.streamer();
    streamer.args([
        "--ingest-max-frames",
        "12",
        "--mcap-topic",
        "/cam/image",
        "--mcap-depth-topic",
        "/far/away",
        "--mcap",
    ]);
    let (code, stdout, stderr) = finish(streamer.arg(&file));
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let ask = |program: &str, flags: &[&str]| {
        let mut command = Command::new(program);
        let (code, stdout, stderr) =
            finish(command.args(flags).arg(&file).stdout(Stdio::piped()).stderr(Stdio::piped()));
        assert_eq!(code, Some(0), "{program}: {stdout}{stderr}");
        streamer_support::json(&stdout)
    };
    let summary = ask(env!("CARGO_BIN_EXE_mcap_rgbd_viewer"), &["--summary-only", "--json"]);
    assert_eq!(summary["layout"], "single-camera", "{summary}");
    let [camera] = summary["cameras"].as_array().unwrap().as_slice() else { panic!("{summary}") };
    assert_eq!((&camera["video"], &camera["depth"]), (&json!(12), &json!(12)), "{summary}");
    assert_eq!(ask(env!("CARGO_BIN_EXE_mcap_bundle_validator"), &["--json"])["valid"], true);
    let converted = names.path("named.mp4");
    let converter = env!("CARGO_BIN_EXE_zed_svo_to_mp4");
    ask(converter, &["--codec", "h264", "--json", "--output", converted.to_str().unwrap(), "--input"]);
    assert_eq!(decoded_frames(&converted), (12, String::new()));
}

#[test]
fn a_killed_recording_is_readable_up_to_its_last_second() {
    let names = Names::new();
    let [mcap, mp4] = ["a.mcap", "a.mp4"].map(|name| names.path(name));
    let mut streamer = names.simulator();
    streamer.args(ENDLESS).args(["--codec", "h264", "--mcap"]).arg(&mcap).arg("--mp4").arg(&mp4);
    let streamer = Running::start(&mut streamer);
    let unfinished = [&mcap, &mp4].map(|path| path.with_added_extension("partial"));
    let size = |path: &Path| path.metadata().map_or(0, |file| file.len());
    // More than headers: something of two seconds.
    let grown = |path: &Path| {
        wait_for("first flush", || size(path) > 4096);
        let first = size(path);
        wait_for("second flush", || size(path) > first);
    };
    unfinished.iter().for_each(|path| grown(path));
    streamer.kill();
    assert!(!mcap.exists() && !mp4.exists());
    // What a killed producer leaves, and nobody replaces here.
    let _ = fs::remove_file(names.segment());

    let read = read_mcap(&unfinished[0]);
    let recorded = read["video"].as_array().unwrap().len() as u64;
    assert!(recorded >= 20, "{recorded}");
    assert_eq!(read["finished"], false);
    assert_eq!(decoded_frames(&video(&unfinished[0])), (recorded, String::new()));
    let (frames, complaints) = decoded_frames(&unfinished[1]);
    assert!(frames >= 20 && complaints.is_empty(), "{frames} {complaints}");
}

#[test]
fn a_signal_makes_the_files_whole() {
    let names = Names::new();
    let [mcap, mp4] = ["a.mcap", "a.mp4"].map(|name| names.path(name));
    let mut streamer = names.simulator();
    streamer.args(ENDLESS).args(["--codec", "h265", "--json", "--mcap"]).arg(&mcap).arg("--mp4").arg(&mp4);
    let streamer = Running::start(&mut streamer);
    wait_for("a flush", || mcap.with_added_extension("partial").metadata().is_ok_and(|file| file.len() > 4096));
    streamer.signal("-TERM");
    let (code, stdout, stderr) = streamer.wait();
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let read = read_mcap(&mcap);
    assert_eq!(read["finished"], true);
    assert_eq!(json!(read["video"].as_array().unwrap().len()), summary(&stdout)["video"]);
    let (frames, complaints) = decoded_frames(&mp4);
    assert_eq!(complaints, "");
    assert_eq!(json!(frames), streamer_support::json(&stdout)["recordings"][1]["video"]);
    assert_eq!(names_in(mcap.parent().unwrap()), ["a.mcap", "a.mcap.video", "a.mp4"]);
}

#[test]
fn a_picture_of_another_size_goes_to_the_same_mcap_and_another_mp4() {
    let names = Names::new();
    let [mcap, mp4] = ["a.mcap", "a.mp4"].map(|name| names.path(name));
    let mut streamer = names.streamer();
    streamer.args(["--codec", "h264", "--gop", "10", "--json", "--mcap"]).arg(&mcap).arg("--mp4").arg(&mp4);
    let streamer = Running::start(&mut streamer);
    let small = Producer::start(&names, "format=BGR,width=320,height=180,framerate=30/1");
    wait_for("video", || mcap.with_added_extension("partial").metadata().is_ok_and(|file| file.len() > 20_000));
    drop(small);
    let _large = Producer::start(&names, "format=BGR,width=480,height=270,framerate=30/1");
    let next = names.path("a-0002.mp4");
    wait_for("another MP4", || next.with_added_extension("partial").metadata().is_ok_and(|file| file.len() > 20_000));
    streamer.signal("-TERM");
    let (code, stdout, stderr) = streamer.wait();
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let frames = read_mcap(&mcap)["video"].as_array().unwrap().len() as u64;
    let [(first, _), (second, _)] = [&mp4, &next].map(|file| decoded_frames(file));
    assert_eq!(first + second, frames);
    assert_eq!(streamer_support::json(&stdout)["recordings"][1]["files"], 2);
}

#[test]
fn a_recording_goes_on_in_files_that_begin_with_keyframes() {
    let names = Names::new();
    let file = names.path("a.mcap");
    fs::write(names.path("a-0002.mcap"), "precious").unwrap();
    let mut streamer = names.simulator();
    streamer.args(["--dummy-frames", "90", "--codec", "h264", "--gop", "10", "--json"]);
    streamer.args(["--mcap-rotate", "1s", "--mcap"]).arg(&file);
    let (code, stdout, stderr) = finish(&mut streamer);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert_eq!(fs::read(names.path("a-0002.mcap")).unwrap(), b"precious");
    fs::remove_file(names.path("a-0002.mcap")).unwrap();
    let files = names_in(file.parent().unwrap());
    assert!(
        files.len() >= 2 && files.iter().all(|name| name.starts_with("a-") && name.ends_with(".mcap")),
        "{files:?}"
    );
    assert_eq!(summary(&stdout)["files"], files.len());
    let mut total = 0;
    for name in &files {
        let file = names.path(name);
        let frames = read_mcap(&file)["video"].as_array().unwrap().len() as u64;
        // Whatever does not begin with a keyframe costs frames or complaints.
        assert_eq!(decoded_frames(&video(&file)), (frames, String::new()), "{name}");
        total += frames;
    }
    assert_eq!(json!(total), summary(&stdout)["video"]);
}

#[test]
fn no_file_is_replaced_and_no_path_is_guessed() {
    let names = Names::new();
    fs::write(names.path("a.mcap"), "precious").unwrap();
    let refused = |flag: &str, path: &str, code: i32, says: &str| {
        let mut streamer = names.simulator();
        streamer.args(["--codec", "h264", flag]).arg(names.path(path));
        let (ended, _, stderr) = finish(&mut streamer);
        assert_eq!(ended, Some(code), "{path}: {stderr}");
        assert!(stderr.contains(says), "{path}: {stderr}");
    };
    refused("--mcap", "a.mcap", 2, "exists and is not replaced");
    fs::write(names.path("a.mp4"), "precious").unwrap();
    refused("--mp4", "a.mp4", 2, "exists and is not replaced");
    fs::remove_file(names.path("a.mp4")).unwrap();
    refused("--mcap", "nowhere/a.mcap", 2, "No such file or directory");
    refused("--mcap", "nowhere/", 2, "names no file");
    assert_eq!(fs::read(names.path("a.mcap")).unwrap(), b"precious");
    assert_eq!(names_in(names.path("a.mcap").parent().unwrap()), ["a.mcap"]);
    let mut streamer = names.simulator();
    streamer.args(["--codec", "h264", "--b-frames", "2", "--mcap", "b.mcap"]);
    let (code, _, stderr) = finish(&mut streamer);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("B-frames"), "{stderr}");
}

/// In a mount namespace of its own the program gets a file system that is soon full.
#[test]
fn a_full_disk_ends_the_recording_and_not_the_stream() {
    let names = Names::new();
    let disk = names.path("disk");
    fs::create_dir(&disk).unwrap();
    let receiver = RtpReceiver::start("h264");
    let mut streamer = Command::new("unshare");
    streamer.args([
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs -o size=128k tmpfs \"$1\" && shift && exec \"$@\"",
        "sh",
    ]);
    streamer.arg(&disk).arg(env!("CARGO_BIN_EXE_cvmmap_streamer"));
    streamer
        .args(["--shm-name", &names.shm, "--zmq-endpoint", &names.endpoint(), "--input-mode", "dummy"])
        .args(ENDLESS);
    streamer.args(["--codec", "h264", "--rtp", "--rtp-endpoint", &receiver.endpoint(), "--json"]);
    streamer.arg("--mcap").arg(disk.join("a.mcap")).arg("--mp4").arg(disk.join("a.mp4"));
    streamer.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut streamer = Running::start(&mut streamer);
    let mut stderr = streamer.stderr();
    let first = streamer_support::read_until(&mut stderr, "recording stopped");
    let second = streamer_support::read_until(&mut stderr, "recording stopped");
    for line in [&first, &second] {
        assert!(line.contains("the disk is full") && line.contains("has what came before"), "{line}");
    }
    // Pictures go on after both are over.
    receiver.wait_total(receiver.total() + 30);
    let process = streamer.id();
    for name in ["a.mcap.partial", "a.mp4.partial"] {
        let seen = Path::new("/proc").join(process.to_string()).join("root").join(disk.strip_prefix("/").unwrap());
        let copy = names.path(name);
        fs::copy(seen.join(name), &copy).unwrap();
        assert!(copy.metadata().unwrap().size() > 0);
    }
    streamer.signal("-TERM");
    let (code, stdout, _) = streamer.wait();
    assert_eq!(code, Some(5), "{stdout}");
    assert_eq!(summary(&stdout)["state"], "failed");
    let file = names.path("a.mcap.partial");
    let frames = read_mcap(&file)["video"].as_array().unwrap().len() as u64;
    assert_eq!(decoded_frames(&video(&file)), (frames, String::new()));
    let (fragments, complaints) = decoded_frames(&names.path("a.mp4.partial"));
    assert!(frames > 0 && fragments > 0 && complaints.is_empty(), "{complaints}");
    // What is told is in the files, and what is not is told to be lost.
    let recordings = &streamer_support::json(&stdout)["recordings"];
    assert_eq!([&recordings[0]["video"], &recordings[1]["video"]], [&json!(frames), &json!(fragments)]);
    assert!(recordings[0]["dropped"][0].as_u64().unwrap() > 0 && recordings[1]["dropped"][0].as_u64().unwrap() > 0);
}
