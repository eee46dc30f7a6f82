//! Finding what is to be converted.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use globset::{GlobBuilder, GlobMatcher};
use tools_cli::{failure::Failure, progress::say};
use walkdir::{DirEntry, WalkDir};

use super::{
    args::List,
    csv_list,
    programs::{Kind, Takes},
};
use crate::segment;

/// Everything that a list names, each once: what was found in a directory is sorted, the rest in the order given.
///
/// # Errors
/// [`Failure::Usage`] without a list, [`Failure::Configuration`] when it names what is not there, or nothing is found.
pub fn inputs(kind: &Kind, list: &List) -> Result<Vec<PathBuf>, Failure> {
    let pattern = Pattern::new(list.pattern.as_deref().unwrap_or(kind.pattern))?;
    let roots = || list.roots.iter().chain(&list.dataset_root);
    if roots().next().is_none() && list.segment.is_empty() && list.segments_csv.is_none() {
        return Err(Failure::Usage("give a DATASET_ROOT, --segment or --segments-csv (see --help)".to_owned()));
    }
    let mut found = Vec::new();
    for root in roots() {
        match kind.takes {
            // A shell has put names for a pattern.
            Takes::Recordings if root.is_file() => found.push(root.clone()),
            Takes::Recordings => found.extend(recordings(kind, root, &pattern, !list.no_recursive)?),
            Takes::Segments => found.extend(segments(kind, root, &pattern, !list.no_recursive)?),
        }
    }
    let mut named = list.segment.clone();
    if let Some(csv) = &list.segments_csv {
        named.extend(csv_list::segments(csv, list.csv_root.as_deref())?);
    }
    for segment in named {
        match kind.takes {
            Takes::Recordings => found.extend(recordings(kind, &segment, &pattern, false)?),
            Takes::Segments => {
                segment::recordings(&segment)?;
                found.push(segment);
            }
        }
    }
    let mut seen = HashSet::new();
    found.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    if found.is_empty() {
        return Err(Failure::Configuration(format!(
            "no {} were found; give another directory or --pattern{}",
            kind.takes.name(),
            if list.no_recursive { ", or leave out --no-recursive" } else { "" }
        )));
    }
    Ok(found)
}

fn recordings(kind: &Kind, root: &Path, pattern: &Pattern, deep: bool) -> Result<Vec<PathBuf>, Failure> {
    let depth = if deep { usize::MAX } else { 1 };
    let entries = walk(kind, root, depth)?;
    Ok(entries
        .filter(|entry| entry.file_type().is_file() && pattern.matches(root, entry))
        .map(DirEntry::into_path)
        .collect())
}

/// Directories with recordings named `*_zedN.svo2`: the root, and those below it.
fn segments(kind: &Kind, root: &Path, pattern: &Pattern, deep: bool) -> Result<Vec<PathBuf>, Failure> {
    // Recordings are one deeper.
    let depth = if deep { usize::MAX } else { 2 };
    let mut found = Vec::new();
    let mut directory = None;
    for entry in walk(kind, root, depth)? {
        if entry.file_type().is_dir() {
            directory = pattern.matches(root, &entry).then(|| entry.into_path());
        } else if segment::is_recording(entry.path()) && segment::camera(entry.path()).is_some() {
            // Sorted, a directory's files come before what is below its directories.
            let parent = entry.path().parent();
            if parent == directory.as_deref() {
                found.extend(directory.take());
            }
        }
    }
    Ok(found)
}

/// What is below a directory: files before directories, both by name. Links are followed; a link that leads back, or a
/// directory that may not be read, is told and passed by.
fn walk(kind: &Kind, root: &Path, depth: usize) -> Result<impl Iterator<Item = DirEntry>, Failure> {
    if !root.is_dir() {
        return Err(Failure::Configuration(format!("{}: it is no directory; give one", root.display())));
    }
    let entries = WalkDir::new(root)
        .follow_links(true)
        .max_depth(depth)
        .sort_by(|a, b| (is_directory(a), a.file_name()).cmp(&(is_directory(b), b.file_name())));
    let batch = kind.batch;
    Ok(entries.into_iter().filter_map(move |entry| match entry {
        Ok(entry) => Some(entry),
        Err(error) => {
            say(batch, &format!("passed by: {error}"));
            None
        }
    }))
}

/// Also by a link, which is not followed yet when it is sorted.
fn is_directory(entry: &DirEntry) -> bool {
    entry.file_type().is_dir() || (entry.file_type().is_symlink() && entry.path().is_dir())
}

/// A shell's pattern.
struct Pattern {
    glob: GlobMatcher,
    of_path: bool,
}

impl Pattern {
    fn new(text: &str) -> Result<Self, Failure> {
        let glob = GlobBuilder::new(text).literal_separator(true).build();
        let glob = glob.map_err(|error| Failure::Usage(format!("--pattern: {error}")))?.compile_matcher();
        Ok(Self { glob, of_path: text.contains('/') })
    }

    fn matches(&self, root: &Path, entry: &DirEntry) -> bool {
        if self.of_path {
            return self.glob.is_match(entry.path().strip_prefix(root).unwrap_or(entry.path()));
        }
        // Of a root such as `.`, what it is called.
        let whole = if entry.depth() == 0 { entry.path().canonicalize().ok() } else { None };
        let path = whole.as_deref().unwrap_or(entry.path());
        path.file_name().is_some_and(|name| self.glob.is_match(name))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        list: List,
    }

