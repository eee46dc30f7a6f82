//! `--config`: cameras from a file. Each camera's table becomes the command line of a program for it alone, so that every flag
//! is a key and is checked in one place.

mod example;
mod keys;
mod mistake;
mod reader;
mod value;

use std::{fs, io::Read as _, path::Path};

use toml::de::DeTable;
use tools_cli::nats;

use self::mistake::Mistake;
pub use self::{example::example, keys::FLAGS_OF_PROGRAM};
use crate::{fleet::Wanted, plan::Servers};

/// Largest configuration.
const FILE_MAX: u64 = 4 << 20;

/// What a file asks for, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The servers of all cameras.
    pub servers: Servers,
    /// Cameras in their order.
    pub cameras: Vec<Wanted>,
    /// The NATS server of `[defaults]`.
    pub nats: Option<nats::Server>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// Each mistake with its file, line and column.
    pub fn read(path: &Path) -> Result<Self, Vec<String>> {
        let file = path.display().to_string();
        let mut text = String::new();
        let read = fs::File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_string(&mut text));
        match read {
            Err(error) => return Err(vec![format!("{file} cannot be read: {error}")]),
            Ok(_) if text.len() as u64 > FILE_MAX => {
                return Err(vec![format!("{file} is larger than {FILE_MAX} bytes")]);
            }
            Ok(_) => {}
        }
        Self::parse(&text).map_err(|mut mistakes| {
            mistakes.sort_by_key(|mistake| mistake.at);
            mistakes.iter().map(|mistake| mistake.line(&file, &text)).collect()
        })
    }

    fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        let table = DeTable::parse(text).map_err(|error| {
            vec![Mistake::new(error.span().unwrap_or_default(), error.message().replace('\n', ", "))]
        })?;
        reader::read(table.get_ref())
    }
}
