//! RTMP publish URLs. The stream key, the query and the user information are secrets: nobody prints them.

use std::fmt;

use super::{
    endpoint,
    secrets::{MASK, Secrets},
};

/// `rtmp[s]://[USER:PASSWORD@]HOST[:PORT]/APP/STREAM[?QUERY]`. Displayed with its secrets masked.
#[derive(Clone, PartialEq, Eq)]
pub struct RtmpUrl {
    text: String,
    masked: String,
    secrets: Secrets,
}

impl RtmpUrl {
    /// Reads a URL. `None` when it is not one that a stream can be published to.
    pub fn parse(text: &str) -> Option<Self> {
        if !text.chars().all(|c| c.is_ascii_graphic()) || text.contains('#') {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        if !matches!(scheme, "rtmp" | "rtmps") {
            return None;
        }
        let (authority, path) = rest.split_once('/')?;
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        endpoint::split(host)?;
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        let (app, key) = path.rsplit_once('/')?;
        if key.is_empty() || app.split('/').any(str::is_empty) {
            return None;
        }
        if user.is_some_and(|user| user.split_once(':').is_none_or(|(name, _)| name.is_empty())) {
            return None;
        }

        let user_mask = if user.is_some() { "***@" } else { "" };
        Some(Self {
            text: text.to_owned(),
            masked: format!("{scheme}://{user_mask}{host}/{app}/{MASK}"),
            secrets: secrets(key, query, user),
        })
    }

    /// The URL itself, for the element that connects to it.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Whether the server is reached through TLS.
    pub fn is_tls(&self) -> bool {
        self.text.starts_with("rtmps:")
    }

    /// `text` with every secret of this URL masked.
    pub fn redact(&self, text: &str) -> String {
        self.secrets.redact(text)
    }
}

impl fmt::Display for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked)
    }
}

impl fmt::Debug for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RtmpUrl({self})")
    }
}

fn secrets(key: &str, query: Option<&str>, user: Option<&str>) -> Secrets {
    let query_values = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .map(|part| part.split_once('=').map_or(part, |(_, value)| value));
    let user_parts = user.into_iter().flat_map(|user| user.splitn(2, ':'));
    Secrets::new([key].into_iter().chain(query).chain(query_values).chain(user).chain(user_parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        for (text, shown) in [
            ("rtmp://127.0.0.1:1935/live/key", "rtmp://127.0.0.1:1935/live/***"),
            ("rtmps://u:p@host/a/b/key?token=t", "rtmps://***@host/a/b/***"),
            ("rtmp://[::1]:1935/live/key", "rtmp://[::1]:1935/live/***"),
        ] {
            let url = RtmpUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("RtmpUrl({shown})"));
            assert_eq!(url.reveal(), text);
            assert_eq!(url.is_tls(), text.starts_with("rtmps"));
        }
    }

    #[test]
    fn what_no_stream_can_be_published_to() {
        for text in [
            "",
            "http://h/live/x",
            "rtmp://h",
            "rtmp://h/live",
            "rtmp://h/live/",
            "rtmp://h//x",
            "rtmp:///live/x",
            "rtmp://h:0/live/x",
            "rtmp://h:70000/live/x",
            "rtmp://user@h/live/x",
            "rtmp://h/live/a b",
            "rtmp://h/live/x\n",
        ] {
            assert_eq!(RtmpUrl::parse(text), None, "{text}");
        }
    }

    #[test]
    fn secrets_are_masked_in_what_others_say() {
        let url = RtmpUrl::parse("rtmp://bob:pa%24s@h/live/s3cret?sig=abc").unwrap();
        assert_eq!(
            url.redact("publish 's3cret?sig=abc' as bob with pa$s or pa%24s: abc denied, abcd not"),
            "publish '***?***' as *** with *** or ***: *** denied, abcd not"
        );
        let long = RtmpUrl::parse("rtmp://bob:pa%24swords@h/live/s3cret-key").unwrap();
        assert_eq!(
            long.redact("xs3cret-keyx s3cret-key_1 \u{e9}s3cret-key0 pa$swords2 apa%24swordsb bobs"),
            "x***x ***_1 \u{e9}***0 ***2 a***b bobs"
        );
        let short = RtmpUrl::parse("rtmp://h/live/x").unwrap();
        assert_eq!(short.redact("live/x: next exit"), "live/***: next exit");
    }
}
