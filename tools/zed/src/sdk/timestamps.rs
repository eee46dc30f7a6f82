//! When each picture of a recording was taken, before any is shown.

use tools_cli::{failure::Failure, interrupt};

use super::{
    abi,
    camera::{Camera, Grabbed},
    errors,
};
use crate::source::Facts;

/// The pictures of a recording, in their order.
#[derive(Debug)]
pub struct Timestamps {
    /// Sorted.
    pub all: Vec<u64>,
    /// Which of them can be shown. The others' timestamps lie between those of their neighbours, or are a neighbour's.
    pub whole: Vec<bool>,
    /// The recording could not be read to its end.
    pub cut: bool,
}

/// Those that the file tells, when the SDK tells the same of its first and its middle picture.
pub fn of_file(camera: &mut Camera, told: &Facts) -> Result<Option<Timestamps>, Failure> {
    let all = &told.timestamps;
    let mut runtime = abi::runtime_parameters(false);
    for position in [0, all.len() / 2] {
        interrupt::check()?;
        camera.seek(position)?;
        if camera.grab(&mut runtime) != Grabbed::Picture || camera.timestamp() != all[position] {
            return Ok(None);
        }
    }
    Ok(Some(Timestamps { all: all.clone(), whole: vec![true; all.len()], cut: false }))
}

/// Reads the whole recording.
///
/// # Errors
/// When no picture can be read, or [`Failure::Interrupted`].
pub fn scan(camera: &mut Camera) -> Result<Timestamps, Failure> {
    let mut runtime = abi::runtime_parameters(false);
    let (mut all, mut whole) = (Vec::new(), Vec::new());
    let mut cut = false;
    // No more than it says that there are: whatever follows is read a second time.
    while all.len() < camera.frames {
        interrupt::check()?;
        let last = all.last().copied().unwrap_or_default();
        let timestamp = match camera.grab(&mut runtime) {
            Grabbed::Picture => Some(camera.timestamp()).filter(|&timestamp| timestamp > last),
            Grabbed::Corrupted => None,
            Grabbed::End => break,
            Grabbed::Failed(code) if errors::is_of_the_file(code) && whole.contains(&true) => {
                cut = true;
                break;
            }
            Grabbed::Failed(code) => return Err(errors::failure("read the recording", code)),
        };
        all.push(timestamp.unwrap_or(last));
        whole.push(timestamp.is_some());
    }
    let Some(first) = whole.iter().position(|&whole| whole) else {
        return Err(Failure::Configuration(format!(
            "none of its {} pictures can be read; the recording is damaged",
            camera.frames
        )));
    };
    // Nobody knows when what is damaged before it was taken.
    let begin = all[first];
    all[..first].fill(begin);
    spread(&mut all, &whole);
    Ok(Timestamps { all, whole, cut })
}

/// What is damaged between two whole pictures was taken at regular intervals, as far as anybody knows.
fn spread(all: &mut [u64], whole: &[bool]) {
    let mut known = None;
    for at in (0..all.len()).filter(|&at| whole[at]) {
        if let Some(before) = known.replace(at) {
            let (begin, length, steps) = (all[before], all[at] - all[before], (at - before) as u64);
            for (step, timestamp) in (1..steps).zip(&mut all[before + 1..at]) {
                *timestamp = begin + length / steps * step;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn what_is_damaged_lies_between_its_neighbours() {
        let mut all = [5, 5, 5, 5, 35, 35];
        spread(&mut all, &[false, true, false, false, true, false]);
        assert_eq!(all, [5, 5, 15, 25, 35, 35]);
    }
}
