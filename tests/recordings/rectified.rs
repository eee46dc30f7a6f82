//! Rectification by a factory calibration: a drawing of straight lines, seen through lenses that bend them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::recordings_support::{self, FINE, Svo2, encoded, luminance, probe};
use crate::support::{self, Ended, text};
use prost::Message as _;
use tools_mcap::schema::{COMPRESSED_VIDEO, PROTOBUF, foxglove::CompressedVideo};

const CONVERTER: &str = env!("CARGO_BIN_EXE_zed_svo_to_mp4");
const GRID: &str = env!("CARGO_BIN_EXE_zed_svo_grid_to_mp4");
/// Smallest mode of a ZED camera.
const WIDTH: usize = 672;
const HEIGHT: usize = 376;
/// Lens of the left eye.
const F: f64 = 350.0;
const CX: f64 = 341.0;
const CY: f64 = 184.0;
const K1: f64 = -0.17;
const K2: f64 = 0.026;
/// From line to line, at a distance of 1.
const RASTER: f64 = 0.15;

const CALIBRATION: &str = "\
[LEFT_CAM_VGA]
fx=350
fy=350
cx=341
cy=184
k1=-0.17
k2=0.026
p1=0
p2=0
k3=0

[RIGHT_CAM_VGA]
fx=351
fy=350.5
cx=330
cy=190
k1=-0.168
k2=0.025
p1=0
p2=0
k3=0

[STEREO]
Baseline=119.9
TY=0.1
TZ=-0.2
CV_VGA=0.0096
RX_VGA=0.005
RZ_VGA=-0.0019
";

/// The drawing as the left eye sees it.
fn drawing() -> Vec<u8> {
    let pixels = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y)));
    pixels
        .map(|(x, y)| {
            let bent = ((x as f64 - CX) / F, (y as f64 - CY) / F);
            // What is bent to there: the lens moves a point by less than it is away.
            let (mut u, mut v) = bent;
            for _ in 0..100 {
                let r2 = u * u + v * v;
                let scale = 1.0 + K1 * r2 + K2 * r2 * r2;
                (u, v) = (bent.0 / scale, bent.1 / scale);
            }
            let off = |at: f64| (at / RASTER - (at / RASTER).round()).abs() * RASTER * F;
            let line = |at: f64| (-(off(at) / 1.3).powi(2)).exp();
            (220.0 - 180.0 * line(u).max(line(v))) as u8
        })
        .collect()
}

/// Both eyes; what the right one sees matters to nobody.
fn both(left: &[u8]) -> Vec<u8> {
    left.chunks_exact(WIDTH).flat_map(|row| [row, &[128; WIDTH]].concat()).collect()
}

/// How far the points of each line of the drawing are from the straight line through them at most, in pixels.
fn bends(picture: &[u8]) -> Vec<f64> {
    let across = |line: usize, at: usize| picture[at * WIDTH + line];
    let down = |line: usize, at: usize| picture[line * WIDTH + at];
    [follow(across, WIDTH, HEIGHT), follow(down, HEIGHT, WIDTH)].concat()
}

/// Follows the lines that run along `length`, from its middle on.
fn follow(dot: impl Fn(usize, usize) -> u8, width: usize, length: usize) -> Vec<f64> {
    // So far from the middle that no line across is near.
    let middle =
        (0..25).map(|off| length / 2 + off).max_by_key(|&at| (0..width).map(|x| u64::from(dot(x, at))).sum::<u64>());
    let middle = middle.unwrap();
    let dark = |x: usize| dot(x, middle);
    let begins = (6..width - 6).filter(|&x| dark(x) < 130 && dark(x) <= dark(x - 1) && dark(x) < dark(x + 1));
    begins.map(|begin| bend(&dot, width, length, middle, begin)).collect()
}

fn bend(dot: &impl Fn(usize, usize) -> u8, width: usize, length: usize, middle: usize, begin: usize) -> f64 {
    let mut points = Vec::new();
    for way in [-1_i64, 1] {
        let mut last = begin as f64;
        let mut at = middle as i64;
        while (0..length as i64).contains(&at) {
            let near = last.round() as i64;
            if near < 6 || near >= width as i64 - 6 {
                break;
            }
            let window = (near - 5..=near + 5).map(|x| (x as f64, 220.0 - f64::from(dot(x as usize, at as usize))));
            let weights: Vec<_> = window.map(|(x, weight)| (x, weight.max(0.0))).collect();
            // Where a line crosses, all of it is dark.
            if weights[0].1 < 25.0 && weights[10].1 < 25.0 {
                let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
                let centre = weights.iter().map(|(x, weight)| x * weight).sum::<f64>() / sum;
                if sum > 150.0 && (centre - last).abs() < 3.0 {
                    points.push((at as f64, centre));
                    last = centre;
                }
            }
            at += way;
        }
    }
    let count = points.len() as f64;
    assert!(count > length as f64 / 3.0, "a line is not found: {count} points");
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(&|point| point.0), mean(&|point| point.1));
    let slope = mean(&|point| (point.0 - x) * (point.1 - y)) / mean(&|point| (point.0 - x).powi(2));
    points.iter().map(|point| (point.1 - y - slope * (point.0 - x)).abs()).fold(0.0, f64::max)
}

fn convert(input: &Path, output: &Path, flags: &[&str]) -> Ended {
    let common = ["--input", text(input), "--output", text(output), "--overwrite", "--json"];
    support::run(CONVERTER, &[&common[..], &["--preset", "fast", "--quality", "8", "--codec", "h264"], flags].concat())
}

