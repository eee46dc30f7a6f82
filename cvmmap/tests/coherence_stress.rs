//! No mixed frame gets through, whatever happens to the reader and to a producer of the reference order, which is another
//! process. `docs/coherence.md` says why.
//!
//! Each picture has one value, which its frame id tells, so a single byte of another frame shows. Every case runs for
//! a few seconds; `CVMMAP_STRESS_TIMES=20` makes it twenty times as long.
//!
//! Longer than other files: every case is one call of the same reading loop, which stands here once.

#[path = "common/reference_producer.rs"]
mod reference_producer;

use std::{
    collections::VecDeque,
    env,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use cvmmap::{Arrival, Coherence, Event, Plane, PlaneKind, SnapshotError, SnapshotReader, Subscriber, SyncMessage};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Signal, kill_process},
};

use self::reference_producer::{Producer, Running, filler, value};

/// One case at a time: they would take each other's processor.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Deterministic random numbers (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// Nothing as often as not, else up to the longest delay.
    fn delay(&mut self, longest: Duration) -> Duration {
        if longest.is_zero() || self.below(2) == 0 {
            return Duration::ZERO;
        }
        Duration::from_micros(self.below(longest.as_micros() as u64))
    }
}

/// A producer whose writes take a quarter of its interval: a late copy is likely to meet the next one.
fn slow_writer(fps: u32) -> Vec<String> {
    let stall = 250 / fps;
    let flags = format!("--fps {fps} --width 1280 --height 720 --write-delay-ms {stall}");
    flags.split(' ').map(str::to_owned).collect()
}

/// How the reader hears of frames.
#[derive(Clone, Copy)]
enum Hears {
    /// It waits for them.
    Waiting,
    /// It waits until the subscriber's descriptor is readable.
    ByDescriptor,
    /// It asks as often as this, whatever came when.
    ByClock(Duration),
}

impl Hears {
    /// What comes next, if it comes in time. One that goes by a clock knows nothing of time.
    fn next(self, subscriber: &mut Subscriber, timeout: Duration) -> Option<Event> {
        match self {
            Self::Waiting => Some(subscriber.wait(Some(timeout)).unwrap()),
            Self::ByDescriptor => subscriber.try_recv().unwrap().or_else(|| {
                let timeout = Timespec::try_from(timeout).unwrap();
                if poll(&mut [PollFd::new(subscriber, PollFlags::IN)], Some(&timeout)).unwrap() == 0 {
                    return None;
                }
                subscriber.note_readable();
                subscriber.try_recv().unwrap()
            }),
            Self::ByClock(interval) => subscriber.try_recv().unwrap().or_else(|| {
                thread::sleep(interval);
                None
            }),
        }
    }
}

/// What happens to the reader.
#[derive(Clone, Copy)]
struct Case {
    coherence: Coherence,
    hears: Hears,
    seconds: u64,
    /// Longest delay before the snapshot and in the middle of it.
    longest: Duration,
    /// Announcements after which the reader forgets all it learned.
    renewed_after: u64,
    seed: u64,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            coherence: Coherence::Cadence,
            hears: Hears::Waiting,
            seconds: 2,
            longest: Duration::ZERO,
            renewed_after: u64::MAX,
            seed: 0x9E37_79B9_7F4A_7C15,
        }
    }
}

impl Case {
    fn duration(&self) -> Duration {
        let times = env::var("CVMMAP_STRESS_TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
        Duration::from_secs(self.seconds * times)
    }
}

#[derive(Debug, Default)]
struct Tally {
    announced: u64,
    taken: u64,
    mixed: u64,
    learning: u64,
    late: u64,
    torn: u64,
}

impl Tally {
    /// Part of the announced frames that got through, those that taught the cadence left out.
    fn share(&self) -> f64 {
        self.taken as f64 / (self.announced - self.learning).max(1) as f64
    }
}

/// The last announcements and what came of them, for the day on which a mixed frame gets through.
#[derive(Default)]
struct Evidence {
    lines: VecDeque<String>,
    last: Option<(u64, Instant)>,
    /// Lines to come that still belong to what was shown.
    more: u32,
}

impl Evidence {
    fn note<T>(&mut self, announced: &SyncMessage, arrival: Arrival, outcome: &Result<T, SnapshotError>) {
        let (timestamp, at) =
            self.last.replace((announced.timestamp_ns, arrival.at)).unwrap_or((announced.timestamp_ns, arrival.at));
        let line = format!(
            "frame {}: timestamp +{} us, heard +{} us{}, copied {} us later: {}",
            announced.frame_id,
            announced.timestamp_ns.wrapping_sub(timestamp) as i64 / 1000,
            arrival.at.saturating_duration_since(at).as_micros(),
            if arrival.waited { "" } else { " by a busy reader" },
            arrival.at.elapsed().as_micros(),
            outcome.as_ref().map_or_else(|error| format!("{error:?}"), |_| "taken".to_owned())
        );
        if self.more > 0 {
            self.more -= 1;
            println!("  {line}");
        }
        self.lines.push_back(line);
        if self.lines.len() > 40 {
            self.lines.pop_front();
        }
    }