    fn found(takes: Takes, root: &Path, words: &[&str]) -> Result<Vec<String>, Failure> {
        let kind = Kind {
            batch: "test",
            single: "",
            takes,
            makes: super::super::programs::Makes::Mp4,
            ending: "",
            pattern: if takes == Takes::Recordings { "*.svo2" } else { "*" },
            understands: |_| Ok(()),
        };
        let words: Vec<_> = words.iter().map(|word| word.replace("ROOT", root.to_str().unwrap())).collect();
        let list = Line::try_parse_from(std::iter::once("test".to_owned()).chain(words)).unwrap().list;
        let paths = inputs(&kind, &list)?;
        Ok(paths.iter().map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    #[test]
    fn recordings_are_found_once_and_in_order() {
        let root =
            tree(&["b/x.svo2", "a/2.svo2", "a/1.svo2", "top.svo2", "a/1.mp4", "a/.1.mp4.x.partial", "c/old.svo"]);
        symlink(root.path(), root.path().join("a/loop")).unwrap();
        symlink(root.path().join("a"), root.path().join("z")).unwrap();
        let found = |words: &[&str]| found(Takes::Recordings, root.path(), words);
        assert_eq!(found(&["ROOT"]).unwrap(), ["top.svo2", "a/1.svo2", "a/2.svo2", "b/x.svo2"]);
        assert_eq!(found(&["--dataset-root", "ROOT", "--no-recursive"]).unwrap(), ["top.svo2"]);
        assert_eq!(found(&["ROOT", "--pattern", "[12].svo2"]).unwrap(), ["a/1.svo2", "a/2.svo2"]);
        assert_eq!(found(&["ROOT", "--pattern", "b/*"]).unwrap(), ["b/x.svo2"]);
        let segments = ["--segment", "ROOT/b", "--segment", "ROOT/a"];
        assert_eq!(found(&segments).unwrap(), ["b/x.svo2", "a/1.svo2", "a/2.svo2"]);
        assert_eq!(found(&["ROOT/b/x.svo2", "ROOT/b"]).unwrap(), ["b/x.svo2"]);
        assert_eq!(found(&[]).unwrap_err().exit_code(), 1);
        for refused in [&["ROOT/none"][..], &["ROOT", "--pattern", "*.none"], &["--segment", "ROOT/none"]] {
            assert_eq!(found(refused).unwrap_err().exit_code(), 2, "{refused:?}");
        }
    }

    #[test]
    fn segments_are_directories_with_cameras_recordings() {
        let root =
            tree(&["r_zed1.svo2", "b/s1/s1_zed1.svo2", "b/s1/s1_zed2.svo2", "a/b/s2/s2_zed3.SVO", "c/x.svo2", "d/y"]);
        symlink(root.path().join("b/s1"), root.path().join("again")).unwrap();
        symlink(root.path(), root.path().join("b/loop")).unwrap();
        let found = |words: &[&str]| found(Takes::Segments, root.path(), words);
        assert_eq!(found(&["ROOT"]).unwrap(), ["", "a/b/s2", "again"]);
        assert_eq!(found(&["ROOT/b"]).unwrap(), ["b/loop", "b/loop/a/b/s2", "b/loop/again"]);
        assert_eq!(found(&["ROOT", "--no-recursive"]).unwrap(), ["", "again"]);
        assert_eq!(found(&["ROOT", "--pattern", "s?"]).unwrap(), ["a/b/s2", "b/s1"]);
        assert_eq!(found(&["--segment", "ROOT/c"]).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_csv_names_segments_in_its_order() {
        let root = tree(&["b/1/1_zed1.svo2", "a/2/2_zed1.svo2"]);
        let csv = root.path().join("list.csv");
        let read = |text: &str, words: &[&str]| {
            fs::write(&csv, text).unwrap();
            found(Takes::Segments, root.path(), &[&["--segments-csv", "ROOT/list.csv"], words].concat())
        };
        let order = ["b/1", "a/2"];
        let text = "\u{feff}camera,segment_dir,more\r\nzed1,b/1,\"x,y\"\r\nzed2,b/1,\r\nzed1, a/2 ,\r\n";
        assert_eq!(read(text, &[]).unwrap(), order);
        assert_eq!(read("segment_dir\n1\n", &["--csv-root", "ROOT/b"]).unwrap(), ["b/1"]);
        assert_eq!(read(&format!("segment_dir\n{}\n", root.path().join("a/2").display()), &[]).unwrap(), ["a/2"]);
        for (text, said) in [
            ("timestamp,camera\n1,2\n", "segment_dir"),
            ("segment_dir\nb/1\nnone\n", "line 3"),
            ("a,segment_dir\n1,\n", "line 2"),
            ("segment_dir,a\nb/1\n", "line"),
            ("segment_dir\n", "no segments"),
            ("", "segment_dir"),
        ] {
            let refused = read(text, &[]).unwrap_err();
            assert_eq!(refused.exit_code(), 2, "{text:?}");
            assert!(refused.to_string().contains(said), "{text:?}: {refused}");
        }
        fs::write(&csv, b"segment_dir\n\xff\n").unwrap();
        let words = ["--segments-csv", "ROOT/list.csv"];
        assert_eq!(found(Takes::Segments, root.path(), &words).unwrap_err().exit_code(), 2);
    }
}
