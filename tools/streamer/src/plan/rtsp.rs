//! `--rtsp` and what belongs to it.

use std::{
    fmt::{self, Write as _},
    fs::File,
    io::Read as _,
    net::{SocketAddr, ToSocketAddrs as _},
    path::Path,
};

use tools_cli::failure::Failure;

use super::{input::Input, wrong::usage};
use crate::{endpoint, output_args::OutputArgs};

/// Where the server listens when no host is named.
const LOOPBACK: &str = "127.0.0.1";
/// No password is longer.
const PASSWORD_MAX: u64 = 1024;

/// RTSP server.
#[derive(Clone, Debug)]
pub struct Rtsp {
    /// Its address.
    pub listen: SocketAddr,
    /// Path of the camera, as it stands in URLs.
    pub path: String,
    /// Who may watch; without it, whoever reaches the address.
    pub login: Option<Login>,
}

/// A name and its password.
#[derive(Clone)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

pub(super) fn server(args: &OutputArgs, input: &Input) -> Result<Option<Rtsp>, Failure> {
    let Some(text) = &args.rtsp else {
        return match &args.rtsp_user {
            Some(_) => Err(usage("--rtsp-user needs --rtsp")),
            None => Ok(None),
        };
    };
    let named = if text.starts_with(':') { format!("{LOOPBACK}{text}") } else { text.clone() };
    let Some((host, Some(port))) = endpoint::split(&named) else {
        return Err(usage(format!("--rtsp '{text}' must be HOST:PORT or :PORT, an IPv6 address in brackets")));
    };
    let listen = (host, port)
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(|| Failure::Configuration(format!("--rtsp: host '{host}' cannot be resolved")))?;
    let login = match (&args.rtsp_user, &args.rtsp_password_file) {
        (Some(user), Some(file)) => Some(login(user, file)?),
        _ => None,
    };
    if login.is_none() && !listen.ip().is_loopback() {
        return Err(usage(format!(
            "--rtsp: {} is not an address of this machine alone, and whoever reaches it could watch; add --rtsp-user and \
             --rtsp-password-file, or take 127.0.0.1:{port}",
            listen.ip()
        )));
    }
    Ok(Some(Rtsp { listen, path: path(&input.name()), login }))
}

fn login(user: &str, file: &Path) -> Result<Login, Failure> {
    if user.is_empty() || user.contains(['"', ':', '\\']) || user.chars().any(char::is_control) {
        return Err(usage("--rtsp-user must be a name without quotes, colons and backslashes"));
    }
    let refuse =
        |why: &dyn fmt::Display| Failure::Configuration(format!("--rtsp-password-file {}: {why}", file.display()));
    if file.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(refuse(&"is not a regular file"));
    }
    let mut text = String::new();
    File::open(file)
        .and_then(|file| file.take(PASSWORD_MAX).read_to_string(&mut text))
        .map_err(|error| refuse(&error))?;
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(Login { user: user.to_owned(), password: password.to_owned() }),
        _ => Err(refuse(&"its first line is empty")),
    }
}

/// `name` as a path. Source: RFC 3986, 2.3.
fn path(name: &str) -> String {
    let mut path = "/".to_owned();
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(path, "%{byte:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths() {
        assert_eq!(path("cam0"), "/cam0");
        assert_eq!(path("front left/1"), "/front%20left%2F1");
    }
}
