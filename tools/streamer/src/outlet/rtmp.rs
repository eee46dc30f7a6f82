//! RTMP publishing to one server, for as long as the run lasts: a connection that fails is followed by another.

mod connection;
mod silence;

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use connection::Connection;
use tools_cli::failure::Failure;

use super::{
    Outlet,
    feed::Feed,
    line::{Line, Said},
    retry::Backoff,
};
use crate::{
    complaint,
    log::{tell, tell_again},
    options::Codec,
    plan::Rtmp,
};

/// A server that has not agreed to take the stream by then is asked again.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// A server that takes nothing for so long is given up, and asked again.
const STALL_MAX: Duration = Duration::from_secs(10);

/// Keeps one stream published.
#[derive(Debug)]
pub struct Publisher {
    codec: Codec,
    plan: Rtmp,
    feed: Arc<Feed>,
    state: State,
    backoff: Backoff,
    connects: u64,
    /// Of the last attempt.
    failure: Option<String>,
    finishing: bool,
    ended: bool,
}

#[derive(Debug)]
enum State {
    /// Not started, or without a pipeline any more.
    Idle,
    Connecting {
        connection: Connection,
        since: Instant,
    },
    Publishing {
        connection: Connection,
        since: Instant,
        stalled: bool,
    },
    /// The next attempt waits for its time.
    Waiting {
        until: Instant,
    },
}

impl Publisher {
    /// Makes the output; no server is asked yet.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when an element is missing, [`Failure::Configuration`] when the file of authorities cannot be
    /// used.
    pub fn new(codec: Codec, plan: &Rtmp, feed: Arc<Feed>) -> Result<Self, Failure> {
        // What cannot be made is told now, not when the run is under way.
        if let Some(file) = &plan.ca_file {
            gstflvhevc::check_ca_file(file).map_err(|why| {
                Failure::Configuration(format!("--rtmp-ca-file '{}' cannot be used: {why}", file.display()))
            })?;
        }
        Connection::new(codec, plan, &feed)?;
        Ok(Self {
            codec,
            plan: plan.clone(),
            feed,
            state: State::Idle,
            backoff: Backoff::new(plan.retry),
            connects: 0,
            failure: None,
            finishing: false,
            ended: false,
        })
    }

    fn connect(&mut self) -> Result<(), Failure> {
        let made = Connection::new(self.codec, &self.plan, &self.feed).and_then(|connection| {
            connection.line.start()?;
            Ok(connection)
        });
        match made {
            Ok(connection) => {
                self.state = State::Connecting { connection, since: Instant::now() };
                Ok(())
            }
            Err(failure) => self.fail(&failure.to_string()),
        }
    }

    fn look_while_connecting(&mut self) -> Result<(), Failure> {
        let State::Connecting { connection, since } = &self.state else {
            return Ok(());
        };
        if connection.is_accepted() {
            let State::Connecting { connection, .. } = std::mem::replace(&mut self.state, State::Idle) else {
                return Ok(());
            };
            self.connects += 1;
            self.say("publishing");
            self.feed.attach(connection.line.source(), connection.beside.as_ref());
            self.state = State::Publishing { connection, since: Instant::now(), stalled: false };
        } else if since.elapsed() > CONNECT_MAX {
            return self.fail(&format!("no answer within {} s", CONNECT_MAX.as_secs()));
        }
        Ok(())
    }

    fn look_while_publishing(&mut self) -> Result<(), Failure> {
        let State::Publishing { stalled, .. } = &mut self.state else {
            return Ok(());
        };
        let behind = self.feed.behind_since();
        let changed = *stalled != behind.is_some();
        *stalled = behind.is_some();
        match behind {
            Some(since) if since.elapsed() > STALL_MAX && !self.finishing => {
                return self.fail(&format!("the server takes nothing for {} s", STALL_MAX.as_secs()));
            }
            Some(_) if changed => self.say("stalled: the server takes nothing; pictures are dropped until it does"),
            None if changed => self.say("publishing again, from a new keyframe on"),
            _ => {}
        }
        Ok(())
    }

