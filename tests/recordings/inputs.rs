//! Our own MCAP recordings as inputs of the recordings' programs, seen by ffprobe and ffmpeg.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::recordings_support::{
    GOP, H264, H265, HEIGHT, UNIX, WIDTH, encoded, left, luminance, numbers, numbers_in, probe, shown_at, timestamp,
};
use crate::support::{self, Ended, text};
use prost::Message as _;
use tools_mcap::{
    schema::{
        self, COMPRESSED_VIDEO, PROTOBUF,
        foxglove::{CameraCalibration, CompressedVideo},
    },
    writer::{Camera, Compression, Topics, Writer},
};

const CONVERTER: &str = env!("CARGO_BIN_EXE_zed_svo_to_mp4");
const GRID: &str = env!("CARGO_BIN_EXE_zed_svo_grid_to_mp4");
const FRAMES: usize = 30;
/// A unit of the file's timestamps, and what ffprobe rounds.
const ROUNDED_NS: u64 = 13_000;

fn convert(input: &Path, output: &Path, flags: &[&str]) -> Ended {
    let common = [
        "--input",
        text(input),
        "--output",
        text(output),
        "--overwrite",
        "--json",
        "--codec",
        "h264",
        "--preset",
        "fast",
    ];
    support::run(CONVERTER, &[&common[..], flags].concat())
}

fn video(number: usize, unit: Vec<u8>, format: &str) -> CompressedVideo {
    CompressedVideo {
        timestamp: Some(schema::timestamp(timestamp(UNIX, number))),
        frame_id: "camera".to_owned(),
        data: unit,
        format: format.to_owned(),
    }
}

fn units(encoder: &str, numbers: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    encoded(encoder, (WIDTH, HEIGHT), numbers.map(left).collect())
}

/// A recording as our recorder writes it, with five access units to a chunk.
fn recording(path: &Path, label: &str, format: &str, compression: Compression, distortion: Option<f64>) -> PathBuf {
    let units = units(if format == "h264" { H264 } else { H265 }, 0..FRAMES);
    let cameras = vec![Camera::new(Topics::of(label), BTreeMap::new())];
    let mut writer = Writer::new(File::create(path).unwrap(), compression, cameras).unwrap();
    if let Some(k1) = distortion {
        let calibration = CameraCalibration {
            width: WIDTH as u32,
            height: HEIGHT as u32,
            distortion_model: "plumb_bob".to_owned(),
            d: vec![k1, 0.0, 0.0, 0.0, 0.0],
            k: vec![180.0, 0.0, 160.0, 0.0, 180.0, 88.0, 0.0, 0.0, 1.0],
            ..CameraCalibration::default()
        };
        writer.calibration(0, timestamp(UNIX, 0), &calibration).unwrap();
    }
    for (number, unit) in units.into_iter().enumerate() {
        writer.video(0, timestamp(UNIX, number), &video(number, unit, format)).unwrap();
        if number % 5 == 4 {
            writer.flush().unwrap();
        }
    }
    writer.finish().unwrap();
    path.to_owned()
}

/// Two cameras in one file; the second one shows other numbers, a little later.
fn two_cameras(path: &Path) -> PathBuf {
    let mut writer = mcap::Writer::new(File::create(path).unwrap()).unwrap();
    let schema = writer.add_schema(COMPRESSED_VIDEO.name, PROTOBUF, COMPRESSED_VIDEO.descriptors).unwrap();
    let channels = ["/zed1/video", "/zed2/video"]
        .map(|topic| writer.add_channel(schema, topic, PROTOBUF, &BTreeMap::new()).unwrap());
    let pictures = units(H264, 0..10).into_iter().zip(units(H264, 100..110)).enumerate();
    for (number, (one, two)) in pictures {
        for (channel_id, unit) in channels.into_iter().zip([one, two]) {
            let log_time = timestamp(UNIX, number);
            let header =
                mcap::records::MessageHeader { channel_id, sequence: number as u32, log_time, publish_time: log_time };
            writer.write_to_known_channel(&header, &video(number, unit, "h264").encode_to_vec()).unwrap();
        }
    }
    writer.finish().unwrap();
    path.to_owned()
}

/// Asserts that these pictures are in the file, each at its time.
#[track_caller]
fn expect_pictures(path: &Path, expected: &[usize]) {
    assert_eq!(numbers(path), expected);
    let first = timestamp(UNIX, expected[0]);
    for (shown, &number) in shown_at(&probe(path)).into_iter().zip(expected) {
        let wanted = timestamp(UNIX, number) - first;
        assert!(shown.abs_diff(wanted) < ROUNDED_NS, "picture {number} is shown at {shown}, not {wanted}");
    }
}

fn comment(path: &Path) -> serde_json::Value {
    serde_json::from_str(probe(path)["format"]["tags"]["comment"].as_str().unwrap()).unwrap()
}

