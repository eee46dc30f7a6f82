//! Damaged files: nothing wrong is ever taken for an access unit, and none is given without what it refers to.

use std::{collections::BTreeMap, fs::File, io::Cursor, os::unix::fs::FileExt as _, sync::Arc};

use tools_mcap::{
    schema::{foxglove::CompressedVideo, timestamp},
    walk::Walk,
    writer::{Camera, Compression, Topics, Writer},
};

use super::index::{Index, Units};

const UNITS: usize = 12;
const GOP: usize = 4;
const COMPRESSIONS: [Compression; 3] = [Compression::None, Compression::Zstd, Compression::Lz4];

/// An access unit that no other has.
fn unit(number: usize) -> Vec<u8> {
    let header = if number.is_multiple_of(GOP) { 0x65 } else { 0x41 };
    let mut unit = vec![0, 0, 0, 1, header];
    unit.extend([number as u8 + 1; 20]);
    unit
}

fn times() -> Vec<u64> {
    (0..UNITS).map(time).collect()
}

fn time(number: usize) -> u64 {
    1_000 * (number as u64 + 1)
}

/// Three access units to a chunk.
fn recording(compression: Compression, times: &[u64]) -> Vec<u8> {
    let cameras = vec![Camera::new(Topics::of("zed1"), BTreeMap::new())];
    let mut writer = Writer::new(Cursor::new(Vec::new()), compression, cameras).unwrap();
    for (number, time) in times.iter().enumerate() {
        let video = CompressedVideo {
            timestamp: Some(timestamp(*time)),
            data: unit(number),
            format: "h264".to_owned(),
            ..CompressedVideo::default()
        };
        writer.video(0, *time, &video).unwrap();
        if number % 3 == 2 {
            writer.flush().unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

/// Which access units are given of a file, and under which numbers.
fn shown(file: &File) -> Vec<(usize, usize)> {
    let walk = Walk::new(file.try_clone().unwrap()).unwrap();
    let Ok(index) = Index::read(walk, None) else {
        return Vec::new();
    };
    let entries = index.entries.clone();
    assert!(entries.is_sorted_by_key(|entry| entry.timestamp));
    let mut units = Units::new(file.try_clone().unwrap(), Arc::new(index), 0..=entries.len() - 1).unwrap();
    let given = std::iter::from_fn(|| units.next().unwrap()).map(|(at, bytes)| {
        let number = (0..UNITS).find(|&number| time(number) == at).expect("it was taken at a time that nobody wrote");
        assert_eq!(bytes, unit(number));
        let counted = entries.iter().position(|entry| entry.whole && entry.timestamp == at).unwrap();
        (number, counted)
    });
    let given = given.collect::<Vec<_>>();
    let guessed = entries.iter().any(|entry| entry.guessed);
    for &(number, _) in &given {
        let has_reference = number % GOP == 0 || given.iter().any(|(other, _)| other + 1 == number);
        assert!(has_reference || guessed, "{number} without what it refers to: {given:?}");
    }
    given
}

#[test]
fn no_changed_byte_makes_a_wrong_picture() {
    for compression in COMPRESSIONS {
        let whole = recording(compression, &times());
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&whole, 0).unwrap();
        let all = (0..UNITS).map(|number| (number, number)).collect::<Vec<_>>();
        assert_eq!(shown(&file), all);
        for (at, &byte) in whole.iter().enumerate() {
            for changed in [byte ^ 1, byte ^ 0x80, 0, 0xff] {
                file.write_all_at(&[changed], at as u64).unwrap();
                let given = shown(&file);
                // A chunk, and what depends on it.
                assert!(given.len() + 7 >= UNITS, "byte {at}, {byte:#x} as {changed:#x}, left {given:?}");
                for (number, counted) in given {
                    assert_eq!(counted, number, "byte {at}, {byte:#x} as {changed:#x}");
                }
            }
            file.write_all_at(&[byte], at as u64).unwrap();
        }
    }
}

#[test]
fn a_cut_file_is_shown_as_far_as_it_goes() {
    for compression in COMPRESSIONS {
        let whole = recording(compression, &times());
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&whole, 0).unwrap();
        let all = shown(&file);
        let mut before = UNITS;
        for length in (0..whole.len()).rev() {
            file.set_len(length as u64).unwrap();
            let now = shown(&file);
            assert_eq!(now, all[..now.len()]);
            assert!(now.len() <= before);
            before = now.len();
        }
        assert_eq!(before, 0);
    }
}

#[test]
fn what_is_recorded_of_the_same_time_again_is_left_out() {
    let file = tempfile::tempfile().unwrap();
    // A producer that starts over with its ninth access unit, a keyframe, and gets beyond where it was with its twelfth.
    let times = [&times()[..8], &[time(5), time(6), time(7), time(11)]].concat();
    file.write_all_at(&recording(Compression::Zstd, &times), 0).unwrap();
    let index = Index::read(Walk::new(file).unwrap(), None).unwrap();
    let whole: Vec<_> = index.entries.iter().map(|entry| entry.whole).collect();
    assert_eq!(whole, [[true; 8].as_slice(), &[false; 4]].concat());
}
