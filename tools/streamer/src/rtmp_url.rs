//! RTMP publish URLs. The stream key, the query and the user information are secrets: nobody prints them.

use std::fmt;

use super::endpoint;

const MASK: &str = "***";
/// Letters of a secret that is no part of a sentence by chance.
const LONG: usize = 6;

/// `rtmp[s]://[USER:PASSWORD@]HOST[:PORT]/APP/STREAM[?QUERY]`. Displayed with its secrets masked.
#[derive(Clone, PartialEq, Eq)]
pub struct RtmpUrl {
    text: String,
    masked: String,
    secrets: Vec<String>,
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

    /// `text` with every secret of this URL masked: a long one wherever it stands, a short one where it stands as a word.
    pub fn redact(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| {
            if secret.chars().count() >= LONG { text.replace(secret, MASK) } else { mask_word(&text, secret) }
        })
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

/// Every spelling under which a secret may come back in an error, longest first.
fn secrets(key: &str, query: Option<&str>, user: Option<&str>) -> Vec<String> {
    let query_values = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .map(|part| part.split_once('=').map_or(part, |(_, value)| value));
    let user_parts = user.into_iter().flat_map(|user| user.splitn(2, ':'));
    let mut secrets = [key]
        .into_iter()
        .chain(query)
        .chain(query_values)
        .chain(user)
        .chain(user_parts)
        .flat_map(|secret| [secret.to_owned(), percent_decode(secret)])
        .filter(|secret| !secret.is_empty())
        .collect::<Vec<_>>();
    secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    secrets.dedup();
    secrets
}

fn percent_decode(text: &str) -> String {
    let hex = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high << 4 | low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Masks `word` where no letter, digit or `_` touches it, so that a short key does not eat the sentence around it.
fn mask_word(text: &str, word: &str) -> String {
    let touches = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, from_word) = rest.split_at(at);
        let after = &from_word[word.len()..];
        masked.push_str(before);
        if touches(masked.chars().next_back()) || touches(after.chars().next()) {
            let first = from_word.chars().next().map_or(0, char::len_utf8);
            masked.push_str(&from_word[..first]);
            rest = &from_word[first..];
        } else {
            masked.push_str(MASK);
            rest = after;
        }
    }
    masked.push_str(rest);
    masked
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
