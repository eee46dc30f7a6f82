//! `--http` and what belongs to it.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tools_cli::{failure::Failure, nats::SecretText};

use super::{address, wrong::usage};
use crate::{options::Options, secrets};

/// Viewers at most, when nothing is said,
const VIEWERS_MAX_DEFAULT: u32 = 32;
/// and whatever is said: one thread serves them.
const VIEWERS_MAX: u32 = 1000;
/// A shorter token can be guessed,
const TOKEN_MIN: usize = 16;
/// and a longer one is none.
const TOKEN_MAX: usize = 1024;

/// The HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Its address.
    pub listen: SocketAddr,
    /// Viewers at most.
    pub viewers_max: usize,
    /// Who may ask, and how.
    pub access: Access,
}

/// Who may ask, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// What has to be shown.
    pub token: Option<SecretText>,
    /// Files of the certificate and its key, for HTTPS.
    pub tls: Option<(PathBuf, PathBuf)>,
}

impl Http {
    /// Whether those who may watch may change something, too: users of this machine, and whoever has the token.
    pub fn may_operate(&self) -> bool {
        self.listen.ip().is_loopback() || self.access.token.is_some()
    }
}

/// What the flags ask for.
///
/// # Errors
/// [`Failure::Usage`] for what contradicts itself or would show the cameras to strangers, [`Failure::Configuration`] for what
/// cannot be read or resolved.
pub fn server(options: &Options) -> Result<Option<Http>, Failure> {
    let Some(text) = &options.http else {
        let needs_http = [
            ("--max-viewers", options.max_viewers.is_some()),
            ("--http-token", options.http_token.is_some()),
            ("--http-token-file", options.http_token_file.is_some()),
            ("--http-cert", options.http_cert.is_some()),
            ("--http-insecure", options.http_insecure),
        ];
        return match needs_http.iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => Err(usage(format!("{flag} needs --http"))),
            None => Ok(None),
        };
    };
    let listen = address::read("--http", text, "HOST:PORT")?;
    let access = Access { token: token(options)?, tls: options.http_cert.clone().zip(options.http_key.clone()) };
    if !options.http_insecure && (access.token.is_none() || access.tls.is_none()) {
        let advice = format!(
            "take 127.0.0.1:{}, or give --http-token, --http-cert and --http-key, or --http-insecure",
            listen.port()
        );
        address::refuse_strangers("--http", listen, &advice)?;
    }
    let viewers_max = options.max_viewers.unwrap_or(VIEWERS_MAX_DEFAULT);
    if !(1..=VIEWERS_MAX).contains(&viewers_max) {
        return Err(usage(format!("--max-viewers must be 1 to {VIEWERS_MAX}")));
    }
    Ok(Some(Http { listen, viewers_max: viewers_max as usize, access }))
}

fn token(options: &Options) -> Result<Option<SecretText>, Failure> {
    let token = match (&options.http_token, &options.http_token_file) {
        (Some(token), _) => Some(token.clone()),
        (None, Some(path)) => Some(read(path)?),
        (None, None) => env::var("CVMMAP_HTTP_TOKEN").ok().map(SecretText::from),
    };
    let is_token = |token: &SecretText| {
        let text = token.reveal();
        (TOKEN_MIN..=TOKEN_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b';')
    };
    match token {
        Some(token) if !is_token(&token) => Err(usage(format!(
            "--http-token has to be {TOKEN_MIN} to {TOKEN_MAX} printable characters without spaces and semicolons; \
             'openssl rand -hex 32' makes one"
        ))),
        token => Ok(token),
    }
}

fn read(path: &Path) -> Result<SecretText, Failure> {
    secrets::read_file(path).map(|text| text.trim().to_owned().into()).map_err(|error| {
        Failure::Configuration(format!("--http-token-file: {} cannot be read: {error}", path.display()))
    })
}
