//! Finding out who reads a recording.

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use tools_cli::failure::Failure;
use tools_mcap::{framing::MAGIC, walk::Walk};

use super::{
    calibration::Rectified,
    container::Container,
    mcap_video::{self, McapVideo},
    sdk,
    source::Recording,
    svo2::{self, Svo2, Unreadable},
    wanted::Wanted,
};

/// Who reads recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    /// Whoever knows the file; our own MCAP recordings are read by us, videos such as MP4 and Matroska by GStreamer
    Auto,
    /// The ZED SDK, which must be installed, with its C API; in the environment, ZED_C_LIB names the library
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

/// The cameras of a recording, as `--camera-label` names them: all of an MCAP recording of several, unless one is chosen.
pub fn cameras(path: &Path, reading: &Reading) -> Vec<Option<String>> {
    let chosen = || vec![reading.camera_label.clone()];
    if reading.provider != Provider::Auto || reading.camera_label.is_some() || !path.is_file() {
        return chosen();
    }
    // What is wrong with a file is told when it is opened.
    match labels(path) {
        Ok(labels) if labels.len() > 1 => labels.into_iter().map(Some).collect(),
        _ => chosen(),
    }
}

fn labels(path: &Path) -> std::io::Result<Vec<String>> {
    let file = File::open(path)?;
    let mut begin = [0; MAGIC.len()];
    file.read_exact_at(&mut begin, 0)?;
    if begin == MAGIC && holds_video(&file)? { mcap_video::cameras(file) } else { Ok(Vec::new()) }
}

fn as_it_is(path: &Path, reading: &Reading, wanted: &Wanted) -> Result<Box<dyn Recording>, Failure> {
    let unusable = |why: &dyn std::fmt::Display| Failure::Configuration(format!("{}: {why}", path.display()));
    // Before it is opened: a named pipe would wait for somebody to write.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Err(unusable(&"it is not a file; give a recording"));
    }
    let mut file = File::open(path).map_err(|error| unusable(&format!("it cannot be opened: {error}")))?;
    let mut begin = [0; 12];
    let got = file.read(&mut begin).map_err(|error| unusable(&format!("it cannot be read: {error}")))?;
    let begin = &begin[..got];
    if begin.is_empty() {
        return Err(unusable(&"it is empty; the recording was never begun"));
    }
    let is_mcap = begin.starts_with(&MAGIC);
    let is_svo = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svo"));
    let (by_sdk, by_us) = (reading.provider == Provider::Sdk, reading.provider == Provider::Svo2);
    // Why nobody else reads it comes first.
    let with_sdk = |file: File, why: &str| -> Result<Box<dyn Recording>, Failure> {
        match sdk::open(path, file, wanted) {
            Ok(recording) => Ok(Box::new(recording)),
            Err(Failure::Configuration(told)) => Err(unusable(&format!("{why}{told}"))),
            Err(Failure::Pipeline(told)) => Err(Failure::Pipeline(format!("{}: {why}{told}", path.display()))),
            Err(failure) => Err(failure),
        }
    };
    if by_sdk {
        return with_sdk(file, "");
    }
    let is_ours = is_mcap && !by_us && holds_video(&file).map_err(|error| unusable(&error))?;
    let is_svo2 = is_mcap && !is_ours;
    if is_ours {
        if reading.calibration.is_some() && wanted.depth.is_some() {
            return Err(unusable(
                &"its depth is of its pictures as they are; take --no-depth, or leave --calibration out",
            ));
        }
        let label = reading.camera_label.as_deref();
        return Ok(Box::new(McapVideo::open(file, label, wanted).map_err(|error| unusable(&error))?));
    }
    if wanted.depth.is_some() || wanted.tracking.is_some() {
        if by_us || !(is_svo2 || is_svo) {
            return Err(unusable(
                &"depth and poses are computed by the ZED SDK, from its own recordings; take --provider sdk, or ask for \
                  neither",
            ));
        }
        return with_sdk(file, "depth and poses are computed by the ZED SDK: ");
    }
    if is_svo2 {
        let again = file.try_clone().map_err(|error| unusable(&format!("it cannot be opened: {error}")))?;
        return match Svo2::open(file) {
            Ok(recording) => Ok(Box::new(recording)),
            Err(Unreadable::Lossless) if !by_us => with_sdk(again, &only_sdk("compressed without loss")),
            Err(error) => Err(unusable(&error)),
        };
    }
    if is_svo {
        let why = only_sdk("SVO version 1");
        return if by_us { Err(unusable(&format!("{why}take --provider sdk"))) } else { with_sdk(file, &why) };
    }
    if by_us {
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

/// Begins a sentence about a form that we do not read.
fn only_sdk(form: &str) -> String {
    format!(
        "only the ZED SDK reads it ({form}; ZED_SVOEditor makes an SVO2 file with H.264 or H.265 of it, on a computer that \
         has the SDK): "
    )
}

/// Whether an MCAP file is one of our recordings, and none of the ZED SDK's.
fn holds_video(file: &File) -> std::io::Result<bool> {
    let mut walk = Walk::new(file.try_clone()?)?;
    while let Some(message) = walk.next_message()? {
        if svo2::is_picture(&message) {
            return Ok(false);
        }
        if mcap_video::is_video(&message) {
            return Ok(true);
        }
    }
    Ok(false)
}
