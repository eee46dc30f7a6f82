//! What is wrong, at which byte; and a cursor over a body whose every read can say so.

/// A rule that a body breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Offset in the body of the byte at fault. The body's length, when it ends too early.
    pub offset: usize,
    /// The body is of another codec or packaging than asked for, rather than broken.
    pub wrong_packaging: bool,
    /// What is expected, and why.
    pub text: String,
}

impl Fault {
    /// A body that is broken at an offset.
    pub fn new(offset: usize, text: impl Into<String>) -> Self {
        Self { offset, wrong_packaging: false, text: text.into() }
    }

    /// A body of another codec or packaging, as an offset of it tells.
    pub fn wrong_packaging(offset: usize, text: impl Into<String>) -> Self {
        Self { wrong_packaging: true, ..Self::new(offset, text) }
    }

    /// The fault as a sentence, with the value of the byte at fault.
    pub fn describe(&self, body: &[u8]) -> String {
        match body.get(self.offset) {
            Some(value) => format!("body byte {} (0x{value:02x}): {}", self.offset, self.text),
            None => format!("body ends at byte {}: {}", body.len(), self.text),
        }
    }
}

/// Reads big-endian fields from a part of a body. Offsets count from the start of the body.
#[derive(Clone)]
pub struct Cursor<'a> {
    body: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor over the body from an offset on.
    pub fn new(body: &'a [u8], start: usize) -> Self {
        Self { body, at: start.min(body.len()), end: body.len() }
    }

    /// Offset in the body of the next byte.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes that are left.
    pub fn remaining(&self) -> usize {
        self.end - self.at
    }

    /// The next `count` bytes, `what` naming them should they be missing.
    pub fn bytes(&mut self, count: usize, what: &str) -> Result<&'a [u8], Fault> {
        if count > self.remaining() {
            return Err(Fault::new(
                self.end,
                format!("{what} needs {count} bytes from byte {}, {} are left", self.at, self.remaining()),
            ));
        }
        let bytes = &self.body[self.at..self.at + count];
        self.at += count;
        Ok(bytes)
    }

    fn number(&mut self, count: usize, what: &str) -> Result<u32, Fault> {
        Ok(self.bytes(count, what)?.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    /// The next byte.
    ///
    /// # Errors
    /// When it is missing.
    pub fn u8(&mut self, what: &str) -> Result<u8, Fault> {
        Ok(self.bytes(1, what)?[0])
    }

    /// The next two bytes.
    ///
    /// # Errors
    /// When one is missing.
    pub fn u16(&mut self, what: &str) -> Result<u16, Fault> {
        let bytes = self.bytes(2, what)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// The next three bytes.
    ///
    /// # Errors
    /// When one is missing.
    pub fn u24(&mut self, what: &str) -> Result<u32, Fault> {
        self.number(3, what)
    }

    /// The next four bytes.
    ///
    /// # Errors
    /// When one is missing.
    pub fn u32(&mut self, what: &str) -> Result<u32, Fault> {
        self.number(4, what)
    }
}
