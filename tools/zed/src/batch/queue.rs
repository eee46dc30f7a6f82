//! One list for several machines: a work queue of NATS JetStream, from which each job is taken once.
//!
//! A job has a subject of its own, so that it is in the queue once however often it is listed. It stays there until a
//! worker says that it is done; one that is silent for too long is dead, and its job is given to another. A job that
//! failed for good leaves a note on another subject, until it is listed again.
//!
//! Longer than other files: a job's messages, and what is done with them, are one protocol that a reader needs as a whole.

use std::{
    cell::Cell,
    ffi::OsString,
    fmt,
    future::Future,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use async_nats::jetstream::{
    self, AckKind,
    consumer::{PullConsumer, pull},
    context::PublishErrorKind,
    message::PublishMessage,
    stream::{self, DiscardPolicy, RawMessageErrorKind, RetentionPolicy, StorageType, Stream},
};
use cvmmap::nats::Client;
use futures_util::StreamExt as _;
use gst::glib;
use serde::{Deserialize, Serialize};
use tools_cli::{failure::Failure, interrupt, progress::say};

use super::queue_url::QueueUrl;
use super::{
    child::Failed,
    jobs::Job,
    listen::clean,
    programs::Kind,
    report::{Entry, Outcome},
};

/// Of the messages' form.
const VERSION: u32 = 1;
/// A server is there after so long, or is not.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// One request is answered after so long, or is asked again.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// A server that has been away for so long does not come back.
const AWAY_MAX: Duration = Duration::from_secs(60);
/// Somebody who interrupts does not wait so long.
const LAST_WORD_MAX: Duration = Duration::from_secs(3);
/// A request for a job waits in the server for so long; then it is seen whether the queue is empty.
const TAKE_MAX: Duration = Duration::from_secs(1);
/// A job that failed so often has failed for good.
const TRIES_MAX: i64 = 3;
/// One with which so many workers died kills them.
const DEATHS_MAX: i64 = 10;
/// A job that failed is not tried again at once: it may be the machine.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A worker that is silent for so long is dead.
    pub takeover: Duration,
    /// Whether to wait for further jobs when there are none.
    pub wait: bool,
}

/// A queue for the jobs of one program.
pub struct Queue {
    kind: &'static Kind,
    client: Client,
    context: jetstream::Context,
    stream: Stream,
    consumer: PullConsumer,
    subjects: Subjects,
    name: String,
    takeover: Duration,
    wait: bool,
}

/// What the messages about the jobs of a converter are published to.
struct Subjects {
    queue: String,
    converter: &'static str,
}

/// What a message is about.
#[derive(Clone, Copy, Debug)]
enum About {
    Job,
    /// Why a job was given up.
    Failed,
    /// How often it came back.
    Tally,
}

/// A job that was taken; as one that is refused, with the reason.
pub struct Taken {
    pub job: Result<Job, (Job, String)>,
    pub ticket: Ticket,
    /// Jobs that nobody has taken yet.
    pub waiting: usize,
}

/// What a job is settled by.
pub struct Ticket {
    message: Arc<jetstream::Message>,
    id: String,
    tally: Tally,
    told: Cell<Instant>,
}

/// What became of a failed job.
pub enum Settled {
    GivenUp,
    /// After so many tries, another may follow.
    HandedBack(i64),
}

/// A job, as it is in the queue.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    version: u32,
    program: String,
    input: String,
    output: String,
    overwrite: bool,
    flags: Vec<String>,
}

/// How often a job came back, by the workers that had it. The server counts how often it was taken, also by those that died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tally {
    /// It failed.
    failed: i64,
    /// The worker was interrupted.
    handed_back: i64,
}

impl Tally {
    /// Workers that never said what became of the job, which is taken for so many times.
    fn deaths(self, taken: i64) -> i64 {
        taken.saturating_sub(1).saturating_sub(self.failed).saturating_sub(self.handed_back)
    }
}

