//! The properties by which both elements are told their NATS server, and the client that they make.

use std::path::PathBuf;

use cvmmap::nats::{Client, Credentials, DEFAULT_URL, Options, TlsFiles};
use gst::{glib, prelude::*};

/// What was set. User, password and token come in the URL or from the environment.
#[derive(Clone)]
pub(crate) struct NatsSettings {
    url: Option<String>,
    credentials: Option<String>,
    ca: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl Default for NatsSettings {
    fn default() -> Self {
        Self { url: Some(DEFAULT_URL.to_owned()), credentials: None, ca: None, certificate: None, key: None }
    }
}

/// The URL may hold a password.
impl std::fmt::Debug for NatsSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsSettings").finish_non_exhaustive()
    }
}

impl NatsSettings {
    pub(crate) fn param_specs() -> Vec<glib::ParamSpec> {
        let spec = |name, nick, blurb, default| {
            glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).default_value(default).mutable_ready().build()
        };
        vec![
            spec(
                "nats-url",
                "NATS URL",
                "NATS server of control, status and body messages; frames flow without one (empty = none)",
                Some(DEFAULT_URL),
            ),
            spec("nats-cert", "NATS certificate", "PEM file of a client certificate for the NATS server", None),
            spec("nats-key", "NATS key", "PEM file of that certificate's private key", None),
            spec("nats-credentials", "NATS credentials", "Credentials file (.creds) for the NATS server", None),
            spec(
                "nats-ca",
                "NATS authority",
                "PEM file of the authority that signed the NATS server's certificate",
                None,
            ),
        ]
    }

    fn field(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "nats-url" => &mut self.url,
            "nats-credentials" => &mut self.credentials,
            "nats-ca" => &mut self.ca,
            "nats-cert" => &mut self.certificate,
            "nats-key" => &mut self.key,
            _ => return None,
        })
    }

    /// Sets one of the properties; an empty string is none. `false` when the property is not one of these.
    pub(crate) fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        let Some(field) = self.field(name) else {
            return false;
        };
        *field = value.get::<Option<String>>().ok().flatten().filter(|text| !text.is_empty());
        true
    }

    /// The value of one of the properties; a password is not shown.
    pub(crate) fn get(&mut self, name: &str) -> Option<glib::Value> {
        if name == "nats-url" {
            return Some(self.url.as_deref().map(without_credentials).to_value());
        }
        self.field(name).map(|field| field.to_value())
    }

    /// A client that connects in the background; none when it is turned off.
    pub(crate) fn connect(&self, element: &gst::Element) -> Result<Option<Client>, gst::ErrorMessage> {
        let Some(url) = &self.url else {
            return Ok(None);
        };
        let path = |text: &Option<String>| text.as_ref().map(PathBuf::from);
        let credentials = Credentials { file: path(&self.credentials), ..Credentials::default() };
        let files = TlsFiles { ca: path(&self.ca), certificate: path(&self.certificate), key: path(&self.key) };
        let refused =
            |why: String| gst::error_msg!(gst::ResourceError::Settings, ("{why}; or set nats-url to nothing"));
        let options = Options::new(url, credentials, files, |name| std::env::var(name).ok())
            .map_err(|error| refused(error.to_string()))?;
        let client = Client::connect(&options, &format!("{} {}", element.type_(), element.name()));
        client.map(Some).map_err(|error| refused(error.to_string()))
    }
}

fn without_credentials(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://***@{place}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_read_back() {
        let mut settings = NatsSettings::default();
        for url in ["nats://u:sekret@h:1", "nats://sekret@h:1"] {
            assert!(settings.set("nats-url", &url.to_value()));
            let shown = settings.get("nats-url").unwrap().get::<String>().unwrap();
            assert_eq!(shown, "nats://***@h:1");
            assert!(!format!("{settings:?}").contains("sekret"));
        }
    }
}
