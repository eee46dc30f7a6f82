//! The command lines of a page.

use std::{fs, path::Path};

/// Begins a mark, before a block: lines that hold TEXT, or all of the block, are not run.
/// `<!-- docs test: not run "TEXT": REASON -->`, `<!-- docs test: not run: REASON -->`
const MARK: &str = "<!-- docs test: not run";

/// A command line; one that goes on behind a backslash is one.
#[derive(Debug)]
pub struct Line {
    /// Of the page.
    pub number: usize,
    /// Without the comment behind it.
    pub text: String,
    /// Why it is not run.
    pub reason: Option<String>,
}

#[derive(Debug, Default)]
pub struct Page {
    pub lines: Vec<Line>,
    /// Blocks of Python, in their order.
    pub python: Vec<String>,
}

impl Page {
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let mut page = Self::default();
        let mut marks: Vec<(String, String, bool)> = Vec::new();
        let mut lines = text.lines().zip(1..);
        while let Some((line, number)) = lines.next() {
            if let Some(mark) = line.strip_prefix(MARK) {
                let mark = mark.strip_suffix("-->").unwrap_or_else(|| panic!("{path:?}:{number}: a mark is one line"));
                let (which, reason) = match mark.trim_start().strip_prefix('"') {
                    Some(rest) => rest.split_once("\":").unwrap_or_else(|| panic!("{path:?}:{number}: no reason")),
                    None => (
                        "",
                        mark.trim_start().strip_prefix(':').unwrap_or_else(|| panic!("{path:?}:{number}: no reason")),
                    ),
                };
                assert!(!reason.trim().is_empty(), "{path:?}:{number}: no reason");
                marks.push((which.to_owned(), reason.trim().to_owned(), false));
            } else if line == "```sh" {
                let block = lines.by_ref().take_while(|(line, _)| *line != "```");
                page.add_block(block, &mut marks);
                for (which, _, was_used) in marks.drain(..) {
                    assert!(was_used, "{path:?}:{number}: no line holds {which:?}");
                }
            } else if line == "```python" {
                let block = lines.by_ref().take_while(|(line, _)| *line != "```");
                page.python.push(block.map(|(line, _)| format!("{line}\n")).collect());
            }
        }
        assert!(marks.is_empty(), "{path:?}: a mark before nothing");
        page
    }

    fn add_block<'a>(&mut self, block: impl Iterator<Item = (&'a str, usize)>, marks: &mut [(String, String, bool)]) {
        let mut begun: Option<Line> = None;
        for (part, number) in block {
            let line = begun.get_or_insert_with(|| Line { number, text: String::new(), reason: None });
            let part = part.split_once(" #").map_or(part, |(command, _)| command).trim_end();
            match part.strip_suffix('\\') {
                Some(part) => line.text.push_str(part),
                None => {
                    line.text.push_str(part);
                    let mut line = begun.take().expect("it was just begun");
                    for (_, reason, was_used) in marks.iter_mut().filter(|(which, ..)| line.text.contains(which)) {
                        (line.reason, *was_used) = (Some(reason.clone()), true);
                    }
                    if !line.text.is_empty() {
                        self.lines.push(line);
                    }
                }
            }
        }
        assert!(begun.is_none(), "a block ends in a backslash");
    }
}
