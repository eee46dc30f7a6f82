//! A clip, and producers that show it, each in a process of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cvmmap::Target;

use crate::{child::Role, picture::Picture};

/// The clip at one size, as producers take it. A process that ends makes it, for one that keeps the libraries of an encoder
/// in memory would share them with those that are measured.
pub struct Reel {
    picture: Picture,
    folder: PathBuf,
}

impl Reel {
    pub fn prepare(picture: Picture, folder: &Path) -> Result<Self> {
        let reel = Self { picture, folder: folder.to_owned() };
        Role::start("prepare", &reel.args())?;
        Ok(reel)
    }

    /// Makes the access units of those that encode.
    pub fn encode(&self, kbit: u32) -> Result<()> {
        let mut args = self.args();
        args.push(format!("--kbit={kbit}"));
        Role::start("prepare", &args).map(drop)
    }

    fn args(&self) -> Vec<String> {
        let mut args = self.picture.args();
        args.push(format!("--folder={}", self.folder.display()));
        args
    }
}

/// One that shows it.
pub struct Producer {
    pub target: Target,
    pub role: Role,
}

impl Producer {
    /// Plays a reel under a name that ends with this; its socket is in the reel's folder.
    pub fn start(reel: &Reel, name: &str, encoded: bool) -> Result<Self> {
        let prefix = reel.folder.to_str().context("a folder with a plain name")?;
        let target = Target::new(&format!("p{}-{name}", std::process::id()), None, Some(prefix))?;
        let mut args = reel.args();
        args.push(format!("--uri={target}"));
        args.extend(encoded.then(|| "--encoded".to_owned()));
        Ok(Self { target, role: Role::start("play", &args)? })
    }
}
