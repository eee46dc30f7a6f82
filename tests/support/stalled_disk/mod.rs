//! A disk that stands still for one program, until it is let go.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

pub struct StalledDisk {
    library: PathBuf,
    flag: PathBuf,
}

impl StalledDisk {
    /// A disk that works; its files are made here.
    pub fn new(directory: &Path) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/stalled_disk/shim.c");
        let library = directory.join("stalled_disk.so");
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").status();
        assert!(built.unwrap().success());
        Self { library, flag: directory.join("stalled") }
    }

    /// Has a program write there; `fsync` or `write` can stand still.
    pub fn hold(&self, command: &mut Command, what: &str) {
        command.env("LD_PRELOAD", &self.library).env("STALLED", &self.flag).env("STALL", what);
    }

    /// From now on.
    pub fn stall(&self) {
        fs::write(&self.flag, "").unwrap();
    }

    /// It works again.
    pub fn go_on(&self) {
        fs::remove_file(&self.flag).unwrap();
    }
}
