//! `--rtsp` and what belongs to it.

use std::{fmt, net::SocketAddr, path::Path};

use tools_cli::failure::Failure;

use super::{address, wrong::usage};
use crate::{options::OutputArgs, secrets};

/// The RTSP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rtsp {
    /// Its address.
    pub listen: SocketAddr,
    /// Who may watch; without it, whoever reaches the address.
    pub login: Option<Login>,
}

/// A name and its password.
#[derive(Clone, PartialEq, Eq)]
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

/// What the flags ask for.
///
/// # Errors
/// [`Failure::Usage`] for what contradicts itself or would show the cameras to strangers, [`Failure::Configuration`] for what
/// cannot be read or resolved.
pub fn server(args: &OutputArgs) -> Result<Option<Rtsp>, Failure> {
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
    if login.is_none() {
        let advice = format!("add --rtsp-user and --rtsp-password-file, or take 127.0.0.1:{}", listen.port());
        address::refuse_strangers("--rtsp", listen, &advice)?;
    }
    Ok(Some(Rtsp { listen, login }))
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
