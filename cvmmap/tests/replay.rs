//! What the fuzzer found worth keeping, through the fuzzer's own checks, with a stable compiler.

#[path = "../../fuzz/checks.rs"]
mod checks;

use std::{fs, path::Path, process};

/// Gives every input of a target's corpus, and a few that belong to every one.
fn replay(target: &str, mut check: impl FnMut(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut inputs = fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    assert!(inputs.len() > 10, "{}: {} inputs", corpus.display(), inputs.len());
    inputs.sort();
    check(&[]);
    check(&[0xFF; 4096]);
    for input in inputs {
        // Tells the input that a panic is about.
        println!("{}", input.display());
        check(&fs::read(&input).unwrap());
    }
}

#[test]
fn metadata() {
    replay("metadata", checks::metadata);
}

#[test]
fn sync() {
    replay("sync", checks::sync);
}

#[test]
fn target() {
    replay("target", checks::target);
}

#[test]
fn body() {
    replay("body", checks::body);
}

#[test]
fn segment() {
    let mut scene = checks::Scene::new(&format!("cvmmap_replay_{}", process::id()));
    replay("segment", |input| scene.play(input));
}

#[test]
fn endpoint() {
    let mut endpoint = checks::Endpoint::new(&format!("cvmmap_replay_{}", process::id()));
    replay("endpoint", |input| endpoint.say(input));
}
