//! AMF0 as commands have it (Adobe AMF0 specification, section 2): a writer for what the client says, a reader of bounded
//! cost for what a server says.

const NUMBER: u8 = 0x00;
const BOOLEAN: u8 = 0x01;
const STRING: u8 = 0x02;
const OBJECT: u8 = 0x03;
const NULL: u8 = 0x05;
const UNDEFINED: u8 = 0x06;
const REFERENCE: u8 = 0x07;
const ECMA_ARRAY: u8 = 0x08;
const OBJECT_END: u8 = 0x09;
const STRICT_ARRAY: u8 = 0x0A;
const DATE: u8 = 0x0B;
const LONG_STRING: u8 = 0x0C;
const UNSUPPORTED: u8 = 0x0D;
const XML: u8 = 0x0F;
const TYPED_OBJECT: u8 = 0x10;

/// Objects within objects; a server's answers have two.
const DEPTH_MAX: usize = 8;
/// Values of one message; a server's longest answers have some dozens.
const VALUES_MAX: usize = 1024;

/// A value that a server sent. What a client has no use for (dates, XML, references) is `Other`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(f64),
    Boolean(bool),
    String(String),
    /// Objects and ECMA arrays.
    Object(Vec<(String, Value)>),
    Array(Vec<Value>),
    Null,
    Other,
}

impl Value {
    pub fn as_number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    pub fn entries(&self) -> Option<&[(String, Value)]> {
        if let Self::Object(entries) = self { Some(entries) } else { None }
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries()?.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}

/// Reads values one after the other. What it builds is bounded: by the message, and by a number of values.
pub struct Reader<'a> {
    rest: &'a [u8],
    values_left: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, values_left: VALUES_MAX }
    }

    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next value.
    ///
    /// # Errors
    /// A few words about what is wrong with it.
    pub fn value(&mut self) -> Result<Value, &'static str> {
        self.value_at(0)
    }

    fn value_at(&mut self, depth: usize) -> Result<Value, &'static str> {
        if depth > DEPTH_MAX {
            return Err("AMF0 values are nested too deep");
        }
        self.values_left = self.values_left.checked_sub(1).ok_or("a command has too many AMF0 values")?;
        Ok(match self.number::<1>()?[0] {
            NUMBER => Value::Number(f64::from_be_bytes(self.number()?)),
            BOOLEAN => Value::Boolean(self.number::<1>()?[0] != 0),
            STRING => Value::String(self.short_text()?),
            LONG_STRING => Value::String(self.long_text()?),
            OBJECT => Value::Object(self.entries(depth)?),
            ECMA_ARRAY => {
                // The count is a hint: the end stands behind the entries.
                self.number::<4>()?;
                Value::Object(self.entries(depth)?)
            }
            STRICT_ARRAY => {
                let count = u32::from_be_bytes(self.number()?);
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value_at(depth + 1)?);
                }
                Value::Array(values)
            }
            NULL | UNDEFINED => Value::Null,
            UNSUPPORTED => Value::Other,
            DATE => {
                self.take(10)?;
                Value::Other
            }
            REFERENCE => {
                self.take(2)?;
                Value::Other
            }
            XML => {
                self.long_text()?;
                Value::Other
            }
            TYPED_OBJECT => {
                self.short_text()?;
                Value::Object(self.entries(depth)?)
            }
            _ => return Err("an AMF0 value has an unknown type"),
        })
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<(String, Value)>, &'static str> {
        let mut entries = Vec::new();
        loop {
            let key = self.short_text()?;
            if key.is_empty() && self.rest.first() == Some(&OBJECT_END) {
                self.take(1)?;
                return Ok(entries);
            }
            entries.push((key, self.value_at(depth + 1)?));
        }
    }

    fn short_text(&mut self) -> Result<String, &'static str> {
        let size = u16::from_be_bytes(self.number()?);
        self.text(usize::from(size))
    }

    fn long_text(&mut self) -> Result<String, &'static str> {
        let size = u32::from_be_bytes(self.number()?);
        self.text(size as usize)
    }

    fn text(&mut self, size: usize) -> Result<String, &'static str> {
        Ok(String::from_utf8_lossy(self.take(size)?).into_owned())
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn take(&mut self, size: usize) -> Result<&'a [u8], &'static str> {
        let (bytes, rest) = self.rest.split_at_checked(size).ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(bytes)
    }
}

