//! What a batch does about a converter's children and about files that are not its own.

use std::{fs, path::Path, process::Command};

use crate::batch_support::{beside_stand_in, folder};
use crate::recordings_support::{Svo2, names};
use crate::support::{Program, text};

const MP4: &str = env!("CARGO_BIN_EXE_zed_batch_svo_to_mp4");

/// A batch over one recording, whose converter is a script.
fn batch(root: &Path, script: &str) -> Program {
    let data = root.join("data");
    fs::create_dir(&data).unwrap();
    Svo2 { frames: 5, ..Svo2::default() }.write(&data.join("0.svo2"));
    let batch = beside_stand_in(root, MP4, "zed_svo_to_mp4", script);
    Program::start(text(&batch), &["--json", text(&data)])
}

/// A converter ends, and a child of its keeps its pipes open.
#[test]
fn a_grandchild_that_holds_the_pipes_keeps_nobody_waiting() {
    for held in [">/dev/null", "2>/dev/null", ""] {
        let root = folder();
        let script = format!("sleep 300 {held} &\necho $! > {}/sleeper\ntouch \"$4\"\necho {{}}\n", text(root.path()));
        // `end` waits for a minute at most, and the sleeper sleeps for five.
        let ended = batch(root.path(), &script).end();
        let sleeper = fs::read_to_string(root.path().join("sleeper")).unwrap();
        // Where the batch has not ended it already.
        let _ = Command::new("kill").arg(sleeper.trim()).status();
        let ended = ended.expect_code(0);
        assert_eq!(ended.json()["jobs"][0]["outcome"], "converted", "{held}: {}", ended.stdout);
    }
}

/// A worker whose converter is killed clears up what that one left, and nothing of the worker that has taken the job over.
#[test]
fn unfinished_files_of_another_worker_stay() {
    let root = folder();
    let script = "dir=$(dirname \"$4\") name=$(basename \"$4\")\n\
                  touch \"$dir/.$name.$CVMMAP_PARTIAL_MARK.abc.partial\" \"$dir/.$name.0therone.abc.partial\"\n\
                  kill -9 $$\n";
    let ended = batch(root.path(), script).end().expect_code(4);
    assert_eq!(ended.json()["jobs"][0]["outcome"], "failed", "{}", ended.stdout);
    assert_eq!(names(&root.path().join("data")), [".0.mp4.0therone.abc.partial", "0.svo2"]);
}
