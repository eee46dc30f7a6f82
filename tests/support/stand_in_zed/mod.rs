//! The ZED SDK for a machine that has none: `library.rs`, built for each version, and scripts for it to play.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

/// The root of the workspace, from any package of it.
fn root() -> &'static Path {
    let is_root = |path: &&Path| path.join("tests/support/stand_in_zed/library.rs").is_file();
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(is_root).expect("the package is below the workspace's root")
}

/// The versions whose C API differs.
pub const VERSIONS: [&str; 4] = ["4.2", "5.0", "5.1", "5.2"];

/// The library of a version, or with `lacks_position_data` of one without that function. Built once.
pub fn library(version: &str, flags: &[&str]) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _alone = BUILDING.lock();
    let source = root().join("tests/support/stand_in_zed/library.rs");
    let directory = std::env::current_exe().unwrap().with_file_name("stand_in_zed");
    fs::create_dir_all(&directory).unwrap();
    let built = directory.join(format!("libsl_zed_c-{version}-{}.so", flags.concat()));
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    if changed(&built) > changed(&source) {
        return built;
    }
    // Another test process may build the same, and rustc names its intermediate files after the output alone.
    let building = tempfile::tempdir_in(&directory).unwrap();
    let partial = building.path().join(built.file_name().unwrap());
    let since = VERSIONS.iter().skip(1).filter(|since| **since <= version).map(|since| since.replace('.', "_"));
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .current_dir(root())
        .args(["--edition", "2024", "--crate-type", "cdylib", "--crate-name", "sl_zed_c"])
        .args(["-C", "panic=abort", "-C", "opt-level=1", "-C", "debuginfo=0", "-A", "warnings"])
        .args(since.flat_map(|since| ["--cfg".to_owned(), format!("since_{since}")]))
        .args(flags.iter().flat_map(|flag| ["--cfg", flag]))
        .arg("-o")
        .args([&partial, &source])
        .output()
        .expect("rustc runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::rename(partial, &built).unwrap();
    built
}

/// Writes the script of a recording: settings, and a frame for each timestamp with what is special about it.
pub fn script(recording: &Path, settings: &str, frames: impl IntoIterator<Item = (u64, &'static str)>) {
    let mut text = settings.trim_start().lines().map(|line| line.trim_start().to_owned() + "\n").collect::<String>();
    for (timestamp, special) in frames {
        writeln!(text, "frame {timestamp} {special}").unwrap();
    }
    let mut path = recording.as_os_str().to_owned();
    path.push(".script");
    fs::write(path, text.replace(" \n", "\n")).unwrap();
}
