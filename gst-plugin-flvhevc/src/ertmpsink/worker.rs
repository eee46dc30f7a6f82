//! The thread that talks to the server: the only one of a sink, and nothing in it waits but for all at once.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    advice::{self, unknown_codec},
    failure::{Failure, Kind},
    link::Link,
    outgoing::{Offer, Outgoing},
    shared::{Phase, Shared},
};
use crate::rtmp::{location::Location, refusal::Step, session::Event};

/// A server that asks for a reconnect again is followed after this: two that send the publisher to each other must not keep
/// it busy.
const RECONNECT_PAUSE: Duration = Duration::from_secs(2);
/// A server that takes nothing for so long is called stalled.
const STALLED: Duration = Duration::from_secs(1);
/// Connections that are saying goodbye. One more is cut.
const LEAVING_MAX: usize = 2;

/// What a worker needs from the element's properties.
#[derive(Debug)]
pub struct Plan {
    pub location: Location,
    pub ca_file: Option<PathBuf>,
    pub command_limit: Duration,
    pub stall_limit: Option<Duration>,
}

/// What a worker says to whoever listens.
#[derive(Debug)]
pub enum Said {
    Warning(String),
    Failure(Failure),
}

/// The connections of one sink.
pub struct Worker<F: Fn(Said)> {
    plan: Plan,
    shared: Arc<Shared>,
    say: F,
    current: Link,
    /// Made because the server asked for it; takes over at a keyframe.
    next: Option<Link>,
    leaving: Vec<Link>,
    outgoing: Outgoing,
    /// When the last connection took over, and what was asked too soon after it.
    took_over: Option<Instant>,
    asked: Option<Option<String>>,
    has_judged_codec: bool,
    has_told_of_tracks: bool,
    /// The next connection publishes when the current one has left.
    next_is_held: bool,
    /// Of connections before the current one.
    bytes_before: (u64, u64),
    withheld_before: u64,
}

impl<F: Fn(Said)> Worker<F> {
    pub fn new(plan: Plan, shared: Arc<Shared>, say: F) -> Self {
        let current = Link::new(plan.location.clone(), None, plan.ca_file.clone(), plan.command_limit, &shared.waker);
        Self {
            plan,
            shared,
            say,
            current,
            next: None,
            leaving: Vec::new(),
            outgoing: Outgoing::new(),
            took_over: None,
            asked: None,
            has_judged_codec: false,
            has_told_of_tracks: false,
            next_is_held: false,
            bytes_before: (0, 0),
            withheld_before: 0,
        }
    }

    /// Talks until it is told to stop, or has to give up.
    pub fn run(mut self) {
        loop {
            if self.shared.lock().is_stopping {
                return self.leave();
            }
            if let Err(failure) = self.turn(Instant::now()) {
                // Told first: elements upstream complain too, and know less, once the sink takes nothing more.
                (self.say)(Said::Failure(failure.clone()));
                self.shared.lock().phase = Phase::Failed(failure);
                self.shared.tell();
                return;
            }
            self.wait();
        }
    }

    fn turn(&mut self, now: Instant) -> Result<(), Failure> {
        self.shared.waker.rest();
        for link in &mut self.leaving {
            link.leave_in_order(now);
        }
        self.leaving.retain(|link| !link.is_gone());
        self.work_on_next(now);
        if self.current.session.is_held() && self.leaving.is_empty() {
            self.current.publish(now);
        }
        match self.current.work(now) {
            Ok(events) => self.heard(events, now)?,
            Err(failure) => self.lose_current(failure)?,
        }
        if self.current.is_publishing() {
            self.publish(now)?;
        }
        self.account(now)
    }

    fn heard(&mut self, events: Vec<Event>, now: Instant) -> Result<(), Failure> {
        for event in events {
            match event {
                Event::Publishing => self.begin(),
                // It was so before it took over.
                Event::Held => {}
                Event::Authenticate(answer) => {
                    let Plan { location, ca_file, command_limit, .. } = &self.plan;
                    let link =
                        Link::new(location.clone(), Some(answer), ca_file.clone(), *command_limit, &self.shared.waker);
                    self.current = link;
                    return Ok(());
                }
                Event::Reconnect { tc_url, .. } => self.asked = Some(tc_url),
            }
        }
        let may_follow = self.took_over.is_none_or(|then| now >= then + RECONNECT_PAUSE);
        if self.current.is_publishing()
            && self.next.is_none()
            && may_follow
            && let Some(tc_url) = self.asked.take()
        {
            self.follow(tc_url.as_deref());
        }
        Ok(())
    }

