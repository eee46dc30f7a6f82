//! What is wrong with a configuration, and where.

use std::ops::Range;

/// Something that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where in the file, in bytes.
    pub at: usize,
    /// What, in words for people.
    pub what: String,
}

impl Mistake {
    /// A mistake there.
    pub fn new(at: Range<usize>, what: impl Into<String>) -> Self {
        Self { at: at.start, what: what.into() }
    }

    /// `FILE:LINE:COLUMN: what`, counted from 1, columns in characters.
    pub fn line(&self, file: &str, text: &str) -> String {
        let before = text.get(..self.at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{file}:{line}:{column}: {}", self.what)
    }
}

/// What was meant by `word`, among `known` ones, in words that can follow a sentence.
pub fn meant<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    /// Less alike is not meant.
    const ALIKE: f64 = 0.7;
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(word, known);
    let nearest = known.map(|known| (likeness(known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    nearest
        .filter(|(alike, _)| *alike >= ALIKE)
        .map(|(_, known)| format!("; did you mean {known}?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_as_editors_do() {
        let mistake = |at| Mistake { at, what: "no".to_owned() }.line("f", "a\nüb = 1\n");
        assert_eq!([0, 2, 4, 9, 99].map(mistake), ["f:1:1: no", "f:2:1: no", "f:2:2: no", "f:2:7: no", "f:3:1: no"]);
        assert_eq!(meant("rtp_endpiont", ["rtp_endpoint", "rtp_sdp"].into_iter()), "; did you mean rtp_endpoint?");
        assert_eq!(meant("x", ["rtp_endpoint"].into_iter()), "");
    }
}
