//! Whether an encoder can be used on this machine.

use std::fmt;

use tools_cli::aside::{Hangs, OPEN_MAX};

use super::{
    candidate::{Candidate, ProfileBy},
    live::{Needs, Profile},
};
use crate::elements;

/// What speaks against an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// No element of that name.
    Absent,
    /// The element that it is fed through is not there.
    NoUpload(&'static str),
    /// It finds no device that it can use.
    Closed,
    /// Its driver hangs.
    Hangs,
    /// It lacks what was asked for.
    NoBFrames,
    /// The same.
    NoProfile(Profile),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => write!(f, "not installed"),
            Self::NoUpload(element) => write!(f, "without {element}"),
            Self::Closed => write!(f, "does not open"),
            Self::Hangs => write!(f, "hangs while it opens"),
            Self::NoBFrames => write!(f, "makes no B-frames"),
            Self::NoProfile(profile) => write!(f, "makes no {profile} profile"),
        }
    }
}

/// Looks whether an encoder is there, does what is asked for, and its device opens. One that is not there costs nothing.
pub(super) fn look_at(candidate: &Candidate, needs: Needs) -> Result<(), Obstacle> {
    let factory = gst::ElementFactory::find(candidate.factory).ok_or(Obstacle::Absent)?;
    if let Some(upload) = &candidate.upload
        && gst::ElementFactory::find(upload.element).is_none()
    {
        return Err(Obstacle::NoUpload(upload.element));
    }
    if needs.b_frames && !candidate.b_frames {
        return Err(Obstacle::NoBFrames);
    }
    if let Some(profile) = needs.profile.filter(|_| candidate.profile == ProfileBy::Caps)
        && !factory.can_src_any_caps(&profile_caps(profile))
    {
        return Err(Obstacle::NoProfile(profile));
    }
    match elements::try_out(factory).wait(OPEN_MAX) {
        Some(Ok(true)) => Ok(()),
        Some(Ok(false)) => Err(Obstacle::Closed),
        Some(Err(Hangs)) | None => Err(Obstacle::Hangs),
    }
}

/// What an encoder gives that keeps to a profile.
pub(super) fn profile_caps(profile: Profile) -> gst::Caps {
    gst::Caps::builder("video/x-h264").field("profile", profile.name()).build()
}