#[test]
fn a_recording_of_ours_is_an_input() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out.mp4");
    for (label, format, compression, distortion, rectified) in [
        ("camera", "h264", Compression::Zstd, None, serde_json::Value::Null),
        ("zed1", "h265", Compression::Lz4, Some(0.0), true.into()),
        ("zed1", "h264", Compression::None, Some(-0.1), false.into()),
    ] {
        let input = recording(&directory.path().join("run.mcap"), label, format, compression, distortion);
        let summary = convert(&input, &output, &[]).expect_code(0).expect_said("read by mcap").json();
        assert_eq!(summary["written"], FRAMES, "{summary}");
        for lost in ["damaged", "undecoded", "concealed", "unreadable_bytes"] {
            assert_eq!(summary[lost], 0, "{summary}");
        }
        assert_eq!((&summary["cut"], &summary["rectified"]), (&false.into(), &rectified), "{summary}");
        expect_pictures(&output, &(0..FRAMES).collect::<Vec<_>>());
        let comment = comment(&output);
        assert_eq!(comment["first_timestamp_ns"], timestamp(UNIX, 0));
        assert_eq!((&comment["clock"], &comment["provider"]), (&"unix".into(), &"mcap".into()));
        for (start, end) in [(13, 17), (29, 29)] {
            let range = ["--start-frame", &start.to_string(), "--end-frame", &end.to_string()];
            convert(&input, &output, &range).expect_code(0);
            expect_pictures(&output, &(start..=end).collect::<Vec<_>>());
        }
    }
    let input = directory.path().join("run.mcap");
    convert(&input, &output, &["--camera-label", "zed3"]).expect_code(2).expect_said("no camera zed3, but zed1");
    convert(&input, &output, &["--provider", "svo2"]).expect_code(2).expect_said("/side_by_side");
}

#[test]
fn of_several_cameras_one_is_chosen() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out.mp4");
    let input = two_cameras(&directory.path().join("both.mcap"));
    convert(&input, &output, &[]).expect_code(2).expect_said("the cameras zed1, zed2; choose one by --camera-label");
    convert(&input, &output, &["--camera-label", "zed2"]).expect_code(0);
    assert_eq!(numbers(&output), (100..110).collect::<Vec<_>>());

    // A grid shows all of them.
    let flags = ["--input", text(&input), "--output", text(&output), "--overwrite", "--json", "--codec", "h264"];
    let summary = support::run(GRID, &flags).expect_code(0).json();
    for (place, (label, first)) in [("zed1", 0), ("zed2", 100)].into_iter().enumerate() {
        assert_eq!(
            (&summary["cameras"][place]["label"], &summary["cameras"][place]["shown"]),
            (&label.into(), &10.into())
        );
        let filter = format!("crop={}:{}:{}:0,scale={WIDTH}:{HEIGHT}", WIDTH / 2, HEIGHT / 2, place * WIDTH / 2);
        assert_eq!(numbers_in(&luminance(&output, &filter))[..6], (first..first + 6).collect::<Vec<_>>());
    }

    let one = recording(&directory.path().join("one.mcap"), "zed2", "h264", Compression::Zstd, None);
    let inputs = ["--input", text(&input), "--input", text(&one), "--output", text(&output), "--overwrite"];
    let flags = ["--json", "--codec", "h264", "--camera-label", "zed2"];
    let summary = support::run(GRID, &[&inputs[..], &flags].concat()).expect_code(0).json();
    assert_eq!(
        (&summary["cameras"][0]["shown"], &summary["cameras"][1]["shown"]),
        (&10.into(), &30.into()),
        "{summary}"
    );
    let filter = format!("crop={}:{}:0:0,scale={WIDTH}:{HEIGHT}", WIDTH / 2, HEIGHT / 2);
    // Behind the sixth there is a pause.
    assert_eq!(numbers_in(&luminance(&output, &filter))[..6], (100..106).collect::<Vec<_>>());
}

#[test]
fn what_is_whole_of_a_damaged_recording_is_shown_under_its_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out.mp4");
    for compression in [Compression::Zstd, Compression::None] {
        let input = recording(&directory.path().join("run.mcap"), "camera", "h264", compression, None);
        let whole = fs::read(&input).unwrap();

        let unfinished = directory.path().join("run.mcap.partial");
        fs::write(&unfinished, &whole[..whole.len() / 2]).unwrap();
        let summary = convert(&unfinished, &output, &[]).expect_code(0).json();
        let written = summary["written"].as_u64().unwrap() as usize;
        assert!(summary["cut"] == true && (5..FRAMES).contains(&written), "{summary}");
        expect_pictures(&output, &(0..written).collect::<Vec<_>>());

        // A stretch in the middle: up to the next keyframe, nothing is shown.
        for stretch in [1, 900] {
            let mut file = whole.clone();
            let middle = file.len() * 2 / 5;
            file[middle..middle + stretch].iter_mut().for_each(|byte| *byte ^= 0xa5);
            fs::write(&input, file).unwrap();
            let summary = convert(&input, &output, &[]).expect_code(0).json();
            let shown = numbers(&output);
            assert_eq!(summary["frames"], FRAMES, "{summary}");
            assert_eq!(summary["damaged"], FRAMES - shown.len(), "{summary}");
            assert!(shown.len() > 9 && shown.len() < FRAMES && shown.contains(&(2 * GOP + 1)), "{shown:?}");
            expect_pictures(&output, &shown);
            convert(&input, &output, &["--start-frame", "22", "--end-frame", "25"]).expect_code(0);
            expect_pictures(&output, &[22, 23, 24, 25]);
        }
    }
}
