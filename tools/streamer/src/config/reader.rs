//! From tables to what runs: each camera's keys become flags, which are checked as a command line is.

use std::{collections::BTreeMap, ops::Range};

use clap::Parser as _;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use tools_cli::{command_line, failure::Failure, nats};

use super::{
    Config,
    keys::{self, Key},
    mistake::{Mistake, meant},
    value::{self, Flags},
};
use crate::{
    fleet::Wanted,
    options::Options,
    plan::{Plan, Servers, foxglove_server, http_server, rtsp_server},
};

/// Sections of a file.
const SECTIONS: [&str; 5] = ["defaults", "http", "foxglove", "rtsp", "camera"];
/// Longest name of a camera.
const NAME_MAX: usize = 64;
/// Keys of two cameras that may not have the same value.
const SOLE: [&str; 6] = ["rtp_endpoint", "rtp_sdp", "rtmp_url", "srt_url", "mcap", "mp4"];
/// Keys that say where frames come from; without one, a camera's name does.
const INPUT: [&str; 3] = ["input_uri", "shm_name", "zmq_endpoint"];

/// A table by key: where each stands, and its value.
type Table<'a> = BTreeMap<&'a str, (Range<usize>, &'a Spanned<DeValue<'a>>)>;

/// Reads all of it, or tells everything that is wrong.
pub(super) fn read(table: &DeTable) -> Result<Config, Vec<Mistake>> {
    let mut reader = Reader { mistakes: Vec::new(), keys: keys::camera(), taken: BTreeMap::new() };
    let config = reader.read(&by_key(table));
    if reader.mistakes.is_empty() { Ok(config) } else { Err(reader.mistakes) }
}

struct Reader {
    mistakes: Vec<Mistake>,
    /// Keys of a camera.
    keys: Vec<Key>,
    /// Which camera has a name or another thing that is there once.
    taken: BTreeMap<String, String>,
}

impl Reader {
    fn read(&mut self, top: &Table) -> Config {
        for (name, (at, _)) in top.iter().filter(|(name, _)| !SECTIONS.contains(name)) {
            let meant = meant(name, SECTIONS.into_iter());
            let what = format!("'{name}' is none of [defaults], [http], [foxglove], [rtsp] and [[camera]]{meant}");
            self.wrong(at, what);
        }
        let defaults = top.get("defaults").map(|given| self.table(given)).unwrap_or_default();
        self.check_keys(&defaults, &[]);
        let nats = self.nats(&defaults);
        let servers = Servers {
            http: self.server(top, "http", &keys::http(), http_server),
            foxglove: self.server(top, "foxglove", &keys::foxglove(), |options| foxglove_server(&options.output)),
            rtsp: self.server(top, "rtsp", &keys::rtsp(), |options| rtsp_server(&options.output)),
        };
        let mut cameras = Vec::new();
        match top.get("camera").map(|(at, value)| (at, value.get_ref())) {
            Some((_, DeValue::Array(tables))) => {
                for table in tables {
                    let given = (table.span(), table);
                    let table = self.table(&given);
                    cameras.extend(self.camera(&given.0, &table, &defaults, &servers));
                }
            }
            Some((at, _)) => self.wrong(at, "each camera begins with [[camera]]"),
            None => self.wrong(&(0..0), "there is no [[camera]]"),
        }
        Config { servers, cameras, nats }
    }

