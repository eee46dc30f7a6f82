use std::{
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::CWD;

use super::*;

struct Tree {
    directory: tempfile::TempDir,
    root: Root,
}

/// A root with a directory in it, and one beside it.
fn tree() -> Tree {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("root/day")).unwrap();
    fs::create_dir(directory.path().join("beside")).unwrap();
    let root = Root::open(&directory.path().join("root")).unwrap();
    Tree { directory, root }
}

#[test]
fn what_is_below_is_allowed() {
    let tree = tree();
    let path = tree.directory.path().canonicalize().unwrap().join("root");
    symlink("day", path.join("today")).unwrap();
    for (requested, expected) in [
        ("a.mcap", "a.mcap"),
        ("day/a.mcap", "day/a.mcap"),
        ("day/../a.mcap", "a.mcap"),
        ("./day/./a.mcap", "day/a.mcap"),
        ("today/a.mcap", "day/a.mcap"),
        ("today/../a.mcap", "a.mcap"),
        ("../root/a.mcap", "a.mcap"),
    ] {
        assert_eq!(tree.root.place(Path::new(requested)).unwrap().path(), path.join(expected), "{requested}");
        let absolute = path.join(requested);
        assert_eq!(tree.root.place(&absolute).unwrap().path(), path.join(expected), "{requested}");
    }
}

#[test]
fn what_is_outside_is_refused() {
    let tree = tree();
    let path = tree.directory.path();
    symlink(path.join("beside"), path.join("root/out")).unwrap();
    symlink("../..", path.join("root/day/up")).unwrap();
    for requested in ["../a.mcap", "../beside/a.mcap", "out/a.mcap", "day/up/a.mcap", "day/../../a.mcap", "/a.mcap"] {
        let refused = tree.root.place(Path::new(requested)).unwrap_err();
        assert!(matches!(refused, RecordError::Outside { .. }), "{requested}: {refused}");
    }
    // A name that begins like the root's.
    fs::create_dir(path.join("rooty")).unwrap();
    let refused = tree.root.place(&path.join("rooty/a.mcap")).unwrap_err();
    assert!(matches!(refused, RecordError::Outside { .. }), "{refused}");
}

#[test]
fn paths_without_a_file_are_refused() {
    let tree = tree();
    for requested in ["", ".", "..", "/", "day/", "day/.", "day/.."] {
        let refused = tree.root.place(Path::new(requested)).unwrap_err();
        assert!(matches!(refused, RecordError::EmptyPath), "{requested}: {refused}");
    }
    let refused = tree.root.place(Path::new("nowhere/a.mcap")).unwrap_err();
    assert!(matches!(refused, RecordError::Io { .. }), "{refused}");
    assert!(Root::open(&tree.directory.path().join("nowhere")).is_err());
}

#[test]
fn a_file_has_its_name_when_it_is_whole() {
    let tree = tree();
    let place = tree.root.place(Path::new("a.mcap")).unwrap();
    let new = place.create().unwrap();
    let unfinished = new.unfinished_path();
    assert!(unfinished.ends_with("a.mcap.partial") && unfinished.exists() && !place.path().exists());
    assert_eq!(new.keep().unwrap(), place.path());
    assert!(place.path().exists() && !unfinished.exists());
    assert!(matches!(place.create().unwrap_err(), RecordError::Exists(_)));
    // A link to nowhere is no free name.
    symlink("nowhere", tree.root.path.join("b.mcap")).unwrap();
    let link = tree.root.place(Path::new("b.mcap")).unwrap();
    assert!(matches!(link.create().unwrap_err(), RecordError::Exists(_)));
}

#[test]
fn a_name_that_was_taken_meanwhile_is_not_replaced() {
    let tree = tree();
    let place = tree.root.place(Path::new("a.mcap")).unwrap();
    let new = place.create().unwrap();
    let unfinished = new.unfinished_path();
    fs::write(place.path(), "precious").unwrap();
    assert!(new.keep().unwrap_err().to_string().contains("a.mcap.partial"));
    assert_eq!(fs::read(place.path()).unwrap(), b"precious");
    assert!(unfinished.exists());
}

#[test]
fn what_a_killed_run_left_is_not_replaced() {
    let tree = tree();
    fs::write(tree.root.path.join("a.mcap.partial"), "half").unwrap();
    let new = tree.root.place(Path::new("a.mcap")).unwrap().create().unwrap();
    assert!(new.unfinished_path().ends_with("a.mcap.1.partial"));
    new.keep().unwrap();
    assert_eq!(fs::read(tree.root.path.join("a.mcap.partial")).unwrap(), b"half");
}

#[test]
fn a_series_goes_on_behind_what_is_there() {
    let tree = tree();
    fs::write(tree.root.path.join("a-0002.mcap"), "").unwrap();
    let place = tree.root.place(Path::new("a.mcap")).unwrap();
    let (number, new) = place.create_next(0).unwrap();
    assert_eq!(number, 1);
    assert!(new.keep().unwrap().ends_with("a-0001.mcap"));
    let (number, new) = place.create_next(number).unwrap();
    assert_eq!(number, 3);
    new.discard();
    assert!(!tree.root.path.join("a-0003.mcap.partial").exists());
}

#[test]
fn a_link_that_appears_meanwhile_is_not_followed() {
    let tree = tree();
    symlink("../beside", tree.root.path.join("out")).unwrap();
    symlink("day", tree.root.path.join("today")).unwrap();
    fs::create_dir(tree.root.path.join("day/deep")).unwrap();
    symlink("../../../beside", tree.root.path.join("day/deep/out")).unwrap();
    for open in [open_below, step_below] {
        let opened = |below| open(open_directory(None, &tree.root.path).unwrap(), Path::new(below));
        for link in ["out", "out/.", "today", "today/deep", "day/deep/out", "..", "day/../..", "/"] {
            assert!(opened(link).is_err(), "{link}");
        }
        for directory in ["", "day", "day/deep"] {
            assert!(opened(directory).is_ok(), "{directory}");
        }
    }
}

#[test]
fn a_directory_that_turns_into_a_link_and_back_leads_nowhere() {
    let tree = tree();
    let (day, link) = (tree.root.path.join("day"), tree.root.path.join("link"));
    symlink("../beside", &link).unwrap();
    let is_over = AtomicBool::new(false);
    let (mut made, mut refused, mut got_out) = (0, 0, false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, &day, CWD, &link, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let deadline = Instant::now() + Duration::from_secs(10);
        while (made < 200 || refused < 200) && !got_out && Instant::now() < deadline {
            match tree.root.place(Path::new("day/a.mcap")).and_then(|place| place.create()) {
                Ok(new) => {
                    made += 1;
                    got_out = fs::read_dir(tree.directory.path().join("beside")).unwrap().count() > 0;
                    new.discard();
                }
                Err(_) => refused += 1,
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(!got_out);
    assert!(made > 0 && refused > 0, "{made} made, {refused} refused");
}