    /// Gives the connection up and goes on to the next.
    fn fail(&mut self, why: &str) -> Result<(), Failure> {
        let why = complaint::advised(&self.plan.url.redact(&in_flags(why)));
        if self.plan.required && self.connects == 0 {
            return Err(Failure::Pipeline(format!("{}: {why}", self.title())));
        }
        self.feed.detach();
        let published = match std::mem::replace(&mut self.state, State::Idle) {
            State::Publishing { connection, since, .. } => {
                connection.line.stop();
                Some(since.elapsed())
            }
            State::Connecting { connection, .. } => {
                connection.line.stop();
                None
            }
            State::Idle | State::Waiting { .. } => None,
        };
        // A server that agrees and hangs up at once is not asked faster than one that refuses.
        if published.is_some_and(|published| published > self.plan.retry.max) {
            self.backoff.reset();
        }
        let wait = self.backoff.fail(random());
        let failure = format!("{}: {why}", self.title());
        tell_again(&failure, &format!("{failure}; trying again in {} ms", wait.as_millis()));
        self.failure = Some(why);
        self.state = State::Waiting { until: Instant::now() + wait };
        Ok(())
    }

    fn line(&self) -> Option<&Line> {
        match &self.state {
            State::Connecting { connection, .. } | State::Publishing { connection, .. } => Some(&connection.line),
            State::Idle | State::Waiting { .. } => None,
        }
    }

    fn say(&self, text: &str) {
        tell(&format!("{}: {text}", self.title()));
    }
}

impl Outlet for Publisher {
    fn title(&self) -> String {
        format!("RTMP to {}", self.plan.url)
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    fn start(&mut self) -> Result<(), Failure> {
        self.say("connecting");
        self.connect()
    }

    fn look(&mut self) -> Result<(), Failure> {
        while let Some(said) = self.line().and_then(Line::said) {
            match said {
                Said::Warned(text) => {
                    let text = self.plan.url.redact(&in_flags(&text));
                    tell(&format!("warning: {}: {text}", self.title()));
                }
                Said::Ended => self.ended = true,
                Said::Broke(_) if self.finishing => self.ended = true,
                Said::Broke(why) => return self.fail(&why),
            }
        }
        match &self.state {
            _ if self.ended => Ok(()),
            State::Idle => Ok(()),
            State::Connecting { .. } => self.look_while_connecting(),
            State::Publishing { .. } => self.look_while_publishing(),
            State::Waiting { until } if Instant::now() >= *until => self.connect(),
            State::Waiting { .. } => Ok(()),
        }
    }

    fn finish(&mut self) {
        self.finishing = true;
        match self.state {
            State::Publishing { .. } => self.feed.finish(),
            // There is nobody to say goodbye to.
            State::Idle | State::Connecting { .. } | State::Waiting { .. } => self.ended = true,
        }
    }

    fn has_ended(&self) -> bool {
        self.ended
    }

    fn fault(&self) -> Option<Failure> {
        if self.connects > 0 {
            return None;
        }
        let why = self.failure.as_deref().unwrap_or("the server had not answered when the run ended");
        Some(Failure::Pipeline(format!("{}: never connected: {why}", self.title())))
    }

    fn state(&self) -> &'static str {
        match &self.state {
            State::Idle => "off",
            State::Connecting { .. } => "connecting",
            State::Publishing { stalled: false, .. } => "publishing",
            State::Publishing { stalled: true, .. } => "stalled",
            State::Waiting { .. } => "retrying",
        }
    }

    fn connects(&self) -> Option<u64> {
        Some(self.connects)
    }

    fn stop(&mut self) {
        self.feed.detach();
        if let State::Connecting { connection, .. } | State::Publishing { connection, .. } =
            std::mem::replace(&mut self.state, State::Idle)
        {
            connection.line.stop();
        }
    }
}

/// What `ertmpsink` says of its and the muxer's properties, in the flags that set them.
fn in_flags(text: &str) -> String {
    [
        ("tls-ca-file", "--rtmp-ca-file"),
        ("tracks=always", "--rtmp-depth=always"),
        ("hevc-packaging=domestic", "--rtmp-mode domestic"),
        ("hevc-packaging=enhanced", "--rtmp-mode enhanced"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (property, flag)| text.replace(property, flag))
}

/// From 0 to 1; each hasher has keys of its own.
fn random() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}
