//! Where a queue of several machines is.

use std::{convert::Infallible, fmt, str::FromStr};

use cvmmap::nats::Options;
use tools_cli::failure::Failure;

/// Name of a queue that is given none.
const NAME: &str = "zed";
const NAME_MAX: usize = 64;

/// Where a queue is. Not shown: it may hold a password.
#[derive(Clone)]
pub struct QueueUrl(String);

impl FromStr for QueueUrl {
    /// What is wrong is told later, without the text.
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl QueueUrl {
    /// The server, and the queue's name.
    ///
    /// # Errors
    /// [`Failure::Usage`] when it is none.
    pub fn parts(&self) -> Result<(Options, String), Failure> {
        let (server, name) = match self.0.split_once("://") {
            Some((scheme, rest)) => {
                let (place, name) = rest.split_once('/').unwrap_or((rest, ""));
                (format!("{scheme}://{place}"), if name.is_empty() { NAME } else { name })
            }
            None => (self.0.clone(), NAME),
        };
        let options = Options::parse(&server).map_err(|error| Failure::Usage(format!("--queue: {error}")))?;
        let is_name =
            name.len() <= NAME_MAX && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if !is_name {
            return Err(Failure::Usage(format!(
                "--queue: a queue's name has letters, digits, - and _, {NAME_MAX} at most"
            )));
        }
        Ok((options, name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server_and_a_queue_and_shows_nothing() {
        let parts = |url: &str| url.parse::<QueueUrl>().unwrap().parts();
        let shown =
            |url| parts(url).map(|(server, name)| format!("{server} {name}")).map_err(|error| error.to_string());
        assert_eq!(shown("nats://h").unwrap(), "nats://h:4222 zed");
        assert_eq!(shown("nats://u:p@h:1/").unwrap(), "nats://h:1 zed");
        assert_eq!(shown("tls://h:1/night_2").unwrap(), "tls://h:1 night_2");
        for refused in ["h", "http://h", "nats://h/a.b", "nats://h/a/b", "nats://h/*", "nats://u:sekret@/x", ""] {
            let why = shown(refused).unwrap_err();
            assert!(!why.contains("sekret"), "{why}");
        }
        assert_eq!(format!("{:?}", "nats://u:sekret@h".parse::<QueueUrl>().unwrap()), "***");
    }
}