    fn camera(&mut self, at: &Range<usize>, own: &Table, defaults: &Table, servers: &Servers) -> Option<Wanted> {
        self.check_keys(own, &["name", "http", "foxglove", "rtsp"]);
        let (at, name) = match own.get("name") {
            Some((_, value)) => match value.get_ref() {
                DeValue::String(name) if is_name(name) => (value.span(), name.to_string()),
                _ => {
                    let what = format!("name has to be 1 to {NAME_MAX} letters, digits, '-', '_' and '.'");
                    self.wrong(&value.span(), what);
                    return None;
                }
            },
            None => {
                self.wrong(at, "this camera has no name");
                return None;
            }
        };
        self.take("name", &name, &name, &at);
        let [is_on_page, is_in_foxglove, is_played] =
            ["http", "foxglove", "rtsp"].map(|section| self.is_shown(own, section));
        let (is_on_page, is_in_foxglove, is_played) =
            (is_on_page?, is_in_foxglove?, is_played? && servers.rtsp.is_some());
        let mut source = Vec::new();
        let mut origins = Vec::new();
        for key in self.keys.clone() {
            let Some((key_at, flags)) = [own, defaults].iter().find_map(|table| flags_of(&key, table, &name)) else {
                continue;
            };
            match flags {
                Ok(flags) => {
                    if SOLE.contains(&key.name.as_str()) {
                        flags.iter().for_each(|flag| self.take(&key.name, flag, &name, key_at));
                    }
                    origins.push((key.flag.clone(), key_at.clone()));
                    source.extend(flags);
                }
                Err(mistake) => {
                    self.mistakes.push(Mistake { what: format!("camera {name}: {}", mistake.what), ..mistake })
                }
            }
        }
        if !INPUT.iter().any(|key| own.contains_key(key) || defaults.contains_key(key)) {
            source.push(format!("--input-uri={name}"));
        }
        if let Some(http) = servers.http.as_ref().filter(|_| is_on_page) {
            // Who may watch was checked where it is said.
            source.extend([
                format!("--http={}", http.listen),
                format!("--max-viewers={}", http.viewers_max),
                "--http-insecure".to_owned(),
            ]);
        }
        if let Some(foxglove) = servers.foxglove.as_ref().filter(|_| is_in_foxglove) {
            source.extend([format!("--foxglove={}", foxglove.listen), format!("--foxglove-label={name}")]);
            source.extend(foxglove.is_open.then(|| "--foxglove-insecure".to_owned()));
        }
        let plan = plan(&source, is_played);
        // No flag, and a camera that is another one by it all the same.
        source.extend(is_played.then(|| "[rtsp]".to_owned()));
        match plan {
            Ok(plan) => Some(Wanted { name, plan, source }),
            Err(failure) => {
                let what = failure.to_string();
                let at = origins.iter().find(|(flag, _)| names(&what, flag)).map_or(at, |(_, at)| at.clone());
                self.wrong(&at, format!("camera {name}: {what}"));
                None
            }
        }
    }

    /// Whether a camera is shown by a server of the program.
    fn is_shown(&mut self, own: &Table, section: &str) -> Option<bool> {
        let Some((_, value)) = own.get(section) else {
            return Some(true);
        };
        let is_shown = value.get_ref().as_bool();
        if is_shown.is_none() {
            let what = format!("{section} is true or false: where cameras are shown is said in [{section}]");
            self.wrong(&value.span(), what);
        }
        is_shown
    }

    /// The server of a section, by its `keys`.
    fn server<S>(
        &mut self,
        top: &Table,
        section: &str,
        keys: &[Key],
        check: impl FnOnce(&Options) -> Result<Option<S>, Failure>,
    ) -> Option<S> {
        let given = top.get(section)?;
        let table = self.table(given);
        let mut flags = Vec::new();
        let mut origins = Vec::new();
        for (name, (at, value)) in &table {
            match keys.iter().find(|key| key.name == *name) {
                Some(key) => match value::arguments(key, value, "") {
                    Ok(more) => {
                        origins.push((key.flag.clone(), at.clone()));
                        flags.extend(more);
                    }
                    Err(mistake) => self.mistakes.push(mistake),
                },
                None => {
                    let meant = meant(name, keys.iter().map(|key| key.name.as_str()));
                    self.wrong(at, format!("'{name}' is no key of [{section}]{meant}"));
                }
            }
        }
        if !table.contains_key("listen") {
            self.wrong(&given.0, format!("[{section}] needs listen = \"HOST:PORT\""));
            return None;
        }
        options(&flags).and_then(|options| check(&options)).unwrap_or_else(|failure| {
            let what = failure.to_string();
            let at = origins.iter().find(|(flag, _)| names(&what, flag)).map_or(&given.0, |(_, at)| at);
            self.wrong(at, format!("[{section}]: {what}"));
            None
        })
    }

    /// The server of `[defaults]`, for what the whole program is asked over NATS.
    fn nats(&mut self, defaults: &Table) -> Option<nats::Server> {
        let mut flags = Vec::new();
        for key in self.keys.iter().filter(|key| key.name.starts_with("nats_")) {
            match flags_of(key, defaults, "") {
                Some((_, Ok(more))) => flags.extend(more),
                None => {}
                // Each camera tells it.
                Some((_, Err(_))) => return None,
            }
        }
        options(&flags).and_then(|options| options.nats.server()).ok().flatten()
    }