    /// Tells what led to this picture, and with what follows of what comes next.
    fn show(&mut self, picture: &[u8]) {
        let at = picture.windows(2).position(|pair| pair[0] != pair[1]);
        println!("mixed: {} then {}, from byte {at:?} on", picture[0], picture[picture.len() - 1]);
        self.lines.iter().for_each(|line| println!("  {line}"));
        self.more = 3;
    }
}

/// Reads a producer's frames for the case's time, or until `enough`.
fn read(name: &str, producer: &Producer, case: Case, enough: impl Fn(&Tally) -> bool) -> Tally {
    let mut subscriber = Subscriber::connect(&producer.address).unwrap();
    let mut reader = SnapshotReader::new(&producer.address, case.coherence);
    let mut random = Random(case.seed);
    let mut picture = Vec::new();
    let mut tally = Tally::default();
    let mut evidence = Evidence::default();
    let end = Instant::now() + case.duration();
    while Instant::now() < end && !enough(&tally) {
        let timeout = reader.look_at().map(|at| at.saturating_duration_since(Instant::now()));
        let event = case.hears.next(&mut subscriber, timeout.unwrap_or(Duration::from_secs(1)));
        let arrival = subscriber.arrival();
        let Some(Event::Frame(announced)) = event else {
            reader.look();
            continue;
        };
        tally.announced += 1;
        if tally.announced % case.renewed_after == 0 {
            reader = SnapshotReader::new(&producer.address, case.coherence);
        }
        thread::sleep(random.delay(case.longest));
        let outcome = reader.begin(&announced, arrival).and_then(|mut snapshot| {
            let Plane { size, stride, .. } = *snapshot.metadata().plane(PlaneKind::Left).unwrap();
            picture.resize(size as usize, 0);
            thread::sleep(random.delay(case.longest));
            snapshot.read(PlaneKind::Left, &mut picture, stride as usize)?;
            snapshot.finish()
        });
        evidence.note(&announced, arrival, &outcome);
        match outcome {
            Ok(metadata) => {
                let page = [value(metadata.frame_id); 4096];
                tally.taken += 1;
                if !picture.chunks(4096).all(|chunk| *chunk == page[..chunk.len()]) {
                    tally.mixed += 1;
                    evidence.show(&picture);
                }
            }
            Err(SnapshotError::Learning) => tally.learning += 1,
            Err(SnapshotError::Late { .. } | SnapshotError::NeverWaited) => tally.late += 1,
            Err(error) if error.is_torn() => tally.torn += 1,
            // Nothing was published yet.
            Err(SnapshotError::Metadata(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    println!("{name}: {:.1} % of {tally:?}", 100.0 * tally.share());
    tally
}

fn never(_: &Tally) -> bool {
    false
}

#[test]
fn a_reader_in_time_gets_frames_and_none_is_mixed() {
    let _alone = alone();
    for (fps, least) in [("30", 0.5), ("60", 0.2), ("120", 0.0)] {
        // What else runs on the machine costs frames, and may spoil a try. The benchmark measures an idle one.
        let shares = (0..3).map(|_| {
            let producer = Producer::start(&["--fps", fps]);
            let tally = read(&format!("idle, {fps} fps"), &producer, Case::default(), never);
            assert_eq!(tally.mixed, 0);
            tally.share()
        });
        assert!(shares.into_iter().any(|share| share >= least), "{fps} fps");
    }
}

#[test]
fn a_reader_that_is_late_at_random_takes_no_mixed_frame() {
    let _alone = alone();
    for fps in [30, 60, 120] {
        let producer = Producer::start(&slow_writer(fps));
        let longest = Duration::from_millis(30);
        let case = Case { longest, seconds: 3, ..Case::default() };
        let tally = read(&format!("reader late by up to 30 ms, {fps} fps"), &producer, case, never);
        assert_eq!(tally.mixed, 0, "{fps} fps");
    }
}

/// Writes that take most of the interval, and a reader that may ask at any time of it. One whose clock is the camera's is late by
/// the same time again and again.
#[test]
fn a_reader_that_asks_by_a_clock_loses_frames_and_takes_no_mixed_one() {
    let _alone = alone();
    let mut mixed_by_metadata = 0;
    for millis in [10, 33] {
        let producer = Producer::start(&filler(30, 60, ""));
        let by_clock = Hears::ByClock(Duration::from_millis(millis));
        let case = Case { hears: by_clock, ..Case::default() };
        let tally = read(&format!("asks every {millis} ms"), &producer, case, never);
        assert_eq!((tally.mixed, tally.taken), (0, 0), "{millis} ms");
        assert!(tally.announced > 10 && tally.late > 0, "{millis} ms");
        // Nothing else keeps it from that.
        let case = Case { coherence: Coherence::Metadata, seconds: 10, ..case };
        let tally = read("the same by the metadata alone", &producer, case, |tally| tally.mixed > 0);
        mixed_by_metadata += tally.mixed;
    }
    // At 33 ms it comes a little later to each frame, until it meets the next one's write.
    assert!(mixed_by_metadata > 0);
}

#[test]
fn a_reader_at_the_descriptor_is_as_good_as_one_that_waits() {
    let _alone = alone();
    // What else runs on the machine costs frames, and may spoil a try.
    let shares = (0..3).map(|_| {
        let producer = Producer::start(&["--fps", "30"]);
        let case = Case { hears: Hears::ByDescriptor, ..Case::default() };
        let tally = read("waits for the descriptor", &producer, case, never);
        assert_eq!(tally.mixed, 0);
        tally.share()
    });
    assert!(shares.into_iter().any(|share| share >= 0.5));
}

#[test]
fn a_reader_that_begins_anew_while_it_is_late_takes_no_mixed_frame() {
    let _alone = alone();
    let producer = Producer::start(&[slow_writer(60), vec!["--abi".into(), "v1".into()]].concat());
    let case = Case { longest: Duration::from_millis(30), seconds: 4, renewed_after: 15, ..Case::default() };
    let tally = read("reader late and new every 15 frames, 60 fps", &producer, case, never);
    assert_eq!(tally.mixed, 0);
}

#[test]
fn a_busy_machine_brings_no_mixed_frame() {
    let _alone = alone();
    let _hogs = [(); 2].map(|()| Running(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap()));
    for longest in [Duration::ZERO, Duration::from_millis(20)] {
        let producer = Producer::start(&slow_writer(60));
        let case = Case { longest, seconds: 3, ..Case::default() };
        let tally = read(&format!("two busy processes, reader late by up to {longest:?}"), &producer, case, never);
        assert_eq!(tally.mixed, 0);
    }
}

#[test]
fn a_producer_that_is_stopped_anywhere_brings_no_mixed_frame() {
    let _alone = alone();
    let producer = Producer::start(&slow_writer(60));
    let pid = producer.pid();
    let case = Case { longest: Duration::from_millis(20), seconds: 4, ..Case::default() };
    let end = Instant::now() + case.duration();
    let tally = thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random(0xD1B5_4A32_D192_ED03);
            while Instant::now() < end {
                thread::sleep(Duration::from_micros(random.below(60_000)));
                kill_process(pid, Signal::STOP).unwrap();
                thread::sleep(Duration::from_micros(random.below(80_000)));
                kill_process(pid, Signal::CONT).unwrap();
            }
        });
        read("producer stopped at random, 60 fps", &producer, case, never)
    });
    assert_eq!(tally.mixed, 0);
}

#[test]
fn a_producer_that_stalls_inside_a_write_brings_no_mixed_frame() {
    let _alone = alone();
    let producer = Producer::start(&["--fps", "60", "--write-delay-ms", "40", "--write-delay-every", "2"]);
    let case = Case { longest: Duration::from_millis(30), seconds: 3, ..Case::default() };
    let tally = read("every other write stalls for 40 ms, 60 fps", &producer, case, never);
    assert_eq!(tally.mixed, 0);
}

/// Pictures that come over a network, and such that do not.
const ON_THE_WAY: [&str; 5] = [
    "",
    "--burst-every 20 --burst-ms 90",
    "--burst-every 20 --burst-ms 90 --stamp write",
    "--jitter-ms 5",
    "--jitter-ms 5 --stamp write",
];

/// A producer that fills its payload slowly brings no mixed frame. A test for each, so that long runs go side by side.
fn fill(fps: u32, part: u32) {
    let _alone = alone();
    for more in ON_THE_WAY {
        let producer = Producer::start(&filler(fps, part, more));
        let case = Case { seconds: 1, ..Case::default() };
        let tally = read(&format!("{fps} fps, writes of {part} % of the interval {more}"), &producer, case, never);
        assert_eq!(tally.mixed, 0, "{fps} fps, {part} % {more}");
    }
}

#[test]
fn writes_of_5_percent_at_30_fps() {
    fill(30, 5);
}

#[test]
fn writes_of_50_percent_at_30_fps() {
    fill(30, 50);
}

#[test]
fn writes_of_80_percent_at_30_fps() {
    fill(30, 80);
}

#[test]
fn writes_of_5_percent_at_60_fps() {
    fill(60, 5);
}

#[test]
fn writes_of_50_percent_at_60_fps() {
    fill(60, 50);
}

#[test]
fn writes_of_80_percent_at_60_fps() {
    fill(60, 80);
}

#[test]
fn a_slow_producer_and_a_busy_machine_bring_no_mixed_frame() {
    let _alone = alone();
    let _hogs = [(); 2].map(|()| Running(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap()));
    for (fps, part) in [(30, 60), (30, 80), (60, 5), (60, 60), (60, 80)] {
        for more in ON_THE_WAY {
            let producer = Producer::start(&filler(fps, part, more));
            let case = Case { seconds: 1, ..Case::default() };
            let what = format!("busy, {fps} fps, writes of {part} % of the interval {more}");
            let tally = read(&what, &producer, case, never);
            assert_eq!(tally.mixed, 0, "{fps} fps, {part} % {more}");
        }
    }
}

#[test]
fn a_slow_producer_that_stalls_and_a_late_reader_bring_no_mixed_frame() {
    let _alone = alone();
    for more in ["--write-delay-ms 40 --write-delay-every 7", "--pieces 4", "--pieces 500"] {
        let producer = Producer::start(&filler(30, 60, more));
        let case = Case { longest: Duration::from_millis(15), seconds: 2, ..Case::default() };
        let tally = read(&format!("reader late by up to 15 ms, 60 % of 30 fps {more}"), &producer, case, never);
        assert_eq!(tally.mixed, 0, "{more}");
    }
}

#[test]
fn a_counter_that_starts_over_again_and_again_costs_little_and_brings_no_mixed_frame() {
    let _alone = alone();
    // What has to come when nothing else runs, and what in any case.
    for (flags, usual, least) in [
        ("--reset-every 9", 0.95, 0.5),
        ("--reset-every 3", 0.95, 0.5),
        ("--reset-every 9 --reset-clock-hours 1", 0.6, 0.2),
    ] {
        let shares = (0..3).map(|_| {
            let producer = Producer::start(&filler(30, 5, flags));
            let tally = read(flags, &producer, Case::default(), never);
            assert_eq!(tally.mixed, 0, "{flags}");
            let learned = tally.announced.saturating_sub(8);
            println!("{flags}: {} of {learned} taken, {usual} on an idle machine", tally.taken);
            tally.taken as f64 / learned.max(1) as f64
        });
        assert!(shares.into_iter().any(|share| share >= least), "{flags}");
    }
}

#[test]
fn an_unthrottled_producer_brings_no_mixed_frame() {
    let _alone = alone();
    for longest in [Duration::ZERO, Duration::from_millis(3)] {
        let producer = Producer::start(&["--fps", "0", "--width", "1920", "--height", "1080"]);
        let case = Case { longest, ..Case::default() };
        let tally = read(&format!("unthrottled 1080p, reader late by up to {longest:?}"), &producer, case, never);
        assert_eq!(tally.mixed, 0);
    }
}

/// Without the cadence the same faults show: what is injected above is real.
#[test]
fn the_metadata_alone_let_mixed_frames_through() {
    let _alone = alone();
    let enough = |tally: &Tally| tally.mixed > 0;
    let case = Case { coherence: Coherence::Metadata, seconds: 20, ..Case::default() };
    let producer = Producer::start(&["--fps", "0", "--width", "1920", "--height", "1080"]);
    let tally = read("metadata alone, unthrottled 1080p", &producer, case, enough);
    assert!(tally.mixed > 0);

    let case = Case { longest: Duration::from_millis(30), ..case };
    let producer = Producer::start(&slow_writer(60));
    let tally = read("metadata alone, reader late by up to 30 ms, 60 fps", &producer, case, enough);
    assert!(tally.mixed > 0);
}
