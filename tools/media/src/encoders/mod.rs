//! The encoders that are known, how each is told what is wanted of it, and which of them is there and works. One table and
//! one probe for live streams and for files.

mod candidate;
mod choice;
mod device;
mod jetson;
pub mod live;
mod nvenc;
mod openh264;
mod picking;
mod probe;
mod rate;
pub mod stored;
mod table;
mod times;
mod vaapi;
mod x264;
mod x265;

pub use choice::{Choice, Made, PICK_MAX};
pub use device::Device;
pub use live::{Live, Needs};
pub use picking::Picking;
pub use rate::Rate;
pub use stored::Stored;
