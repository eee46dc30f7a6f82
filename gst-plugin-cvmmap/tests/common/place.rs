//! An address that no other test has.

use std::{
    fs,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use cvmmap::{Address, Target};

pub struct Place {
    pub target: Target,
    pub address: Address,
    _folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::new(&unique_instance(), None, Some(folder.path().to_str().unwrap())).unwrap();
        Self { address: Address::from(&target), target, _folder: folder }
    }

    pub fn uri(&self) -> String {
        self.target.to_string()
    }

    pub fn segment(&self) -> PathBuf {
        PathBuf::from("/dev/shm").join(self.address.shm_name())
    }

    pub fn socket(&self) -> PathBuf {
        self.address.socket_path().unwrap().into()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.segment());
    }
}

/// An instance name of this process's own.
pub fn unique_instance() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("t{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
