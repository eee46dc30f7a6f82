//! The workers, each taking one job after the other until there are no more.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Instant,
};

use tools_cli::{failure::Failure, interrupt, progress::Told};

use super::{
    child::{self, Ended, Failed},
    jobs::Job,
    listen,
    pool::Worker,
    programs::Kind,
    queue::{Queue, Settled, Taken},
    report::{Entry, Lost, Outcome},
    view::View,
};

/// Where jobs come from.
pub enum Source {
    List(Mutex<VecDeque<Job>>),
    Queue(Box<Queue>),
}

/// What a worker tells.
enum Event {
    Started {
        worker: usize,
        job: Job,
    },
    At {
        worker: usize,
        told: Told,
    },
    /// The entry is none when the job goes back to the queue.
    Ended {
        worker: usize,
        entry: Option<Entry>,
        line: String,
    },
    /// Jobs of the queue that nobody is at, the worker's next among them.
    Waiting(usize),
    Broken(Failure),
}

/// Works until there are no more jobs: what was done, and what stopped it early.
pub fn work(
    kind: &'static Kind,
    program: &Path,
    source: &Source,
    workers: &[Worker],
    view: &mut View,
) -> (Vec<Entry>, Option<Failure>) {
    let (send, events) = mpsc::channel();
    let stop = AtomicBool::new(false);
    let (mut entries, mut broken) = (Vec::new(), None);
    thread::scope(|scope| {
        for (number, worker) in workers.iter().enumerate() {
            let tell = send.clone();
            let one = One { kind, program, source, worker, number, tell, stop: &stop };
            scope.spawn(move || one.work());
        }
        drop(send);
        loop {
            match events.recv_timeout(view.wait()) {
                Ok(Event::Started { worker, job }) => view.started(worker, &workers[worker], &job.input),
                Ok(Event::At { worker, told }) => view.at(worker, told),
                Ok(Event::Waiting(jobs)) => view.known(view.done() + view.running() + jobs),
                Ok(Event::Ended { worker, entry, line }) => {
                    view.ended(worker, &line, entry.as_ref().map(|entry| entry.outcome));
                    entries.extend(entry);
                }
                Ok(Event::Broken(failure)) => broken = broken.take().or(Some(failure)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            view.heartbeat();
        }
    });
    (entries, broken)
}

/// A worker.
struct One<'a> {
    kind: &'static Kind,
    program: &'a Path,
    source: &'a Source,
    worker: &'a Worker,
    number: usize,
    tell: mpsc::Sender<Event>,
    stop: &'a AtomicBool,
}

impl One<'_> {
    fn work(&self) {
        while interrupt::times() == 0 && !self.stop.load(Ordering::Relaxed) {
            let worked = match self.source {
                Source::List(jobs) => {
                    let job = jobs.lock().expect("nobody panics with it").pop_front();
                    let Some(job) = job else { return };
                    self.convert(&job, || {});
                    Ok(true)
                }
                Source::Queue(queue) => self.take_and_convert(queue),
            };
            match worked {
                Ok(true) => {}
                Ok(false) => return,
                Err(failure) => {
                    self.stop.store(true, Ordering::Relaxed);
                    self.tell(Event::Broken(failure));
                }
            }
        }
    }

    fn convert(&self, job: &Job, tick: impl FnMut()) {
        let (ended, seconds) = self.run(job, tick);
        self.end(job, ended, Some(seconds));
    }

    fn run(&self, job: &Job, tick: impl FnMut()) -> (Ended, f64) {
        self.tell(Event::Started { worker: self.number, job: job.clone() });
        let begun = Instant::now();
        let at = |told| self.tell(Event::At { worker: self.number, told });
        let ended = child::run(self.kind, self.program, job, self.worker, at, tick);
        (ended, begun.elapsed().as_secs_f64())
    }

    /// Whether there was a job, or may be one soon.
    fn take_and_convert(&self, queue: &Queue) -> Result<bool, Failure> {
        let Some(Taken { job, ticket, waiting }) = queue.take()? else {
            return Ok(false);
        };
        self.tell(Event::Waiting(waiting + 1));
        let job = match job {
            Ok(job) => job,
            Err((job, why)) => {
                let failed = Failed { why, excerpt: Vec::new() };
                self.tell(Event::Started { worker: self.number, job: job.clone() });
                queue.give_up(ticket, &job, &failed)?;
                self.end(&job, Ended::Failed(failed), None);
                return Ok(true);
            }
        };
        let made = || !job.overwrite && job.output.symlink_metadata().is_ok();
        if made() {
            self.tell(Event::Started { worker: self.number, job: job.clone() });
            queue.done(ticket)?;
            self.skip(&job);
            return Ok(true);
        }
        let (ended, seconds) = self.run(&job, || ticket.touch(queue));
        match ended {
            Ended::Converted(_) => {
                self.end(&job, ended, Some(seconds));
                queue.done(ticket)?;
            }
            Ended::Failed(_) if made() => {
                queue.done(ticket)?;
                self.skip(&job);
            }
            Ended::Failed(failed) => match queue.failed(ticket, &job, &failed)? {
                Settled::GivenUp => self.end(&job, Ended::Failed(failed), Some(seconds)),
                Settled::HandedBack(tries) => {
                    let line = format!("try {tries} failed, handed back: {}: {}", shown(&job), failed.why);
                    self.tell(Event::Ended { worker: self.number, entry: None, line });
                }
            },
            Ended::Interrupted => {
                self.end(&job, ended, Some(seconds));
                queue.hand_back(ticket);
            }
        }
        Ok(true)
    }

    fn skip(&self, job: &Job) {
        let why = "another worker made it meanwhile".to_owned();
        let line = format!("skipped {}: {why}", shown(job));
        let entry = Entry::new(job.input.clone(), job.output.clone(), Outcome::Skipped, Some(why));
        self.tell(Event::Ended { worker: self.number, entry: Some(entry), line });
    }

    fn end(&self, job: &Job, ended: Ended, seconds: Option<f64>) {
        let (input, output) = (job.input.clone(), job.output.clone());
        let (entry, line) = match ended {
            Ended::Converted(summary) => {
                let lost = Lost::of(&summary);
                let lost = if lost == Lost::default() { String::new() } else { format!(", {lost}") };
                let frames = summary["frames"].as_u64().map_or(String::new(), |frames| format!("{frames} frames, "));
                let took = seconds.unwrap_or_default();
                let line = format!("done {}: {frames}{took:.1} s{lost}", shown(job));
                (Entry { summary: Some(summary), ..Entry::new(input, output, Outcome::Converted, None) }, line)
            }
            Ended::Failed(failed) => {
                let line = format!("failed {}: {}", shown(job), failed.why);
                (Entry::failed(input, output, failed), line)
            }
            Ended::Interrupted => {
                let why = Some("interrupted".to_owned());
                (Entry::new(input, output, Outcome::Left, why), format!("interrupted {}", shown(job)))
            }
        };
        let entry = Some(Entry { seconds, ..entry });
        self.tell(Event::Ended { worker: self.number, entry, line });
    }

    fn tell(&self, event: Event) {
        // Whoever listens does so until the last worker has ended.
        let _ = self.tell.send(event);
    }
}

fn shown(job: &Job) -> String {
    listen::clean(&job.input.display().to_string())
}
