//! What is for a server alone: in URLs, and in files of its own.

use std::{fs::File, io, io::Read as _, path::Path};

/// What is shown in place of a secret.
pub const MASK: &str = "***";
/// Letters of a secret that is no part of a sentence by chance.
const LONG: usize = 6;

/// Largest file that holds a secret.
const FILE_MAX: u64 = 64 << 10;

/// Reads a file that holds a secret.
///
/// # Errors
/// When it cannot be read, or is no text.
pub fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Secrets of one URL, in every spelling under which they may come back in what others say.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Of these, as they stand in a URL.
    pub fn new<'a>(typed: impl IntoIterator<Item = &'a str>) -> Self {
        let mut secrets = typed
            .into_iter()
            .flat_map(|secret| [secret.to_owned(), percent_decode(secret)])
            .filter(|secret| !secret.is_empty())
            .collect::<Vec<_>>();
        // Longest first.
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self(secrets)
    }

    /// `text` with every one masked: a long one wherever it stands, a short one where it stands as a word.
    pub fn redact(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            if secret.chars().count() >= LONG { text.replace(secret, MASK) } else { mask_word(&text, secret) }
        })
    }
}

/// What `%XX` stand for.
pub fn percent_decode(text: &str) -> String {
    let hex = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high << 4 | low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Masks `word` where no letter, digit or `_` touches it, so that a short key does not eat the sentence around it.
fn mask_word(text: &str, word: &str) -> String {
    let touches = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, from_word) = rest.split_at(at);
        let after = &from_word[word.len()..];
        masked.push_str(before);
        if touches(masked.chars().next_back()) || touches(after.chars().next()) {
            let first = from_word.chars().next().map_or(0, char::len_utf8);
            masked.push_str(&from_word[..first]);
            rest = &from_word[first..];
        } else {
            masked.push_str(MASK);
            rest = after;
        }
    }
    masked.push_str(rest);
    masked
}
