//! `picture_compare` on clips of which it is known what differs.

use std::path::{Path, PathBuf};

use crate::support::{self, Ended, ffmpeg_output, run, text};

const PROGRAM: &str = env!("CARGO_BIN_EXE_picture_compare");

/// Sent frames; all differ.
const FRAMES: usize = 60;

/// A clip that was sent, and copies of it as they could be received.
struct Clips {
    folder: tempfile::TempDir,
    sent: PathBuf,
}

impl Clips {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sent = folder.path().join("sent.mkv");
        let source = format!("testsrc2=size=320x240:rate=25,trim=end_frame={FRAMES}");
        ffmpeg_output(&[
            "-f",
            "lavfi",
            "-i",
            &source,
            "-c:v",
            "libx264",
            "-qp",
            "4",
            "-pix_fmt",
            "yuv420p",
            text(&sent),
        ]);
        Self { folder, sent }
    }

    fn received(&self, name: &str, filter: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let codec = if name.ends_with("h265") { "libx265" } else { "libx264" };
        ffmpeg_output(&[
            "-i",
            text(&self.sent),
            "-vf",
            filter,
            "-fps_mode",
            "passthrough",
            "-c:v",
            codec,
            "-crf",
            "24",
            text(&path),
        ]);
        path
    }

    fn compare(&self, received: &Path, more: &[&str]) -> Ended {
        let files = ["--sent", text(&self.sent), "--received", text(received), "--json"];
        run(PROGRAM, &[&files, more].concat())
    }
}

/// Frames 5 to 59 without 20, 21 and 22.
const LATE_WITH_GAP: &str = "select='gte(n,5)*not(between(n,20,22))'";

#[test]
fn a_late_start_and_left_out_frames_pass() {
    let clips = Clips::new();
    for name in ["got.h264", "got.h265", "got.mp4", "got.flv"] {
        let received = clips.received(name, LATE_WITH_GAP);
        let report = clips.compare(&received, &["--min-frames", "52"]).expect_code(0).json();
        assert_eq!(report["sent_frames"], FRAMES, "{name}");
        assert_eq!(report["received_frames"], 52, "{name}");
        assert_eq!(report["matched"], 52, "{name}");
        assert_eq!(report["first_sent"], 5, "{name}");
        assert_eq!(report["last_sent"], 59, "{name}");
        assert_eq!(report["skipped"], 3, "{name}");
        assert!(report["min_psnr_db"].as_f64().unwrap() > 30.0, "{name}");
    }
}

#[test]
fn a_clip_is_like_itself() {
    let clips = Clips::new();
    let report = clips.compare(&clips.sent, &[]).expect_code(0).json();
    assert_eq!(report["min_psnr_db"], 100.0);
    assert_eq!(report["skipped"], 0);
}

#[test]
fn the_contact_sheet_has_two_rows_and_six_columns() {
    let clips = Clips::new();
    let sheet = clips.folder.path().join("sheet.png");
    let received = clips.received("got.h264", LATE_WITH_GAP);
    let report = clips.compare(&received, &["--contact-sheet", text(&sheet)]).expect_code(0).json();
    assert_eq!(report["contact_sheet"], "5:0,15:10,28:20,38:30,48:40,59:51");
    let png = std::fs::read(&sheet).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!((number(16), number(20)), (6 * 324 + 4, 2 * 244 + 4));
    // Each half of the sheet is what was sent and received: the pairs are alike.
    let rows = |row: &str| {
        let crop = format!("crop=1948:240:0:{row},format=gray,scale=97:12");
        ffmpeg_bytes(&["-i", text(&sheet), "-vf", &crop, "-f", "rawvideo", "-"])
    };
    let (above, below) = (rows("4"), rows("248"));
    assert_eq!(above.len(), 97 * 12);
    let differing = above.iter().zip(&below).filter(|(a, b)| a.abs_diff(**b) > 8);
    assert!(differing.count() < 12);
    let spread = above.iter().max().unwrap() - above.iter().min().unwrap();
    assert!(spread > 50, "the pictures are not blank");
}

