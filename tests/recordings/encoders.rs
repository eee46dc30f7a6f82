//! Converters on machines with other encoders than this one: the hardware ones of three makers, which stand-ins play, in a
//! process of their own for each run, and OpenH264. ffprobe and ffmpeg see the files.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use clap::Parser as _;
use tools_cli::failure::exit_with;
use tools_zed::{to_mcap, to_mp4};

use crate::recordings_support::{HEIGHT, Svo2, UNIX, WIDTH, boxes, names, numbers, probe, read_mcap};
use crate::stand_in_encoders;
use crate::support::text;
use crate::to_mp4::expect_pictures;
use crate::without_x264::without_x264;

/// Between the arguments of the converter, in the environment.
const SEPARATOR: &str = "\x1f";
const MP4: &str = "zed_svo_to_mp4";
const MCAP: &str = "zed_svo_to_mcap";
const SOFTWARE: [(&str, &str); 2] = [("h264", "x264enc"), ("h265", "x265enc")];

/// A converter among stand-ins, as a process: `launch` starts this test program for this one.
#[test]
#[ignore = "is started by the others"]
fn launcher() {
    stand_in_encoders::install();
    let arguments = std::env::var("LAUNCHER_ARGUMENTS").unwrap();
    let words: Vec<_> = arguments.split(SEPARATOR).collect();
    let ended = match words[0] {
        MP4 => to_mp4::run_with(&to_mp4::Args::parse_from(&words)),
        _ => to_mcap::run_with(&to_mcap::Args::parse_from(&words)),
    };
    let status = exit_with("converter", ended);
    // As from a main function: whatever hangs goes with the process.
    std::process::exit(i32::from(status != ExitCode::SUCCESS) * 5);
}

/// How a converter ended.
struct Run {
    code: i32,
    summary: serde_json::Value,
    said: String,
}

impl Run {
    /// The lines that tell of an encoder.
    fn encoders(&self) -> Vec<&str> {
        self.said.lines().filter_map(|line| line.split_once(": encoder: ")).map(|(_, encoder)| encoder).collect()
    }

    #[track_caller]
    fn expect_told(&self, factory: &str, settings: &[&str]) {
        for setting in settings {
            let line = format!("stand-in {factory}: {setting}\n");
            assert!(self.said.contains(&line), "no {setting} in {}", self.said);
        }
    }
}

fn end(command: &mut Command) -> Run {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (stdout, said) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(!said.contains("panicked"), "{said}");
    // The test harness says something of its own before.
    let summary = stdout
        .lines()
        .find(|line| line.contains("\"encoder\""))
        .map_or(serde_json::Value::Null, |line| serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap());
    Run { code: output.status.code().unwrap_or(-1), summary, said }
}

