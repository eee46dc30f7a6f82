//! What of several cameras is taken together.

use clap::ValueEnum;

/// Which pictures of several cameras belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// Those that are nearest to each moment of the slowest camera
    #[default]
    Nearest,
    /// As nearest, but only if they are near enough
    Strict,
    /// None: every picture is written, by itself
    Copy,
}

/// What of several recordings is copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CopyRange {
    /// The time that all cameras recorded
    #[default]
    Common,
    /// Everything
    Full,
}
