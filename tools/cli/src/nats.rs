//! The flags by which every program is told its NATS server.

use std::{env, path::PathBuf};

use clap::Args;
use cvmmap::nats::{Client, Credentials, DEFAULT_URL, Options, OptionsError, Secret, TlsFiles};

use super::{failure::Failure, typed_url};

/// Where a streamer with a configuration is told to read it again.
pub const RELOAD_SUBJECT: &str = "cvmmap.streamer.reload";

/// A NATS server and what to show it. What is not given comes from the variables of the `nats` command line.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "NATS")]
pub struct NatsArgs {
    /// Server: nats://[USER:PASSWORD@|TOKEN@]HOST[:PORT] or tls://...; empty is none [env: NATS_URL] [default:
    /// nats://localhost:4222]
    #[arg(long, global = true, value_name = "URL", value_parser = secret)]
    nats_url: Option<SecretText>,
    /// User [env: NATS_USER]
    #[arg(long, global = true, value_name = "USER", requires = "nats_password")]
    nats_user: Option<String>,
    /// Password; the environment hides it from other users of the machine [env: NATS_PASSWORD]
    #[arg(long, global = true, value_name = "PASSWORD", value_parser = secret, requires = "nats_user")]
    nats_password: Option<SecretText>,
    /// Token [env: NATS_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN", value_parser = secret)]
    nats_token: Option<SecretText>,
    /// Credentials file [env: NATS_CREDS]
    #[arg(long, global = true, value_name = "FILE")]
    nats_creds: Option<PathBuf>,
    /// PEM file of the authority that signed the server's certificate [env: NATS_CA]
    #[arg(long, global = true, value_name = "FILE")]
    nats_ca: Option<PathBuf>,
    /// PEM file of a client certificate [env: NATS_CERT]
    #[arg(long, global = true, value_name = "FILE", requires = "nats_key")]
    nats_cert: Option<PathBuf>,
    /// PEM file of the certificate's private key [env: NATS_KEY]
    #[arg(long, global = true, value_name = "FILE", requires = "nats_cert")]
    nats_key: Option<PathBuf>,
}

/// A text that is not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Takes a secret from the command line.
///
/// # Errors
/// Never.
pub fn secret(text: &str) -> Result<SecretText, std::convert::Infallible> {
    Ok(SecretText(text.to_owned()))
}

/// A server that was told, checked.
#[derive(Clone, Debug)]
pub struct Server {
    options: Options,
    properties: Vec<(&'static str, SecretText)>,
}

impl NatsArgs {
    /// The server; none when the URL is empty.
    ///
    /// # Errors
    /// [`Failure::Usage`] for what contradicts itself or is no URL.
    pub fn server(&self) -> Result<Option<Server>, Failure> {
        let url = self.nats_url.as_ref().map(|url| url.0.clone());
        let url = url.or_else(|| env::var("NATS_URL").ok()).unwrap_or_else(|| DEFAULT_URL.to_owned());
        if url.is_empty() {
            return Ok(None);
        }
        let secret = |text: &Option<SecretText>| text.as_ref().map(|text| Secret::new(text.0.clone()));
        let credentials = Credentials {
            user: self.nats_user.clone(),
            password: secret(&self.nats_password),
            token: secret(&self.nats_token),
            file: self.nats_creds.clone(),
        };
        let files =
            TlsFiles { ca: self.nats_ca.clone(), certificate: self.nats_cert.clone(), key: self.nats_key.clone() };
        let options = Options::new(&url, credentials, files, |name| env::var(name).ok()).map_err(|error| {
            let flag = match &error {
                OptionsError::Url => format!("--nats-url '{}': ", typed_url::shown(&url)),
                _ => String::new(),
            };
            Failure::Usage(format!("{flag}{error}"))
        })?;
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| SecretText(path.to_string_lossy().into_owned()));
        let properties = [
            ("nats-url", Some(SecretText(self.url_with_credentials(&url)))),
            ("nats-credentials", path(&self.nats_creds)),
            ("nats-ca", path(&self.nats_ca)),
            ("nats-cert", path(&self.nats_cert)),
            ("nats-key", path(&self.nats_key)),
        ];
        let properties = properties.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Ok(Some(Server { options, properties }))
    }

    /// The URL with the credentials of the flags, which win over its own.
    fn url_with_credentials(&self, url: &str) -> String {
        let escaped = |text: &str| text.bytes().map(escape).collect::<String>();
        let user_info = match (&self.nats_user, &self.nats_password, &self.nats_token) {
            (Some(user), Some(password), _) => format!("{}:{}", escaped(user), escaped(&password.0)),
            (.., Some(token)) => escaped(&token.0),
            _ => return url.to_owned(),
        };
        let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        format!("{scheme}://{user_info}@{place}")
    }
}

fn escape(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

impl Server {
    /// Properties of this project's elements that name the server, and their values, secrets among them.
    pub fn properties(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.properties.iter().map(|(name, value)| (*name, &*value.0))
    }

    /// A client of the server.
    ///
    /// # Errors
    /// [`Failure::Configuration`] for files that are missing or hold something else.
    pub fn connect(&self, name: &str) -> Result<Client, Failure> {
        Client::connect(&self.options, name).map_err(|error| Failure::Configuration(error.to_string()))
    }

    /// Whether the files that it names can be used.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when they cannot.
    pub fn check(&self) -> Result<(), Failure> {
        self.options.check().map_err(|error| Failure::Configuration(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_url_and_show_no_secret() {
        let args = NatsArgs {
            nats_url: Some(SecretText("nats://a:b@h:1".to_owned())),
            nats_user: Some("u@".to_owned()),
            nats_password: Some(SecretText("sekret/:".to_owned())),
            ..NatsArgs::default()
        };
        assert_eq!(args.url_with_credentials("nats://a:b@h:1"), "nats://u%40:sekret%2F%3A@h:1");
        let server = args.server().unwrap().unwrap();
        assert!(!format!("{args:?}{server:?}").contains("sekret"));
    }
}
