//! AMF0 values (Action Message Format AMF 0 specification, 2007), read strictly and within bounds.

use super::fault::{Cursor, Fault};

/// Values within values. Real metadata uses three or four levels.
const MAX_DEPTH: usize = 16;

/// Values in one message. The longest real ones are key frame indexes of recordings, of some thousands.
const MAX_VALUES: usize = 65_536;

/// A value. Source: AMF0 specification, 2.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// A text, short or long.
    String(String),
    /// Named values.
    Object(Vec<Entry>),
    /// Named values behind a count, which need not be theirs.
    EcmaArray {
        /// The count.
        declared: u32,
        /// The values.
        entries: Vec<Entry>,
    },
    /// Values in a row.
    StrictArray(Vec<Value>),
    /// Milliseconds since 1970.
    Date(f64),
    /// No value.
    Null,
    /// A value that nobody set.
    Undefined,
}

/// A named value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name.
    pub key: String,
    /// Offset in the body of the value's type byte.
    pub offset: usize,
    /// The value.
    pub value: Value,
}

impl Value {
    /// The entries of an object or ECMA array.
    pub fn entries(&self) -> Option<&[Entry]> {
        match self {
            Self::Object(entries) | Self::EcmaArray { entries, .. } => Some(entries),
            _ => None,
        }
    }

    /// The first entry of a name, of an object or an ECMA array.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|entry| entry.key == key)
    }

    /// The text that it is.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number that it is.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// What the value is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Number(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::String(_) => "a string",
            Self::Object(_) => "an object",
            Self::EcmaArray { .. } => "an ECMA array",
            Self::StrictArray(_) => "a strict array",
            Self::Date(_) => "a date",
            Self::Null => "null",
            Self::Undefined => "undefined",
        }
    }
}

/// Reads one message's values.
pub struct Reader<'a> {
    cursor: Cursor<'a>,
    values: usize,
}

impl<'a> Reader<'a> {
    /// Begins at an offset of the body.
    pub fn new(body: &'a [u8], start: usize) -> Self {
        Self { cursor: Cursor::new(body, start), values: 0 }
    }

    /// Offset in the body of the next byte.
    pub fn position(&self) -> usize {
        self.cursor.position()
    }

    /// Whether no byte is left.
    pub fn at_end(&self) -> bool {
        self.cursor.remaining() == 0
    }

    /// The next value.
    ///
    /// # Errors
    /// When it is none.
    pub fn value(&mut self) -> Result<Value, Fault> {
        self.nested(0)
    }

    /// A value that has to be a string.
    pub fn string(&mut self, what: &str) -> Result<String, Fault> {
        let offset = self.position();
        match self.value()? {
            Value::String(text) => Ok(text),
            other => Err(Fault::new(offset, format!("{what} has to be an AMF0 string, it is {}", other.kind()))),
        }
    }

    fn nested(&mut self, depth: usize) -> Result<Value, Fault> {
        let offset = self.position();
        if depth > MAX_DEPTH {
            return Err(Fault::new(offset, format!("AMF0 values nest deeper than {MAX_DEPTH} levels")));
        }
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(Fault::new(offset, format!("more than {MAX_VALUES} AMF0 values in one message")));
        }
        Ok(match self.cursor.u8("an AMF0 type")? {
            0 => Value::Number(self.double()?),
            1 => Value::Boolean(self.cursor.u8("an AMF0 boolean")? != 0),
            2 => {
                let length = self.cursor.u16("an AMF0 string length")?;
                Value::String(self.text(usize::from(length))?)
            }
            3 => Value::Object(self.entries(depth)?),
            5 => Value::Null,
            6 => Value::Undefined,
            8 => Value::EcmaArray { declared: self.cursor.u32("an ECMA array count")?, entries: self.entries(depth)? },
            10 => {
                let count = self.cursor.u32("a strict array count")?;
                // Each value has at least its type byte: a larger count is caught by the reads.
                Value::StrictArray((0..count).map(|_| self.nested(depth + 1)).collect::<Result<_, _>>()?)
            }
            11 => {
                let milliseconds = self.double()?;
                self.cursor.u16("an AMF0 date's time zone")?;
                Value::Date(milliseconds)
            }
            12 => {
                let length = self.cursor.u32("an AMF0 long string length")?;
                Value::String(self.text(length as usize)?)
            }
            other => {
                return Err(Fault::new(offset, format!("AMF0 type {other} has no place in a publisher's messages")));
            }
        })
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<Entry>, Fault> {
        let mut entries = Vec::new();
        loop {
            let length = self.cursor.u16("an AMF0 property name's length")?;
            let key_offset = self.position();
            let key = self.text(usize::from(length))?;
            let offset = self.position();
            if key.is_empty() {
                let end = self.cursor.u8("the AMF0 object end marker")?;
                return if end == 9 {
                    Ok(entries)
                } else {
                    Err(Fault::new(
                        key_offset,
                        "an empty AMF0 property name has to be followed by the object end marker 9",
                    ))
                };
            }
            let value = self.nested(depth + 1)?;
            entries.push(Entry { key, offset, value });
        }
    }

    fn double(&mut self) -> Result<f64, Fault> {
        let bytes = self.cursor.bytes(8, "an AMF0 number")?;
        let mut double = [0; 8];
        double.copy_from_slice(bytes);
        Ok(f64::from_be_bytes(double))
    }

    fn text(&mut self, length: usize) -> Result<String, Fault> {
        let offset = self.position();
        let bytes = self.cursor.bytes(length, "an AMF0 string")?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(Fault::new(offset + error.valid_up_to(), "an AMF0 string is not UTF-8")),
        }
    }
}
