//! What a converter says, until it ends. Whoever it leaves behind, with its pipes in hand, is not waited for.

use std::{
    io::{self, Read},
    os::fd::AsFd,
    process::{Child, ExitStatus},
    thread,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::{Pid, PidfdFlags, pidfd_open},
};
use tools_cli::interrupt;

/// A longer line is several.
const LINE_MAX: usize = 2048;
/// A longer summary is none.
const SUMMARY_MAX: usize = 1 << 20;
/// Bytes of a pipe that are read at once; the converter waits meanwhile.
const READ_MAX: usize = 1 << 16;

/// Listens to a converter until it has ended: its status, and its summary if that was one. `hear` is called with each line,
/// and now and then without one.
///
/// # Errors
/// When its end cannot be waited for.
pub fn to(
    child: &mut Child,
    mut hear: impl FnMut(&Child, Option<String>),
) -> io::Result<(ExitStatus, Option<serde_json::Value>)> {
    let mut stderr = Pipe::new(child.stderr.take().expect("stderr is piped"))?;
    let mut stdout = Pipe::new(child.stdout.take().expect("stdout is piped"))?;
    let end = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok();
    let (mut said, mut summary) = (Vec::new(), Vec::new());
    loop {
        // Looked at first: what it wrote before its end is in the pipes then.
        let status = child.try_wait()?;
        stderr.read(&mut said);
        stdout.read(&mut summary);
        summary.truncate(SUMMARY_MAX + 1);
        while let Some(line) = line(&mut said, status.is_some()) {
            hear(child, Some(line));
        }
        if let Some(status) = status {
            return Ok((status, serde_json::from_slice(&summary).ok()));
        }
        hear(child, None);
        let mut wanted = vec![];
        wanted.extend(end.as_ref().map(|end| PollFd::new(end, PollFlags::IN)));
        wanted.extend(stderr.0.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        wanted.extend(stdout.0.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        match interrupt::TICK.try_into() {
            // When it is interrupted, everything is looked at again.
            Ok(tick) if !wanted.is_empty() => drop(poll(&mut wanted, Some(&tick))),
            _ => thread::sleep(interrupt::TICK),
        }
    }
}

/// The reading end of a pipe, until nobody has the other one.
struct Pipe<R>(Option<R>);

impl<R: Read + AsFd> Pipe<R> {
    fn new(pipe: R) -> io::Result<Self> {
        fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
        Ok(Self(Some(pipe)))
    }

    /// Adds what is in it, as far as that is read at once.
    fn read(&mut self, to: &mut Vec<u8>) {
        let Some(pipe) = &mut self.0 else { return };
        match pipe.by_ref().take(READ_MAX as u64).read_to_end(to) {
            Ok(READ_MAX) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // Its end.
            _ => self.0 = None,
        }
    }
}

/// Takes the first line that is whole, and at the end one that is not; empty ones are left out.
fn line(said: &mut Vec<u8>, is_end: bool) -> Option<String> {
    loop {
        let end = said.iter().take(LINE_MAX).position(|byte| *byte == b'\n').map(|at| at + 1);
        let long = (said.len() >= LINE_MAX).then_some(LINE_MAX);
        let rest = (is_end && !said.is_empty()).then_some(said.len());
        let line: Vec<_> = said.drain(..end.or(long).or(rest)?).collect();
        let text = clean(String::from_utf8_lossy(&line).trim_end());
        if !text.is_empty() {
            return Some(text);
        }
    }
}

/// A text without what a terminal would act on.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_when_they_are_whole() {
        let mut said = b"one\n\n two\nthr".to_vec();
        let lines = |said: &mut Vec<u8>, is_end| std::iter::from_fn(|| line(said, is_end)).collect::<Vec<_>>();
        assert_eq!(lines(&mut said, false), ["one", " two"]);
        said.extend(b"ee\x1b[31m");
        assert_eq!(lines(&mut said, true), ["three [31m"]);
        let mut long = vec![b'x'; 2 * LINE_MAX + 1];
        assert_eq!(lines(&mut long, false).len(), 2);
        assert_eq!(long.len(), 1);
    }
}
