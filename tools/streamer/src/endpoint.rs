//! `HOST:PORT` in its spellings.

use std::{
    borrow::Cow,
    net::{SocketAddr, ToSocketAddrs as _},
};

/// Where what listens is reached when no host is named.
const LOOPBACK: &str = "127.0.0.1";

/// `:PORT` with the machine's own address before it; everything else as it is.
pub fn or_loopback(text: &str) -> Cow<'_, str> {
    if text.starts_with(':') { format!("{LOOPBACK}{text}").into() } else { text.into() }
}

/// The first address that a host has.
pub fn resolve(host: &str, port: u16) -> Option<SocketAddr> {
    (host, port).to_socket_addrs().ok()?.next()
}

/// Host and port of an authority without user information. IPv6 addresses stand in brackets, which are dropped.
/// `None` when it is neither.
pub fn split(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_printable = |c: char| c.is_ascii_graphic() && !matches!(c, '@' | '/' | '?' | '#');
    if host.is_empty() || !host.chars().all(is_printable) {
        return None;
    }
    if port.is_empty() {
        return Some((host, None));
    }
    let digits = port.strip_prefix(':')?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match digits.parse() {
        Ok(0) | Err(_) => None,
        Ok(port) => Some((host, Some(port))),
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn hosts_with_and_without_port() {
        assert_eq!(split("127.0.0.1:5004"), Some(("127.0.0.1", Some(5004))));
        assert_eq!(split("localhost"), Some(("localhost", None)));
        assert_eq!(split("[::1]:5004"), Some(("::1", Some(5004))));
        assert_eq!(split("[::1]"), Some(("::1", None)));
    }

    #[test]
    fn what_is_neither() {
        for text in [
            "", ":", ":5004", "a:", "a:0", "a:65536", "a:+5", "a:5 ", "::1:5004", "[::1", "[]:5", "[a]:5", "a b:5",
            "[::1]x:5",
        ] {
            assert_eq!(split(text), None, "{text}");
        }
    }
}
