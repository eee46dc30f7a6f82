//! Which pages may connect: a browser asks nobody's leave to open a WebSocket, so any page could watch a camera of the
//! machine that it is looked at on.

use axum::http::HeaderValue;

/// Whether what a connection says of its page is no page's, Foxglove's own, or a page's of this machine.
pub fn is_welcome(origin: Option<&HeaderValue>) -> bool {
    let Some(origin) = origin else {
        // A program.
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    // Pages without a place of their own, such as frames in a foreign one, say "null".
    let Some((scheme, host)) = origin.split_once("://") else {
        return false;
    };
    match scheme {
        "https" if host == "foxglove.dev" || host.ends_with(".foxglove.dev") => true,
        "http" | "https" => {
            let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
            matches!(name.map_or(host, |(name, _)| name), "localhost" | "127.0.0.1" | "[::1]")
        }
        // Pages of programs that are installed here.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_pages_are_turned_away() {
        let welcome = |origin: &str| is_welcome(Some(&origin.parse().unwrap()));
        assert!(is_welcome(None));
        for origin in [
            "https://app.foxglove.dev",
            "file://",
            "http://localhost:8080",
            "https://127.0.0.1",
            "http://[::1]:8080",
            "http://[::1]",
        ] {
            assert!(welcome(origin), "{origin}");
        }
        for origin in [
            "null",
            "",
            "https://evil.example",
            "http://app.foxglove.dev",
            "https://foxglove.dev.evil.example",
            "https://evilfoxglove.dev",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example:80",
            "https://app.foxglove.dev:8443",
        ] {
            assert!(!welcome(origin), "{origin}");
        }
    }
}
