//! `--foxglove` and what belongs to it.

use std::net::SocketAddr;

use tools_cli::failure::Failure;
use tools_mcap::{depth::DepthCoding, topics::Leaf, writer::Topics};

use super::{address, wrong::usage};
use crate::{options::OutputArgs, recorder::McapSettings};

/// The server for Foxglove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoxgloveServer {
    /// Its address.
    pub listen: SocketAddr,
    /// Whether pages of any host may connect.
    pub is_open: bool,
}

/// The server, and what it shows of a camera.
#[derive(Clone, Debug)]
pub struct Foxglove {
    /// The server.
    pub server: FoxgloveServer,
    /// What the camera's topics are called.
    pub topics: Topics,
    /// Coordinate frame of pictures and depth.
    pub frame_id: String,
    /// How depth is coded.
    pub depth: DepthCoding,
}

/// What a camera is shown by. Topics are those of recordings, where no label is given.
pub(super) fn shown(args: &OutputArgs, recorded: &McapSettings, b_frames: u32) -> Result<Option<Foxglove>, Failure> {
    let Some(server) = server(args)? else {
        return Ok(None);
    };
    if b_frames > 0 {
        return Err(usage("--foxglove cannot show B-frames, which Foxglove does not know; leave out --b-frames"));
    }
    let (topics, frame_id) = match args.foxglove_label.as_deref().map(|label| label.trim_matches('/')) {
        Some("") => return Err(usage("--foxglove-label is empty")),
        Some(label) => (Topics::of(label), label.to_owned()),
        None => (recorded.topics.clone(), recorded.frame_id.clone()),
    };
    let scene = topics.body_scene();
    if Leaf::ALL.iter().any(|leaf| topics.name(*leaf) == scene) {
        return Err(usage(format!(
            "--foxglove shows skeletons as {scene} too; give the other topic of that name another one"
        )));
    }
    Ok(Some(Foxglove { server, topics, frame_id, depth: recorded.depth }))
}

/// The server that the flags ask for.
///
/// # Errors
/// [`Failure::Usage`] for what contradicts itself or would show the cameras to strangers, [`Failure::Configuration`] for what
/// cannot be resolved.
pub fn server(args: &OutputArgs) -> Result<Option<FoxgloveServer>, Failure> {
    let Some(text) = &args.foxglove else {
        return match (&args.foxglove_label, args.foxglove_insecure) {
            (Some(_), _) => Err(usage("--foxglove-label needs --foxglove")),
            (None, true) => Err(usage("--foxglove-insecure needs --foxglove")),
            (None, false) => Ok(None),
        };
    };
    let listen = address::read_own("--foxglove", text, "HOST:PORT or :PORT")?;
    if !args.foxglove_insecure {
        let advice = format!("take 127.0.0.1:{}, or give --foxglove-insecure", listen.port());
        address::refuse_strangers("--foxglove", listen, &advice)?;
    }
    Ok(Some(FoxgloveServer { listen, is_open: args.foxglove_insecure }))
}
