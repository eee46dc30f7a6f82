//! Who takes RTMP.

mod connection;
mod silence;

use std::sync::Arc;

use connection::Connection;
use cvmmap::Codec;
use tools_cli::failure::Failure;

use super::{
    feed::Feed,
    publisher::{self, Publisher},
    retry::Bounds,
};
use crate::{complaint, plan::Rtmp};

/// An RTMP server.
#[derive(Debug)]
pub struct Server {
    codec: Codec,
    plan: Rtmp,
}

/// Makes the output; no server is asked yet.
///
/// # Errors
/// [`Failure::Pipeline`] when an element is missing, [`Failure::Configuration`] when the file of authorities cannot be used.
pub fn publisher(codec: Codec, plan: &Rtmp, feed: Arc<Feed>) -> Result<Publisher<Server>, Failure> {
    // What cannot be made is told now, not when the run is under way.
    if let Some(file) = &plan.ca_file {
        gstflvhevc::check_ca_file(file).map_err(|why| {
            Failure::Configuration(format!("--rtmp-ca-file '{}' cannot be used: {why}", file.display()))
        })?;
    }
    Connection::new(codec, plan, &feed)?;
    Ok(Publisher::new(Server { codec, plan: plan.clone() }, feed))
}

impl publisher::Server for Server {
    fn title(&self) -> String {
        format!("RTMP to {}", self.plan.url)
    }

    fn retry(&self) -> Bounds {
        self.plan.retry
    }

    fn is_required(&self) -> bool {
        self.plan.required
    }

    fn connect(&self, feed: &Arc<Feed>) -> Result<Box<dyn publisher::Connection>, Failure> {
        let connection = Connection::new(self.codec, &self.plan, feed)?;
        connection.start()?;
        Ok(Box::new(connection))
    }

    fn shown(&self, said: &str) -> String {
        self.plan.url.redact(&in_flags(said))
    }

    fn advised(&self, why: &str) -> String {
        complaint::advised(&self.shown(why))
    }
}

/// What `ertmpsink` says of its and the muxer's properties, in the flags that set them.
fn in_flags(text: &str) -> String {
    [
        ("tls-ca-file", "--rtmp-ca-file"),
        ("tracks=always", "--rtmp-depth=always"),
        ("hevc-packaging=domestic", "--rtmp-mode domestic"),
        ("hevc-packaging=enhanced", "--rtmp-mode enhanced"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (property, flag)| text.replace(property, flag))
}
