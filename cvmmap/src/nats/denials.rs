//! What the server does not let us do. It says so beside the requests, and leaves them without an answer.

use std::{collections::VecDeque, future};

use tokio::sync::watch;

/// Denials that are kept; a client asks for little at a time.
const KEPT: usize = 32;
/// What the server says first.
const BEGIN: &str = "Permissions Violation for ";
/// Where answers come to.
const INBOX: &str = "_INBOX.";

/// The denials of one connection, the newest last, with their numbers.
#[derive(Debug)]
pub(super) struct Denials(watch::Sender<Denied>);

#[derive(Debug, Default)]
struct Denied {
    count: u64,
    kept: VecDeque<(u64, String)>,
}

impl Default for Denials {
    fn default() -> Self {
        Self(watch::Sender::new(Denied::default()))
    }
}

impl Denials {
    /// Takes the server's words, which may be about something else.
    pub(super) fn hear(&self, said: &str) {
        let Some(at) = said.find(BEGIN) else { return };
        let what = said[at + BEGIN.len()..].to_owned();
        self.0.send_modify(|denied| {
            denied.count += 1;
            denied.kept.push_back((denied.count, what));
            denied.kept.drain(..denied.kept.len().saturating_sub(KEPT));
        });
    }

    /// Forgets what another connection was denied.
    pub(super) fn clear(&self) {
        self.0.send_modify(|denied| denied.kept.clear());
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.0.borrow().count
    }

    /// The last one.
    pub(super) fn last(&self) -> Option<String> {
        self.0.borrow().kept.back().map(|(_, what)| what.clone())
    }

    /// Waits until a request to `subject`, or its answer, is denied, behind the `since` first ones: what is denied.
    pub(super) async fn of(&self, subject: &str, since: u64) -> String {
        let mut changes = self.0.subscribe();
        loop {
            if let Some(what) = changes.borrow_and_update().of(subject, since) {
                return what.to_owned();
            }
            if changes.changed().await.is_err() {
                future::pending::<()>().await;
            }
        }
    }
}

impl Denied {
    fn of(&self, subject: &str, since: u64) -> Option<&str> {
        let publish = format!("Publish to \"{subject}\"");
        let inbox = format!("Subscription to \"{INBOX}");
        // The inbox is asked for once in a connection; a right to publish may have been granted since it was denied.
        let is_of =
            |(number, what): &&(u64, String)| what.starts_with(&inbox) || *number > since && what.starts_with(&publish);
        self.kept.iter().find(is_of).map(|(_, what)| what.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_of_its_subject_and_its_time() {
        let denials = Denials::default();
        denials.hear("nats: Permissions Violation for Publish to \"a.b\"");
        denials.hear("slow consumer");
        let of = |subject: &str, since| denials.0.borrow().of(subject, since).map(str::to_owned);
        assert_eq!(of("a.b", 0).as_deref(), Some("Publish to \"a.b\""));
        assert_eq!((of("a.b", 1), of("a", 0), of("a.b.c", 0)), (None, None, None));
        denials.hear("Permissions Violation for Subscription to \"_INBOX.x.*\"");
        assert_eq!(of("a", 2).as_deref(), Some("Subscription to \"_INBOX.x.*\""));
        denials.clear();
        assert_eq!((of("a", 0), denials.last(), denials.count()), (None, None, 2));
        for number in 0..1000 {
            denials.hear(&format!("{BEGIN}Publish to \"{number}\""));
        }
        assert_eq!(denials.0.borrow().kept.len(), KEPT);
    }
}