    fn follow(&mut self, tc_url: Option<&str>) {
        match self.current.location.redirected(tc_url) {
            Ok(location) => {
                let Plan { ca_file, command_limit, .. } = &self.plan;
                self.next_is_held = false;
                self.next = Some(Link::new(location, None, ca_file.clone(), *command_limit, &self.shared.waker));
            }
            Err(why) => self.warn(format!("the server asks to reconnect, and is not followed: {why}")),
        }
    }

    fn work_on_next(&mut self, now: Instant) {
        let Some(next) = &mut self.next else {
            return;
        };
        match next.work(now) {
            Ok(events) => {
                for event in events {
                    match event {
                        Event::Publishing | Event::Held => self.shared.lock().wants_keyframe = true,
                        Event::Authenticate(answer) => {
                            let Plan { ca_file, command_limit, .. } = &self.plan;
                            let waker = &self.shared.waker;
                            let location = next.location.clone();
                            *next = Link::new(location, Some(answer), ca_file.clone(), *command_limit, waker);
                            if self.next_is_held {
                                next.session.hold();
                            }
                            return;
                        }
                        // It has not taken over yet.
                        Event::Reconnect { .. } => {}
                    }
                }
            }
            // The server may take one publisher of a stream alone: the next one waits until this one has left.
            Err(_) if next.session.awaits() == Step::Publish && !self.next_is_held => {
                let Plan { ca_file, command_limit, .. } = &self.plan;
                *next = Link::new(next.location.clone(), None, ca_file.clone(), *command_limit, &self.shared.waker);
                next.session.hold();
                self.next_is_held = true;
            }
            Err(failure) => {
                self.next = None;
                self.warn(format!("the server asked to reconnect, which failed: {}; staying with it", failure.text));
            }
        }
    }

    /// The server has ended the connection, or has to be given up. One that is being made takes its place.
    fn lose_current(&mut self, failure: Failure) -> Result<(), Failure> {
        let Some(next) = self.next.take() else {
            return Err(failure);
        };
        self.warn(format!("the server asked to reconnect and did not wait: {}", failure.text));
        let is_publishing = next.is_publishing();
        self.replace_current(next);
        {
            let mut state = self.shared.lock();
            let state = &mut *state;
            state.stats.dropped += state.backlog.begin_anew() + u64::from(state.is_tag_under_way);
            state.is_tag_under_way = false;
            state.phase = Phase::Connecting;
        }
        if is_publishing {
            self.begin();
        }
        Ok(())
    }

    fn replace_current(&mut self, next: Link) -> Link {
        let last = std::mem::replace(&mut self.current, next);
        self.bytes_before.0 += last.session.counts().received;
        self.bytes_before.1 += last.bytes_sent;
        self.withheld_before += self.outgoing.withheld();
        self.outgoing = Outgoing::new();
        self.has_judged_codec = false;
        self.has_told_of_tracks = false;
        self.next_is_held = false;
        self.took_over = Some(Instant::now());
        self.shared.lock().stats.reconnects += 1;
        last
    }

    /// The current connection may be sent to.
    fn begin(&mut self) {
        {
            let mut state = self.shared.lock();
            state.phase = Phase::Publishing;
            state.stats.connects += 1;
            state.stats.server_caps_ex = self.current.session.server().caps_ex.unwrap_or_default();
            state.stats.server_codecs = self.current.session.server().four_ccs.join(",");
        }
        self.shared.tell();
    }

