//! How viewers come and go: questions of the HTTP server's threads, answered by the thread that sends.

use std::sync::{Mutex, PoisonError};

use cvmmap::Codec;
use tokio::sync::{mpsc, oneshot};

/// Questions that wait at most; more are turned away.
const QUESTIONS_MAX: usize = 16;

/// An accepted offer.
#[derive(Debug)]
pub struct Answer {
    /// Name of the session, which nobody guesses.
    pub session: String,
    /// The session description.
    pub sdp: String,
}

/// Why an offer was turned away.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It cannot be understood.
    #[error("the offer is no session description that can be answered: {0}")]
    Malformed(String),
    /// It has nothing that the stream could be sent as.
    #[error("the offer has no {0} video to receive; {advice}", advice = advice(*.0))]
    NoCodec(Codec),
    /// The stream cannot be shown.
    #[error(
        "the stream has B-frames, which WebRTC cannot show in order; start the streamer, or the camera, without them (--b-frames 0)"
    )]
    Reordered,
    /// There are enough viewers.
    #[error("{0} viewers are watching already (--max-viewers)")]
    Full(usize),
    /// Offers come too fast.
    #[error("too many offers a second; try again")]
    TooFast,
    /// There is no stream yet, or no more.
    #[error("there is no stream at the moment; try again")]
    NoStream,
}

/// What whoever cannot take this codec does.
fn advice(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => {
            "this player decodes none by WebRTC; Firefox does with its plugin OpenH264, which it fetches some time after its first start"
        }
        Codec::H265 => "most browsers decode none by WebRTC: start the streamer with --codec h264",
    }
}

/// A question to the thread that sends.
#[derive(Debug)]
pub enum Question {
    /// A viewer asks for the stream.
    Offer(String, oneshot::Sender<Result<Answer, Refusal>>),
    /// A viewer tells more addresses of its own. False when there is no such session.
    Candidates(String, Vec<String>, oneshot::Sender<bool>),
    /// A viewer leaves. False as above.
    Leave(String, oneshot::Sender<bool>),
}

/// The place where viewers ask, whether or not anything is sent at the moment.
#[derive(Debug, Default)]
pub struct Signalling(Mutex<Option<mpsc::Sender<Question>>>);

impl Signalling {
    /// From now on questions go to the receiver that is returned.
    pub fn open(&self) -> mpsc::Receiver<Question> {
        let (sender, receiver) = mpsc::channel(QUESTIONS_MAX);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    /// From now on nobody answers.
    pub fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Asks for the stream.
    ///
    /// # Errors
    /// Why there is none for this viewer.
    pub async fn offer(&self, sdp: String) -> Result<Answer, Refusal> {
        self.ask(|reply| Question::Offer(sdp, reply)).await?
    }

    /// Adds addresses of a viewer, in SDP's words.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn add_candidates(&self, session: String, candidates: Vec<String>) -> Result<bool, Refusal> {
        self.ask(|reply| Question::Candidates(session, candidates, reply)).await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn leave(&self, session: String) -> Result<bool, Refusal> {
        self.ask(|reply| Question::Leave(session, reply)).await
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Result<T, Refusal> {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Refusal::NoStream)?;
        let (reply, answer) = oneshot::channel();
        sender.try_send(question(reply)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Refusal::TooFast,
            mpsc::error::TrySendError::Closed(_) => Refusal::NoStream,
        })?;
        answer.await.map_err(|_| Refusal::NoStream)
    }
}
