//! What a stream does that some reader trips over.

/// Things that are legal or harmless here and that some reader trips over: each kind once, with its first place.
#[derive(Debug, Default)]
pub struct Warnings {
    /// What is read at the moment.
    pub place: String,
    told: Vec<(&'static str, String)>,
}

impl Warnings {
    pub fn add(&mut self, key: &'static str, text: &str) {
        if self.told.iter().all(|(known, _)| *known != key) {
            self.told.push((key, format!("{}: {text}", self.place)));
        }
    }

    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.told.iter().map(|(_, text)| text.as_str())
    }
}