impl Subjects {
    fn of(&self, about: About, id: &str) -> String {
        let about = match about {
            About::Job => "job",
            About::Failed => "failed",
            About::Tally => "tally",
        };
        format!("cvmmap.batch.{}.{about}.{}.{id}", self.queue, self.converter)
    }
}

/// Why a job was given up.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    input: PathBuf,
    why: String,
    excerpt: Vec<String>,
    host: String,
}

impl Message {
    fn new(kind: &Kind, job: &Job) -> Result<Self, Failure> {
        let text = |text: OsString| {
            text.into_string().map_err(|text| {
                Failure::Configuration(format!("{}: its name is no UTF-8; rename it for the queue", text.display()))
            })
        };
        Ok(Self {
            version: VERSION,
            program: kind.single.to_owned(),
            input: text(job.input.clone().into())?,
            output: text(job.output.clone().into())?,
            overwrite: job.overwrite,
            flags: job.flags.iter().cloned().map(text).collect::<Result<_, _>>()?,
        })
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts are JSON")
    }

    /// The same for the same job, whoever lists it.
    fn id(&self) -> String {
        let sum = glib::compute_checksum_for_bytes(glib::ChecksumType::Sha256, &glib::Bytes::from_owned(self.bytes()));
        sum.map(|sum| sum[..32].to_owned()).unwrap_or_default()
    }

    /// The job of a message that somebody sent. Refused with the reason, and a job to tell it of.
    fn read(kind: &Kind, bytes: &[u8], subject: &str) -> Result<Job, (Job, String)> {
        let unknown = |why: String| {
            let input = PathBuf::from(clean(subject));
            (Job { input, output: PathBuf::new(), overwrite: false, flags: Vec::new() }, why)
        };
        let message: Self =
            serde_json::from_slice(bytes).map_err(|error| unknown(format!("it is no job of this version: {error}")))?;
        let job = Job {
            input: message.input.into(),
            output: message.output.into(),
            overwrite: message.overwrite,
            flags: message.flags.iter().map(OsString::from).collect(),
        };
        let why = if message.version != VERSION || message.program != kind.single {
            "it is a job of another program".to_owned()
        } else if !job.input.is_absolute() || !job.output.is_absolute() {
            "its paths are relative".to_owned()
        } else if let Err(why) = (kind.understands)(&message.flags) {
            format!("its flags are not the converter's: {why}")
        } else {
            return Ok(job);
        };
        Err((job, why))
    }
}

impl Queue {
    /// Finds a queue, or makes it.
    ///
    /// # Errors
    /// [`Failure::Usage`] for what is no URL, [`Failure::Configuration`] when there is no server, or it keeps no queue.
    pub fn open(kind: &'static Kind, url: &QueueUrl, settings: Settings) -> Result<Self, Failure> {
        let (options, name) = url.parts()?;
        let unusable = |why: &dyn fmt::Display| Failure::Configuration(format!("--queue: {why}"));
        let client = Client::connect(&options, kind.batch).map_err(|error| unusable(&error))?;
        client.wait_connected(CONNECT_MAX).map_err(|error| unusable(&error))?;
        let all = vec![format!("cvmmap.batch.{name}.>")];
        let subjects = Subjects { queue: name.clone(), converter: kind.single };
        let config = stream::Config {
            name: format!("cvmmap_batch_{name}"),
            description: Some("Conversions of ZED recordings".to_owned()),
            subjects: all.clone(),
            retention: RetentionPolicy::WorkQueue,
            storage: StorageType::File,
            discard: DiscardPolicy::Old,
            max_messages_per_subject: 1,
            ..stream::Config::default()
        };
        let consumer = pull::Config {
            durable_name: Some(kind.single.to_owned()),
            filter_subject: subjects.of(About::Job, "*"),
            ack_policy: jetstream::consumer::AckPolicy::Explicit,
            ack_wait: settings.takeover,
            // It is counted here: what the server gives up stays in the queue for ever.
            max_deliver: -1,
            ..pull::Config::default()
        };
        let nats = client.nats();
        let made = client.wait(3 * ANSWER_MAX, async move {
            let mut context = jetstream::new(nats);
            context.set_timeout(ANSWER_MAX);
            let stream = context.get_or_create_stream(config).await.map_err(|error| error.to_string())?;
            let consumer = stream.get_or_create_consumer(kind.single, consumer).await;
            Ok::<_, String>((context, stream, consumer.map_err(|error| error.to_string())?))
        });
        let (context, stream, consumer) =
            made.unwrap_or_else(|| Err("no answer in time".to_owned())).map_err(|why| match client.denied() {
                Some(what) => unusable(&format!("{} denies the right of {what}", client.server())),
                None => unusable(&format!("{} keeps no queue: {why}; start nats-server with -js", client.server())),
            })?;
        let kept = &stream.cached_info().config;
        if kept.retention != RetentionPolicy::WorkQueue || kept.subjects != all {
            return Err(unusable(&format!("{} is a stream of another kind; take another name", kept.name)));
        }
        let takeover = consumer.cached_info().config.ack_wait;
        if takeover != settings.takeover {
            let seconds = takeover.as_secs_f64();
            say(kind.batch, &format!("the queue was made with --queue-takeover-seconds {seconds}, which stays"));
        }
        let name = format!("queue {name} on {}", client.server());
        Ok(Self { kind, client, context, stream, consumer, subjects, name, takeover, wait: settings.wait })
    }

