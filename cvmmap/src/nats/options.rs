//! How to reach a NATS server, and what to show it. Nothing here prints a secret.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};

/// Server of a target that is given none. Source: cv-mmap IPC contract, section 4.
pub const DEFAULT_URL: &str = "nats://localhost:4222";
const DEFAULT_PORT: u16 = 4222;
/// A larger credentials or certificate file is something else.
const FILE_MAX: u64 = 1 << 20;

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Credentials as given in one place: flags, properties or the environment. At most one kind may be there.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// User, with `password`.
    pub user: Option<String>,
    /// Password, with `user`.
    pub password: Option<Secret>,
    /// Token.
    pub token: Option<Secret>,
    /// Credentials file (`.creds`): a user's JWT and nkey seed.
    pub file: Option<PathBuf>,
}

/// Certificates, as PEM files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority that signed the server's certificate, besides those of the system.
    pub ca: Option<PathBuf>,
    /// The client's certificate, with `key`.
    pub certificate: Option<PathBuf>,
    /// The client's private key, with `certificate`.
    pub key: Option<PathBuf>,
}

/// How to reach a server, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    host: String,
    port: u16,
    tls: bool,
    auth: Auth,
    files: TlsFiles,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Auth {
    None,
    Password(String, Secret),
    Token(Secret),
    File(PathBuf),
}

