//! Replays what the fuzzer found worth keeping, and damages it.

use std::{fs, path::Path};

#[path = "../../../fuzz/rtmp_checks.rs"]
mod rtmp_checks;

#[test]
fn the_corpus_breaks_nothing_and_neither_does_what_is_near_it() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/rtmp");
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    let inputs =
        fs::read_dir(corpus).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect::<Vec<_>>();
    assert!(!inputs.is_empty());
    for input in &inputs {
        rtmp_checks::session(input);
        for _ in 0..500 {
            let mut damaged = input.clone();
            for _ in 0..=next(4) {
                let at = next(damaged.len());
                damaged[at] = next(256) as u8;
            }
            damaged.truncate(damaged.len() - next(damaged.len() / 8 + 1));
            rtmp_checks::session(&damaged);
        }
    }
}
