//! Picking an encoder while everything else goes on: which can be had shows when they are opened, and a driver may not answer.

use std::time::Duration;

use tools_cli::{
    aside::{Aside, Hangs},
    failure::Failure,
};

use super::choice::{Choice, PICK_MAX};

/// An encoder that is being picked.
#[derive(Debug)]
pub struct Picking(Aside<Result<Choice, Failure>>);

impl Picking {
    /// Begins to pick.
    pub fn begin(pick: impl FnOnce() -> Result<Choice, Failure> + Send + 'static) -> Self {
        Self(Aside::begin(PICK_MAX, pick))
    }

    /// What was picked, as far as can be told now.
    pub fn look(&self) -> Option<Result<Choice, Failure>> {
        Some(picked(self.0.look()?))
    }

    /// Waits for it, `patience` at most.
    pub fn wait(&self, patience: Duration) -> Option<Result<Choice, Failure>> {
        Some(picked(self.0.wait(patience)?))
    }
}

fn picked(picked: Result<Result<Choice, Failure>, Hangs>) -> Result<Choice, Failure> {
    picked.unwrap_or_else(|Hangs| Err(Failure::Pipeline("encoders hang while they are looked for".to_owned())))
}
