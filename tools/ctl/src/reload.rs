//! `reload`: a streamer reads its configuration again.

use cvmmap::nats::Client;
use serde::{Deserialize, Serialize};
use tools_cli::{failure::Failure, nats::RELOAD_SUBJECT, report};

use super::{args::Options, failure};

/// What came of it.
#[derive(Deserialize, Serialize)]
struct Reloaded {
    ok: bool,
    message: String,
}

/// Asks for it.
///
/// # Errors
/// When no streamer answers, or its configuration cannot be used.
pub fn run(client: &Client, options: &Options) -> Result<(), Failure> {
    let reply = client.request(RELOAD_SUBJECT, Vec::new(), options.timeout()).map_err(|error| failure(error.into()))?;
    let reloaded: Reloaded = serde_json::from_slice(&reply)
        .map_err(|error| Failure::Protocol(format!("the answer on {RELOAD_SUBJECT} is none: {error}")))?;
    if !reloaded.ok {
        return Err(Failure::Configuration(reloaded.message));
    }
    report::print(&reloaded, options.json, || format!("{}\n", reloaded.message)).map(drop)
}
