//! FFmpeg as a reader of our files.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// What FFmpeg says about a frame.
#[derive(Debug, PartialEq)]
pub struct Read {
    pub dts: i64,
    pub pts: i64,
    pub size: usize,
    pub checksum: u32,
}

fn program() -> PathBuf {
    let path = std::env::var_os("CVMMAP_FFMPEG")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/ffmpeg"), PathBuf::from);
    assert!(
        path.exists(),
        "no ffmpeg at {}: run scripts/setup.sh, or set CVMMAP_FFMPEG to one that reads H.265 in FLV with codec-id 12 (8.0 or newer)",
        path.display()
    );
    path
}

fn run(arguments: &[&str]) -> String {
    let output = Command::new(program())
        .args(["-hide_banner", "-nostdin", "-v", "error"])
        .args(arguments)
        .output()
        .expect("ffmpeg runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Frames of the first stream of a kind (`v` or `a`), as they stand in the file.
pub fn read(file: &Path, kind: &str) -> Vec<Read> {
    read_stream(file, &format!("{kind}:0"))
}

/// The same of a stream by its place, such as `v:1`.
pub fn read_stream(file: &Path, stream: &str) -> Vec<Read> {
    let file = file.to_str().unwrap();
    let map = format!("0:{stream}");
    frames(&run(&["-copyts", "-i", file, "-map", &map, "-c", "copy", "-f", "framecrc", "-"]))
}

/// Frames of the first video stream from a time in seconds on.
pub fn read_from(file: &Path, time: &str) -> Vec<Read> {
    let file = file.to_str().unwrap();
    frames(&run(&["-ss", time, "-copyts", "-i", file, "-map", "0:v:0", "-c", "copy", "-f", "framecrc", "-"]))
}

fn frames(list: &str) -> Vec<Read> {
    list.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<_> = line.split(',').map(str::trim).collect();
            let checksum = fields[5].strip_prefix("0x").unwrap();
            Read {
                dts: fields[1].parse().unwrap(),
                pts: fields[2].parse().unwrap(),
                size: fields[4].parse().unwrap(),
                checksum: u32::from_str_radix(checksum, 16).unwrap(),
            }
        })
        .collect()
}

/// Decodes the whole file; any complaint is a failure. Returns the number of pictures.
pub fn decode(file: &Path) -> usize {
    decode_stream(file, "v:0")
}

/// The same of a stream by its place, such as `v:1`.
pub fn decode_stream(file: &Path, stream: &str) -> usize {
    let file = file.to_str().unwrap();
    let list = run(&["-i", file, "-map", &format!("0:{stream}"), "-f", "framecrc", "-"]);
    list.lines().filter(|line| !line.starts_with('#')).count()
}

/// What FFmpeg tells about a file before it decodes it.
pub fn describe(file: &Path) -> String {
    let output =
        Command::new(program()).args(["-hide_banner", "-nostdin", "-i"]).arg(file).output().expect("ffmpeg runs");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// framecrc's checksum: Adler-32 that starts at 0.
pub fn checksum(data: &[u8]) -> u32 {
    let (low, high) = data.iter().fold((0, 0), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65521;
        (low, (high + low) % 65521)
    });
    high << 16 | low
}
