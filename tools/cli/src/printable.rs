//! Text of others as a terminal may have it: what it would act on is spelled out.

use std::borrow::Cow;

/// Whether a terminal, or the order in which it shows letters, would be changed by it. Source: Unicode 16, general category
/// Cc and the property Bidi_Control; lines and paragraphs of their own break one line into two.
fn is_command(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// One line.
pub fn line(text: &str) -> Cow<'_, str> {
    spelled(text, |letter| is_command(letter).then(|| letter.escape_unicode().to_string()))
}

/// Several lines, in columns or not.
pub fn lines(text: &str) -> Cow<'_, str> {
    let is_command = |letter| is_command(letter) && !matches!(letter, '\n' | '\t');
    spelled(text, |letter| is_command(letter).then(|| letter.escape_unicode().to_string()))
}

/// The same JSON: in it such letters stand in strings alone.
pub fn json(text: &str) -> Cow<'_, str> {
    spelled(text, |letter| is_command(letter).then(|| format!("\\u{:04x}", u32::from(letter))))
}

fn spelled(text: &str, spell: impl Fn(char) -> Option<String>) -> Cow<'_, str> {
    if !text.chars().any(|letter| spell(letter).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut spelled = String::with_capacity(text.len());
    for letter in text.chars() {
        match spell(letter) {
            Some(name) => spelled.push_str(&name),
            None => spelled.push(letter),
        }
    }
    Cow::Owned(spelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_spelled_out() {
        assert_eq!(line("caf\u{e9} \u{1f600}"), "caf\u{e9} \u{1f600}");
        assert_eq!(line("a\x1b[2Jb\r\n\u{7f}\u{9b}c"), r"a\u{1b}[2Jb\u{d}\u{a}\u{7f}\u{9b}c");
        assert_eq!(line("gpj.\u{202e}exe\u{2066}\u{200f}"), r"gpj.\u{202e}exe\u{2066}\u{200f}");
        assert_eq!(lines("a\tb\nc\x07\n"), "a\tb\nc\\u{7}\n");
    }

    #[test]
    fn json_stays_the_same() {
        let value = serde_json::json!({ "name": "a\u{202e}b\u{9b}\x1b" });
        let text = value.to_string();
        let told = json(&text);
        assert!(told.is_ascii(), "{told}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&told).unwrap(), value);
    }
}
