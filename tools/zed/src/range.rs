//! The part of a recording that `--start-frame` and `--end-frame` name.

use std::ops::RangeInclusive;

use tools_cli::{failure::Failure, progress::say};

/// The numbers that are asked for, of `count` that there are. `noun` is what is counted.
///
/// # Errors
/// [`Failure::Usage`] when the end is before the start, [`Failure::Configuration`] when there is nothing.
pub fn chosen(
    program: &str,
    noun: &str,
    count: usize,
    start: Option<usize>,
    end: Option<usize>,
) -> Result<RangeInclusive<usize>, Failure> {
    let first = start.unwrap_or(0);
    if end.is_some_and(|end| end < first) {
        return Err(Failure::Usage("--end-frame is before --start-frame".to_owned()));
    }
    let Some(last) = count.checked_sub(1).filter(|last| first <= *last) else {
        return Err(Failure::Configuration(format!(
            "--start-frame {first} is behind the recording's last {noun}, {}",
            count.saturating_sub(1)
        )));
    };
    let end = end.unwrap_or(last);
    if end > last {
        say(program, &format!("the recording ends with {noun} {last}, before --end-frame {end}"));
    }
    Ok(first..=end.min(last))
}
