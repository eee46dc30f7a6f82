//! A connection to a NATS server that never makes anybody wait who does not ask for it.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::{
    Event,
    client::RequestErrorKind,
    connection::State,
    service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE},
};
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{Either, select},
};
use prost::bytes::Bytes;
use tokio::task::AbortHandle;

use super::{
    client_error::{ClientError, RequestError, advice, sentence},
    denials::Denials,
    options::Options,
    runtime::Runtime,
};

/// Longest wait before the next attempt to connect; the first ones come sooner.
const RETRY_MAX: Duration = Duration::from_secs(2);
const RETRY_STEP: Duration = Duration::from_millis(100);
/// A server that has not welcomed us after so long is not one.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// A silent server is asked whether it lives so often; two such times without an answer end the connection.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Messages of one subscription that may wait for their handler; more are lost and counted.
const WAITING_MAX: usize = 128;
/// Messages that may wait to be sent; more are lost and counted.
const SENDING_MAX: usize = 256;
/// What [`Client::wait_connected`] looks at the state so often for.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Shared handle of one connection; it ends with the last of them.
///
/// Any thread may have a clone. The connection has a thread of its own, and handlers of [subscriptions](Self::subscribe) are called
/// from up to four others. Calls that take a `timeout` block for as long; do not make them in a handler that others wait for.
/// All others return at once.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    runtime: Runtime,
    nats: async_nats::Client,
    server: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    connected: AtomicU64,
    published: AtomicU64,
    unsent: AtomicU64,
    received: AtomicU64,
    overrun: AtomicU64,
    complaint: Mutex<Option<String>>,
    denials: Denials,
}

impl Shared {
    fn complaint(&self) -> MutexGuard<'_, Option<String>> {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, event: Event) {
        match event {
            Event::Connected => {
                self.connected.fetch_add(1, Ordering::Relaxed);
                *self.complaint() = None;
                self.denials.clear();
            }
            Event::SlowConsumer(_) => {
                self.overrun.fetch_add(1, Ordering::Relaxed);
            }
            Event::ServerError(error) => {
                let said = sentence(&error.to_string());
                self.denials.hear(&said);
                *self.complaint() = Some(said);
            }
            Event::ClientError(error) => *self.complaint() = Some(advice(&error.to_string())),
            _ => {}
        }
    }
}

/// How a connection fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether there is one now.
    pub connected: bool,
    /// What the server or the network said last, when it was no good.
    pub complaint: Option<String>,
}

/// What passed, and what was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections made.
    pub connections: u64,
    /// Messages given to the connection.
    pub published: u64,
    /// Messages that were not published: no connection, or one that does not take.
    pub unsent: u64,
    /// Messages received by subscriptions.
    pub received: u64,
    /// Messages that came faster than their handler took them.
    pub overrun: u64,
}

/// A message of a subscription.
#[derive(Clone, Debug)]
pub struct Message {
    /// What it was published to.
    pub subject: String,
    /// Its bytes.
    pub payload: Vec<u8>,
}

impl Client {
    /// A client that connects in the background, as often as it takes; `name` is what the server calls it.
    ///
    /// # Errors
    /// For what is wrong on this side: a file that is missing or holds something else. Never for the server.
    pub fn connect(options: &Options, name: &str) -> Result<Self, ClientError> {
        let shared = Arc::new(Shared::default());
        let heard = Arc::clone(&shared);
        let connect = options
            .connect_options()?
            .name(name)
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(|attempts| {
                RETRY_MAX.min(RETRY_STEP * u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(100))
            })
            .connection_timeout(CONNECT_MAX)
            .ping_interval(PING_INTERVAL)
            .subscription_capacity(WAITING_MAX)
            .client_capacity(SENDING_MAX)
            .event_callback(move |event| {
                let heard = Arc::clone(&heard);
                async move { heard.hear(event) }
            });
        let runtime = Runtime::start()?;
        let server = options.server();
        let address: async_nats::ServerAddr = server.parse().map_err(|_| ClientError::Address)?;
        // Retrying at first means that this waits for nothing.
        let nats = runtime.wait(CONNECT_MAX, async move { connect.connect(address).await });
        let nats = nats.and_then(Result::ok).ok_or(ClientError::Address)?;
        Ok(Self(Arc::new(Inner { runtime, nats, server, shared })))
    }

