//! The order of the house: which crate may import which, and no two files that import each other.

mod imports;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use imports::Imports;
use serde_json::Value;

/// A crate imports crates of lower floors alone.
const FLOORS: [(&str, u32); 15] = [
    ("cvmmap", 1),
    ("gst-plugin-cvmmap", 2),
    ("gst-plugin-flvhevc", 2),
    ("tools-cli", 2),
    ("tools-media", 3),
    ("tools-mcap", 4),
    ("tools-streamer", 5),
    ("tools-zed", 5),
    ("tools-rgbd", 5),
    ("tools-replay", 5),
    ("tools-ctl", 5),
    ("tools-testers", 5),
    ("cvmmap-streamer", 6),
    ("cvmmap-bench", 7),
    ("cvmmap-faults", 7),
];

/// Name, manifest and what it imports of the workspace, for each crate.
fn crates() -> Vec<(String, PathBuf, Vec<String>)> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter().map(|package| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let ours = dependencies.filter(|dependency| dependency["path"].is_string() && dependency["kind"] != "dev");
        let ours = ours.map(|dependency| text(&dependency["name"])).collect();
        (text(&package["name"]), PathBuf::from(text(&package["manifest_path"])), ours)
    });
    packages.collect()
}

#[test]
fn crates_import_lower_floors_alone() {
    let floors = BTreeMap::from(FLOORS);
    let mut seen = 0;
    for (name, _, imports) in crates() {
        let floor = *floors.get(&*name).unwrap_or_else(|| panic!("{name} has no floor: give it one in this test"));
        for import in imports {
            assert!(floors[&*import] < floor, "{name} (floor {floor}) imports {import} (floor {})", floors[&*import]);
            assert!(name != "tools-testers" || import == "tools-cli", "the testers judge what {import} makes");
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} imports were seen");
}

#[test]
fn no_files_import_each_other() {
    let mut told = Vec::new();
    for (name, manifest, _) in crates() {
        let source = manifest.with_file_name("src");
        if !source.is_dir() {
            continue;
        }
        let below = |path: &Path| path.strip_prefix(&source).unwrap_or(path).display().to_string();
        let imports = Imports::of(&source);
        told.extend(imports.circles().iter().map(|(from, to)| format!("{name}: {} -> {}", below(from), below(to))));
    }
    assert!(told.is_empty(), "imports of files that import each other:\n{}", told.join("\n"));
}

#[test]
fn libraries_say_what_their_items_are() {
    let libraries = crates().into_iter().map(|(_, manifest, _)| manifest.with_file_name("src/lib.rs"));
    let libraries = libraries.filter(|library| library.is_file()).collect::<Vec<_>>();
    assert!(libraries.len() > 10, "only {} libraries were seen", libraries.len());
    for library in libraries {
        let text = std::fs::read_to_string(&library).unwrap();
        assert!(text.contains("#![warn(missing_docs)]"), "{} lets items be without a word", library.display());
    }
}
