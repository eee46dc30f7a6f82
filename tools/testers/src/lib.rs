//! The testers: programs that receive what a publisher sends and judge it, with no server needed.
//!
//! Their readers are strict and of their own making: they share no code with the elements they judge, so one
//! mistake cannot hide on both sides.

#![warn(missing_docs)]

pub mod flv;
pub mod picture_compare;
mod report;
pub mod rtmp_stub;
pub mod rtp_receiver;

/// How long a tester waits for what it is asked to see, unless told otherwise.
const DEFAULT_TIMEOUT_MS: u64 = 10_000;

/// How much a tester wants to see, unless told otherwise.
const DEFAULT_THRESHOLD: u64 = 1;

/// The longest wait that can be asked for: a day.
const MAX_TIMEOUT_MS: u64 = 86_400_000;