/// Runs a converter where these encoders are installed.
fn launch(program: &str, stand_ins: &str, flags: &[&str]) -> Run {
    let words = [&[program, "--json", "--preset", "fast"], flags].concat();
    end(Command::new(std::env::current_exe().unwrap())
        .args(["encoders::launcher", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env("STAND_INS", stand_ins)
        .env("LAUNCHER_ARGUMENTS", words.join(SEPARATOR)))
}

fn recording(directory: &Path) -> String {
    let input = Svo2::default().write(&directory.join("run.svo2"));
    text(&input).to_owned()
}

/// Asserts that the file has every picture at its time, in this codec.
#[track_caller]
fn expect_whole(path: &Path, codec: &str) {
    expect_pictures(path, UNIX, &(0..40).collect::<Vec<_>>());
    assert_eq!(boxes(path)[..2], ["ftyp", "moov"], "the index is not in front");
    let codec = if codec == "h265" { "hevc" } else { "h264" };
    assert_eq!(probe(path)["streams"][0]["codec_name"], codec);
}

#[test]
fn a_jetson_encodes_files_from_its_own_memory() {
    let directory = tempfile::tempdir().unwrap();
    let input = recording(directory.path());
    for (codec, factory, missing) in [("h264", "nvv4l2h264enc", "nvh264enc"), ("h265", "nvv4l2h265enc", "nvh265enc")] {
        let stand_ins = format!("{factory}=works,nvvidconv=works,vah264enc=works,vah265enc=works");
        let run = launch(MP4, &stand_ins, &["--input", &input, "--overwrite", "--codec", codec, "--quality", "23"]);
        assert_eq!((run.code, &run.summary["encoder"]), (0, &factory.into()), "{}", run.said);
        assert_eq!(run.encoders(), [format!("{factory} (Jetson; not installed: {missing})")]);
        let caps = run.said.lines().find(|line| line.contains(": video/x-raw")).unwrap();
        assert!(caps.contains("video/x-raw(memory:NVMM)") && caps.contains("NV12"), "{caps}");
        run.expect_told(
            factory,
            &[
                "ratecontrol-enable=false",
                "quant-i-frames=23",
                "quant-p-frames=23",
                "preset-level=FastPreset",
                "idrinterval=30",
                "insert-sps-pps=true",
                "num-B-Frames=0",
            ],
        );
        expect_whole(&directory.path().join("run.mp4"), codec);
    }
    // Without what brings pictures into its memory it is none.
    let flags = ["--input", &input, "--overwrite", "--codec", "h264", "--encoder-device", "jetson"];
    let run = launch(MP4, "nvv4l2h264enc=works", &flags);
    assert_eq!(run.code, 5);
    assert!(run.said.contains("--encoder-device jetson: without nvvidconv: nvv4l2h264enc"), "{}", run.said);
}

#[test]
fn va_encodes_files_with_the_pictures_own_times() {
    let directory = tempfile::tempdir().unwrap();
    let input = recording(directory.path());
    for (codec, factory) in [("h264", "vah264enc"), ("h265", "vah265enc")] {
        let flags = ["--input", &input, "--overwrite", "--codec", codec, "--encoder-device", "vaapi"];
        let run = launch(MP4, &format!("{factory}=works"), &flags);
        assert_eq!((run.code, &run.summary["encoder"]), (0, &factory.into()), "{}", run.said);
        assert_eq!(run.encoders(), [format!("{factory} (VA-API)")]);
        run.expect_told(
            factory,
            &["rate-control=cqp", "qpi=20", "qpp=20", "qpb=20", "target-usage=6", "key-int-max=30", "b-frames=0"],
        );
        expect_whole(&directory.path().join("run.mp4"), codec);
    }
    let stand_ins = "nvh264enc=closed,vah264enc=closed,vah264lpenc=works";
    let run = launch(MP4, stand_ins, &["--input", &input, "--overwrite", "--codec", "h264"]);
    let reasons = "does not open: nvh264enc, vah264enc; not installed: nvv4l2h264enc";
    assert_eq!(run.encoders(), [format!("vah264lpenc (VA-API; {reasons})")]);
    expect_whole(&directory.path().join("run.mp4"), "h264");
}

#[test]
fn nvenc_encodes_files_by_a_quantizer() {
    let directory = tempfile::tempdir().unwrap();
    let input = recording(directory.path());
    let run = launch(MP4, "nvh265enc=works,vah265enc=works", &["--input", &input, "--quality", "31"]);
    assert_eq!((run.code, &run.summary["encoder"]), (0, &"nvh265enc".into()), "{}", run.said);
    run.expect_told("nvh265enc", &["rc-mode=constqp", "qp-const=31", "gop-size=30"]);
    // Files may have B-frames, messages may not.
    assert!(!run.said.contains("bframes="), "{}", run.said);
    expect_whole(&directory.path().join("run.mp4"), "h265");
    let messages = directory.path().join("run.mcap");
    let flags = ["--input", &input, "--output", text(&messages), "--no-depth"];
    launch(MCAP, "nvh265enc=works", &flags).expect_told("nvh265enc", &["bframes=0"]);
}

#[test]
fn messages_of_every_maker_are_in_order_and_keep_their_times() {
    let directory = tempfile::tempdir().unwrap();
    let segment = directory.path().join("segment");
    fs::create_dir(&segment).unwrap();
    let cameras = [Svo2::default(), Svo2 { begin: UNIX + 3_000_000, ..Svo2::default() }];
    for (number, camera) in cameras.iter().enumerate() {
        camera.write(&segment.join(format!("run_zed{}.svo2", number + 1)));
    }
    let output = directory.path().join("run.mcap");
    for (stand_ins, codec, factory) in [
        ("nvv4l2h264enc=works,nvvidconv=works", "h264", "nvv4l2h264enc"),
        ("nvv4l2h265enc=works,nvvidconv=works", "h265", "nvv4l2h265enc"),
        ("vah264enc=works", "h264", "vah264enc"),
        ("vah265enc=works", "h265", "vah265enc"),
    ] {
        let flags = ["--segment-dir", text(&segment), "--output", text(&output), "--overwrite", "--no-depth"];
        let more = ["--codec", codec, "--bundle-policy", "copy", "--copy-range", "full"];
        let run = launch(MCAP, stand_ins, &[&flags[..], &more].concat());
        assert_eq!((run.code, &run.summary["encoder"]), (0, &factory.into()), "{}", run.said);
        assert_eq!(run.encoders().len(), 1, "{}", run.said);
        let found = read_mcap(&output);
        for (number, camera) in cameras.iter().enumerate() {
            let label = format!("zed{}", number + 1);
            let messages = found["video"][&label].as_array().unwrap();
            let times: Vec<_> = messages.iter().map(|message| message["time"].as_u64().unwrap()).collect();
            assert_eq!(times, camera.timestamps(), "{factory}, {label}");
            let video = directory.path().join(format!("run.mcap.{label}.video"));
            assert_eq!(numbers(&video), (0..40).collect::<Vec<_>>(), "{factory}, {label}");
        }
    }
}

#[test]
fn software_makes_the_whole_file_when_hardware_does_not_work() {
    let directory = tempfile::tempdir().unwrap();
    let input = recording(directory.path());
    for (stand_in, how) in [
        ("vah264enc=swallows", "it gives nothing"),
        ("vah264enc=blocks", "it stands still"),
        ("vah264enc=fails", "Encoding error"),
        ("vah264enc=fails@20", "Encoding error"),
        ("vah264enc=swallows@20", "it loses 21 pictures"),
        ("vah264enc=hangs@2", "it hangs while it opens"),
    ] {
        let begun = Instant::now();
        let run = launch(MP4, stand_in, &["--input", &input, "--overwrite", "--codec", "h264"]);
        assert_eq!((run.code, &run.summary["encoder"]), (0, &"x264enc".into()), "{stand_in}: {}", run.said);
        assert_eq!((&run.summary["written"], &run.summary["damaged"]), (&40.into(), &0.into()), "{}", run.summary);
        let sentence = run.said.lines().find(|line| line.ends_with("going on in software")).unwrap();
        assert!(sentence.contains("vah264enc does not work (") && sentence.contains(how), "{stand_in}: {sentence}");
        assert_eq!(run.encoders()[1], "x264enc (software)");
        expect_whole(&directory.path().join("run.mp4"), "h264");
        assert!(begun.elapsed() < Duration::from_secs(40), "{stand_in}: {:?}", begun.elapsed());
        assert_eq!(names(directory.path()), ["run.mp4", "run.svo2"], "{stand_in}");
    }
}

#[test]
fn hardware_that_swallows_a_long_recording_is_given_up_early() {
    let directory = tempfile::tempdir().unwrap();
    let input = Svo2 { repeat: 10, ..Svo2::default() }.write(&directory.path().join("run.svo2"));
    let run = launch(MP4, "nvh264enc=swallows", &["--input", text(&input), "--codec", "h264"]);
    assert_eq!((run.code, &run.summary["written"]), (0, &400.into()), "{}", run.said);
    let swallowed = run.said.split_once("it gives nothing for ").unwrap().1.split(' ').next().unwrap();
    assert!((100..110).contains(&swallowed.parse::<u32>().unwrap()), "{}", run.said);
}

#[test]
fn encoders_that_cannot_be_used_are_passed_over_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let input = recording(directory.path());
    for (codec, software) in SOFTWARE {
        let stand_ins = "nvh264enc=hangs,nvv4l2h264enc=works,vah264enc=closed,nvh265enc=closed,vah265enc=closed";
        let run = launch(MP4, stand_ins, &["--input", &input, "--overwrite", "--codec", codec]);
        assert_eq!((run.code, &run.summary["encoder"]), (0, &software.into()), "{}", run.said);
        let reasons = match codec {
            "h264" => {
                "hangs while it opens: nvh264enc; without nvvidconv: nvv4l2h264enc; does not open: vah264enc; \
                 not installed: vah264lpenc"
            }
            _ => "does not open: nvh265enc, vah265enc; not installed: nvv4l2h265enc, vah265lpenc",
        };
        assert_eq!(run.encoders(), [format!("{software} (software; {reasons})")]);
        expect_whole(&directory.path().join("run.mp4"), codec);
    }
}

#[test]
fn messages_are_made_in_software_when_a_camera_gets_no_session() {
    let directory = tempfile::tempdir().unwrap();
    let input = recording(directory.path());
    let output = directory.path().join("run.mcap");
    for stand_in in ["vah265enc=fails@5", "vah265enc=swallows"] {
        let flags = ["--input", &input, "--output", text(&output), "--overwrite", "--no-depth"];
        let run = launch(MCAP, stand_in, &flags);
        assert_eq!((run.code, &run.summary["encoder"]), (0, &"x265enc".into()), "{}", run.said);
        assert!(run.said.contains("vah265enc does not work ("), "{}", run.said);
        let found = read_mcap(&output);
        let messages = found["video"]["camera"].as_array().unwrap();
        let times: Vec<_> = messages.iter().map(|message| message["time"].as_u64().unwrap()).collect();
        assert_eq!(times, Svo2::default().timestamps());
    }
}

#[test]
fn a_named_device_that_does_not_work_ends_the_conversion() {
    let directory = tempfile::tempdir().unwrap();
    let input = recording(directory.path());
    for (stand_in, device, how) in [
        ("vah264enc=fails", "vaapi", "vah264enc does not work: Encoding error.; take another --encoder-device"),
        ("vah264enc=closed", "vaapi", "--encoder-device vaapi: does not open: vah264enc; not installed: vah264lpenc"),
        (
            "nvh264enc=works",
            "vaapi",
            "--encoder-device vaapi: not installed: vah264enc, vah264lpenc; install the card's",
        ),
        ("vah264enc=works", "jetson", "--encoder-device jetson: not installed: nvv4l2h264enc; install NVIDIA's L4T"),
    ] {
        let run = launch(MP4, stand_in, &["--input", &input, "--codec", "h264", "--encoder-device", device]);
        assert_eq!(run.code, 5, "{}", run.said);
        assert!(run.said.lines().last().unwrap().contains(how), "{}", run.said);
        assert_eq!(names(directory.path()), ["run.svo2"]);
    }
}

#[test]
fn openh264_makes_files_where_x264_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let input = recording(directory.path());
    let machine = tempfile::tempdir().unwrap();
    let convert = |input: &str, quality: &str| {
        let place = machine.path().join(quality);
        fs::create_dir(&place).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_zed_svo_to_mp4"));
        command.args(["--input", input, "--json", "--overwrite", "--codec", "h264", "--quality", quality]);
        without_x264(&place, &mut command);
        let run = end(&mut command);
        assert_eq!((run.code, &run.summary["encoder"]), (0, &"openh264enc".into()), "{}", run.said);
        assert!(run.encoders()[0].starts_with("openh264enc (software; not installed: "), "{}", run.said);
        Path::new(input).with_extension("mp4")
    };
    expect_whole(&convert(&input, "0"), "h264");
    // Noise, which no encoder makes small.
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let pictures = (0..10).map(|_| (0..2 * WIDTH * HEIGHT).map(|_| noise()).collect()).collect();
    let noisy = directory.path().join("noise.svo2");
    Svo2 { frames: 10, ..Svo2::default() }.write_pictures(&noisy, (2 * WIDTH, HEIGHT), pictures);
    let [fine, poor] = ["20", "40"].map(|quality| fs::metadata(convert(text(&noisy), quality)).unwrap().len());
    assert!(fine > 2 * poor, "{fine} and {poor} bytes");
    let output = directory.path().join("run.mcap");
    let mut command = Command::new(env!("CARGO_BIN_EXE_zed_svo_to_mcap"));
    command.args(["--input", &input, "--output", text(&output), "--json", "--no-depth", "--codec", "avc"]);
    without_x264(machine.path(), &mut command);
    let run = end(&mut command);
    assert_eq!((run.code, &run.summary["encoder"]), (0, &"openh264enc".into()), "{}", run.said);
    let found = read_mcap(&output);
    assert_eq!(found["video"]["camera"].as_array().unwrap().len(), 40);
    assert_eq!(numbers(&directory.path().join("run.mcap.camera.video")), (0..40).collect::<Vec<_>>());
}
