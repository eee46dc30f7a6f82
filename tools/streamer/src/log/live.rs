//! A line at the bottom of the terminal, which is rewritten as things change. Other lines go above it.

use std::{
    env,
    io::{self, IsTerminal as _, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tools_cli::printable;

/// Erases the line that the cursor is in. Source: ECMA-48, EL and CR.
const ERASE: &[u8] = b"\r\x1b[2K";
/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

static LINE: Mutex<String> = Mutex::new(String::new());

fn line() -> MutexGuard<'static, String> {
    LINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether stderr is a terminal on which a line can be rewritten.
pub fn is_possible() -> bool {
    io::stderr().is_terminal() && env::var_os("TERM").is_some_and(|name| name != "dumb")
}

/// Shows this line, as much of it as fits, instead of the one before. An empty one takes it away.
pub fn show(text: &str) {
    let columns = rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_col));
    let columns = if columns == 0 { COLUMNS } else { columns };
    let mut line = line();
    *line = printable::line(text).chars().take(columns - 1).collect();
    put(&[ERASE, line.as_bytes()].concat());
}

/// Writes to stderr, above the line.
#[derive(Debug)]
pub struct Above;

impl Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = line();
        if line.is_empty() {
            put(bytes);
        } else {
            put(&[ERASE, bytes, line.as_bytes()].concat());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// stderr may be closed.
fn put(bytes: &[u8]) {
    let _ = io::stderr().write_all(bytes);
}
