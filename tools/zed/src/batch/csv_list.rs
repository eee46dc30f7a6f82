//! A CSV file's list of segments.

use std::path::{Path, PathBuf};

use tools_cli::failure::Failure;

const COLUMN: &str = "segment_dir";

/// The segments of a file in its order. Relative ones are relative to `root`, or else to the file's directory.
///
/// # Errors
/// [`Failure::Configuration`] when it cannot be read, lacks the column, or names what is no directory.
pub fn segments(path: &Path, root: Option<&Path>) -> Result<Vec<PathBuf>, Failure> {
    let unusable = |why: &dyn std::fmt::Display| Failure::Configuration(format!("{}: {why}", path.display()));
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Err(unusable(&"it is not a file; give a CSV file"));
    }
    let root = root.or(path.parent()).unwrap_or(Path::new(""));
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(|error| unusable(&format!("it cannot be read: {error}")))?;
    let headers = reader.headers().map_err(|error| unusable(&format!("it is no CSV file: {error}")))?;
    let column = headers.iter().position(|header| header == COLUMN).ok_or_else(|| {
        unusable(&format!("its first line names no column {COLUMN}; it needs one with the segments' directories"))
    })?;
    let mut segments = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| unusable(&format!("it is no CSV file: {error}")))?;
        let line = row.position().map_or(0, csv::Position::line);
        let named = row.get(column).filter(|named| !named.is_empty());
        let named = named.ok_or_else(|| unusable(&format!("line {line} has no {COLUMN}")))?;
        let segment = root.join(named);
        if !segment.is_dir() {
            return Err(unusable(&format!(
                "line {line}: {} is no directory; correct it, or name the directory it is relative to by --csv-root",
                segment.display()
            )));
        }
        segments.push(segment);
    }
    Ok(segments)
}
