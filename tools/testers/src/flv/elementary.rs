//! The video of a stream as an Annex B elementary stream (H.264 and H.265 Annex B).

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    ops::Range,
    path::Path,
};

use super::stream_check::Content;

/// Writes an elementary stream.
pub struct Writer {
    out: BufWriter<File>,
}

impl Writer {
    /// Makes the file, or empties it.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { out: BufWriter::new(File::create(path)?) })
    }

    /// Writes what a tag's body holds; a sequence header's parameter sets as well.
    pub fn content(&mut self, body: &[u8], content: &Content) -> io::Result<()> {
        match content {
            Content::ParameterSets(nals) | Content::Frame(nals) => self.nals(body, nals),
            Content::Other => Ok(()),
        }
    }

    fn nals(&mut self, body: &[u8], nals: &[Range<usize>]) -> io::Result<()> {
        for nal in nals {
            self.out.write_all(&[0, 0, 0, 1])?;
            self.out.write_all(&body[nal.clone()])?;
        }
        Ok(())
    }

    /// Hands over what is left.
    ///
    /// # Errors
    /// What the system says.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
