//! Soon.
use crate::common::failure::Failure;
/// Soon.
pub fn run() -> Result<(), Failure> {
    Ok(())
}