    fn check_keys(&mut self, table: &Table, more: &[&str]) {
        for (name, (at, _)) in table {
            let is_known = |name: &str| self.keys.iter().any(|key| key.name == name);
            if more.contains(name) || is_known(name) || name.strip_suffix("_file").is_some_and(is_known) {
                continue;
            }
            let known = self.keys.iter().map(|key| key.name.as_str()).chain(more.iter().copied());
            let what = format!("'{name}' is no key of a camera{}", meant(name, known));
            self.wrong(at, what);
        }
    }

    fn take(&mut self, what: &str, value: &str, camera: &str, at: &Range<usize>) {
        if let Some(other) = self.taken.insert(format!("{what} {value}"), camera.to_owned()) {
            let same = value.split_once('=').map_or(value, |(_, value)| value);
            let what = match what {
                "name" => format!("there are two cameras of the name {same}"),
                // They may hold a secret.
                "rtmp_url" | "srt_url" => format!("camera {camera}: camera {other} has the same {what}"),
                what => format!("camera {camera}: camera {other} has {what} {same}, too"),
            };
            self.wrong(at, what);
        }
    }

    fn table<'a>(&mut self, (at, value): &(Range<usize>, &'a Spanned<DeValue<'a>>)) -> Table<'a> {
        match value.get_ref() {
            DeValue::Table(table) => by_key(table),
            _ => {
                self.wrong(at, "this has to be a table");
                Table::new()
            }
        }
    }

    fn wrong(&mut self, at: &Range<usize>, what: impl Into<String>) {
        self.mistakes.push(Mistake::new(at.clone(), what));
    }
}

/// The flags that a table has for a key, or for the file that holds its value, and where.
fn flags_of<'t>(key: &Key, table: &'t Table, camera: &str) -> Option<(&'t Range<usize>, Flags)> {
    if let Some((at, value)) = table.get(key.name.as_str()) {
        return Some((at, value::arguments(key, value, camera)));
    }
    let (at, value) = table.get(format!("{}_file", key.name).as_str())?;
    Some((at, value::from_file(key, value, camera)))
}

fn by_key<'a>(table: &'a DeTable<'a>) -> Table<'a> {
    table.iter().map(|(key, value)| (key.get_ref().as_ref(), (key.span(), value))).collect()
}

fn is_name(name: &str) -> bool {
    let is_of_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(is_of_name)
}

/// Whether a sentence tells of a flag.
fn names(sentence: &str, flag: &str) -> bool {
    sentence.match_indices(flag).any(|(at, _)| {
        let after = sentence[at + flag.len()..].chars().next();
        !after.is_some_and(|c| c == '-' || c.is_ascii_alphanumeric())
    })
}

fn plan(flags: &[String], is_played: bool) -> Result<Plan, Failure> {
    let mut options = options(flags)?;
    options.output.rtsp_of_all = is_played;
    Plan::new(&options)
}

