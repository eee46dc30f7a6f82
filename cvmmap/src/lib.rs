//! The cv-mmap protocol: how frames of a producer are named, found, read and published.

#![warn(missing_docs)]

pub mod address;
pub mod pixel;
pub mod sync;
pub mod target;

pub use address::{Address, AddressError};
pub use pixel::{Depth, PixelFormat};
pub use target::{Target, TargetError};
