//! `watch`: a producer's frames, status and bodies, live.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use cvmmap::{
    Address, Coherence, Diagnosis, Event, SnapshotReader, Subscriber, Symptoms, SyncMessage,
    nats::{Consumer, Notice, StatusCode, Subjects},
};
use serde::Serialize;
use tools_cli::{failure::Failure, nats, report};

use super::args::{Options, Watch};

/// A timestamp that is further away than this is no Unix time of now.
const UNIX_NEAR: Duration = Duration::from_secs(60);
/// From such a step of the frame ids on the source started over, and lost nothing.
const RESTART: u32 = 1 << 16;

/// After so long without an announcement it is told why, of a producer that has announced some.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// One line: what came since the line before.
#[derive(Debug, Default, Serialize)]
struct Line {
    frames: u64,
    fps: f64,
    /// Announcements that never came here.
    skipped: u64,
    restarts: u64,
    frame_id: Option<u32>,
    /// From capture to announcement, of producers that stamp with Unix time.
    latency_ms_mean: Option<f64>,
    latency_ms_max: Option<f64>,
    nats: bool,
    status: Vec<&'static str>,
    body_packets: u64,
    bodies: usize,
    garbage: u64,
    /// Why no frames come, or why none of those that are announced can be read.
    stall: Option<String>,
}

/// What the connection's threads tell the watching one.
#[derive(Default)]
struct Heard {
    status: Vec<&'static str>,
    body_packets: u64,
    bodies: usize,
    garbage: u64,
}

/// Status events of one line that are told; more are a broken producer.
const STATUS_MAX: usize = 16;

/// Frames of one line.
#[derive(Default)]
struct Frames {
    count: u64,
    skipped: u64,
    restarts: u64,
    latencies: (f64, f64, u64),
}

/// Watches until told to stop, by a signal or after so many lines.
///
/// # Errors
/// When the producer's endpoint cannot be listened to.
pub fn run(server: Option<&nats::Server>, watch: &Watch, options: &Options) -> Result<(), Failure> {
    let target = &watch.producer.target;
    let address = Address::from(target);
    let mut subscriber = Subscriber::connect(&address)
        .map_err(|error| Failure::Configuration(format!("{}: {error}", address.zmq_endpoint())))?;
    let heard = Arc::new(Mutex::new(Heard::default()));
    let consumer = match server {
        None => None,
        Some(server) => {
            let told = Arc::clone(&heard);
            let client = server.connect("cvmmap_ctl watch")?;
            Some(Consumer::start(client, Subjects::from(target), move |notice| {
                hear(&mut told.lock().unwrap_or_else(PoisonError::into_inner), notice);
            }))
        }
    };
    let interval = Duration::from_millis(watch.interval_ms);
    // Nothing is copied: what the metadata say is enough.
    let mut reader = SnapshotReader::new(&address, Coherence::Metadata);
    let mut last: Option<SyncMessage> = None;
    let mut heard_at: Option<Instant> = None;
    for number in 0u64.. {
        if watch.count != 0 && number == watch.count {
            break;
        }
        let began = Instant::now();
        let mut frames = Frames::default();
        let mut symptoms = Symptoms::default();
        let mut is_readable = false;
        loop {
            let left = interval.saturating_sub(began.elapsed());
            if left.is_zero() {
                break;
            }
            let event = subscriber.wait(Some(left));
            let event = event.map_err(|error| Failure::Pipeline(format!("waiting for frames: {error}")))?;
            match event {
                Event::Frame(announced) => {
                    frames.take(last.replace(announced).as_ref(), &announced);
                    heard_at = Some(Instant::now());
                    symptoms.note_announcement();
                    // Once in a line.
                    if !is_readable {
                        let looked = reader.begin(&announced, subscriber.arrival()).and_then(|frame| frame.finish());
                        is_readable = looked.as_ref().map_or_else(cvmmap::SnapshotError::is_torn, |_| true);
                        if let Err(error) = looked {
                            symptoms.note_failure(&error);
                        }
                    }
                }
                Event::Foreign(foreign) => symptoms.note_foreign(&foreign),
                Event::TimedOut | Event::Woken => {}
            }
        }
        let is_silent = frames.count == 0 && heard_at.is_none_or(|heard_at| heard_at.elapsed() >= SILENCE_MAX);
        let is_stalled = is_silent || frames.count > 0 && !is_readable;
        let stall = is_stalled.then(|| Diagnosis::new(&address, subscriber.standing(), &symptoms).to_string());
        let heard = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
        let connected = consumer.as_ref().is_some_and(|consumer| consumer.client().is_connected());
        let mut line = frames.line(began.elapsed(), last.as_ref(), heard, connected);
        line.stall = stall;
        if !report::print(&line, options.json, || line.text())? {
            break;
        }
    }
    Ok(())
}

