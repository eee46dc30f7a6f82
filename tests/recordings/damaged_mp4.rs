//! MP4 files with flipped bits in their tables: each converter comes to an end, with a file or with a sentence.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use crate::support::{ffmpeg_output, run, text};

const FILES: u64 = 20;

/// From a seed, the same each time (xorshift64).
fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |end| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % end as u64) as usize
    }
}

/// A whole file whose tables come first, and copies of it with flips between the first sample table and the pictures.
fn damaged(directory: &Path) -> Vec<PathBuf> {
    let whole = directory.join("whole.mp4");
    let source = "testsrc=size=640x180:rate=30:duration=2";
    let coding = "-c:v libx264 -preset ultrafast -g 10 -movflags +faststart".split(' ');
    ffmpeg_output(&["-f", "lavfi", "-i", source].into_iter().chain(coding).chain([text(&whole)]).collect::<Vec<_>>());
    let whole = fs::read(whole).unwrap();
    let place = |name: &[u8]| whole.windows(4).position(|bytes| bytes == name).unwrap();
    let (begin, end) = (place(b"stbl"), place(b"mdat"));
    (1..=FILES)
        .map(|seed| {
            let mut random = random(seed);
            let mut bytes = whole.clone();
            for _ in 0..[1, 3, 8, 20][random(4)] {
                bytes[begin + random(end - begin)] ^= 1 << random(8);
            }
            let path = directory.join(format!("{seed}.mp4"));
            fs::write(&path, bytes).unwrap();
            path
        })
        .collect()
}

fn each_comes_to_an_end(program: &str, ending: &str, flags: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let files = damaged(directory.path());
    thread::scope(|scope| {
        for part in files.chunks(files.len() / 2) {
            scope.spawn(move || {
                for file in part {
                    let output = file.with_extension(ending);
                    let named = [&["--input", text(file), "--output", text(&output)], flags].concat();
                    // One that hangs fails here.
                    let ended = run(program, &named);
                    assert!(!ended.stderr.contains("panicked"), "{}: {}", file.display(), ended.stderr);
                    match ended.code {
                        0 => assert!(output.exists(), "{}", file.display()),
                        _ => assert!(ended.stderr.contains(text(file)), "{}: {}", file.display(), ended.stderr),
                    }
                }
            });
        }
    });
}

#[test]
fn to_mp4() {
    let flags = ["--codec", "h264", "--encoder-device", "software", "--preset", "fast", "--end-frame", "3"];
    each_comes_to_an_end(env!("CARGO_BIN_EXE_zed_svo_to_mp4"), "out.mp4", &flags);
}

#[test]
fn to_mcap() {
    let flags = ["--codec", "h264", "--preset", "fast", "--no-depth", "--end-frame", "3"];
    each_comes_to_an_end(env!("CARGO_BIN_EXE_zed_svo_to_mcap"), "out.mcap", &flags);
}
