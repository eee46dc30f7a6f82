//! Finding out who reads a recording.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use super::{
    calibration::Rectified,
    container::Container,
    mcap_video::{self, McapVideo},
    sdk,
    source::Recording,
    svo2::{self, Svo2},
    walk::{MAGIC, Walk},
    wanted::Wanted,
};
use crate::common::failure::Failure;

/// Who reads recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    /// Whoever knows the file; our own MCAP recordings are read by us, videos such as MP4 and Matroska by GStreamer
    Auto,
    /// The ZED SDK, which must be installed
    Sdk,
    /// Our own reader of SVO2 files
    Svo2,
}

/// How recordings are read, as the programs are told it.
#[derive(Args, Clone, Debug)]
pub struct Reading {
    /// Who reads the recordings
    #[arg(long, value_enum, default_value_t = Provider::Auto)]
    pub provider: Provider,
    /// The camera's factory calibration (SN….conf), or a directory of such files, to rectify by without the ZED SDK
    #[arg(long, value_name = "PATH")]
    pub calibration: Option<PathBuf>,
    /// Camera of an MCAP recording that holds several
    #[arg(long, value_name = "LABEL")]
    pub camera_label: Option<String>,
}

/// Opens a recording, and rectifies it when that is asked for.
///
/// # Errors
/// [`Failure::Configuration`] when it is not there, nobody can read it, or it cannot be rectified.
pub fn open(path: &Path, reading: &Reading, wanted: &Wanted) -> Result<Box<dyn Recording>, Failure> {
    let recording = as_it_is(path, reading, wanted)?;
    let Some(calibration) = &reading.calibration else {
        return Ok(recording);
    };
    match Rectified::new(recording, calibration) {
        Ok(rectified) => Ok(Box::new(rectified)),
        Err(Failure::Configuration(why)) => Err(Failure::Configuration(format!("{}: {why}", path.display()))),
        Err(failure) => Err(failure),
    }
}

fn as_it_is(path: &Path, reading: &Reading, wanted: &Wanted) -> Result<Box<dyn Recording>, Failure> {
    let provider = reading.provider;
    let unusable = |why: &dyn std::fmt::Display| Failure::Configuration(format!("{}: {why}", path.display()));
    // Before it is opened: a named pipe would wait for somebody to write.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Err(unusable(&"it is not a file; give a recording"));
    }
    if provider == Provider::Sdk {
        return Ok(Box::new(sdk::open(path, wanted)?));
    }
    let mut file = File::open(path).map_err(|error| unusable(&format!("it cannot be opened: {error}")))?;
    let mut begin = [0; 12];
    let got = file.read(&mut begin).map_err(|error| unusable(&format!("it cannot be read: {error}")))?;
    let begin = &begin[..got];
    if begin.starts_with(&MAGIC) {
        if provider == Provider::Auto && holds_video(&file).map_err(|error| unusable(&error))? {
            let label = reading.camera_label.as_deref();
            return Ok(Box::new(McapVideo::open(file, label).map_err(|error| unusable(&error))?));
        }
        return Ok(Box::new(Svo2::open(file).map_err(|error| unusable(&error))?));
    }
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    if extension.is_some_and(|extension| extension == "svo") {
        return Err(unusable(
            &"SVO files of version 1 can only be read with the ZED SDK; convert it to SVO2 with the SDK's ZED_SVOEditor \
              first",
        ));
    }
    if begin.is_empty() {
        return Err(unusable(&"it is empty; the recording was never begun"));
    }
    if provider == Provider::Svo2 {
        return Err(unusable(&"it is no SVO2 file; give one, or take --provider auto"));
    }
    match Container::open(path) {
        Ok(container) => Ok(Box::new(container)),
        Err(Failure::Pipeline(why) | Failure::Configuration(why)) => {
            Err(unusable(&format!("it is no SVO2 file, nor a video that GStreamer reads ({why}); give one of these")))
        }
        Err(failure) => Err(failure),
    }
}

/// Whether an MCAP file is one of our recordings, and none of the ZED SDK's.
fn holds_video(file: &File) -> std::io::Result<bool> {
    let mut walk = Walk::new(file.try_clone()?)?;
    while let Some(message) = walk.next()? {
        if svo2::is_picture(&message) {
            return Ok(false);
        }
        if mcap_video::is_video(&message) {
            return Ok(true);
        }
    }
    Ok(false)
}
