//! A URL that is not understood, as it was typed but for what may be a secret.

const MASK: &str = "***";

/// Keeps scheme, host and the first part of the path when there are more.
pub fn shown(typed: &str) -> String {
    let (scheme, rest) = match typed.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), typed),
    };
    let (authority, path) = match rest.find(['/', '?', '#']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => format!("{MASK}@{host}"),
        // Without a scheme it may be anything.
        None if scheme.is_empty() && path.is_empty() && !authority.is_empty() => MASK.to_owned(),
        None => authority.to_owned(),
    };
    let path = match path
        .strip_prefix('/')
        .map(|path| path.split_once('/').filter(|(first, _)| !first.contains(['?', '#', '@'])))
    {
        None => path.chars().next().map(|begin| format!("{begin}{MASK}")).unwrap_or_default(),
        Some(Some((first, behind))) => format!("/{first}/{}", if behind.is_empty() { "" } else { MASK }),
        Some(None) => format!("/{}", if path.len() > 1 { MASK } else { "" }),
    };
    format!("{scheme}{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn what_was_typed_is_shown_without_secrets() {
        for (typed, expected) in [
            ("http://h/live/key", "http://h/live/***"),
            ("rtmp://h/key", "rtmp://h/***"),
            ("rtmp://h/", "rtmp://h/"),
            ("rtmp://h/live/", "rtmp://h/live/"),
            ("rtmp://h", "rtmp://h"),
            ("rtmp://h:x/live/key/", "rtmp://h:x/live/***"),
            ("rtmp://user@h/a/b/key?token=t", "rtmp://***@h/a/***"),
            ("rtmp://h?key=k/x", "rtmp://h?***"),
            ("rtmp://h/k?a=b/c", "rtmp://h/***"),
            ("nats://token@", "nats://***@"),
            ("live/key", "live/***"),
            ("key", "***"),
            ("", ""),
        ] {
            assert_eq!(shown(typed), expected, "{typed}");
        }
    }
}
