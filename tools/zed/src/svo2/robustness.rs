//! Damaged files: nothing wrong is ever taken for a picture.

use std::{borrow::Cow, collections::BTreeMap, fs::File, io::Cursor, os::unix::fs::FileExt as _, sync::Arc};

use tools_mcap::walk::Walk;

use super::{index::Index, stored::Reader};

const PICTURES: usize = 12;

/// An access unit that no other has.
fn message(number: usize) -> Vec<u8> {
    let header = if number.is_multiple_of(4) { 0x65 } else { 0x41 };
    let mut unit = vec![0, 0, 0, 1, 0x67, 7, 0, 0, 1, header];
    unit.extend([number as u8 + 1; 20]);
    let length = unit.len() as u32;
    [&(length + 4).to_le_bytes(), &length.to_le_bytes(), &unit[..]].concat()
}

fn timestamp(number: usize) -> u64 {
    1_000 * (number as u64 + 1)
}

fn recording(compression: Option<mcap::Compression>) -> Vec<u8> {
    let mut writer = mcap::WriteOptions::new()
        .compression(compression)
        .chunk_size(Some(150))
        .create(Cursor::new(Vec::new()))
        .unwrap();
    let channel = |id, topic: &str| {
        Arc::new(mcap::Channel {
            id,
            topic: topic.to_owned(),
            schema: None,
            message_encoding: "zed_sdk_encoded".to_owned(),
            metadata: BTreeMap::new(),
        })
    };
    let (pictures, footer) = (channel(1, "Camera_SN1/side_by_side"), channel(2, "svo_footer"));
    let mut send = |channel: &Arc<mcap::Channel<'static>>, log_time, data: Vec<u8>| {
        let channel = Arc::clone(channel);
        writer.write(&mcap::Message { channel, sequence: 0, log_time, publish_time: log_time, data: Cow::Owned(data) })
    };
    for number in 0..PICTURES {
        send(&pictures, timestamp(number), message(number)).unwrap();
    }
    let times: Vec<_> = (0..PICTURES).map(timestamp).collect();
    let list = serde_json::json!({ "Camera_SN1/side_by_side": times });
    send(&footer, 1, list.to_string().into_bytes()).unwrap();
    writer.finish().unwrap();
    writer.into_inner().into_inner()
}

/// The timestamps of the pictures that are shown of a file.
fn shown(file: &File) -> Vec<u64> {
    let Ok(index) = Walk::new(file.try_clone().unwrap()).map_err(Into::into).and_then(Index::read) else {
        return Vec::new();
    };
    assert!(index.entries.is_sorted_by_key(|entry| entry.timestamp));
    let all = 0..=index.entries.len() - 1;
    let guessed = index.entries.iter().any(|entry| entry.guessed);
    let mut reader = Reader::new(file.try_clone().unwrap(), Arc::new(index), all).unwrap();
    let numbers = std::iter::from_fn(|| reader.next().unwrap()).map(|stored| {
        let number = (0..PICTURES).find(|&number| timestamp(number) == stored.entry.timestamp);
        let number = number.expect("it was taken at a time that nobody wrote");
        assert_eq!(stored.message, message(number));
        number
    });
    let numbers = numbers.collect::<Vec<_>>();
    for number in &numbers {
        let has_reference = number.is_multiple_of(4) || numbers.contains(&(number - 1));
        assert!(has_reference || guessed, "{number} without what it refers to: {numbers:?}");
    }
    numbers.into_iter().map(timestamp).collect()
}

#[test]
fn no_changed_byte_makes_a_wrong_picture() {
    for compression in [None, Some(mcap::Compression::Zstd), Some(mcap::Compression::Lz4)] {
        let whole = recording(compression);
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&whole, 0).unwrap();
        let all = shown(&file);
        assert_eq!(all.len(), PICTURES);
        for (at, &byte) in whole.iter().enumerate() {
            for changed in [byte ^ 1, byte ^ 0x80, 0, 0xff] {
                file.write_all_at(&[changed], at as u64).unwrap();
                let lost = PICTURES - shown(&file).len();
                // A chunk, and what depends on it.
                assert!(lost <= 8, "byte {at}, {byte:#x} as {changed:#x}, cost {lost} pictures");
            }
            file.write_all_at(&[byte], at as u64).unwrap();
        }
    }
}

#[test]
fn a_cut_file_is_shown_as_far_as_it_goes() {
    for compression in [None, Some(mcap::Compression::Zstd), Some(mcap::Compression::Lz4)] {
        let whole = recording(compression);
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&whole, 0).unwrap();
        let all = shown(&file);
        let mut before = PICTURES;
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
