//! Rectification by a camera's factory calibration, without the ZED SDK.
//!
//! Straight lines become straight, and rows of the left and the right eye correspond, as the file says the camera was when
//! it left the factory. The SDK calibrates the camera anew each time, so its pictures are not the same to the pixel.

mod conf;
mod remap;
mod stereo;

use std::{
    fs::File,
    io::Read as _,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use tools_cli::failure::Failure;

use self::{
    conf::{Conf, SIZE_MAX},
    remap::Remap,
    stereo::View,
};
use super::{
    camera::Intrinsics,
    picture::Picture,
    source::{Facts, Losses, Recording},
};

/// A recording, rectified.
pub struct Rectified {
    recording: Box<dyn Recording>,
    facts: Facts,
    path: PathBuf,
    conf: Conf,
    remap: Option<Remap>,
}

impl Rectified {
    /// Rectifies by a camera's file, or by that in a directory which is called like the recording's camera.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when the file is not there or of no use, or of another camera, or when the pictures are
    /// rectified already.
    pub fn new(mut recording: Box<dyn Recording>, calibration: &Path) -> Result<Self, Failure> {
        if recording.facts().rectified == Some(true) {
            return Err(Failure::Configuration(
                "its pictures are rectified already; leave --calibration out".to_owned(),
            ));
        }
        let path = file_of(calibration, recording.facts().serial.as_deref())?;
        let conf = read(&path)?;
        // How large its pictures are is known when there is one.
        recording.begin(0..=recording.facts().frames() - 1)?;
        let first = recording.next()?;
        let first = first.ok_or_else(|| Failure::Threshold("none of its pictures can be shown".to_owned()))?;
        let (width, height) = (first.info.width(), first.info.height());
        let View { focal, cx, cy, .. } = view(&conf, &path, (width, height))?;
        let intrinsics = Intrinsics { width, height, fx: focal, fy: focal, cx, cy, distortion: [0.0; 5] };
        let facts = Facts { rectified: Some(true), intrinsics: Some(intrinsics), ..recording.facts().clone() };
        Ok(Self { recording, facts, path, conf, remap: None })
    }
}

impl Recording for Rectified {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn begin(&mut self, range: RangeInclusive<usize>) -> Result<(), Failure> {
        self.recording.begin(range)
    }

    fn next(&mut self) -> Result<Option<Picture>, Failure> {
        let Some(picture) = self.recording.next()? else {
            return Ok(None);
        };
        let remap = match self.remap.take().filter(|remap| remap.is_for(&picture.info)) {
            Some(remap) => remap,
            None => {
                let size = (picture.info.width(), picture.info.height());
                Remap::new(&view(&self.conf, &self.path, size)?, &picture.info)?
            }
        };
        let buffer = self.remap.insert(remap).draw(&picture.buffer)?;
        Ok(Some(Picture { buffer, ..picture }))
    }

    fn losses(&self) -> Losses {
        self.recording.losses()
    }
}

/// The calibration file of a camera.
fn file_of(calibration: &Path, serial: Option<&str>) -> Result<PathBuf, Failure> {
    let shown = calibration.display();
    let is_serial = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // It is what a file says, and becomes part of a path.
    let serial = serial.filter(is_serial);
    if calibration.is_dir() {
        let serial = serial.ok_or_else(|| {
            Failure::Configuration(format!(
                "which camera recorded it is not known, so that none of the files in {shown} can be chosen; name the \
                 camera's own by --calibration"
            ))
        })?;
        let path = calibration.join(format!("SN{serial}.conf"));
        return if path.exists() {
            Ok(path)
        } else {
            Err(Failure::Configuration(format!(
                "its camera is {serial}, and there is no SN{serial}.conf in {shown}; get it from the camera's maker, or \
                 from /usr/local/zed/settings of a computer with the ZED SDK"
            )))
        };
    }
    let name = calibration.file_stem().unwrap_or_default().to_string_lossy();
    let of = name.strip_prefix("SN").filter(is_serial);
    match (of, serial) {
        (Some(of), Some(serial)) if of != serial => Err(Failure::Configuration(format!(
            "its camera is {serial}, and {shown} is the calibration of camera {of}; give SN{serial}.conf"
        ))),
        _ => Ok(calibration.to_owned()),
    }
}

fn read(path: &Path) -> Result<Conf, Failure> {
    let unusable = |why: &dyn std::fmt::Display| unusable(path, why);
    // Before it is opened: a named pipe would wait for somebody to write.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Err(unusable(&"it is not a file; give a factory calibration (SN….conf)"));
    }
    let file = File::open(path).map_err(|error| unusable(&format!("it cannot be opened: {error}")))?;
    let mut bytes = Vec::new();
    file.take(SIZE_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unusable(&format!("it cannot be read: {error}")))?;
    if bytes.len() > SIZE_MAX {
        return Err(unusable(&"it is too long; give a factory calibration (SN….conf)"));
    }
    Conf::parse(&bytes).map_err(|error| unusable(&error))
}

/// The left eye's view in pictures of a size.
fn view(conf: &Conf, path: &Path, size: (u32, u32)) -> Result<View, Failure> {
    let pair = conf.pair(size.0, size.1).map_err(|error| unusable(path, &error))?;
    let [left, _] = pair.views(size).map_err(|error| unusable(path, &error))?;
    Ok(left)
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::Configuration(format!("it cannot be rectified by {}: {why}", path.display()))
}
