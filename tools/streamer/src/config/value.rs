//! What a key's value is on the command line.

use std::env;

use toml::{Spanned, de::DeValue};

use super::{
    keys::{Key, Kind},
    mistake::Mistake,
};
use crate::secrets;

/// The flags that a key and its value stand for, or what is wrong with them.
pub type Flags = Result<Vec<String>, Mistake>;

/// The flags that a value stands for. `camera` is what `${camera}` means.
pub fn arguments(key: &Key, value: &Spanned<DeValue>, camera: &str) -> Flags {
    let wrong = |what: &str| Err(Mistake::new(value.span(), format!("{} {what}", key.name)));
    let flag = |text: &str| format!("{}={text}", key.flag);
    match (key.kind, value.get_ref()) {
        (Kind::Switch | Kind::Optional, DeValue::Boolean(true)) => Ok(vec![key.flag.clone()]),
        (Kind::Switch | Kind::Optional, DeValue::Boolean(false)) => Ok(Vec::new()),
        (Kind::Switch, _) => wrong("is true or false"),
        (Kind::List, DeValue::Array(values)) => {
            values.iter().map(|value| Ok(flag(&text(key, value, camera)?))).collect()
        }
        (_, DeValue::Array(_)) => wrong("takes one value"),
        _ => Ok(vec![flag(&text(key, value, camera)?)]),
    }
}

/// The flag that a value stands for which is the content of a file.
pub fn from_file(key: &Key, value: &Spanned<DeValue>, camera: &str) -> Flags {
    let path = text(key, value, camera)?;
    match secrets::read_file(path.as_ref()) {
        Ok(content) => Ok(vec![format!("{}={}", key.flag, content.trim_end_matches(['\r', '\n']))]),
        Err(error) => Err(Mistake::new(value.span(), format!("{}_file: {path} cannot be read: {error}", key.name))),
    }
}

fn text(key: &Key, value: &Spanned<DeValue>, camera: &str) -> Result<String, Mistake> {
    match value.get_ref() {
        DeValue::String(text) => {
            expanded(text, |name| if name == "camera" { Some(camera.to_owned()) } else { env::var(name).ok() })
                .map_err(|what| Mistake::new(value.span(), format!("{}: {what}", key.name)))
        }
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        other => Err(Mistake::new(value.span(), format!("{} cannot be {}", key.name, article(other.type_str())))),
    }
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

/// Puts in what `${NAME}` stands for; `$$` is a dollar.
fn expanded(text: &str, known: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut told = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        told.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            told.push('$');
            rest = after;
        } else if let Some((name, after)) = after.strip_prefix('{').and_then(|after| after.split_once('}')) {
            told.push_str(&known(name).ok_or_else(|| format!("the variable {name} is not set"))?);
            rest = after;
        } else {
            return Err("after $ comes {NAME}, or another $ for a dollar".to_owned());
        }
    }
    told.push_str(rest);
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in() {
        let expand = |text| expanded(text, |name| (name == "A").then(|| "x".to_owned()));
        assert_eq!(expand("a${A}b${A}$$"), Ok("axbx$".to_owned()));
        assert_eq!(expand("${B}"), Err("the variable B is not set".to_owned()));
        assert!(["$", "${A", "$A"].iter().all(|text| expand(text).is_err()));
    }
}
