//! The part of AMF0 that script data and metadata packets need (AMF0 specification, section 2).

const NUMBER: u8 = 0x00;
const BOOLEAN: u8 = 0x01;
const STRING: u8 = 0x02;
const OBJECT: u8 = 0x03;
const UNDEFINED: u8 = 0x06;
const ECMA_ARRAY: u8 = 0x08;
const STRICT_ARRAY: u8 = 0x0A;
const OBJECT_END: [u8; 3] = [0x00, 0x00, 0x09];

pub type Properties = Vec<(&'static str, Value)>;

#[derive(Clone, Debug)]
pub enum Value {
    Number(f64),
    Boolean(bool),
    String(&'static str),
    Object(Properties),
    /// An object whose count stands in front of it.
    EcmaArray(Properties),
    /// Objects by number, as the tracks beside the first have them.
    Numbered(Vec<(u8, Properties)>),
    Numbers(Vec<f64>),
    Undefined,
}

/// A name and its value, as script data and metadata packets hold them.
pub fn named(name: &'static str, value: &Value) -> Vec<u8> {
    let mut body = vec![STRING];
    put_text(&mut body, name);
    put(&mut body, value);
    body
}

fn put(body: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Number(number) => {
            body.push(NUMBER);
            body.extend_from_slice(&number.to_be_bytes());
        }
        Value::Boolean(flag) => body.extend_from_slice(&[BOOLEAN, u8::from(*flag)]),
        Value::String(text) => {
            body.push(STRING);
            put_text(body, text);
        }
        Value::Object(properties) => {
            body.push(OBJECT);
            put_properties(body, properties);
        }
        Value::EcmaArray(properties) => {
            body.push(ECMA_ARRAY);
            body.extend_from_slice(&(properties.len() as u32).to_be_bytes());
            put_properties(body, properties);
        }
        Value::Numbered(objects) => {
            body.push(OBJECT);
            for (number, properties) in objects {
                put_text(body, &number.to_string());
                body.push(OBJECT);
                put_properties(body, properties);
            }
            body.extend_from_slice(&OBJECT_END);
        }
        Value::Numbers(numbers) => {
            body.push(STRICT_ARRAY);
            body.extend_from_slice(&(numbers.len() as u32).to_be_bytes());
            numbers.iter().for_each(|number| put(body, &Value::Number(*number)));
        }
        Value::Undefined => body.push(UNDEFINED),
    }
}

fn put_properties(body: &mut Vec<u8>, properties: &Properties) {
    for (key, value) in properties {
        put_text(body, key);
        put(body, value);
    }
    body.extend_from_slice(&OBJECT_END);
}

/// All texts are our own constants or numbers, far below the 65535 bytes that a short AMF0 string can hold.
fn put_text(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(&(text.len() as u16).to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_marker() {
        let inner = vec![("u", Value::Undefined)];
        let array = Value::EcmaArray(vec![
            ("n", Value::Number(12.0)),
            ("b", Value::Boolean(true)),
            ("s", Value::String("hi")),
            ("o", Value::Object(inner)),
            ("t", Value::Numbered(vec![(12, vec![("b", Value::Boolean(false))])])),
            ("l", Value::Numbers(vec![12.0])),
        ]);
        assert_eq!(
            named("on", &array),
            b"\x02\0\x02on\x08\0\0\0\x06\
              \0\x01n\0\x40\x28\0\0\0\0\0\0\
              \0\x01b\x01\x01\
              \0\x01s\x02\0\x02hi\
              \0\x01o\x03\0\x01u\x06\0\0\x09\
              \0\x01t\x03\0\x0212\x03\0\x01b\x01\0\0\0\x09\0\0\x09\
              \0\x01l\x0A\0\0\0\x01\0\x40\x28\0\0\0\0\0\0\
              \0\0\x09"
        );
    }
}