const CUT_SHORT: &str = "an AMF0 value goes beyond its command";

/// Writes values one after the other.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub fn number(&mut self, number: f64) -> &mut Self {
        self.0.push(NUMBER);
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub fn null(&mut self) -> &mut Self {
        self.0.push(NULL);
        self
    }

    pub fn string(&mut self, text: &str) -> &mut Self {
        if let Ok(size) = u16::try_from(text.len()) {
            self.0.push(STRING);
            self.0.extend_from_slice(&size.to_be_bytes());
        } else {
            self.0.push(LONG_STRING);
            self.0.extend_from_slice(&(text.len() as u32).to_be_bytes());
        }
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub fn begin_object(&mut self) -> &mut Self {
        self.0.push(OBJECT);
        self
    }

    /// The name of the value that comes next; a short constant.
    pub fn key(&mut self, key: &str) -> &mut Self {
        self.0.extend_from_slice(&(key.len() as u16).to_be_bytes());
        self.0.extend_from_slice(key.as_bytes());
        self
    }

    pub fn end_object(&mut self) -> &mut Self {
        self.0.extend_from_slice(&[0, 0, OBJECT_END]);
        self
    }

    pub fn strings(&mut self, texts: &[&str]) -> &mut Self {
        self.0.push(STRICT_ARRAY);
        self.0.extend_from_slice(&(texts.len() as u32).to_be_bytes());
        for text in texts {
            self.string(text);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut writer = Writer::default();
        writer.string("connect").number(1.0).begin_object();
        writer.key("app").string("live").key("list").strings(&["hvc1", "avc1"]).key("map").begin_object();
        writer.key("hvc1").number(4.0).end_object().end_object().null().string(&"x".repeat(70_000));
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.value().unwrap().as_str(), Some("connect"));
        assert_eq!(reader.value().unwrap().as_number(), Some(1.0));
        let object = reader.value().unwrap();
        assert_eq!(object.get("app").unwrap().as_str(), Some("live"));
        let codecs = ["hvc1", "avc1"].map(|codec| Value::String(codec.into()));
        assert_eq!(object.get("list"), Some(&Value::Array(codecs.into())));
        assert_eq!(object.get("map").unwrap().get("hvc1").unwrap().as_number(), Some(4.0));
        assert_eq!(reader.value(), Ok(Value::Null));
        assert_eq!(reader.value().unwrap().as_str().map(str::len), Some(70_000));
        assert!(reader.is_at_end());
    }

    #[test]
    fn every_type_is_read_or_passed_over() {
        let bytes = b"\x01\x01\x06\x07\0\x01\x0B\0\0\0\0\0\0\0\0\0\0\x0D\x0F\0\0\0\x01x\x10\0\x01c\0\x01k\x05\0\0\x09\
                      \x08\0\0\0\x07\0\x01k\x02\0\x01v\0\0\x09\x0C\0\0\0\x02hi";
        let mut reader = Reader::new(bytes);
        let mut read = || reader.value().unwrap();
        assert_eq!(read(), Value::Boolean(true));
        assert_eq!(read(), Value::Null);
        for _ in 0..4 {
            assert_eq!(read(), Value::Other);
        }
        assert_eq!(read().get("k"), Some(&Value::Null));
        assert_eq!(read().get("k").unwrap().as_str(), Some("v"));
        assert_eq!(read().as_str(), Some("hi"));
    }

    #[test]
    fn what_would_cost_too_much_is_refused() {
        let read = |bytes: &[u8]| Reader::new(bytes).value();
        // Arrays in arrays, without an end.
        assert!(read(&b"\x0A\0\0\0\x01".repeat(10_000)).unwrap_err().contains("deep"));
        assert!(read(&b"\x03\0\x01k".repeat(10_000)).unwrap_err().contains("deep"));
        // Four thousand million values, of which some thousands are there.
        assert!(read(&[b"\x0A\xFF\xFF\xFF\xFF".as_slice(), &[NULL; 5000]].concat()).unwrap_err().contains("too many"));
        // A string of 4 GiB.
        assert_eq!(read(b"\x0C\xFF\xFF\xFF\xFFabc"), Err(CUT_SHORT));
        assert_eq!(read(b"\x02\0\x05abc"), Err(CUT_SHORT));
        assert_eq!(read(b""), Err(CUT_SHORT));
        assert!(read(b"\x11").unwrap_err().contains("unknown"));
    }
}
