//! Access units that are damaged, and times that go back, from a producer that shares no code with ours: recordings go on.

use crate::encoding_camera::{Unit, encode};
use crate::recorder_support::{decoded_frames, names_in, read_mcap};
use crate::rude_producer::RudeProducer;
use crate::streamer_support::{self, Names, RtpReceiver, json};
use cvmmap::Codec;

const SIZE: (u32, u32) = (320, 180);
const GOP: usize = 10;

/// From 0 on, the same each time.
fn noise(seed: usize) -> impl Iterator<Item = u8> {
    let mut state = seed as u64 + 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
}

/// What is left of an access unit; the nth kind of damage.
fn damaged(unit: &Unit, kind: usize) -> Vec<u8> {
    let mut data = unit.data.clone();
    match kind % 9 {
        // Two access units in one.
        6 => data.extend_from_slice(&unit.data),
        // A NAL unit that begins with each of its bytes, and one of every type.
        7 => data = data.iter().take(300).flat_map(|byte| [0, 0, 1, *byte]).collect(),
        8 => data.splice(0..0, [0, 0, 0, 1, 0x1F]).for_each(drop),
        // No NAL unit begins.
        0 => data.iter_mut().zip(noise(kind)).for_each(|(byte, noise)| *byte = noise | 2),
        // Parameter sets and slice headers.
        1 => data.iter_mut().take(48).zip(noise(kind)).for_each(|(byte, noise)| *byte ^= noise),
        // Anywhere.
        2 => data.iter_mut().step_by(7).zip(noise(kind)).for_each(|(byte, noise)| *byte ^= noise),
        3 => data.truncate(5),
        // Nothing but start codes.
        4 => data = [0, 0, 1].repeat(40),
        _ => data = vec![0; 64],
    }
    data
}

#[test]
fn damaged_access_units_are_left_out_and_the_recordings_go_on() {
    let names = Names::new();
    let units = encode(Codec::H264, SIZE, 60, GOP as u32);
    let receiver = RtpReceiver::start("h264");
    let files = ["a.mcap", "a.mp4"].map(|name| names.path(name));
    let mut producer = RudeProducer::start(&names.shm, &names.path("sync"), 60);
    let mut streamer = names.streamer();
    streamer.args(["--input-video-source", "encoded", "--json", "--ingest-idle-timeout-ms", "5000"]);
    streamer
        .args(["--rtp", "--rtp-endpoint", &receiver.endpoint(), "--mcap"])
        .arg(&files[0])
        .arg("--mp4")
        .arg(&files[1]);
    let streamer = streamer_support::Running::start(&mut streamer);
    // A sound second, ten in which half of the groups hold damage, and a sound one.
    for group in 0..72 {
        for (at, unit) in units[group % 6 * GOP..][..GOP].iter().enumerate() {
            let is_hit = (6..66).contains(&group) && group % 2 == 0 && (at == group % GOP || group % 3 == 0);
            let data = if is_hit { damaged(unit, group + at) } else { unit.data.clone() };
            producer.show_unit(&data, unit.keyframe);
        }
    }
    producer.leave();
    let (code, stdout, stderr) = streamer.wait();
    assert_eq!(code, Some(0), "{stderr}");
    // Each kind of line a few times: the 1st, 2nd, 4th, 8th ...
    assert!(stderr.lines().count() < 100, "{stderr}");
    let summary = json(&stdout);
    let recordings = &summary["recordings"];
    for recording in recordings.as_array().unwrap() {
        assert_eq!(recording["state"], "finished", "{stderr}");
        assert!(recording["damaged"].as_u64().unwrap() > 0, "{recording}");
        // More than the sound seconds.
        assert!(recording["video"].as_u64().unwrap() > 200, "{recording}");
    }
    let read = read_mcap(&files[0]);
    assert_eq!(read["video"].as_array().unwrap().len() as u64, recordings[0]["video"].as_u64().unwrap());
    let mp4s = names_in(files[1].parent().unwrap()).into_iter().filter(|name| name.ends_with(".mp4"));
    let frames = mp4s.map(|name| decoded_frames(&names.path(&name)).0).sum::<u64>();
    assert!(frames > 200, "{frames}");
}

#[test]
fn a_source_that_loops_goes_on_in_another_file() {
    let names = Names::new();
    let units = encode(Codec::H264, SIZE, 30, GOP as u32);
    let mut producer = RudeProducer::start(&names.shm, &names.path("sync"), 30);
    let file = names.path("a.mcap");
    let mut streamer = names.streamer();
    streamer.args(["--input-video-source", "encoded", "--json", "--ingest-idle-timeout-ms", "5000"]);
    streamer.args(["--mcap-rotate", "1s", "--mcap"]).arg(&file);
    let streamer = streamer_support::Running::start(&mut streamer);
    // Four seconds, of which the clock shows one third each time.
    for (frame, unit) in units.iter().cycle().take(120).enumerate() {
        producer.show_unit_at((frame % GOP) as f64 / 30.0, &unit.data, unit.keyframe);
    }
    producer.leave();
    let (code, stdout, stderr) = streamer.wait();
    assert_eq!(code, Some(0), "{stderr}");
    let files = names_in(file.parent().unwrap()).into_iter().filter(|name| name.ends_with(".mcap")).count();
    assert!(files >= 2, "{files} {stdout}");
    assert_eq!(json(&stdout)["recordings"][0]["files"], files);
}