fn options(flags: &[String]) -> Result<Options, Failure> {
    let program = std::iter::once("cvmmap_streamer");
    Options::try_parse_from(program.chain(flags.iter().map(String::as_str)))
        .map_err(|error| Failure::Usage(command_line::one_line(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        let table = DeTable::parse(text).unwrap();
        match read(table.get_ref()) {
            Ok(_) => Vec::new(),
            Err(mistakes) => mistakes.iter().map(|mistake| mistake.line("f", text)).collect(),
        }
    }

    #[test]
    fn cameras_are_what_their_command_lines_would_be() {
        let text = "[defaults]\nnats_url = ''\ncodec = 'h264'\nrtp = true\nrtp_sdp = ['/tmp/${camera}.sdp']\n\
                    [http]\nlisten = '127.0.0.1:1'\n[foxglove]\nlisten = ':3'\n[rtsp]\nlisten = ':4'\n\
                    [[camera]]\nname = 'a'\nrtp_endpoint = ['127.0.0.1:2']\ngop = 10\n\
                    [[camera]]\nname = 'b'\nhttp = false\nrtsp = false\ninput_uri = 'cvmmap://x'\nrtp = false\nrtp_sdp = []\n";
        let table = DeTable::parse(text).unwrap();
        let config = read(table.get_ref()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let streams = config.cameras.iter().map(|camera| camera.plan.stream.as_ref().unwrap()).collect::<Vec<_>>();
        assert_eq!(streams.iter().map(|stream| stream.input.name()).collect::<Vec<_>>(), ["a", "x"]);
        assert_eq!(streams[0].rtp[0].sdp.as_deref(), Some("/tmp/a.sdp".as_ref()));
        assert_eq!((streams[0].encoding.live.gop, streams[1].encoding.live.gop), (10, 30));
        assert_eq!((streams[0].rtsp, streams[1].rtsp), (true, false));
        assert_eq!(config.servers.rtsp.map(|rtsp| rtsp.listen.to_string()).as_deref(), Some("127.0.0.1:4"));
        assert_eq!((streams[0].http.is_some(), streams[1].http.is_some(), streams[1].rtp.len()), (true, false, 0));
        let shown = streams.iter().map(|stream| stream.foxglove.as_ref().unwrap());
        let shown =
            shown.map(|shown| (shown.server.listen.to_string(), shown.topics.video.clone())).collect::<Vec<_>>();
        let listen = "127.0.0.1:3".to_owned();
        assert_eq!(shown, [(listen.clone(), "/a/video".to_owned()), (listen, "/b/video".to_owned())]);
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let start = "[defaults]\nnats_url = ''\ncodec = 'h264'\n[[camera]]\nname = 'a'\n";
        for (more, told) in [
            ("rtp_endpiont = 'x'", "f:6:1: 'rtp_endpiont' is no key of a camera; did you mean rtp_endpoint?"),
            ("gop = 0", "f:6:1: camera a: --gop must be 1 to 2147483647"),
            (
                "gop = 'x'",
                "f:6:1: camera a: invalid value 'x' for '--gop <N>': invalid digit found in string (see --help)",
            ),
            ("gop = [1]", "f:6:7: camera a: gop takes one value"),
            ("rtp = 1", "f:6:7: camera a: rtp is true or false"),
            ("json = true", "f:6:1: 'json' is no key of a camera"),
            (
                "dummy_label = '${CVMMAP_NOT_SET}'",
                "f:6:15: camera a: dummy_label: the variable CVMMAP_NOT_SET is not set",
            ),
            ("[[camera]]\nname = 'a'", "f:7:8: there are two cameras of the name a"),
            ("[[camera]]\nname = 'a b'", "f:7:8: name has to be 1 to 64 letters, digits, '-', '_' and '.'"),
            ("[[camera]]", "f:6:1: this camera has no name"),
            (
                "[http]\nlisten = '127.0.0.1'",
                "f:7:1: [http]: --http '127.0.0.1' must be HOST:PORT, an IPv6 address in brackets",
            ),
            (
                "[foxglove]\nlisten = '0.0.0.0:1'",
                "f:7:1: [foxglove]: --foxglove: 0.0.0.0 is not an address of this machine alone, and whoever reaches it could \
                 watch; take 127.0.0.1:1, or give --foxglove-insecure",
            ),
            ("foxglove = 1", "f:6:12: foxglove is true or false: where cameras are shown is said in [foxglove]"),
            ("rtsp = ':1'", "f:6:8: rtsp is true or false: where cameras are shown is said in [rtsp]"),
            ("rtsp_user = 'anna'", "f:6:1: 'rtsp_user' is no key of a camera"),
            ("[rtsp]\nuser = 'anna'", "f:6:2: [rtsp] needs listen = \"HOST:PORT\""),
            (
                "[rtsp]\nlisten = '192.0.2.7:8554'",
                "f:7:1: [rtsp]: --rtsp: 192.0.2.7 is not an address of this machine alone, and whoever reaches it could \
                 watch; add --rtsp-user and --rtsp-password-file, or take 127.0.0.1:8554",
            ),
            (
                "[htttp]",
                "f:6:2: 'htttp' is none of [defaults], [http], [foxglove], [rtsp] and [[camera]]; did you mean http?",
            ),
        ] {
            assert_eq!(mistakes(&format!("{start}{more}\n")), [told], "{more}");
        }
    }
}