/// Why a server cannot be reached like that. No variant holds what may be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// Not a NATS URL.
    #[error("the NATS URL must be nats://[USER:PASSWORD@|TOKEN@]HOST[:PORT] or tls://...")]
    Url,
    /// More than one of user, token and file.
    #[error("give NATS one of user with password, token, and credentials file")]
    ManyCredentials,
    /// A user without a password, or the other way round.
    #[error("NATS wants both a user and a password")]
    HalfCredentials,
    /// A client certificate without a key, or the other way round.
    #[error("NATS wants both a client certificate and its key")]
    HalfCertificate,
    /// A file cannot be used.
    #[error("{what} {}: {why}", path.display())]
    File {
        /// What it should be.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl Options {
    /// Options of a URL; what it does not hold comes from the environment (see [`Options::new`]).
    ///
    /// # Errors
    /// See [`OptionsError`].
    pub fn parse(url: &str) -> Result<Self, OptionsError> {
        Self::new(url, Credentials::default(), TlsFiles::default(), |name| env::var(name).ok())
    }

    /// Options of a URL, of credentials and certificates that were given beside it, and of the environment, whose
    /// variables are those of the `nats` command line: `NATS_USER` with `NATS_PASSWORD`, `NATS_TOKEN`, `NATS_CREDS`,
    /// `NATS_CA`, `NATS_CERT` with `NATS_KEY`. Credentials beside the URL win over those in it, and these over the
    /// environment's.
    ///
    /// # Errors
    /// See [`OptionsError`]. Files are not read yet.
    pub fn new(
        url: &str,
        credentials: Credentials,
        files: TlsFiles,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, OptionsError> {
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
        let (scheme, rest) = url.split_once("://").ok_or(OptionsError::Url)?;
        let tls = match scheme {
            "nats" => false,
            "tls" => true,
            _ => return Err(OptionsError::Url),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (in_url, place) = match authority.rsplit_once('@') {
            Some((user_info, place)) => (in_url(user_info)?, place),
            None => (Credentials::default(), authority),
        };
        let (host, port) = host_and_port(place)?;
        let in_environment = || Credentials {
            user: variable("NATS_USER"),
            password: variable("NATS_PASSWORD").map(Secret),
            token: variable("NATS_TOKEN").map(Secret),
            file: variable("NATS_CREDS").map(PathBuf::from),
        };
        let auth = match credentials.check()? {
            Auth::None => match in_url.check()? {
                Auth::None => in_environment().check()?,
                auth => auth,
            },
            auth => auth,
        };
        let path = |given: Option<PathBuf>, name| given.or_else(|| variable(name).map(PathBuf::from));
        let (certificate, key) = match (files.certificate, files.key) {
            (None, None) => (path(None, "NATS_CERT"), path(None, "NATS_KEY")),
            given => given,
        };
        if certificate.is_some() != key.is_some() {
            return Err(OptionsError::HalfCertificate);
        }
        let files = TlsFiles { ca: path(files.ca, "NATS_CA"), certificate, key };
        // An authority or a certificate is given to be used.
        let tls = tls || files != TlsFiles::default();
        Ok(Self { host, port, tls, auth, files })
    }

    /// The server's address as `async-nats` takes it; no credentials in it.
    pub(super) fn server(&self) -> String {
        self.to_string()
    }

    /// Whether the files that are named can be used.
    ///
    /// # Errors
    /// [`OptionsError::File`] when they cannot.
    pub fn check(&self) -> Result<(), OptionsError> {
        self.connect_options().map(|_| ())
    }

    /// The client library's options, with every file read or looked at.
    pub(super) fn connect_options(&self) -> Result<async_nats::ConnectOptions, OptionsError> {
        let mut options = async_nats::ConnectOptions::new().require_tls(self.tls);
        options = match &self.auth {
            Auth::None => options,
            Auth::Password(user, password) => options.user_and_password(user.clone(), password.expose().to_owned()),
            Auth::Token(token) => options.token(token.expose().to_owned()),
            Auth::File(path) => {
                let what = "NATS credentials file";
                let text = read(what, path)?;
                // What the library says may quote the file.
                let why = || "holds no user JWT with its nkey seed".to_owned();
                options.credentials(&text).map_err(|_| OptionsError::File { what, path: path.clone(), why: why() })?
            }
        };
        if let Some(ca) = &self.files.ca {
            read_pem("NATS certificate authority", ca, "CERTIFICATE")?;
            options = options.add_root_certificates(ca.clone());
        }
        if let (Some(certificate), Some(key)) = (&self.files.certificate, &self.files.key) {
            read_pem("NATS client certificate", certificate, "CERTIFICATE")?;
            read_pem("NATS client key", key, "PRIVATE KEY")?;
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        Ok(options)
    }
}

/// The server, without credentials.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "tls" } else { "nats" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}:{}", self.host, self.port)
    }
}

impl Credentials {
    fn check(self) -> Result<Auth, OptionsError> {
        let named = self.user.is_some() || self.password.is_some();
        if usize::from(named) + usize::from(self.token.is_some()) + usize::from(self.file.is_some()) > 1 {
            return Err(OptionsError::ManyCredentials);
        }
        Ok(match (self.user, self.password, self.token, self.file) {
            (Some(user), Some(password), ..) => Auth::Password(user, password),
            (Some(_), ..) | (_, Some(_), ..) => return Err(OptionsError::HalfCredentials),
            (.., Some(token), _) => Auth::Token(token),
            (.., Some(file)) => Auth::File(file),
            _ => Auth::None,
        })
    }
}

fn in_url(user_info: &str) -> Result<Credentials, OptionsError> {
    let text = |part: &str| percent_decoded(part).filter(|text| !text.is_empty()).ok_or(OptionsError::Url);
    Ok(match user_info.split_once(':') {
        Some((user, password)) => {
            Credentials { user: Some(text(user)?), password: Some(Secret(text(password)?)), ..Credentials::default() }
        }
        None => Credentials { token: Some(Secret(text(user_info)?)), ..Credentials::default() },
    })
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let digit = |at: usize| Some(char::from(*tail.get(at)?).to_digit(16)? as u8);
            bytes.push(digit(0)? * 16 + digit(1)?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

fn host_and_port(place: &str) -> Result<(String, u16), OptionsError> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, tail) = rest.split_once(']').ok_or(OptionsError::Url)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| OptionsError::Url)?;
            (host, tail.strip_prefix(':').or(tail.is_empty().then_some("")).ok_or(OptionsError::Url)?)
        }
        None => place.split_once(':').unwrap_or((place, "")),
    };
    let named =
        !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':'));
    let port = match port {
        "" if !place.ends_with(':') => DEFAULT_PORT,
        port => port.parse().ok().filter(|port| *port != 0).ok_or(OptionsError::Url)?,
    };
    if named { Ok((host.to_owned(), port)) } else { Err(OptionsError::Url) }
}