    /// What it is called, without credentials.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds the jobs that are not in the queue: how many.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when the server is gone, [`Failure::Interrupted`].
    pub fn publish(&self, jobs: &[Job]) -> Result<usize, Failure> {
        let mut added = 0;
        for job in jobs {
            interrupt::check()?;
            let message = Message::new(self.kind, job)?;
            let [subject, note] = [About::Job, About::Failed].map(|about| self.subjects.of(about, &message.id()));
            let is_new = self.persist(AWAY_MAX, || {
                let (context, stream) = (self.context.clone(), self.stream.clone());
                let (subject, note, bytes) = (subject.clone(), note.clone(), message.bytes());
                async move {
                    // It is tried again.
                    stream.purge().filter(note).await.map_err(|error| error.to_string())?;
                    // Only where there is none: nobody loses the job that he is at.
                    let message = PublishMessage::build().payload(bytes.into()).expected_last_subject_sequence(0);
                    let sent = context.send_publish(subject, message).await.map_err(|error| error.to_string())?;
                    match sent.await {
                        Ok(_) => Ok(true),
                        Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(false),
                        Err(error) => Err(error.to_string()),
                    }
                }
            })?;
            added += usize::from(is_new);
        }
        Ok(added)
    }

    /// Takes a job; none when the queue is empty and nobody is at one, or after a signal.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when the server is gone.
    pub fn take(&self) -> Result<Option<Taken>, Failure> {
        loop {
            let taken = self.persist(AWAY_MAX, || {
                let consumer = self.consumer.clone();
                async move {
                    let batch = consumer.batch().max_messages(1).expires(TAKE_MAX).messages().await;
                    let mut batch = batch.map_err(|error| error.to_string())?;
                    match batch.next().await {
                        Some(Ok(message)) => return Ok((Some(message), 0)),
                        Some(Err(error)) => return Err(error.to_string()),
                        None => {}
                    }
                    let info = consumer.get_info().await.map_err(|error| error.to_string())?;
                    Ok((None, info.num_pending as usize + info.num_ack_pending))
                }
            });
            match taken {
                Ok((Some(message), _)) => return self.taken(message),
                Ok((None, 0)) if !self.wait => return Ok(None),
                Ok((None, _)) => {}
                Err(Failure::Interrupted { .. }) => return Ok(None),
                Err(failure) => return Err(failure),
            }
            if interrupt::times() > 0 {
                return Ok(None);
            }
        }
    }

