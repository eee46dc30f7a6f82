//! A descriptor that becomes readable at a time.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// Shortest time that is no "never" to the system (timerfd_settime(2)).
const SHORTEST: Duration = Duration::from_nanos(1);
/// Longest time that is asked for at once: less than what every call of the system takes.
const LONGEST: Duration = Duration::from_secs(3600);

/// A timer of the system, set as seldom as that is right: it may go off before anything is due, and never after.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: OwnedFd,
    /// When it goes off, or went off.
    set_to: Option<Instant>,
}

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        Ok(Self { timer, set_to: None })
    }

    /// Has it go off at `due_at` at the latest. Where it is set to an earlier time that is still to come, it is left alone.
    pub(crate) fn keep(&mut self, due_at: Instant) -> io::Result<()> {
        let now = Instant::now();
        // An `Instant` is of the timer's own clock: what has gone off is in the past.
        if self.set_to.is_some_and(|set_to| now < set_to && set_to <= due_at) {
            return Ok(());
        }
        self.set(due_at, now)
    }

    /// Has it go off at once.
    pub(crate) fn ring(&mut self) -> io::Result<()> {
        let now = Instant::now();
        self.set(now, now)
    }

    /// Setting it takes back that it went off.
    fn set(&mut self, at: Instant, now: Instant) -> io::Result<()> {
        let left = at.saturating_duration_since(now).clamp(SHORTEST, LONGEST);
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once = Itimerspec { it_interval: never, it_value: timespec(left) };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        self.set_to = Some(now + left);
        Ok(())
    }
}

/// A duration as the system takes it, and no more than an hour: whoever waits for longer asks again.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    let duration = duration.min(LONGEST);
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: duration.subsec_nanos().into() }
}

/// Readable once it has gone off, until it is set again.
impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    fn goes_off(alarm: &Alarm, within: Duration) -> bool {
        poll(&mut [PollFd::new(alarm, PollFlags::IN)], Some(&timespec(within))).unwrap() > 0
    }

    #[test]
    fn it_goes_off_no_later_than_what_is_due_and_is_set_again_behind_that() {
        let begin = Instant::now();
        let (soon, late) = (begin + Duration::from_millis(20), begin + Duration::from_secs(3600));
        let mut alarm = Alarm::new().unwrap();
        alarm.keep(late).unwrap();
        assert!(!goes_off(&alarm, Duration::ZERO));
        alarm.keep(soon).unwrap();
        alarm.keep(late).unwrap();
        assert!(goes_off(&alarm, Duration::from_secs(10)), "the earlier time stays");
        assert!(Instant::now() >= soon);
        alarm.keep(late).unwrap();
        assert!(!goes_off(&alarm, Duration::ZERO));
        alarm.ring().unwrap();
        assert!(goes_off(&alarm, Duration::from_secs(10)));
        alarm.keep(begin).unwrap();
        assert!(goes_off(&alarm, Duration::from_secs(10)), "what is overdue is due at once");
    }
}