/// Asserts that lines are straight in each picture of a file, and that it says so.
#[track_caller]
fn expect_straight(path: &Path, pictures: usize) {
    let all = luminance(path, "null");
    assert_eq!(all.len(), pictures * WIDTH * HEIGHT);
    for picture in all.chunks_exact(WIDTH * HEIGHT) {
        let bends = bends(picture);
        assert!(bends.len() > 14, "{bends:?}");
        assert!(bends.iter().all(|bend| *bend < 0.8), "{bends:?}");
    }
    let comment = comment(path);
    assert_eq!(comment["rectified"], true, "{comment}");
    let focal = comment["intrinsics"]["fx"].as_f64().unwrap();
    assert!((focal / F - 1.0).abs() < 0.2, "{comment}");
}

fn comment(path: &Path) -> serde_json::Value {
    serde_json::from_str(probe(path)["format"]["tags"]["comment"].as_str().unwrap()).unwrap()
}

/// An MCAP recording that says which camera it is of, and that it is not rectified.
fn mcap(path: &Path, left: &[u8]) -> PathBuf {
    let mut writer = mcap::Writer::new(File::create(path).unwrap()).unwrap();
    let schema = writer.add_schema(COMPRESSED_VIDEO.name, PROTOBUF, COMPRESSED_VIDEO.descriptors).unwrap();
    let about =
        [("camera_serial", "12345"), ("rectified", "false")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let channel = writer.add_channel(schema, "/zed1/video", PROTOBUF, &about.into()).unwrap();
    for (unit, number) in encoded(FINE, (WIDTH, HEIGHT), vec![left.to_vec(); 2]).into_iter().zip(0..) {
        let video = CompressedVideo { data: unit, format: "h264".to_owned(), ..CompressedVideo::default() };
        let log_time = recordings_support::UNIX + u64::from(number) * 33_000_000;
        let header =
            mcap::records::MessageHeader { channel_id: channel, sequence: number, log_time, publish_time: log_time };
        writer.write_to_known_channel(&header, &video.encode_to_vec()).unwrap();
    }
    writer.finish().unwrap();
    path.to_owned()
}

#[test]
fn bent_lines_become_straight() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let left = drawing();
    let run = Svo2 { frames: 3, ..Svo2::default() };
    let input = run.write_pictures(&place("run.svo2"), (2 * WIDTH, HEIGHT), vec![both(&left); 3]);
    fs::create_dir(place("settings")).unwrap();
    let conf = place("settings").join("SN12345.conf");
    fs::write(&conf, CALIBRATION).unwrap();

    // What there is to straighten.
    let bent = place("bent.mp4");
    convert(&input, &bent, &[]).expect_code(0).expect_said("not rectified");
    let before = bends(&luminance(&bent, "select=eq(n\\,0)"));
    assert!(before.iter().any(|bend| *bend > 5.0), "{before:?}");

    let output = place("straight.mp4");
    let ended = convert(&input, &output, &["--calibration", text(&conf)]).expect_code(0).expect_said(", rectified");
    let summary = ended.json();
    assert_eq!((&summary["rectified"], &summary["written"]), (&true.into(), &3.into()), "{summary}");
    expect_straight(&output, 3);
    let settings = place("settings");
    let by_directory = ["--calibration", text(&settings)];
    convert(&output, &place("again.mp4"), &by_directory).expect_code(2).expect_said("rectified already");

    convert(&output, &place("again.mp4"), &[]).expect_code(0);
    assert_eq!(comment(&place("again.mp4"))["intrinsics"], comment(&output)["intrinsics"]);

    // Of what we made of it, too: its comment says which camera it is of.
    convert(&bent, &output, &by_directory).expect_code(0);
    expect_straight(&output, 3);
    convert(&mcap(&place("run.mcap"), &left), &output, &by_directory).expect_code(0);
    expect_straight(&output, 2);
    let both = ["--input", text(&bent), "--input", text(&input), "--output", text(&output), "--overwrite", "--json"];
    let summary = support::run(GRID, &[&both[..], &by_directory].concat()).expect_code(0).json();
    assert_eq!(summary["rectified"], true, "{summary}");

    // Somebody's video of an unknown camera.
    let unknown = place("unknown.mkv");
    support::ffmpeg_output(&["-i", text(&bent), "-map_metadata", "-1", "-c", "copy", text(&unknown)]);
    convert(&unknown, &output, &by_directory).expect_code(2).expect_said("which camera recorded it is not known");
    convert(&unknown, &output, &["--calibration", text(&conf)]).expect_code(0);
    expect_straight(&output, 3);
}

#[test]
fn a_calibration_that_is_of_no_use_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let input = Svo2 { frames: 3, ..Svo2::default() }.write(&place("run.svo2"));
    fs::create_dir(place("empty")).unwrap();
    fs::write(place("SN12345.conf"), CALIBRATION).unwrap();
    fs::write(place("SN999.conf"), CALIBRATION).unwrap();
    fs::write(place("text.conf"), "something else entirely\n").unwrap();
    fs::write(place("long.conf"), vec![b' '; 100_000]).unwrap();
    for (calibration, advice) in [
        ("absent.conf", "absent.conf: it cannot be opened"),
        ("empty", "there is no SN12345.conf in"),
        ("SN999.conf", "is the calibration of camera 999; give SN12345.conf"),
        ("SN12345.conf", "320 x 176 is the size of no mode"),
        ("text.conf", "line 1 is neither"),
        ("long.conf", "it is too long"),
    ] {
        let calibration = place(calibration);
        let output = place("out.mp4");
        convert(&input, &output, &["--calibration", text(&calibration)]).expect_code(2).expect_said(advice);
        assert!(!output.exists());
    }
}