    /// None after a signal.
    fn taken(&self, message: jetstream::Message) -> Result<Option<Taken>, Failure> {
        let (taken, waiting) = message.info().map_or((1, 0), |info| (info.delivered, info.pending as usize));
        let subject = message.subject.to_string();
        let id = subject.rsplit('.').next().unwrap_or_default().to_owned();
        let tally = match self.tally(&id, taken) {
            Err(Failure::Interrupted { .. }) => return Ok(None),
            tally => tally?,
        };
        let mut job = Message::read(self.kind, &message.payload, &subject);
        if let Ok(known) = &job
            && tally.deaths(taken) >= DEATHS_MAX
        {
            job = Err((known.clone(), format!("{DEATHS_MAX} workers died with it")));
        }
        let ticket = Ticket { message: Arc::new(message), id, tally, told: Cell::new(Instant::now()) };
        Ok(Some(Taken { job, ticket, waiting }))
    }

    /// How often a job came back that was taken so often.
    fn tally(&self, id: &str, taken: i64) -> Result<Tally, Failure> {
        if taken <= 1 {
            // What may be left is of an earlier job.
            return Ok(Tally::default());
        }
        self.persist(AWAY_MAX, || {
            let (stream, subject) = (self.stream.clone(), self.subjects.of(About::Tally, id));
            // What somebody else put there is none.
            async move { Ok(last(&stream, &subject).await?.and_then(|tally| serde_json::from_slice(&tally).ok())) }
        })
        .map(Option::unwrap_or_default)
    }

    /// Gives a job back to the queue, with how often it came back.
    fn return_with(&self, ticket: &Ticket, tally: Tally, after: Option<Duration>) -> Result<(), Failure> {
        let subject = self.subjects.of(About::Tally, &ticket.id);
        let tally = serde_json::to_vec(&tally).unwrap_or_default();
        self.last_word(|| {
            let (context, subject, tally) = (self.context.clone(), subject.clone(), tally.clone());
            let message = Arc::clone(&ticket.message);
            async move {
                let sent = context.publish(subject, tally.into()).await.map_err(|error| error.to_string())?;
                sent.await.map_err(|error| error.to_string())?;
                message.ack_with(AckKind::Nak(after)).await.map_err(|error| error.to_string())
            }
        })
    }

    /// The job is done: takes it out of the queue.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when the server is gone.
    pub fn done(&self, ticket: Ticket) -> Result<(), Failure> {
        let tally = self.subjects.of(About::Tally, &ticket.id);
        self.last_word(|| {
            let (stream, message, tally) = (self.stream.clone(), Arc::clone(&ticket.message), tally.clone());
            async move {
                message.double_ack().await.map_err(|error| error.to_string())?;
                // What stays of it says nothing of a later job.
                let _ = stream.purge().filter(tally).await;
                Ok(())
            }
        })
    }

    /// The job has failed: hands it back for another try, or gives it up.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when the server is gone.
    pub fn failed(&self, ticket: Ticket, job: &Job, failed: &Failed) -> Result<Settled, Failure> {
        let tally = Tally { failed: ticket.tally.failed.saturating_add(1), ..ticket.tally };
        if tally.failed >= TRIES_MAX {
            return self.give_up(ticket, job, failed).map(|()| Settled::GivenUp);
        }
        self.return_with(&ticket, tally, Some(TRY_AGAIN_AFTER))?;
        Ok(Settled::HandedBack(tally.failed))
    }

    /// Takes the job out of the queue, and leaves a note.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when the server is gone.
    pub fn give_up(&self, ticket: Ticket, job: &Job, failed: &Failed) -> Result<(), Failure> {
        let note = Note {
            input: job.input.clone(),
            why: failed.why.clone(),
            excerpt: failed.excerpt.clone(),
            host: glib::host_name().to_string(),
        };
        let note = serde_json::to_vec(&note).unwrap_or_default();
        let subject = self.subjects.of(About::Failed, &ticket.id);
        self.last_word(|| {
            let (context, subject, note) = (self.context.clone(), subject.clone(), note.clone());
            async move {
                let sent = context.publish(subject, note.into()).await.map_err(|error| error.to_string())?;
                sent.await.map(drop).map_err(|error| error.to_string())
            }
        })?;
        self.done(ticket)
    }