fn read(what: &'static str, path: &Path) -> Result<String, OptionsError> {
    let failed = |why: String| OptionsError::File { what, path: path.to_owned(), why };
    let about = fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if !about.is_file() || about.len() > FILE_MAX {
        return Err(failed("not a small plain file".to_owned()));
    }
    fs::read_to_string(path).map_err(|error| failed(error.to_string()))
}

fn read_pem(what: &'static str, path: &Path, label: &str) -> Result<(), OptionsError> {
    let text = read(what, path)?;
    let is_there =
        text.lines().any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&format!("{label}-----")));
    if is_there {
        return Ok(());
    }
    Err(OptionsError::File { what, path: path.to_owned(), why: format!("holds no PEM {label}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(url: &str) -> Result<Options, OptionsError> {
        Options::new(url, Credentials::default(), TlsFiles::default(), |_| None)
    }

    #[test]
    fn a_url_names_a_server() {
        for (url, shown) in [
            ("nats://localhost", "nats://localhost:4222"),
            ("nats://u:p@h:1/", "nats://h:1"),
            ("tls://tok@10.0.0.1:4223", "tls://10.0.0.1:4223"),
            ("nats://[::1]:4222", "nats://[::1]:4222"),
        ] {
            assert_eq!(plain(url).unwrap().to_string(), shown);
        }
        for url in [
            "",
            "localhost",
            "http://h",
            "nats://",
            "nats://h:0",
            "nats://h:x",
            "nats://h:",
            "nats://a b",
            "nats://u:@h",
            "nats://:p@h",
            "nats://u:p@",
            "nats://%zz@h",
            "nats://[::1",
            "nats://[x]:1",
            "nats://h:1:2",
        ] {
            assert_eq!(plain(url), Err(OptionsError::Url), "{url}");
        }
    }

    #[test]
    fn credentials_come_from_the_nearest_place() {
        let environment = |name: &str| (name == "NATS_TOKEN").then(|| "from-environment".to_owned());
        let auth = |url, credentials| Options::new(url, credentials, TlsFiles::default(), environment).unwrap().auth;
        let token = |text: &str| Auth::Token(Secret::new(text));
        assert_eq!(auth("nats://h", Credentials::default()), token("from-environment"));
        assert_eq!(
            auth("nats://a%40b:p%3A%C3%A9@h", Credentials::default()),
            Auth::Password("a@b".to_owned(), Secret::new("p:é"))
        );
        let beside = Credentials { token: Some(Secret::new("beside")), ..Credentials::default() };
        assert_eq!(auth("nats://u:p@h", beside), token("beside"));
    }

    #[test]
    fn halves_and_doubles_are_refused() {
        let with = |credentials| Options::new("nats://h", credentials, TlsFiles::default(), |_| None).map(|_| ());
        let user = || Credentials { user: Some("u".to_owned()), ..Credentials::default() };
        assert_eq!(with(user()), Err(OptionsError::HalfCredentials));
        assert_eq!(with(Credentials { token: Some(Secret::new("t")), ..user() }), Err(OptionsError::ManyCredentials));
        let half = TlsFiles { key: Some("k".into()), ..TlsFiles::default() };
        let refused = Options::new("nats://h", Credentials::default(), half, |_| None);
        assert_eq!(refused, Err(OptionsError::HalfCertificate));
    }

    #[test]
    fn no_secret_is_shown() {
        for url in ["nats://u:sekret@h", "nats://sekret@h"] {
            let options = plain(url).unwrap();
            let shown = format!("{options} {options:?} {:?}", options.connect_options().unwrap());
            assert!(!shown.contains("sekret"), "{shown}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("user.creds");
        let options = || {
            let credentials = Credentials { file: Some(path.clone()), ..Credentials::default() };
            Options::new("nats://h", credentials, TlsFiles::default(), |_| None).unwrap().connect_options()
        };
        let refused = |options: Result<async_nats::ConnectOptions, OptionsError>| options.unwrap_err().to_string();
        assert!(refused(options()).contains("user.creds"));
        fs::write(&path, "sekret").unwrap();
        let message = refused(options());
        assert!(message.contains("user.creds") && !message.contains("sekret"), "{message}");
    }
}
