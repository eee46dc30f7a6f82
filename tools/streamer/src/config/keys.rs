//! Keys of a configuration: each flag of the command line is one, so that no flag has to be told twice.

use clap::{Arg, ArgAction, CommandFactory as _};

use crate::options::Options;

/// Flags of the whole program, which belong on the command line,
pub const FLAGS_OF_PROGRAM: [&str; 8] =
    ["config", "check-config", "example-config", "json", "log-format", "log-level", "run-mode", "status-interval"];
/// and the beginnings of those that are keys of `[http]`, `[foxglove]` and `[rtsp]`, without them.
const HTTP: &str = "http-";
const FOXGLOVE: &str = "foxglove-";
const RTSP: &str = "rtsp-";

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// true or false.
    Switch,
    /// One value.
    Value,
    /// One value, or true for the flag without one.
    Optional,
    /// Any number of values.
    List,
}

/// A key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// The flag, with its dashes.
    pub flag: String,
    /// What it takes.
    pub kind: Kind,
    /// What the help says of it.
    pub help: String,
    /// Under which heading.
    pub heading: String,
    /// What it is without being told.
    pub default: Option<String>,
    /// What a value looks like: one of these, or words for it.
    pub choices: Vec<String>,
    /// Name of the value in the help.
    pub value: String,
}

impl Key {
    fn new(name: &str, arg: &Arg) -> Option<Self> {
        let kind = match arg.get_action() {
            ArgAction::SetTrue => Kind::Switch,
            ArgAction::Append => Kind::List,
            ArgAction::Set if arg.get_num_args().is_some_and(|range| range.min_values() == 0) => Kind::Optional,
            ArgAction::Set => Kind::Value,
            _ => return None,
        };
        let text = |text: &dyn std::fmt::Display| text.to_string();
        let choices = if kind == Kind::Switch { Vec::new() } else { arg.get_possible_values() };
        Some(Self {
            name: name.replace('-', "_"),
            flag: format!("--{}", arg.get_long()?),
            kind,
            help: arg.get_help().map(|help| text(help)).unwrap_or_default(),
            heading: arg.get_help_heading().unwrap_or_default().to_owned(),
            default: arg.get_default_values().first().map(|value| value.to_string_lossy().into_owned()),
            choices: choices.iter().map(|value| value.get_name().to_owned()).collect(),
            value: arg.get_value_names().and_then(|names| names.first()).map(text_of).unwrap_or_default(),
        })
    }
}

fn text_of(name: &clap::builder::Str) -> String {
    name.to_string()
}

/// Keys of a camera and of `[defaults]`.
pub fn camera() -> Vec<Key> {
    let is_of_server = |long: &str| {
        ["http", "max-viewers", "foxglove", "rtsp"].contains(&long)
            || [HTTP, FOXGLOVE, RTSP].iter().any(|beginning| long.starts_with(beginning))
    };
    keys(|long| (!is_of_server(long)).then_some(long))
}

/// Keys of `[http]`.
pub fn http() -> Vec<Key> {
    keys(|long| match long {
        "http" => Some("listen"),
        "max-viewers" => Some(long),
        _ => long.strip_prefix(HTTP),
    })
}

/// Keys of `[foxglove]`. Topics are called as their camera.
pub fn foxglove() -> Vec<Key> {
    keys(|long| match long {
        "foxglove" => Some("listen"),
        "foxglove-label" => None,
        _ => long.strip_prefix(FOXGLOVE),
    })
}

/// Keys of `[rtsp]`.
pub fn rtsp() -> Vec<Key> {
    keys(|long| if long == "rtsp" { Some("listen") } else { long.strip_prefix(RTSP) })
}

fn keys(name: impl for<'a> Fn(&'a str) -> Option<&'a str>) -> Vec<Key> {
    let command = Options::command();
    let flags = command.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg)));
    let flags = flags.filter(|(long, _)| !FLAGS_OF_PROGRAM.contains(long));
    flags.filter_map(|(long, arg)| Key::new(name(long)?, arg)).collect()
}