    /// The server's address, without credentials.
    pub fn server(&self) -> &str {
        &self.0.server
    }

    /// What the server denied last in this connection, in its words.
    pub fn denied(&self) -> Option<String> {
        self.0.shared.denials.last()
    }

    /// How the connection fares.
    pub fn health(&self) -> Health {
        Health { connected: self.is_connected(), complaint: self.0.shared.complaint().clone() }
    }

    /// Whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        self.0.nats.connection_state() == State::Connected
    }

    /// What passed and was lost so far.
    pub fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let shared = &self.0.shared;
        Counters {
            connections: read(&shared.connected),
            published: read(&shared.published),
            unsent: read(&shared.unsent),
            received: read(&shared.received),
            overrun: read(&shared.overrun),
        }
    }

    /// Waits for a connection, so long at most.
    ///
    /// # Errors
    /// [`RequestError::NotConnected`] with what was said last.
    pub fn wait_connected(&self, timeout: Duration) -> Result<(), RequestError> {
        let deadline = Instant::now() + timeout;
        while !self.is_connected() {
            if Instant::now() >= deadline {
                return Err(self.not_connected());
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// Publishes without waiting. Without a connection nothing is kept for later: who listens then is told what is then.
    /// Whether the message is on its way.
    pub fn publish(&self, subject: &str, payload: impl Into<Vec<u8>>) -> bool {
        let sent = self.is_connected()
            && matches!(self.0.nats.publish(subject.to_owned(), payload.into().into()).now_or_never(), Some(Ok(())));
        let counter = if sent { &self.0.shared.published } else { &self.0.shared.unsent };
        counter.fetch_add(1, Ordering::Relaxed);
        sent
    }

    /// Waits until the server has what was published, so long at most. Whether it has.
    pub fn flush(&self, timeout: Duration) -> bool {
        let nats = self.0.nats.clone();
        self.is_connected() && self.0.runtime.wait(timeout, async move { nats.flush().await.is_ok() }) == Some(true)
    }

    /// Asks and waits for the answer, so long at most.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn request(
        &self,
        subject: &str,
        payload: impl Into<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Vec<u8>, RequestError> {
        if !self.is_connected() {
            return Err(self.not_connected());
        }
        let request = async_nats::Request::new().payload(payload.into().into()).timeout(None);
        let (nats, to) = (self.0.nats.clone(), subject.to_owned());
        let subject = || subject.to_owned();
        let shared = Arc::clone(&self.0.shared);
        let answer = self.0.runtime.wait(timeout, async move {
            let since = shared.denials.count();
            let (asked, denied) = (pin!(nats.send_request(to.clone(), request)), pin!(shared.denials.of(&to, since)));
            match select(asked, denied).await {
                Either::Left((answer, _)) => Ok(answer),
                Either::Right((what, _)) => Err(what),
            }
        });
        let answer = answer.transpose().map_err(|what| RequestError::Denied { subject: subject(), what })?;
        match answer {
            None => Err(RequestError::TimedOut(subject())),
            Some(Err(error)) => Err(match error.kind() {
                RequestErrorKind::TimedOut => RequestError::TimedOut(subject()),
                RequestErrorKind::NoResponders => RequestError::NoResponders(subject()),
                _ => RequestError::Failed { subject: subject(), why: sentence(&error.to_string()) },
            }),
            Some(Ok(answer)) => {
                let header = |name| {
                    let value = answer.headers.as_ref().and_then(|headers| headers.get(name));
                    value.map(|value| sentence(value.as_str()))
                };
                match (header(NATS_SERVICE_ERROR_CODE), header(NATS_SERVICE_ERROR)) {
                    (None, None) => Ok(answer.payload.into()),
                    (code, message) => Err(RequestError::Service {
                        subject: subject(),
                        code: code.unwrap_or_default(),
                        message: message.unwrap_or_default(),
                    }),
                }
            }
        }
    }

    /// Asks everybody: the answers that come until none has come for `quiet`, or `timeout` is over, or there are `most`.
    ///
    /// # Errors
    /// [`RequestError::NotConnected`] and [`RequestError::Denied`]; nobody at all is no error.
    pub fn request_all(
        &self,
        subject: &str,
        (timeout, quiet, most): (Duration, Duration, usize),
    ) -> Result<Vec<Vec<u8>>, RequestError> {
        if !self.is_connected() {
            return Err(self.not_connected());
        }
        let (nats, subject) = (self.0.nats.clone(), subject.to_owned());
        let shared = Arc::clone(&self.0.shared);
        let (since, asked) = (shared.denials.count(), subject.clone());
        let collected = async move {
            let mut answers = Vec::new();
            let inbox = nats.new_inbox();
            let Ok(mut subscriber) = nats.subscribe(inbox.clone()).await else {
                return answers;
            };
            if nats.publish_with_reply(subject, inbox, Bytes::new()).await.is_err() {
                return answers;
            }
            let deadline = tokio::time::Instant::now() + timeout;
            while answers.len() < most {
                let until =
                    if answers.is_empty() { deadline } else { deadline.min(tokio::time::Instant::now() + quiet) };
                match tokio::time::timeout_at(until, subscriber.next()).await {
                    Ok(Some(message)) if message.status.is_none() => answers.push(message.payload.into()),
                    // "No responders", the end of the connection, or of the time.
                    _ => break,
                }
            }
            answers
        };
        let answers = self.0.runtime.wait(timeout + quiet, async move {
            match select(pin!(collected), pin!(shared.denials.of(&asked, since))).await {
                Either::Left((answers, _)) => Ok(answers),
                Either::Right((what, _)) => Err(RequestError::Denied { subject: asked.clone(), what }),
            }
        });
        answers.unwrap_or_else(|| Ok(Vec::new()))
    }

    /// Calls `handler` for every message of a subject, one at a time, until the subscription is dropped; across
    /// connections that end and come again. The handler may block: messages that then come faster are lost and counted.
    pub fn subscribe(&self, subject: &str, mut handler: impl FnMut(Message) + Send + 'static) -> Subscription {
        let (nats, subject) = (self.0.nats.clone(), subject.to_owned());
        let shared = Arc::clone(&self.0.shared);
        Subscription(self.0.runtime.spawn(async move {
            let Ok(mut subscriber) = nats.subscribe(subject).await else {
                return;
            };
            while let Some(message) = subscriber.next().await {
                shared.received.fetch_add(1, Ordering::Relaxed);
                let message = Message { subject: message.subject.to_string(), payload: message.payload.into() };
                let handled = tokio::task::spawn_blocking(move || {
                    handler(message);
                    handler
                });
                // A handler that panics has handled its last message.
                match handled.await {
                    Ok(again) => handler = again,
                    Err(_) => return,
                }
            }
        }))
    }

    /// The client library's own handle, for what this one has no words for: the converters' queue is kept in JetStream. Its
    /// futures are for [`Client::wait`]. It is no part of what this crate promises: the library's version may change with any
    /// version of this crate.
    #[doc(hidden)]
    pub fn nats(&self) -> async_nats::Client {
        self.0.nats.clone()
    }

    /// Runs a future on the connection's thread and waits for what it gives, so long at most. It is for those of
    /// [`Client::nats`].
    #[doc(hidden)]
    pub fn wait<T: Send + 'static>(
        &self,
        timeout: Duration,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        self.0.runtime.wait(timeout, future)
    }

    /// Runs a future on the connection's thread, for as long as the connection lives.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.0.runtime.spawn(future)
    }

    fn not_connected(&self) -> RequestError {
        RequestError::NotConnected { server: self.0.server.clone(), why: self.health().complaint }
    }
}

/// A subscription that lasts until it is dropped.
#[derive(Debug)]
pub struct Subscription(AbortHandle);

impl Drop for Subscription {
    fn drop(&mut self) {
        self.0.abort();
    }
}
