//! Which files of a crate import each other, as far as paths in their text say. Tests at a file's end are left out. What a
//! folder's face (`mod.rs`, `lib.rs`, or `x.rs` beside `x/`) takes from the folder is not counted: it hands that out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Module path, without the crate: `["outlet", "rtmp"]`.
type Module = Vec<String>;

/// The files of a crate and what each imports.
pub struct Imports {
    files: BTreeMap<Module, PathBuf>,
    arrows: BTreeMap<Module, BTreeSet<Module>>,
}

impl Imports {
    /// Reads the crate whose `lib.rs` or `main.rs` is in `source`.
    pub fn of(source: &Path) -> Self {
        let mut files = BTreeMap::new();
        for entry in walkdir::WalkDir::new(source) {
            let path = entry.expect("the source can be read").into_path();
            if path.extension().is_some_and(|ending| ending == "rs") {
                files.insert(module(path.strip_prefix(source).expect("it is below")), path);
            }
        }
        let mut imports = Self { files, arrows: BTreeMap::new() };
        for (from, path) in &imports.files {
            let text = fs::read_to_string(path).expect("it is text");
            let text = code(&text);
            let targets = paths(&text).into_iter().filter_map(|path| imports.target(from, &path, &text));
            let targets = targets.filter(|to| !to.starts_with(from)).collect();
            imports.arrows.insert(from.clone(), targets);
        }
        imports
    }

    /// The file that a path means: that of the longest module in it.
    fn target(&self, from: &Module, path: &[String], text: &str) -> Option<Module> {
        let mut rest = path;
        let mut at = match rest.first()?.as_str() {
            "crate" => {
                rest = &rest[1..];
                Vec::new()
            }
            "self" => {
                rest = &rest[1..];
                from.clone()
            }
            "super" => {
                let mut at = from.clone();
                while rest.first().is_some_and(|part| part == "super") {
                    at.pop()?;
                    rest = &rest[1..];
                }
                at
            }
            first if text.contains(&format!("mod {first};")) => from.clone(),
            _ => return None,
        };
        for part in rest {
            at.push(part.clone());
            if !self.files.contains_key(&at) {
                at.pop();
                break;
            }
        }
        self.files.contains_key(&at).then_some(at)
    }

    /// The arrows of files that import each other, directly or by others.
    pub fn circles(&self) -> Vec<(&Path, &Path)> {
        let arrows = self.arrows.iter().flat_map(|(from, targets)| targets.iter().map(move |to| (from, to)));
        let back = arrows.filter(|(from, to)| self.reached(to).contains(from));
        back.map(|(from, to)| (&*self.files[from], &*self.files[to])).collect()
    }

    /// What a file imports, and what that does, and so on.
    fn reached<'a>(&'a self, from: &'a Module) -> BTreeSet<&'a Module> {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(at) = next.pop() {
            next.extend(self.arrows[at].iter().filter(|to| seen.insert(*to)));
        }
        seen
    }
}

fn module(file: &Path) -> Module {
    let mut parts = file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>();
    if parts.last().is_some_and(|last| matches!(&**last, "mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// What is compiled into the program, without comments.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path of two parts or more, those of `use` trees spelled out.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(|letter: char| letter.is_alphabetic() || letter == '_') {
        rest = &rest[at..];
        let used = tree(rest, &mut Vec::new(), &mut found);
        rest = &rest[used.max(1)..];
    }
    found
}

/// Reads one tree, such as `a::{b, c::d}`, and tells how long it is.
fn tree(text: &str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let name = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    let mut used = name;
    prefix.push(text[..name].to_owned());
    match text[used..].strip_prefix("::") {
        Some(rest) if rest.starts_with('{') => {
            used += 3;
            loop {
                used += text[used..].len() - text[used..].trim_start_matches([' ', '\n', ',']).len();
                let rest = &text[used..];
                if rest.starts_with('}') || rest.is_empty() {
                    used += usize::from(!rest.is_empty());
                    break;
                }
                match tree(rest, prefix, found) {
                    0 => used += rest.chars().next().map_or(1, char::len_utf8),
                    length => used += length,
                }
            }
        }
        Some(rest) if rest.starts_with(|letter: char| letter.is_alphabetic() || letter == '_') => {
            used += 2;
            used += tree(&text[used..], prefix, found);
        }
        _ if prefix.len() > 1 => found.push(prefix.clone()),
        _ => {}
    }
    prefix.pop();
    used
}
