//! Whether an output is whole.

use std::{collections::BTreeMap, fs::File, io, path::Path};

use prost::Message as _;
use tools_cli::interrupt;
use tools_mcap::{
    reader::Messages,
    schema::{
        COMPRESSED_VIDEO,
        cvmmap_streamer::{BundleManifest, bundle_manifest::member::Status},
    },
    writer::{BUNDLE_TOPIC, Topics},
};
use tools_media::mp4_boxes::Head;

use super::programs::Makes;
use crate::{
    open::{self, Provider, Reading},
    wanted::Wanted,
};

/// Reads a file from begin to end.
///
/// # Errors
/// What is wrong with it.
pub fn probe(makes: Makes, path: &Path) -> Result<(), String> {
    let metadata = path.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    match makes {
        Makes::Mp4 => mp4(path),
        Makes::Mcap => mcap(path),
    }
}

/// Its boxes fill the file, its index is there, the pictures are where the index says, and the first can be decoded.
fn mp4(path: &Path) -> Result<(), String> {
    let boxes = boxes(path).map_err(|error| error.to_string())?;
    for needed in ["ftyp", "moov", "mdat"] {
        if !boxes.iter().any(|name| name == needed.as_bytes()) {
            return Err(format!("it has no {needed}"));
        }
    }
    let reading = Reading { provider: Provider::Auto, calibration: None, camera_label: None };
    let told = |failure: tools_cli::failure::Failure| {
        let told = failure.to_string();
        told.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&told).to_owned()
    };
    let mut video = open::open(path, &reading, &Wanted::default()).map_err(told)?;
    video.begin(0..=0).map_err(told)?;
    match video.next().map_err(told)? {
        Some(_) => Ok(()),
        None => Err("its first picture cannot be decoded".to_owned()),
    }
}

/// The names of an MP4 file's boxes at the top.
fn boxes(path: &Path) -> io::Result<Vec<[u8; 4]>> {
    let broken = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let cut = || broken("it ends in the middle of a box");
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let (mut boxes, mut at) = (Vec::new(), 0);
    while at < length {
        if length - at < 8 {
            return Err(cut());
        }
        let head = Head::read(&file, at)?.ok_or_else(|| broken("it is no MP4 file"))?;
        boxes.push(head.kind);
        let end = head.size.map_or(Some(length), |size| at.checked_add(size));
        at = end.filter(|end| *end <= length).ok_or_else(cut)?;
    }
    Ok(boxes)
}

/// Every chunk is whole, the end is there, and every camera has pictures: with bundles, one for each in which it is present.
fn mcap(path: &Path) -> Result<(), String> {
    let mut messages = Messages::open(path).map_err(|error| error.to_string())?;
    let mut pictures = BTreeMap::<String, u64>::new();
    let mut bundled: Option<BTreeMap<String, u64>> = None;
    while let Some(message) = messages.next_message().map_err(|error| error.to_string())? {
        if interrupt::times() > 0 {
            return Err("interrupted".to_owned());
        }
        let topic = &message.channel.topic;
        if topic == BUNDLE_TOPIC {
            let manifest = BundleManifest::decode(&*message.data).map_err(|error| format!("{topic}: {error}"))?;
            let present = bundled.get_or_insert_default();
            for member in manifest.members.iter().filter(|member| member.status() == Status::Present) {
                *present.entry(Topics::of(&member.label).video).or_default() += 1;
            }
        } else if message.channel.schema.as_ref().is_some_and(|schema| schema.name == COMPRESSED_VIDEO.name) {
            *pictures.entry(topic.clone()).or_default() += 1;
        }
    }
    if messages.ended_early() {
        return Err("it has no end: it was not finished, or was cut off".to_owned());
    }
    if pictures.is_empty() {
        return Err("it has no pictures".to_owned());
    }
    match bundled {
        Some(bundled) if bundled != pictures => {
            Err(format!("its bundles have the pictures {bundled:?}, and there are {pictures:?}"))
        }
        _ => Ok(()),
    }
}