    fn publish(&mut self, now: Instant) -> Result<(), Failure> {
        loop {
            let is_ready = |next: &Link| next.is_publishing() || next.session.is_held();
            let is_next_ready = self.next.as_ref().is_some_and(is_ready);
            let mut offer = Offer::Idle;
            let (shared, outgoing) = (&self.shared, &mut self.outgoing);
            self.current.set_unsent_max(shared.lock().unsent_max());
            let sent = self.current.send(|session| match outgoing.next(session, shared, is_next_ready) {
                Ok(has_more) => has_more,
                Err(taken_over) => {
                    offer = taken_over;
                    false
                }
            });
            match sent {
                Ok(()) if offer == Offer::TakeOver => {
                    self.take_over(now);
                    if !self.current.is_publishing() {
                        return Ok(());
                    }
                }
                Ok(()) => return Ok(()),
                Err(failure) => {
                    self.lose_current(failure)?;
                    if !self.current.is_publishing() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn take_over(&mut self, now: Instant) {
        let Some(next) = self.next.take() else {
            return;
        };
        let mut last = self.replace_current(next);
        last.leave_in_order(now);
        if self.leaving.len() < LEAVING_MAX {
            self.leaving.push(last);
        }
        if self.current.is_publishing() {
            self.begin();
        } else {
            self.shared.lock().phase = Phase::Connecting;
        }
    }

    fn account(&mut self, now: Instant) -> Result<(), Failure> {
        let link = &self.current;
        let still = now.saturating_duration_since(link.progress);
        let is_blocked = link.is_publishing() && link.is_blocked();
        {
            let mut state = self.shared.lock();
            let stats = &mut state.stats;
            let counts = link.session.counts();
            let (in_chunk_size, out_chunk_size) = link.session.chunk_sizes();
            (stats.in_chunk_size, stats.out_chunk_size) = (in_chunk_size as u32, out_chunk_size as u32);
            stats.in_window = counts.window;
            stats.bytes_we_acknowledged = counts.acknowledged;
            stats.bytes_acknowledged = counts.server_acknowledged.into();
            stats.bytes_received = self.bytes_before.0 + counts.received;
            stats.bytes_sent = self.bytes_before.1 + link.bytes_sent;
            let is_stalled = is_blocked && still >= STALLED;
            stats.stalls += u64::from(is_stalled && !stats.is_stalled);
            stats.is_stalled = is_stalled;
            stats.withheld = self.withheld_before + self.outgoing.withheld();
        }
        if let Some(limit) = self.plan.stall_limit.filter(|limit| is_blocked && still >= *limit) {
            let text = format!("the server takes nothing for {} s", limit.as_secs());
            self.lose_current(Failure::new(Kind::Write, text))?;
        }
        self.judge_codec();
        if self.outgoing.withheld() > 0 && !std::mem::replace(&mut self.has_told_of_tracks, true) {
            self.warn(advice::NO_TRACKS.to_owned());
        }
        Ok(())
    }

    /// Says once for each connection when the server lists codecs and has not the stream's.
    fn judge_codec(&mut self) {
        if self.has_judged_codec || !self.current.is_publishing() {
            return;
        }
        let packaging = self.shared.lock().intake.packaging;
        if let Some(packaging) = packaging {
            self.has_judged_codec = true;
            if let Some(text) = unknown_codec(packaging, self.current.session.server()) {
                self.warn(text);
            }
        }
    }

    fn wait(&self) {
        let now = Instant::now();
        let stalled = |limit: Duration| (self.current.progress + limit > now).then(|| self.current.progress + limit);
        let is_blocked = self.current.is_publishing() && self.current.is_blocked();
        let stall = is_blocked.then_some([Some(STALLED), self.plan.stall_limit]).into_iter().flatten().flatten();
        let paused = self.asked.is_some().then(|| self.took_over.map(|then| then + RECONNECT_PAUSE)).flatten();
        let deadlines = self.links().filter_map(Link::deadline);
        let until = deadlines.chain(stall.filter_map(stalled)).chain(paused).min();
        wait_for(&self.shared, self.links(), until.map(|until| until.saturating_duration_since(now)));
    }

    fn links(&self) -> impl Iterator<Item = &Link> {
        [&self.current].into_iter().chain(&self.next).chain(&self.leaving)
    }

    /// Says goodbye wherever somebody listens.
    fn leave(mut self) {
        drop(self.next.take());
        loop {
            let now = Instant::now();
            self.shared.waker.rest();
            self.leaving.iter_mut().for_each(|link| link.leave_in_order(now));
            self.current.leave_in_order(now);
            if self.current.has_said_goodbye() || self.current.is_blocked() {
                self.shared.lock().is_farewell_over = true;
                self.shared.tell();
            }
            if self.links().all(Link::is_gone) {
                return;
            }
            let until = self.links().filter_map(Link::deadline).min();
            wait_for(&self.shared, self.links(), until.map(|until| until.saturating_duration_since(now)));
        }
    }

    fn warn(&self, text: String) {
        (self.say)(Said::Warning(text));
    }
}

fn wait_for<'a>(shared: &Shared, links: impl Iterator<Item = &'a Link>, timeout: Option<Duration>) {
    let mut polled = vec![PollFd::new(&*shared.waker, PollFlags::IN)];
    polled.extend(links.filter_map(Link::transport).map(|(transport, flags)| PollFd::new(transport, flags)));
    // Rounded up, so that what is waited for is due then.
    let timeout = timeout.map(|timeout| timeout + Duration::from_millis(1));
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    // Woken for nothing, everything is looked at.
    let _ = poll(&mut polled, timeout.as_ref());
}
