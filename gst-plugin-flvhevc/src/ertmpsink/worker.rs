//! The thread that talks to the server: the only one of a sink, and nothing in it waits but for all at once.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    backlog::Kind as TagKind,
    failure::{Failure, Kind},
    intake::Entry,
    link::Link,
    shared::{Phase, Shared, State},
};
use crate::rtmp::{
    location::Location,
    session::{Event, Server, Session},
    tag::VideoPackaging,
};

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
    /// Of connections before the current one.
    bytes_before: (u64, u64),
}

/// The tag that is being sent, and what goes before it.
#[derive(Default)]
struct Outgoing {
    tag: Option<(Entry, usize)>,
    waiting: VecDeque<Entry>,
    /// Nothing was sent on this connection.
    is_new: bool,
    /// Nothing but the headers was.
    only_headers: bool,
}

/// What became of an offer to send more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Offer {
    Idle,
    TakeOver,
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
            bytes_before: (0, 0),
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
                        Event::Publishing => self.shared.lock().wants_keyframe = true,
                        Event::Authenticate(answer) => {
                            let Plan { ca_file, command_limit, .. } = &self.plan;
                            let waker = &self.shared.waker;
                            let location = next.location.clone();
                            *next = Link::new(location, Some(answer), ca_file.clone(), *command_limit, waker);
                            return;
                        }
                        // It has not taken over yet.
                        Event::Reconnect { .. } => {}
                    }
                }
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
        self.outgoing = Outgoing::new();
        self.has_judged_codec = false;
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
            state.stats.server_caps_ex = self.current.session.server().caps_ex;
            state.stats.server_codecs = self.current.session.server().four_ccs.join(",");
        }
        self.shared.tell();
    }

    fn publish(&mut self, now: Instant) -> Result<(), Failure> {
        loop {
            let is_next_ready = self.next.as_ref().is_some_and(Link::is_publishing);
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
                Ok(()) if offer == Offer::TakeOver => self.take_over(now),
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
        self.begin();
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
        }
        if let Some(limit) = self.plan.stall_limit.filter(|limit| is_blocked && still >= *limit) {
            let text = format!("the server takes nothing for {} s", limit.as_secs());
            self.lose_current(Failure::new(Kind::Write, text))?;
        }
        self.judge_codec();
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

impl Outgoing {
    fn new() -> Self {
        Self { is_new: true, ..Self::default() }
    }

    /// Puts the next chunk into the session's output. False: there is none.
    fn next(&mut self, session: &mut Session, shared: &Shared, is_next_ready: bool) -> Result<bool, Offer> {
        if !session.is_tag_under_way() {
            let Some(entry) = self.next_tag(shared, is_next_ready)? else {
                return Ok(false);
            };
            session.begin_tag(entry.tag.type_id, entry.tag.timestamp, entry.tag.body_size);
            let at = entry.tag.body_at;
            self.tag = Some((entry, at));
        }
        let Some((entry, at)) = &mut self.tag else {
            return Ok(false);
        };
        session.chunk(|out, count| {
            let end = out.len();
            out.resize(end + count, 0);
            // The buffer was long enough when it came, and is nobody else's to change.
            let _ = entry.buffer.copy_to_slice(*at, &mut out[end..]);
            *at += count;
        });
        Ok(true)
    }

    fn next_tag(&mut self, shared: &Shared, is_next_ready: bool) -> Result<Option<Entry>, Offer> {
        let mut state = shared.lock();
        let state = &mut *state;
        // What was under way has gone to the kernel.
        state.stats.tags += u64::from(self.tag.take().is_some());
        state.is_tag_under_way = false;
        state.backlog.resume();
        let entry = self.choose(state, is_next_ready);
        state.is_tag_under_way = matches!(entry, Ok(Some(_)));
        shared.tell();
        entry
    }

    fn choose(&mut self, state: &mut State, is_next_ready: bool) -> Result<Option<Entry>, Offer> {
        if let Some(entry) = self.waiting.pop_front() {
            return Ok(Some(entry));
        }
        loop {
            let Some(weight) = state.backlog.front() else {
                return Ok(None);
            };
            if is_next_ready && weight.kind == TagKind::Keyframe {
                return Err(Offer::TakeOver);
            }
            let Some(entry) = state.backlog.take() else {
                return Ok(None);
            };
            if self.is_new {
                self.is_new = false;
                self.only_headers = true;
                self.waiting.extend(state.intake.headers().iter().cloned().map(|mut header| {
                    header.tag.timestamp = entry.tag.timestamp;
                    header
                }));
            }
            // It is among those that were sent, or are next.
            let is_known = self.only_headers && state.intake.headers().iter().any(|header| header.is_same(&entry));
            self.only_headers &= entry.kind == TagKind::Header;
            if entry.kind != TagKind::Header || !is_known {
                self.waiting.push_back(entry);
            }
            if let Some(entry) = self.waiting.pop_front() {
                return Ok(Some(entry));
            }
        }
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

/// What to say when a server lists codecs and does not have the stream's.
fn unknown_codec(packaging: VideoPackaging, server: &Server) -> Option<String> {
    const DOMESTIC: u8 = 12;
    let listed = || server.four_ccs.join(", ");
    match packaging {
        VideoPackaging::FourCc(four_cc) => {
            let name = String::from_utf8_lossy(&four_cc).into_owned();
            let advice =
                if name == "hvc1" { ": hevc-packaging=domestic is the other way to package H.265" } else { "" };
            server.lacks(&name).then(|| format!("the server lists the codecs {} and not {name}{advice}", listed()))
        }
        VideoPackaging::CodecId(DOMESTIC) if server.four_ccs.iter().any(|known| known == "hvc1" || known == "*") => {
            Some(format!(
                "the server lists the codecs {}, and codec-id 12 is none of them: hevc-packaging=enhanced is the other \
                 way to package H.265",
                listed()
            ))
        }
        VideoPackaging::CodecId(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_that_the_server_does_not_list_is_told_with_the_other_way() {
        let server = |four_ccs: &[&str]| Server {
            four_ccs: four_ccs.iter().map(|four_cc| (*four_cc).to_owned()).collect(),
            caps_ex: 0,
        };
        let said = |packaging, codecs: &[&str]| unknown_codec(packaging, &server(codecs));
        let [hevc, av1] = [*b"hvc1", *b"av01"].map(VideoPackaging::FourCc);
        assert!(
            said(hevc, &["av01", "vp09"])
                .unwrap()
                .ends_with("hevc-packaging=domestic is the other way to package H.265")
        );
        assert_eq!(said(av1, &["hvc1"]).unwrap(), "the server lists the codecs hvc1 and not av01");
        assert!(said(VideoPackaging::CodecId(12), &["hvc1"]).unwrap().contains("hevc-packaging=enhanced"));
        for (packaging, codecs) in [
            (hevc, &["hvc1"][..]),
            (hevc, &["*"]),
            (hevc, &[]),
            (VideoPackaging::CodecId(7), &["hvc1"]),
            (VideoPackaging::CodecId(12), &[]),
        ] {
            assert_eq!(said(packaging, codecs), None, "{packaging:?} {codecs:?}");
        }
    }
}
