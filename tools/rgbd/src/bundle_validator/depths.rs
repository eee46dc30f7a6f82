//! Looks through depth pictures, in threads of its own: of all that is looked at, they take the most time.

use std::{
    num::NonZero,
    sync::{
        Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use mcap::Message;
use tools_mcap::{rvl::Picture, schema::cvmmap_streamer::DepthMap};

use super::report::{Rule, Violations, place};

/// More would wait for the one that reads the file.
const THREADS_MAX: usize = 8;
/// Pictures that wait, for each thread.
const WAITING: usize = 2;

/// A depth picture.
pub struct Job {
    /// Number of the message in the file,
    pub number: u64,
    /// the message without its bytes,
    pub message: Message<'static>,
    /// and what they are.
    pub depth: DepthMap,
}

/// Has pictures looked through that `give` hands over, and returns what is broken in them, with what `give` returns.
pub fn check<T>(give: impl FnOnce(SyncSender<Job>) -> T) -> (T, Violations) {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
    let (sender, jobs) = sync_channel(threads * WAITING);
    let jobs = Mutex::new(jobs);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| look_through(&jobs))).collect();
        let given = give(sender);
        let mut violations = Violations::default();
        for thread in threads {
            violations.add_all(thread.join().expect("it does not panic"));
        }
        (given, violations)
    })
}

fn look_through(jobs: &Mutex<Receiver<Job>>) -> Violations {
    let mut violations = Violations::default();
    let next = || jobs.lock().expect("nobody panics with it").recv();
    while let Ok(Job { number, message, depth }) = next() {
        violations.at(number);
        let size = (depth.width, depth.height);
        match Picture::check(&depth.data) {
            Ok(holds) if holds == size => {}
            Ok((width, height)) => violations.add(Rule::Depth, || {
                place(&message, &format!("it says {}x{} and holds {width}x{height}", size.0, size.1))
            }),
            Err(error) => violations.add(Rule::Depth, || place(&message, &error.to_string())),
        }
    }
    violations
}
