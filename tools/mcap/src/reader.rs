//! Reading a recording in the order of the file. The file may be unfinished: what is there is read.

use std::{
    fs::File,
    io::{self, Read, Seek as _},
    path::Path,
};

use mcap::{
    McapError, Message, Summary,
    sans_io::{
        linear_reader::LinearReaderOptions,
        message_reader::{MessageReadEvent, MessageReader},
        summary_reader::{SummaryReadEvent, SummaryReader, SummaryReaderOptions},
    },
};

use super::framing::{MAGIC, RECORD_MAX, read};

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refuses.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no MCAP file, or is damaged.
    #[error("{0}")]
    Mcap(McapError),
    /// A message is not what its channel says.
    #[error("a message of {topic} at {time} ns is not a {schema}: {source}")]
    Message {
        /// Its topic.
        topic: String,
        /// Its log time.
        time: u64,
        /// What it should be.
        schema: &'static str,
        /// Why it is not.
        source: prost::DecodeError,
    },
}

/// Reads the messages of a file once, from its start.
pub struct Messages {
    file: File,
    reader: MessageReader,
    ended_early: bool,
}

impl Messages {
    /// Opens a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let options =
            LinearReaderOptions::default().with_validate_chunk_crcs(true).with_record_length_limit(RECORD_MAX);
        let reader = MessageReader::new_with_options(options);
        Ok(Self { file: File::open(path)?, reader, ended_early: false })
    }

    /// The next message. `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn next_message(&mut self) -> Result<Option<Message<'static>>, ReadError> {
        while let Some(event) = self.reader.next_event() {
            match event {
                Ok(MessageReadEvent::ReadRequest(wanted)) => {
                    let got = read(&mut self.file, self.reader.insert(wanted))?;
                    self.reader.notify_read(got);
                }
                Ok(MessageReadEvent::Message(message)) => return Ok(Some(message)),
                Err(McapError::UnexpectedEof) => self.ended_early = true,
                Err(error) => return Err(ReadError::Mcap(error)),
            }
        }
        Ok(None)
    }

    /// Whether the file has no end: it was not finished.
    pub fn ended_early(&self) -> bool {
        self.ended_early
    }
}

/// Looks whether a file begins as MCAP does.
///
/// # Errors
/// When it does not, or cannot be read.
pub fn check_magic(path: &Path) -> Result<(), ReadError> {
    let mut magic = [0; MAGIC.len()];
    match File::open(path)?.read_exact(&mut magic) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error.into()),
        _ if magic != MAGIC => Err(ReadError::Mcap(McapError::BadMagic)),
        _ => Ok(()),
    }
}

/// The summary at a file's end; none of a file that was not finished.
///
/// # Errors
/// When the file cannot be read, or the summary is damaged.
pub fn summary(path: &Path) -> Result<Option<Summary>, ReadError> {
    let mut file = File::open(path)?;
    let options =
        SummaryReaderOptions::default().with_file_size(file.metadata()?.len()).with_record_length_limit(RECORD_MAX);
    let mut reader = SummaryReader::new_with_options(options);
    while let Some(event) = reader.next_event() {
        match event {
            Ok(SummaryReadEvent::ReadRequest(wanted)) => {
                let got = read(&mut file, reader.insert(wanted))?;
                reader.notify_read(got);
            }
            Ok(SummaryReadEvent::SeekRequest(to)) => {
                let at = file.seek(to)?;
                reader.notify_seeked(at);
            }
            Err(McapError::UnexpectedEof | McapError::BadMagic) => return Ok(None),
            Err(error) => return Err(ReadError::Mcap(error)),
        }
    }
    Ok(reader.finish())
}
