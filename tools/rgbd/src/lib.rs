//! Looking at recordings of colour and depth: any frame of any camera, without reading what is before it.

#![warn(missing_docs)]

pub mod alignment;
pub mod bundle_validator;
mod calibration;
mod choice;
pub mod example;
mod palette;
mod picture;
mod recording;
mod sample;
mod summary;
pub mod viewer;
