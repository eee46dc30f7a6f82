//! `--rtsp` and what belongs to it.

use std::{
    fmt::{self, Write as _},
    net::SocketAddr,
    path::Path,
};

use tools_cli::failure::Failure;

use super::{address, input::Input, wrong::usage};
use crate::{options::OutputArgs, secrets};

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
    let listen = address::read_own("--rtsp", text, "HOST:PORT or :PORT")?;
    let login = match (&args.rtsp_user, &args.rtsp_password_file) {
        (Some(user), Some(file)) => Some(login(user, file)?),
        _ => None,
    };
    if login.is_none() && !listen.ip().is_loopback() {
        return Err(usage(format!(
            "--rtsp: {} is not an address of this machine alone, and whoever reaches it could watch; add --rtsp-user and \
             --rtsp-password-file, or take 127.0.0.1:{}",
            listen.ip(),
            listen.port()
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
    let text = secrets::read_file(file).map_err(|error| refuse(&error))?;
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
