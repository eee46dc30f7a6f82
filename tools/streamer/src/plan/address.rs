//! Flags whose value is an address.

use std::net::SocketAddr;

use tools_cli::failure::Failure;

use super::wrong::usage;
use crate::endpoint;

/// The address of `text`, which was typed for `flag` and has to be of this `form`.
pub(super) fn read(flag: &str, text: &str, form: &str) -> Result<SocketAddr, Failure> {
    named(flag, text, text, form)
}

/// The same of a server of ours, which is reached from this machine alone when its host is left out.
pub(super) fn read_own(flag: &str, text: &str, form: &str) -> Result<SocketAddr, Failure> {
    named(flag, text, &endpoint::or_loopback(text), form)
}

/// Refuses an address that others reach, too, and whoever does could watch.
pub(super) fn refuse_strangers(flag: &str, listen: SocketAddr, advice: &str) -> Result<(), Failure> {
    if listen.ip().is_loopback() {
        return Ok(());
    }
    Err(usage(format!(
        "{flag}: {} is not an address of this machine alone, and whoever reaches it could watch; {advice}",
        listen.ip()
    )))
}

fn named(flag: &str, typed: &str, text: &str, form: &str) -> Result<SocketAddr, Failure> {
    let Some((host, Some(port))) = endpoint::split(text) else {
        return Err(usage(format!("{flag} '{typed}' must be {form}, an IPv6 address in brackets")));
    };
    endpoint::resolve(host, port)
        .ok_or_else(|| Failure::Configuration(format!("{flag}: host '{host}' cannot be resolved")))
}
