//! SRT URLs. Passphrase and stream ID are secrets: nobody prints them.

use std::{fmt, net::SocketAddr, time::Duration};

use super::{
    endpoint,
    secrets::{MASK, Secrets, percent_decode},
};

/// Longest time that a receiver may keep pictures back.
const LATENCY_MAX_MS: u32 = 30_000;
/// Source: SRT API, SRTO_PASSPHRASE, SRTO_STREAMID.
const PASSPHRASE: std::ops::RangeInclusive<usize> = 10..=79;
const STREAM_ID_MAX: usize = 512;

/// Who connects to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// We connect to a receiver.
    Caller,
    /// Receivers connect to us.
    Listener,
}

/// `srt://HOST:PORT?mode=…&latency=…&passphrase=…&pbkeylen=…&streamid=…`. Displayed with its secrets masked.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtUrl {
    /// Who connects.
    pub mode: Mode,
    /// The receiver's address, or the one to listen at.
    pub address: SocketAddr,
    /// How long a receiver keeps pictures, so that lost packets can be sent again.
    pub latency: Duration,
    /// Bytes of the key: 0 (by the peer), 16, 24 or 32.
    pub key_length: u8,
    passphrase: Option<String>,
    stream_id: Option<String>,
    masked: String,
    secrets: Secrets,
}

impl SrtUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it, to follow its name.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "must be srt://HOST:PORT[?mode=caller|listener&latency=MS&passphrase=TEXT&pbkeylen=16|24|32\
            &streamid=TEXT]";
        if !text.chars().all(|c| c.is_ascii_graphic()) || text.contains('#') {
            return Err(FORM.to_owned());
        }
        let rest = text.strip_prefix("srt://").ok_or(FORM)?;
        let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (mut mode, mut latency, mut key_length, mut passphrase, mut stream_id) = (None, None, None, None, None);
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or(FORM)?;
            let is_new = match name {
                "mode" => mode.replace(read_mode(value)?).is_none(),
                "latency" => latency.replace(read_latency(value)?).is_none(),
                "pbkeylen" => key_length.replace(read_key_length(value)?).is_none(),
                "passphrase" => passphrase.replace(read_passphrase(value)?).is_none(),
                "streamid" => stream_id.replace(read_stream_id(value)?).is_none(),
                _ => return Err(format!("has an unknown parameter; it {FORM}")),
            };
            if !is_new {
                return Err(format!("has '{name}' twice"));
            }
        }
        let mode = mode.unwrap_or(Mode::Caller);
        if key_length.is_some() && passphrase.is_none() {
            return Err("has 'pbkeylen' without 'passphrase'".to_owned());
        }
        let address = read_address(authority, mode, FORM)?;
        let values = query.split('&').filter_map(|part| part.split_once('=')).filter(|(name, _)| is_secret(name));
        let secrets = Secrets::new(values.map(|(_, value)| value));
        let masked = masked(authority, query);
        let latency = latency.unwrap_or(Duration::from_millis(125));
        let key_length = key_length.unwrap_or(0);
        Ok(Self { mode, address, latency, key_length, passphrase, stream_id, masked, secrets })
    }

    /// The passphrase, for the element that encrypts with it.
    pub fn reveal_passphrase(&self) -> Option<&str> {
        self.passphrase.as_deref()
    }

    /// The stream ID, for the element that says it.
    pub fn reveal_stream_id(&self) -> Option<&str> {
        self.stream_id.as_deref()
    }

    /// `text` with every secret of this URL masked.
    pub fn redact(&self, text: &str) -> String {
        self.secrets.redact(text)
    }
}

fn read_mode(value: &str) -> Result<Mode, String> {
    match value {
        "caller" => Ok(Mode::Caller),
        "listener" => Ok(Mode::Listener),
        _ => Err("has a 'mode' that is neither caller nor listener".to_owned()),
    }
}

fn read_latency(value: &str) -> Result<Duration, String> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse::<u32>() {
        Ok(ms) if is_number && ms <= LATENCY_MAX_MS => Ok(Duration::from_millis(ms.into())),
        _ => Err(format!("has a 'latency' that is not 0 to {LATENCY_MAX_MS} milliseconds")),
    }
}

fn read_key_length(value: &str) -> Result<u8, String> {
    match value {
        "16" => Ok(16),
        "24" => Ok(24),
        "32" => Ok(32),
        _ => Err("has a 'pbkeylen' that is not 16, 24 or 32 bytes".to_owned()),
    }
}

