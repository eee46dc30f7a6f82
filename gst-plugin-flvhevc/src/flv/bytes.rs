//! A reader over bytes of unknown quality: every step is checked.

/// What is left to read.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(head)
    }

    /// A big-endian number of `size` bytes, at most 4.
    pub fn number(&mut self, size: usize) -> Option<u32> {
        Some(self.take(size)?.iter().fold(0, |number, byte| (number << 8) | u32::from(*byte)))
    }
}
