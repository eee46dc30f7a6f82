//! What can be asked of a camera while it runs.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use cvmmap::nats::Control as Producer;
use tokio::sync::Semaphore;

use super::refusal::{Refused, refuse};
use crate::{encoder_control::Control, recorder_control::RecorderControl};

/// Whoever asks waits so long for others to be answered,
const TURN_MAX: Duration = Duration::from_secs(5);
/// and so long for the answer: a disk or a camera may hang.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Where a camera can be asked for something.
pub struct Desk {
    /// Recorders, one of each format.
    pub recorders: Turns<[Arc<RecorderControl>; 2]>,
    /// The encoder.
    pub encoder: Turns<Arc<Control>>,
    /// The camera itself, which is asked over NATS.
    pub producer: Option<Turns<Producer>>,
}

impl Desk {
    /// A desk for what is there of a camera.
    pub fn new(recorders: [Arc<RecorderControl>; 2], encoder: &Arc<Control>, producer: Option<Producer>) -> Self {
        Self {
            recorders: Turns::new(recorders),
            encoder: Turns::new(Arc::clone(encoder)),
            producer: producer.map(Turns::new),
        }
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("recorders", &self.recorders)
            .field("encoder", &self.encoder)
            .finish_non_exhaustive()
    }
}

/// Something that is asked by one after the other, away from the thread that serves everybody.
#[derive(Debug)]
pub struct Turns<T> {
    /// To be asked what takes no time.
    pub asked: T,
    turn: Arc<Semaphore>,
}

impl<T: Clone + Send + 'static> Turns<T> {
    fn new(asked: T) -> Self {
        Self { asked, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Asks what may take its time. One that does not answer holds one thread, and those that ask after it are refused.
    ///
    /// # Errors
    /// The answer's own, 503 when the turn or 504 when the answer does not come.
    pub async fn ask<A: Send + 'static>(
        &self,
        question: impl FnOnce(&T) -> Result<A, Refused> + Send + 'static,
    ) -> Result<A, Refused> {
        let turn = tokio::time::timeout(TURN_MAX, Arc::clone(&self.turn).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "what was asked before is not answered yet"));
        };
        let asked = self.asked.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            question(&asked)
        });
        match tokio::time::timeout(ANSWER_MAX, answer).await {
            Ok(Ok(answer)) => answer,
            _ => Err(refuse(StatusCode::GATEWAY_TIMEOUT, "there was no answer in time; it may still be done")),
        }
    }
}