fn ffmpeg_bytes(arguments: &[&str]) -> Vec<u8> {
    let output = support::ffmpeg(arguments).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn a_wrong_picture_exits_7() {
    let clips = Clips::new();
    let received = clips.received("got.h264", "drawbox=enable='eq(n,30)':x=40:y=40:w=120:h=120:color=gray:t=fill");
    let sheet = clips.folder.path().join("sheet.png");
    let ended = clips
        .compare(&received, &["--contact-sheet", text(&sheet)])
        .expect_code(7)
        .expect_said("received frame 30 is not like sent frame 30");
    // The sheet shows it.
    let shown = ended.json()["contact_sheet"].to_string();
    assert!(shown.contains("30:30"), "{shown}");
    assert!(sheet.exists());
}

#[test]
fn another_clip_exits_7() {
    let clips = Clips::new();
    let received = clips.received("got.h264", "hflip");
    clips.compare(&received, &[]).expect_code(7).expect_said("is not like");
}

#[test]
fn repeated_and_backward_frames_exit_7() {
    let clips = Clips::new();
    // Frame 20 takes the place of frames 21 and 22.
    let repeated = clips.received(
        "repeated.h264",
        "shuffleframes=0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 20 20 23 24 25 26 27 28 29",
    );
    clips.compare(&repeated, &["--min-psnr", "0"]).expect_code(7).expect_said("received frame 21 shows sent frame 20");
    let backward = clips.received("backward.h264", "shuffleframes=0 2 1");
    clips.compare(&backward, &["--min-psnr", "0"]).expect_code(7).expect_said("goes back");
    let more = clips.received("more.h264", "loop=loop=3:size=1:start=10");
    clips.compare(&more, &[]).expect_code(7).expect_said("63 frames were received and 60 sent");
}

#[test]
fn another_size_exits_7() {
    let clips = Clips::new();
    let received = clips.received("got.h264", "scale=640:480");
    clips.compare(&received, &[]).expect_code(7).expect_said("320x240, the received ones 640x480");
}

#[test]
fn too_few_frames_exit_4() {
    let clips = Clips::new();
    let received = clips.received("got.h264", LATE_WITH_GAP);
    clips
        .compare(&received, &["--min-frames", "53"])
        .expect_code(4)
        .expect_said("52 frames were received, 53 are wanted");
}

#[test]
fn files_that_are_no_video() {
    let clips = Clips::new();
    let path = clips.folder.path().join("got.h264");
    clips.compare(&path, &[]).expect_code(2).expect_said("got.h264");
    clips.compare(clips.folder.path(), &[]).expect_code(2).expect_said("not a plain file");
    std::fs::write(&path, "no video at all, only text").unwrap();
    clips.compare(&path, &[]).expect_code(7).expect_said("got.h264");
    std::fs::write(&path, "").unwrap();
    clips.compare(&path, &[]).expect_code(7).expect_said("got.h264");
    let sound = clips.folder.path().join("sound.wav");
    ffmpeg_output(&["-f", "lavfi", "-i", "sine=duration=1", text(&sound)]);
    clips.compare(&sound, &[]).expect_code(7).expect_said("no video");
    // A file that is cut in the middle of a frame gives what is whole.
    let whole = std::fs::read(&clips.sent).unwrap();
    let cut = clips.folder.path().join("cut.mkv");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let report = clips.compare(&cut, &["--min-psnr", "0"]).json();
    assert!(report["received_frames"].as_u64().unwrap() < FRAMES as u64);

    let sheet = "/nowhere/sheet.png";
    clips.compare(&clips.sent, &["--contact-sheet", sheet]).expect_code(2).expect_said(sheet);
}

#[test]
fn a_wrong_command_line_exits_1() {
    run(PROGRAM, &["--sent", "a"]).expect_code(1).expect_said("--received");
    run(PROGRAM, &["--sent", "a", "--received", "b", "--min-psnr", "x"]).expect_code(1);
    let help = run(PROGRAM, &["--help"]).expect_code(0);
    assert!(help.stdout.contains("Examples:"));
}
