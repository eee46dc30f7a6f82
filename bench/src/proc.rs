//! Numbers that `/proc` tells of a process, which is given by its id or as `self`. Source: proc(5).

use std::{fmt::Display, fs};

use anyhow::{Context, Result};

/// Ticks of CPU time a second, as Linux has them on every architecture it is used on here.
pub const TICKS: u32 = 100;

/// Fields of `/proc/PROCESS/stat` that follow each other, by the number of the first: 4 or more.
pub fn stat<const N: usize>(process: impl Display, first: usize) -> Result<[u64; N]> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    // A name may have spaces, and parentheses too.
    let after_name = text.rsplit_once(')').with_context(|| path.clone())?.1;
    let fields = after_name.split_whitespace().skip(first - 3).take(N).map(str::parse).collect::<Result<Vec<_>, _>>();
    fields?.try_into().ok().with_context(|| format!("{path} has too few fields"))
}

/// What stands in lines of one of its files, such as `VmRSS: 1024 kB`, by their names.
pub fn lines<const N: usize>(process: impl Display, file: &str, names: [&str; N]) -> Result<[u64; N]> {
    let path = format!("/proc/{process}/{file}");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let mut numbers = [0; N];
    for (number, name) in numbers.iter_mut().zip(names) {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let value = value.with_context(|| format!("{name} of {path}"))?;
        *number = value.trim().trim_end_matches(" kB").parse().with_context(|| format!("{name} of {path}"))?;
    }
    Ok(numbers)
}
