//! What goes out next on a connection: the stream's headers first, and of what follows only what the server understands.

use std::collections::VecDeque;

use super::{
    backlog::Kind,
    intake::Entry,
    shared::{Shared, State},
};
use crate::rtmp::{session::Session, tag};

/// The tag that is being sent, and what goes before it.
#[derive(Default)]
pub struct Outgoing {
    tag: Option<(Entry, Body)>,
    waiting: VecDeque<Entry>,
    /// Nothing was sent on this connection.
    is_new: bool,
    /// Nothing but the headers was.
    only_headers: bool,
    /// Tags that the server would not understand.
    withheld: u64,
}

/// What is left to be sent of a tag's body.
struct Body {
    /// Takes the place of the byte in front of the rest.
    first: Option<u8>,
    /// Of the rest, in the tag's buffer.
    at: usize,
}

/// What became of an offer to send more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    Idle,
    TakeOver,
}

impl Outgoing {
    pub fn new() -> Self {
        Self { is_new: true, ..Self::default() }
    }

    /// Puts the next chunk into the session's output. False: there is none.
    pub fn next(&mut self, session: &mut Session, shared: &Shared, is_next_ready: bool) -> Result<bool, Offer> {
        if !session.is_tag_under_way() {
            let knows_tracks = session.server().knows_tracks();
            let Some(entry) = self.next_tag(shared, knows_tracks, is_next_ready)? else {
                return Ok(false);
            };
            // A server that did not ask for nanoseconds takes none for the picture.
            let first = entry.plain_first.filter(|_| !session.server().knows_nanoseconds());
            let skipped = if first.is_some() { tag::NANOSECONDS } else { 0 };
            session.begin_tag(entry.tag.type_id, entry.tag.timestamp, entry.tag.body_size - skipped);
            let at = entry.tag.body_at + skipped;
            self.tag = Some((entry, Body { first, at }));
        }
        let Some((entry, body)) = &mut self.tag else {
            return Ok(false);
        };
        session.chunk(|out, count| {
            let end = out.len();
            out.resize(end + count, 0);
            // The buffer was long enough when it came, and is nobody else's to change.
            let _ = entry.buffer.copy_to_slice(body.at, &mut out[end..]);
            if let Some(first) = body.first.take_if(|_| count > 0) {
                out[end] = first;
            }
            body.at += count;
        });
        Ok(true)
    }

    /// Tags that the server would not understand, and that were kept from it.
    pub fn withheld(&self) -> u64 {
        self.withheld
    }

    fn next_tag(&mut self, shared: &Shared, knows_tracks: bool, is_next_ready: bool) -> Result<Option<Entry>, Offer> {
        let mut state = shared.lock();
        let state = &mut *state;
        // What was under way has gone to the kernel.
        state.stats.tags += u64::from(self.tag.take().is_some());
        state.is_tag_under_way = false;
        state.backlog.resume();
        let takes_tracks = knows_tracks || state.sends_all_tracks;
        let entry = loop {
            match self.choose(state, is_next_ready) {
                Ok(Some(entry)) if entry.is_multitrack && !takes_tracks => self.withheld += 1,
                other => break other,
            }
        };
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
            if is_next_ready && weight.kind == Kind::Keyframe {
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
            self.only_headers &= entry.kind == Kind::Header;
            if entry.kind != Kind::Header || !is_known {
                self.waiting.push_back(entry);
            }
            if let Some(entry) = self.waiting.pop_front() {
                return Ok(Some(entry));
            }
        }
    }
}
