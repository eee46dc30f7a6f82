//! What the tests of the batch programs share: a converter that does what the test wants.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// A folder on the file system of the programs, which are linked into it.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A batch program beside a converter that writes down how it is called, and does what the script says.
pub fn beside_stand_in(directory: &Path, batch: &str, single: &str, script: &str) -> PathBuf {
    let own = directory.join(Path::new(batch).file_name().unwrap());
    fs::hard_link(batch, &own).unwrap();
    let stand_in = directory.join(single);
    let calls = directory.join("calls");
    let script = format!("#!/bin/sh\necho \"$CUDA_VISIBLE_DEVICES $*\" >> {}\n{script}", calls.display());
    fs::write(&stand_in, script).unwrap();
    fs::set_permissions(&stand_in, fs::Permissions::from_mode(0o755)).unwrap();
    own
}