    /// Gives an interrupted job to the next worker at once.
    pub fn hand_back(&self, ticket: Ticket) {
        let tally = Tally { handed_back: ticket.tally.handed_back.saturating_add(1), ..ticket.tally };
        // Without a server, another worker takes it over in time.
        let _ = self.return_with(&ticket, tally, None);
        let _ = self.client.flush(LAST_WORD_MAX);
    }

    /// What became of a job that was listed here and not done here, when the queue is empty.
    pub fn became(&self, job: Job) -> Entry {
        let Ok(message) = Message::new(self.kind, &job) else {
            return Entry::new(job.input, job.output, Outcome::Left, None);
        };
        let note = self.persist(AWAY_MAX, || {
            let (stream, subject) = (self.stream.clone(), self.subjects.of(About::Failed, &message.id()));
            async move { last(&stream, &subject).await }
        });
        match note {
            Ok(Some(note)) => {
                let failed = match serde_json::from_slice::<Note>(&note) {
                    Ok(Note { why, excerpt, host, .. }) => Failed {
                        why: clean(&format!("on {host}: {why}")),
                        excerpt: excerpt.iter().map(|line| clean(line)).collect(),
                    },
                    Err(_) => Failed { why: "given up, nobody knows why".to_owned(), excerpt: Vec::new() },
                };
                Entry::failed(job.input, job.output, failed)
            }
            Ok(None) if job.output.exists() => Entry::new(job.input, job.output, Outcome::Elsewhere, None),
            Ok(None) => {
                let why =
                    "the queue has it no more, and its output is not here: are the paths the same on all machines?";
                let failed = Failed { why: why.to_owned(), excerpt: Vec::new() };
                Entry::failed(job.input, job.output, failed)
            }
            Err(failure) => Entry::new(job.input, job.output, Outcome::Left, Some(failure.to_string())),
        }
    }

    /// Asks until there is an answer, or nobody has answered for so long.
    fn persist<T, F>(&self, patience: Duration, mut ask: impl FnMut() -> F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, String>> + Send + 'static,
    {
        let begun = Instant::now();
        let mut complained = false;
        loop {
            let answer = self.client.wait(patience.min(2 * ANSWER_MAX), ask());
            let why = match answer {
                Some(Ok(answer)) => return Ok(answer),
                Some(Err(why)) => why,
                None => "no answer in time".to_owned(),
            };
            let why = match self.client.denied() {
                Some(what) => format!("{why}; the server denies the right of {what}"),
                None => why,
            };
            if interrupt::times() > 0 && patience > LAST_WORD_MAX {
                interrupt::check()?;
            }
            if begun.elapsed() >= patience {
                return Err(Failure::Pipeline(format!(
                    "{}: {}; start the batch again when it is back",
                    self.name, why
                )));
            }
            if !complained {
                complained = true;
                say(self.kind.batch, &format!("{}: {why}; trying again", self.name));
            }
            let _ = self.client.wait_connected(Duration::from_secs(1));
            thread::sleep(interrupt::TICK);
        }
    }

    /// Also after a signal.
    fn last_word<T, F>(&self, ask: impl FnMut() -> F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, String>> + Send + 'static,
    {
        self.persist(if interrupt::times() > 0 { LAST_WORD_MAX } else { AWAY_MAX }, ask)
    }
}

/// The last message that was published to a subject; none where there is none.
async fn last(stream: &Stream, subject: &str) -> Result<Option<Vec<u8>>, String> {
    match stream.get_last_raw_message_by_subject(subject).await {
        Ok(message) => Ok(Some(message.payload.into())),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

impl Ticket {
    /// Tells the queue, now and then, that the job is being worked on.
    pub fn touch(&self, queue: &Queue) {
        if self.told.get().elapsed() < queue.takeover / 4 || !queue.client.is_connected() {
            return;
        }
        self.told.set(Instant::now());
        let message = Arc::clone(&self.message);
        // Lost, it is told again.
        let _ = queue.client.wait(interrupt::TICK, async move { message.ack_with(AckKind::Progress).await.is_ok() });
    }
}

#[cfg(test)]
mod tests;