fn hear(heard: &mut Heard, notice: Notice) {
    match notice {
        Notice::Status(status) if heard.status.len() < STATUS_MAX => heard.status.push(match status.code {
            StatusCode::Online => "online",
            StatusCode::Offline => "offline",
            StatusCode::StreamReset => "stream-reset",
        }),
        Notice::Status(_) => {}
        Notice::Body(body) => {
            heard.body_packets += 1;
            heard.bodies = body.packet.bodies.len();
        }
        Notice::Garbage { .. } => heard.garbage += 1,
    }
}

impl Frames {
    fn take(&mut self, last: Option<&SyncMessage>, announced: &SyncMessage) {
        self.count += 1;
        if let Some(last) = last {
            match announced.frame_id.wrapping_sub(last.frame_id) {
                1 => {}
                step @ 2..RESTART => self.skipped += u64::from(step - 1),
                _ => self.restarts += 1,
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let age = now as f64 - announced.timestamp_ns as f64;
        if age.abs() < UNIX_NEAR.as_nanos() as f64 {
            let (sum, max, count) = &mut self.latencies;
            *sum += age / 1e6;
            *max = if *count == 0 { age / 1e6 } else { max.max(age / 1e6) };
            *count += 1;
        }
    }

    fn line(self, took: Duration, last: Option<&SyncMessage>, heard: Heard, nats: bool) -> Line {
        let (sum, max, count) = self.latencies;
        let rounded = |value: f64| (value * 100.0).round() / 100.0;
        Line {
            frames: self.count,
            fps: rounded(self.count as f64 / took.as_secs_f64()),
            skipped: self.skipped,
            restarts: self.restarts,
            frame_id: last.map(|last| last.frame_id),
            latency_ms_mean: (count > 0).then(|| rounded(sum / count as f64)),
            latency_ms_max: (count > 0).then(|| rounded(max)),
            nats,
            status: heard.status,
            body_packets: heard.body_packets,
            bodies: heard.bodies,
            garbage: heard.garbage,
            stall: None,
        }
    }
}

impl Line {
    fn text(&self) -> String {
        let frame = self.frame_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let latency = match (self.latency_ms_mean, self.latency_ms_max) {
            (Some(mean), Some(max)) => format!("{mean:.2} (max {max:.2}) ms"),
            _ => "-".to_owned(),
        };
        let mut text = format!(
            "frame {frame}  fps {:.1}  latency {latency}  skipped {}  bodies {} in {} packets",
            self.fps, self.skipped, self.bodies, self.body_packets
        );
        for (count, what) in [(self.restarts, "restarts"), (self.garbage, "garbage messages")] {
            if count > 0 {
                text += &format!("  {what} {count}");
            }
        }
        if !self.nats {
            text += "  no NATS";
        }
        if !self.status.is_empty() {
            text += &format!("  status {}", self.status.join(", "));
        }
        if let Some(stall) = &self.stall {
            text += &format!("  no frames: {stall}");
        }
        text + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_losses_and_steps_back_restarts() {
        let message = |frame_id| SyncMessage::new(frame_id, 1, "cam0");
        let mut frames = Frames::default();
        let ids = [5, 6, 9, 0, u32::MAX, 0];
        frames.take(None, &message(ids[0]));
        for pair in ids.windows(2) {
            frames.take(Some(&message(pair[0])), &message(pair[1]));
        }
        assert_eq!((frames.count, frames.skipped, frames.restarts), (6, 2, 2));
        let line = frames.line(Duration::from_secs(2), Some(&message(0)), Heard::default(), false);
        assert_eq!((line.fps, line.latency_ms_mean), (3.0, None));
    }
}
