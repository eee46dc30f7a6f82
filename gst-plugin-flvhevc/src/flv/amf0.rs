//! The part of AMF0 that onMetaData needs (AMF0 specification, section 2).

const NUMBER: u8 = 0x00;
const BOOLEAN: u8 = 0x01;
const STRING: u8 = 0x02;
const ECMA_ARRAY: u8 = 0x08;
const OBJECT_END: [u8; 3] = [0x00, 0x00, 0x09];

#[derive(Clone, Copy, Debug)]
pub enum Value {
    Number(f64),
    Boolean(bool),
    String(&'static str),
}

/// A script data body: `name` with one ECMA array, whose count is exact.
pub fn script_data(name: &'static str, properties: &[(&'static str, Value)]) -> Vec<u8> {
    let mut body = vec![STRING];
    put_text(&mut body, name);
    body.push(ECMA_ARRAY);
    body.extend_from_slice(&(properties.len() as u32).to_be_bytes());
    for (key, value) in properties {
        put_text(&mut body, key);
        match value {
            Value::Number(number) => {
                body.push(NUMBER);
                body.extend_from_slice(&number.to_be_bytes());
            }
            Value::Boolean(flag) => body.extend_from_slice(&[BOOLEAN, u8::from(*flag)]),
            Value::String(text) => {
                body.push(STRING);
                put_text(&mut body, text);
            }
        }
    }
    body.extend_from_slice(&OBJECT_END);
    body
}

/// All texts are our own constants, far below the 65535 bytes that a short AMF0 string can hold.
fn put_text(body: &mut Vec<u8>, text: &'static str) {
    body.extend_from_slice(&(text.len() as u16).to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_marker() {
        let body =
            script_data("on", &[("n", Value::Number(12.0)), ("b", Value::Boolean(true)), ("s", Value::String("hi"))]);
        assert_eq!(
            body,
            b"\x02\0\x02on\x08\0\0\0\x03\
              \0\x01n\0\x40\x28\0\0\0\0\0\0\
              \0\x01b\x01\x01\
              \0\x01s\x02\0\x02hi\
              \0\0\x09"
        );
    }
}
