//! Playlists: which recordings a source plays, and who answers for them. Source: cv-mmap IPC contract, section 4.

use prost::Message as _;

use super::{
    proto::{
        ApplyPlaylistRequest, ApplyPlaylistResponse, ErrorCode, GetPlaylistInfoRequest, GetPlaylistInfoResponse,
        PlaylistInfo,
    },
    refusal::{Refusal, not_a_message},
};

/// The requests, as they stand behind `source.playlist.` in a subject.
pub(super) const VERBS: [&str; 2] = ["info", "apply"];

/// What plays a source's recordings; called from threads of the client, and may block.
pub trait Player: Send + Sync {
    /// What is played. `has_playlist` is false when nothing was asked for.
    ///
    /// # Errors
    /// When it cannot tell.
    fn playlist(&self) -> Result<PlaylistInfo, Refusal>;

    /// Plays other recordings from the first one on; what is played then. Paths are neither empty nor hold a NUL.
    ///
    /// # Errors
    /// When it does not, and goes on with what it played.
    fn apply(&self, paths: Vec<String>, sort_by_recording_time: bool) -> Result<PlaylistInfo, Refusal>;
}

/// The reply to one of [`VERBS`].
pub(super) fn answer(player: Option<&dyn Player>, verb: &str, request: &[u8]) -> Vec<u8> {
    match verb {
        "info" => {
            let (error, playlist_info, error_message) = reply(info(player, request));
            GetPlaylistInfoResponse { error, playlist_info, error_message }.encode_to_vec()
        }
        _ => {
            let (error, playlist_info, error_message) = reply(apply(player, request));
            ApplyPlaylistResponse { error, playlist_info, error_message }.encode_to_vec()
        }
    }
}

fn reply(answer: Result<PlaylistInfo, Refusal>) -> (i32, Option<PlaylistInfo>, String) {
    match answer {
        Ok(info) => (ErrorCode::Ok.into(), Some(info), String::new()),
        Err(refusal) => {
            let (error, message) = refusal.fields();
            (error, None, message)
        }
    }
}

/// A source that plays no recordings has no playlist, which is no error.
fn info(player: Option<&dyn Player>, request: &[u8]) -> Result<PlaylistInfo, Refusal> {
    GetPlaylistInfoRequest::decode(request).map_err(|_| not_a_message("GetPlaylistInfoRequest"))?;
    player.map_or_else(|| Ok(PlaylistInfo::default()), Player::playlist)
}

fn apply(player: Option<&dyn Player>, request: &[u8]) -> Result<PlaylistInfo, Refusal> {
    let request = ApplyPlaylistRequest::decode(request).map_err(|_| not_a_message("ApplyPlaylistRequest"))?;
    if request.paths.iter().any(|path| path.is_empty() || path.contains('\0')) {
        return Err(Refusal::new(ErrorCode::InvalidPayload, "a path is empty, or holds a NUL"));
    }
    let player = player.ok_or_else(|| Refusal::new(ErrorCode::Unsupported, "this source plays no recordings"))?;
    player.apply(request.paths, request.sort_by_recording_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_plays_nothing_says_so() {
        let told = GetPlaylistInfoResponse::decode(&*answer(None, "info", &[])).unwrap();
        assert_eq!((told.error(), told.playlist_info), (ErrorCode::Ok, Some(PlaylistInfo::default())));
        let apply = |request: &[u8]| ApplyPlaylistResponse::decode(&*answer(None, "apply", request)).unwrap().error();
        assert_eq!(apply(&[0x0a, 1, b'a']), ErrorCode::Unsupported);
        assert_eq!(apply(&[0x0a, 0]), ErrorCode::InvalidPayload, "an empty path");
        assert_eq!(apply(&[0x0a, 1, 0]), ErrorCode::InvalidPayload, "a NUL");
        assert_eq!(apply(&[0x0a, 1, 0xff]), ErrorCode::InvalidPayload, "no UTF-8");
        assert_eq!(apply(&[0x0a]), ErrorCode::InvalidPayload, "cut off");
    }
}
