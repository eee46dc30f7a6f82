//! What the program says while it runs. A line that comes again and again is told the 1st, 2nd, 4th, 8th … time: a stream in
//! trouble fills no disk.

mod format;
mod live;

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use self::format::TARGET;
pub use self::{
    format::{Format, Verbosity, init},
    live::{is_possible as is_terminal, show},
};

/// A line that has not come for so long is news again.
const NEWS_AFTER: Duration = Duration::from_secs(60);
/// Lines that are counted one by one. More kinds than that within [`NEWS_AFTER`] are counted together.
const LINES_MAX: usize = 64;

static LOG: LazyLock<Mutex<Log>> = LazyLock::new(Mutex::default);

/// A camera's name in what is told of it.
pub type Name = Arc<str>;

thread_local! {
    static CAMERA: RefCell<Option<Name>> = const { RefCell::new(None) };
}

/// What this thread tells from now on is told of `camera`; of the program without.
pub fn speak_for(camera: Option<Name>) {
    CAMERA.set(camera);
}

/// `work` for another thread, which speaks for the same camera as this one meanwhile.
pub fn carried<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let camera = CAMERA.with_borrow(Clone::clone);
    move || {
        speak_for(camera);
        let done = work();
        speak_for(None);
        done
    }
}

/// [`tell`] for whichever thread calls it, which speaks for the same camera as this one.
pub fn teller() -> impl Fn(&str) + Send + Sync + 'static {
    let camera = CAMERA.with_borrow(Clone::clone);
    move |line| tell_of(camera.as_deref(), line, line)
}

/// One line for the person at the terminal.
pub fn tell(line: &str) {
    tell_again(line, line);
}

/// The same for a line that is not quite equal each time; `kind` is what tells it from others.
pub fn tell_again(kind: &str, line: &str) {
    CAMERA.with_borrow(|camera| tell_of(camera.as_deref(), kind, line));
}

fn tell_of(camera: Option<&str>, kind: &str, line: &str) {
    let kind = format!("{}: {kind}", camera.unwrap_or_default());
    let times = LOG.lock().unwrap_or_else(PoisonError::into_inner).count(&kind, Instant::now());
    if let Some(times) = times {
        write(camera, &format!("{line}{times}"));
    }
}

/// Tells a line of `camera`, however often it came.
pub fn tell_always(camera: Option<&str>, line: &str) {
    write(camera, line);
}

fn write(camera: Option<&str>, line: &str) {
    if line.starts_with("warning: ") {
        tracing::warn!(target: TARGET, camera, "{line}");
    } else {
        tracing::info!(target: TARGET, camera, "{line}");
    }
}

/// How often a line came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    /// It alone.
    Of(u64),
    /// All those that are not counted one by one.
    OfMany(u64),
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(1) => Ok(()),
            Self::Of(times) => write!(f, " ({times} times)"),
            Self::OfMany(lines) => write!(f, " (one of {lines} lines that came too fast)"),
        }
    }
}

#[derive(Debug, Default)]
struct Log {
    lines: HashMap<String, Count>,
    others: Option<Count>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    times: u64,
    last: Instant,
}

impl Count {
    /// One more, after what came before.
    fn after(before: Option<Self>, now: Instant) -> Self {
        let before = before.filter(|before| now.duration_since(before.last) < NEWS_AFTER);
        Self { times: before.map_or(0, |before| before.times) + 1, last: now }
    }

    fn is_told(self) -> bool {
        self.times.is_power_of_two()
    }
}

impl Log {
    /// Whether a line is told, and with which count.
    fn count(&mut self, kind: &str, now: Instant) -> Option<Times> {
        if !self.lines.contains_key(kind) && self.lines.len() == LINES_MAX {
            self.lines.retain(|_, count| now.duration_since(count.last) < NEWS_AFTER);
        }
        if !self.lines.contains_key(kind) && self.lines.len() == LINES_MAX {
            let count = Count::after(self.others, now);
            self.others = Some(count);
            return count.is_told().then_some(Times::OfMany(count.times));
        }
        let count = Count::after(self.lines.get(kind).copied(), now);
        self.lines.insert(kind.to_owned(), count);
        count.is_told().then_some(Times::Of(count.times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_repeats_is_told_ever_more_seldom() {
        let mut log = Log::default();
        let now = Instant::now();
        let told = (0..1000).filter_map(|_| log.count("a", now)).collect::<Vec<_>>();
        assert_eq!(told, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512].map(Times::Of));
        assert_eq!(log.count("b", now), Some(Times::Of(1)));
        assert_eq!([Times::Of(1), Times::Of(8)].map(|times| times.to_string()), ["", " (8 times)"]);
    }

    #[test]
    fn a_line_is_news_after_a_while() {
        let mut log = Log::default();
        let now = Instant::now();
        assert_eq!([(); 3].map(|()| log.count("a", now).is_some()), [true, true, false]);
        assert_eq!(log.count("a", now + NEWS_AFTER), Some(Times::Of(1)));
    }

    #[test]
    fn lines_that_all_differ_are_counted_together() {
        let mut log = Log::default();
        let now = Instant::now();
        let told = (0..10_000).filter_map(|line| log.count(&line.to_string(), now)).collect::<Vec<_>>();
        assert_eq!(told.len(), LINES_MAX + 14);
        assert_eq!(told.last(), Some(&Times::OfMany(8192)));
        assert_eq!(log.lines.len(), LINES_MAX);
        // Those that are known are told as ever, and the others make room.
        assert_eq!(log.count("0", now), Some(Times::Of(2)));
        assert_eq!(log.count("new", now + NEWS_AFTER), Some(Times::Of(1)));
    }
}
