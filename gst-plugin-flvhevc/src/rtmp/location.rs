//! Where to publish: `rtmp[s]://[USER:PASSWORD@]HOST[:PORT]/APP/STREAM[?QUERY]`.

/// A place to publish to. Application and stream are sent as they stand in the URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Location {
    pub is_tls: bool,
    /// Name or address, without the brackets of IPv6.
    pub host: String,
    pub port: u16,
    pub app: String,
    /// With the query: whoever has it may publish.
    pub stream: String,
    pub credentials: Option<Credentials>,
}

/// What a server that asks for it is answered with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

// Neither shows what is secret.
impl std::fmt::Debug for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/***", self.tc_url())
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(***)")
    }
}

/// Where a connection goes: what [`Location`] has without application and stream.
struct Server<'a> {
    is_tls: bool,
    user: Option<&'a str>,
    host: &'a str,
    port: u16,
    path: &'a str,
}

impl Location {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it, without the URL itself, which has secrets.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let server = server(url)?;
        let (path, query) = server.path.split_at(server.path.find('?').unwrap_or(server.path.len()));
        let (app, stream) =
            path.rsplit_once('/').ok_or("a location names an application and a stream: HOST/APP/STREAM")?;
        if app.is_empty() || stream.is_empty() {
            return Err("a location names an application and a stream: HOST/APP/STREAM");
        }
        let credentials = server.user.map(|user| {
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            Credentials { user: percent_decoded(user), password: percent_decoded(password) }
        });
        Ok(Self {
            is_tls: server.is_tls,
            host: server.host.to_owned(),
            port: server.port,
            app: app.to_owned(),
            stream: format!("{stream}{query}"),
            credentials,
        })
    }

    /// The URL of the application, as the server is told.
    pub fn tc_url(&self) -> String {
        let (scheme, default_port) = if self.is_tls { ("rtmps", 443) } else { ("rtmp", 1935) };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let port = if self.port == default_port { String::new() } else { format!(":{}", self.port) };
        format!("{scheme}://{host}{port}/{}", self.app)
    }

    /// Where a server sends its publisher: to the application `tc_url`, an absolute URL, a path on the same server, or the
    /// name of an application beside this one; without it to the same place. The stream's name stays. Another server is told
    /// no password.
    ///
    /// # Errors
    /// Why nobody goes there.
    pub fn redirected(&self, tc_url: Option<&str>) -> Result<Self, &'static str> {
        let Some(tc_url) = tc_url.filter(|tc_url| !tc_url.is_empty()) else {
            return Ok(self.clone());
        };
        if !tc_url.bytes().all(|byte| byte.is_ascii_graphic()) || tc_url.contains('#') {
            return Err("the server names a URL with characters that no URL has");
        }
        let mut next = self.clone();
        if tc_url.contains("://") {
            let server = server(tc_url)?;
            if self.is_tls && !server.is_tls {
                return Err("the server sends its publisher from rtmps:// to rtmp://");
            }
            if server.host != self.host || server.port != self.port {
                next.credentials = None;
            }
            (next.is_tls, next.host, next.port) = (server.is_tls, server.host.to_owned(), server.port);
            next.app = server.path.trim_end_matches('/').to_owned();
        } else if let Some(path) = tc_url.strip_prefix('/') {
            next.app = path.trim_end_matches('/').to_owned();
        } else {
            let parent = self.app.rsplit_once('/').map_or(String::new(), |(parent, _)| format!("{parent}/"));
            next.app = format!("{parent}{}", tc_url.trim_end_matches('/'));
        }
        if next.app.is_empty() {
            return Err("the server names a URL without an application");
        }
        Ok(next)
    }
}

fn server(url: &str) -> Result<Server<'_>, &'static str> {
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) || url.contains('#') {
        return Err("a location is a URL without blanks and fragment");
    }
    let (scheme, rest) = url.split_once("://").ok_or("a location begins with rtmp:// or rtmps://")?;
    let is_tls = match scheme {
        "rtmp" => false,
        "rtmps" => true,
        _ => return Err("a location begins with rtmp:// or rtmps://"),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let (host, port) = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']').ok_or("the location's host misses a bracket")?,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    if host.is_empty() {
        return Err("a location names a host");
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => {
            if is_tls {
                443
            } else {
                1935
            }
        }
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port != 0).ok_or("the location's port is none")?
        }
        _ => return Err("the location's port is none"),
    };
    Ok(Server { is_tls, user, host, port, path })
}

/// `%XX` is the byte that it stands for.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let digits = behind.first_chunk::<2>().and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.filter(|digits| *byte == b'%' && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let location = Location::parse("rtmps://bob:p%40%zz@host/a/b/key?x=1/2").unwrap();
        assert_eq!((location.host.as_str(), location.port, location.is_tls), ("host", 443, true));
        assert_eq!((location.app.as_str(), location.stream.as_str()), ("a/b", "key?x=1/2"));
        let credentials = location.credentials.clone().unwrap();
        assert_eq!((credentials.user.as_str(), credentials.password.as_str()), ("bob", "p@%zz"));
        assert_eq!(location.tc_url(), "rtmps://host/a/b");
        assert_eq!(format!("{location:?} {credentials:?}"), "rtmps://host/a/b/*** Credentials(***)");
        let location = Location::parse("rtmp://[::1]:1936/live/key").unwrap();
        assert_eq!((location.host.as_str(), location.port), ("::1", 1936));
        assert_eq!(location.tc_url(), "rtmp://[::1]:1936/live");
    }

    #[test]
    fn what_is_no_place_to_publish_to() {
        for url in [
            "",
            "rtmp://",
            "http://h/live/x",
            "rtmp://h",
            "rtmp://h/live",
            "rtmp://h/live/",
            "rtmp://h//x",
            "rtmp:///a/b",
            "rtmp://h:0/a/b",
            "rtmp://h:65536/a/b",
            "rtmp://h:+1/a/b",
            "rtmp://[::1/a/b",
            "rtmp://h/a b/c",
            "rtmp://h/a/b#c",
            "rtmp://h/a/b\n",
            "rtmp://[::1]x/a/b",
        ] {
            assert!(Location::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_server_may_send_its_publisher_elsewhere() {
        let location = Location::parse("rtmps://bob:secret@host/a/b/key?t=1").unwrap();
        let went = |tc_url| location.redirected(tc_url).map(|next| (next.tc_url(), next.credentials.is_some()));
        let there = |url: &str, keeps| Ok((url.to_owned(), keeps));
        assert_eq!(went(None), there("rtmps://host/a/b", true));
        assert_eq!(went(Some("")), there("rtmps://host/a/b", true));
        assert_eq!(went(Some("/c/d/")), there("rtmps://host/c/d", true));
        assert_eq!(went(Some("c")), there("rtmps://host/a/c", true));
        assert_eq!(went(Some("rtmps://host/c")), there("rtmps://host/c", true));
        assert_eq!(went(Some("rtmps://other:444/c")), there("rtmps://other:444/c", false));
        assert_eq!(location.redirected(Some("/c")).unwrap().stream, "key?t=1");
        for nowhere in
            ["rtmp://host/c", "http://host/c", "rtmps://host", "rtmps://host/", "/", "a b", "\u{7f}", "rtmps://"]
        {
            assert!(went(Some(nowhere)).is_err(), "{nowhere}");
        }
    }
}
