//! `--http` and what belongs to it.

use std::net::{SocketAddr, ToSocketAddrs};

use tools_cli::failure::Failure;

use super::wrong::usage;
use crate::{endpoint, options::Options};

/// Viewers at most, when nothing is said,
const VIEWERS_MAX_DEFAULT: u32 = 32;
/// and whatever is said: one thread serves them.
const VIEWERS_MAX: u32 = 1000;

/// The HTTP server.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    /// Its address.
    pub listen: SocketAddr,
    /// Viewers at most.
    pub viewers_max: usize,
}

pub(super) fn server(options: &Options) -> Result<Option<Http>, Failure> {
    let Some(text) = &options.http else {
        return match options.max_viewers {
            Some(_) => Err(usage("--max-viewers needs --http")),
            None => Ok(None),
        };
    };
    let Some((host, Some(port))) = endpoint::split(text) else {
        return Err(usage(format!("--http '{text}' must be HOST:PORT, an IPv6 address in brackets")));
    };
    let listen = (host, port)
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(|| Failure::Configuration(format!("--http: host '{host}' cannot be resolved")))?;
    if !listen.ip().is_loopback() {
        return Err(usage(format!(
            "--http: {} is not an address of this machine alone, and whoever reaches it could watch; take 127.0.0.1:{port}",
            listen.ip()
        )));
    }
    let viewers_max = options.max_viewers.unwrap_or(VIEWERS_MAX_DEFAULT);
    if !(1..=VIEWERS_MAX).contains(&viewers_max) {
        return Err(usage(format!("--max-viewers must be 1 to {VIEWERS_MAX}")));
    }
    Ok(Some(Http { listen, viewers_max: viewers_max as usize }))
}
