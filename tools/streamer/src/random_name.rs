//! Names that nobody else has.

use std::hash::{BuildHasher as _, RandomState};

/// 16 hexadecimal digits. Guessing them is not made hard.
pub fn random_name() -> String {
    format!("{:016x}", RandomState::new().hash_one(()))
}