fn read_passphrase(value: &str) -> Result<String, String> {
    let passphrase = percent_decode(value);
    if !PASSPHRASE.contains(&passphrase.len()) || passphrase.contains('\0') {
        return Err(format!("has a 'passphrase' that is not {} to {} bytes", PASSPHRASE.start(), PASSPHRASE.end()));
    }
    Ok(passphrase)
}

fn read_stream_id(value: &str) -> Result<String, String> {
    let stream_id = percent_decode(value);
    if stream_id.is_empty() || stream_id.len() > STREAM_ID_MAX || stream_id.contains('\0') {
        return Err(format!("has a 'streamid' that is not 1 to {STREAM_ID_MAX} bytes"));
    }
    Ok(stream_id)
}

fn read_address(authority: &str, mode: Mode, form: &str) -> Result<SocketAddr, String> {
    let named = match mode {
        Mode::Listener => endpoint::or_loopback(authority),
        Mode::Caller => authority.into(),
    };
    let Some((host, Some(port))) = endpoint::split(&named) else {
        return Err(form.to_owned());
    };
    let address =
        endpoint::resolve(host, port).ok_or_else(|| format!("has a host '{host}' that cannot be resolved"))?;
    if mode == Mode::Caller && (address.ip().is_unspecified() || address.ip().is_multicast()) {
        return Err(format!("has a host {} that nobody can be called at", address.ip()));
    }
    Ok(address)
}

fn is_secret(name: &str) -> bool {
    matches!(name, "passphrase" | "streamid")
}

fn masked(authority: &str, query: &str) -> String {
    let parts = query.split('&').filter(|part| !part.is_empty()).map(|part| match part.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={MASK}"),
        _ => part.to_owned(),
    });
    let query = parts.collect::<Vec<_>>().join("&");
    let mark = if query.is_empty() { "" } else { "?" };
    format!("srt://{authority}{mark}{query}")
}

impl fmt::Display for SrtUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked)
    }
}

impl fmt::Debug for SrtUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SrtUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_who_connects_and_keeps_its_secrets() {
        let url = SrtUrl::parse("srt://127.0.0.1:9000?mode=caller&passphrase=open%20sesame&streamid=cam0&latency=80")
            .unwrap();
        assert_eq!(url.to_string(), "srt://127.0.0.1:9000?mode=caller&passphrase=***&streamid=***&latency=80");
        assert_eq!(format!("{url:?}"), format!("SrtUrl({url})"));
        assert_eq!((url.mode, url.latency), (Mode::Caller, Duration::from_millis(80)));
        assert_eq!((url.reveal_passphrase(), url.reveal_stream_id()), (Some("open sesame"), Some("cam0")));
        assert_eq!(url.redact("open sesame and open%20sesame at cam0"), "*** and *** at ***");
    }

    #[test]
    fn a_listener_is_reached_from_this_machine_alone_unless_its_url_says_more() {
        let address = |text: &str| SrtUrl::parse(text).unwrap().address.to_string();
        assert_eq!(address("srt://:9000?mode=listener"), "127.0.0.1:9000");
        assert_eq!(address("srt://0.0.0.0:9000?mode=listener"), "0.0.0.0:9000");
        assert_eq!(address("srt://[::1]:9000/?mode=listener"), "[::1]:9000");
        assert_eq!(address("srt://127.0.0.1:9000"), "127.0.0.1:9000");
    }

    #[test]
    fn what_is_no_such_url() {
        for text in [
            "",
            "udp://h:1",
            "srt://127.0.0.1",
            "srt://:9000",
            "srt://0.0.0.0:9000",
            "srt://127.0.0.1:9000/path",
            "srt://127.0.0.1:9000?mode=rendezvous",
            "srt://127.0.0.1:9000?latency=-1",
            "srt://127.0.0.1:9000?latency=+5",
            "srt://127.0.0.1:9000?latency=5&latency=5",
            "srt://127.0.0.1:9000?passphrase=short",
            "srt://127.0.0.1:9000?pbkeylen=16",
            "srt://127.0.0.1:9000?pbkeylen=17&passphrase=long-enough",
            "srt://127.0.0.1:9000?unknown=1",
            "srt://127.0.0.1:9000?mode",
            "srt://127.0.0.1:9000?streamid=a b",
        ] {
            let why = SrtUrl::parse(text).unwrap_err();
            assert!(!why.contains("short"), "{why}");
        }
    }
}
