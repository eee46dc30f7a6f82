//! A directory with the recordings of several cameras that were made together.

use std::path::{Path, PathBuf};

use tools_cli::failure::Failure;

/// The recordings of a segment, by their cameras' numbers.
///
/// # Errors
/// [`Failure::Configuration`] when there are none, or two of one camera.
pub fn recordings(directory: &Path) -> Result<Vec<(u32, PathBuf)>, Failure> {
    let unusable = |why: &str| Failure::Configuration(format!("{}: {why}", directory.display()));
    let entries = std::fs::read_dir(directory).map_err(|error| unusable(&format!("it cannot be read: {error}")))?;
    let mut cameras: Vec<(u32, PathBuf)> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| is_recording(path))
        .filter_map(|path| Some((camera(&path)?, path)))
        .collect();
    cameras.sort();
    if cameras.is_empty() {
        return Err(unusable("there are no recordings named *_zedN.svo2 in it; name them by --input"));
    }
    if let Some(twice) = cameras.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(unusable(&format!(
            "there are two recordings of zed{}; name the ones you want by --input",
            twice[0].0
        )));
    }
    Ok(cameras)
}

/// Whether a file is called like a recording of the ZED SDK.
pub fn is_recording(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("svo2") || extension.eq_ignore_ascii_case("svo"))
}

/// `run_zed2.svo2` is of camera 2.
pub fn camera(path: &Path) -> Option<u32> {
    let number = path.file_stem()?.to_str()?.rsplit_once("_zed")?.1;
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some(number)?.parse().ok()
}

/// What is made of a segment: in its directory, with its name.
///
/// # Errors
/// [`Failure::Configuration`] when the directory is not there.
pub fn output(directory: &Path, ending: &str) -> Result<PathBuf, Failure> {
    let whole = directory
        .canonicalize()
        .map_err(|error| Failure::Configuration(format!("{}: it cannot be used: {error}", directory.display())))?;
    let mut name = whole.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    Ok(directory.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_ends_the_name() {
        for (name, expected) in [
            ("2026-03-18_zed4.svo2", Some(4)),
            ("a_zed1_zed12.mcap", Some(12)),
            ("run.svo2", None),
            ("run_zed.svo2", None),
            ("run_zed+1.svo2", None),
            ("zed1.svo2", None),
        ] {
            assert_eq!(camera(Path::new(name)), expected, "{name}");
        }
    }
}
