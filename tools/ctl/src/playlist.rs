//! `playlist`: the recordings that a producer plays.

use cvmmap::nats::{Client, proto::PlaylistInfo};
use serde::Serialize;
use tools_cli::{failure::Failure, report};

use super::{
    args::{Options, Playlist},
    failure, output,
    source::control,
};

#[derive(Serialize)]
struct Listed {
    has_playlist: bool,
    paths: Vec<String>,
    sort_by_recording_time: bool,
    current_index: u32,
    current_path: String,
}

/// Reads and changes the list.
///
/// # Errors
/// When the producer does not answer, or refuses.
pub fn run(client: Client, verb: &Playlist, options: &Options) -> Result<(), Failure> {
    let timeout = options.timeout();
    let told = match verb {
        Playlist::Show(producer) => control(client, &producer.target).playlist(timeout),
        Playlist::Apply { producer, paths, sort_by_recording_time } => {
            control(client, &producer.target).apply_playlist(paths.clone(), *sort_by_recording_time, timeout)
        }
    };
    let listed = Listed::from(told.map_err(failure)?);
    report::print(&listed, options.json, || listed.text())?;
    Ok(())
}

impl From<PlaylistInfo> for Listed {
    fn from(info: PlaylistInfo) -> Self {
        let plain = |path: String| path.chars().filter(|c| !c.is_control()).collect::<String>();
        Self {
            has_playlist: info.has_playlist,
            paths: info.paths.into_iter().map(plain).collect(),
            sort_by_recording_time: info.sort_by_recording_time,
            current_index: info.current_index,
            current_path: plain(info.current_path),
        }
    }
}

impl Listed {
    fn text(&self) -> String {
        if !self.has_playlist {
            return "the producer has no playlist\n".to_owned();
        }
        let rows = self.paths.iter().zip(0u32..).map(|(path, index)| {
            let mark = if index == self.current_index { "now" } else { "" };
            [index.to_string(), path.clone(), mark.to_owned()]
        });
        output::table(["INDEX", "PATH", ""], &rows.collect::<Vec<_>>())
    }
}
