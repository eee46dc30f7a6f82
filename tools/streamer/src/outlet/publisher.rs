//! Publishing to one server, for as long as the run lasts: a connection that fails is followed by another.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use tools_cli::failure::Failure;

use super::{
    Outlet,
    feed::Feed,
    line::{Line, Said},
    retry::{Backoff, Bounds},
};
use crate::{
    adaptation::Congestion,
    log::{tell, tell_again},
};

/// A server that has not agreed to take the stream by then is asked again.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// A server that takes nothing for so long is given up, and asked again.
const STALL_MAX: Duration = Duration::from_secs(10);

/// Who is published to.
pub trait Server: std::fmt::Debug {
    /// What it is, without secrets.
    fn title(&self) -> String;
    /// How long to wait before the next attempt.
    fn retry(&self) -> Bounds;
    /// Whether the run ends when the first attempt fails.
    fn is_required(&self) -> bool;
    /// Whether the run fails when it was never reached.
    fn is_expected(&self) -> bool {
        true
    }
    /// Begins to connect.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when an element is missing, or what it complains of.
    fn connect(&self, feed: &Arc<Feed>) -> Result<Box<dyn Connection>, Failure>;
    /// What an element said, in a user's words and without secrets.
    fn shown(&self, said: &str) -> String;
    /// The same, with what may be the cause.
    fn advised(&self, why: &str) -> String;
}

/// One connection, from its first byte to its end.
pub trait Connection: std::fmt::Debug {
    /// The pipeline that sends.
    fn line(&self) -> &Line;
    /// The head of what goes beside the picture.
    fn beside(&self) -> Option<&gst_app::AppSrc> {
        None
    }
    /// Whether the server has agreed to take the stream.
    fn is_accepted(&self) -> bool;
    /// How long what was sent last is still under way in the sink.
    fn tail(&self) -> Duration {
        Duration::ZERO
    }
    /// Hangs up.
    fn stop(self: Box<Self>);
}

/// Keeps one stream published.
#[derive(Debug)]
pub struct Publisher<S: Server> {
    server: S,
    feed: Arc<Feed>,
    state: State,
    backoff: Backoff,
    connects: u64,
    /// Of the last attempt.
    failure: Option<String>,
    finishing: bool,
    /// The last bytes are under way until then.
    tail: Option<Instant>,
    ended: bool,
}

#[derive(Debug)]
enum State {
    /// Not started, or without a pipeline any more.
    Idle,
    Connecting {
        connection: Box<dyn Connection>,
        since: Instant,
    },
    Publishing {
        connection: Box<dyn Connection>,
        since: Instant,
        stalled: bool,
    },
    /// The next attempt waits for its time.
    Waiting {
        until: Instant,
    },
}

impl<S: Server> Publisher<S> {
    /// Makes the output; no server is asked yet.
    pub fn new(server: S, feed: Arc<Feed>) -> Self {
        let backoff = Backoff::new(server.retry());
        Self {
            server,
            feed,
            state: State::Idle,
            backoff,
            connects: 0,
            failure: None,
            finishing: false,
            tail: None,
            ended: false,
        }
    }

    fn connect(&mut self) -> Result<(), Failure> {
        match self.server.connect(&self.feed) {
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
            self.feed.attach(connection.line().source(), connection.beside());
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
        let why = self.server.advised(why);
        if self.server.is_required() && self.connects == 0 {
            return Err(Failure::Pipeline(format!("{}: {why}", self.title())));
        }
        self.feed.detach();
        let published = match std::mem::replace(&mut self.state, State::Idle) {
            State::Publishing { connection, since, .. } => {
                connection.stop();
                Some(since.elapsed())
            }
            State::Connecting { connection, .. } => {
                connection.stop();
                None
            }
            State::Idle | State::Waiting { .. } => None,
        };
        // A server that agrees and hangs up at once is not asked faster than one that refuses.
        if published.is_some_and(|published| published > self.server.retry().max) {
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
            State::Connecting { connection, .. } | State::Publishing { connection, .. } => Some(connection.line()),
            State::Idle | State::Waiting { .. } => None,
        }
    }

    fn tail_of_connection(&self) -> Duration {
        match &self.state {
            State::Publishing { connection, .. } => connection.tail(),
            State::Idle | State::Connecting { .. } | State::Waiting { .. } => Duration::ZERO,
        }
    }

    fn say(&self, text: &str) {
        tell(&format!("{}: {text}", self.title()));
    }
}

impl<S: Server> Outlet for Publisher<S> {
    fn title(&self) -> String {
        self.server.title()
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
                    tell(&format!("warning: {}: {}", self.title(), self.server.shown(&text)));
                }
                Said::Ended => self.tail = Some(Instant::now() + self.tail_of_connection()),
                Said::Broke(_) if self.finishing => self.ended = true,
                Said::Broke(why) => return self.fail(&why),
            }
        }
        self.ended |= self.tail.is_some_and(|until| Instant::now() >= until);
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
        if self.connects > 0 || !self.server.is_expected() {
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

    fn congestion(&self) -> Option<Congestion> {
        matches!(self.state, State::Publishing { .. }).then(|| self.feed.congestion()).flatten()
    }

    fn stop(&mut self) {
        self.feed.detach();
        if let State::Connecting { connection, .. } | State::Publishing { connection, .. } =
            std::mem::replace(&mut self.state, State::Idle)
        {
            connection.stop();
        }
    }
}

/// From 0 to 1; each hasher has keys of its own.
fn random() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}
