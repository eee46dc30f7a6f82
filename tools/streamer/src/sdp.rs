//! The session description of the RTP stream. Source: RFC 8866.

use std::{
    ffi::OsStr,
    io::{self, Write},
    net::{IpAddr, SocketAddr, UdpSocket},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use gst_sdp::{SDPMedia, SDPMessage};
use tools_cli::{failure::Failure, whole::Whole};

/// What receivers show as the session's name.
const SESSION_NAME: &str = "cvmmap_streamer";

/// The file that holds the session description: at any time the whole of one, or none.
#[derive(Debug)]
pub struct File {
    file: Whole,
    session_id: u64,
    version: u64,
}

impl File {
    /// A file to be written later.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when it could not be written.
    pub fn new(path: &Path) -> Result<Self, Failure> {
        let refuse =
            |reason: &dyn std::fmt::Display| Failure::Configuration(format!("--rtp-sdp {}: {reason}", path.display()));
        // Renaming onto a link would replace the link, and onto a device the device.
        let path = match path.metadata() {
            Ok(found) if !found.is_file() => return Err(refuse(&"is not a regular file")),
            Ok(_) => path.canonicalize().map_err(|error| refuse(&error))?,
            Err(_) if path.file_name().is_none() => return Err(refuse(&"names no file")),
            Err(_) => path.to_owned(),
        };
        let file = Whole { mode: 0o644, ..Whole::new(&path, true) };
        begun(&file).map_err(|error| refuse(&error))?;
        let session_id = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Ok(Self { file, session_id, version: 0 })
    }

    /// Writes the description of a stream of these payloader caps. Does nothing while they lack parameter sets.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn write(
        &mut self,
        caps: &gst::CapsRef,
        destination: SocketAddr,
        rtcp: Option<SocketAddr>,
    ) -> Result<(), String> {
        if !has_parameter_sets(caps) {
            return Ok(());
        }
        self.version += 1;
        describe(caps, (destination, rtcp), self.session_id, self.version)
            .map_err(|error| error.to_string())
            .and_then(|text| self.replace(&text).map_err(|error| error.to_string()))
            .map_err(|error| format!("--rtp-sdp {}: {error}", self.file.path.display()))
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let mut file = begun(&self.file)?;
        file.write_all(text.as_bytes())?;
        self.file.keep(file)
    }
}

/// An empty file beside it.
fn begun(file: &Whole) -> io::Result<tempfile::NamedTempFile> {
    // The error's own text names the temporary file, which says nothing to the user.
    file.begin(OsStr::new(".sdp-"), "").map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::other("its folder does not exist"),
        kind => io::Error::other(format!("no file can be made in its folder: {kind}")),
    })
}

fn has_parameter_sets(caps: &gst::CapsRef) -> bool {
    caps.structure(0)
        .is_some_and(|structure| structure.has_field("sprop-parameter-sets") || structure.has_field("sprop-sps"))
}

fn describe(
    caps: &gst::CapsRef,
    (destination, rtcp): (SocketAddr, Option<SocketAddr>),
    session_id: u64,
    version: u64,
) -> Result<String, gst::glib::BoolError> {
    let mut media = SDPMedia::new();
    media.set_media_from_caps(caps)?;
    media.set_port_info(u32::from(destination.port()), 1);
    media.set_proto("RTP/AVP");
    if let Some(rtcp) = rtcp {
        // Source: RFC 3605; RFC 7273, 4.7: the reports count by this machine's clock.
        media.add_attribute("rtcp", Some(&rtcp.port().to_string()));
        media.add_attribute("ts-refclk", Some("local"));
    }

    let mut session = SDPMessage::new();
    session.set_version("0");
    let origin = origin(destination);
    session.set_origin(
        "-",
        &session_id.to_string(),
        &version.to_string(),
        "IN",
        address_type(origin),
        &origin.to_string(),
    );
    session.set_session_name(SESSION_NAME);
    session.set_connection("IN", address_type(destination.ip()), &destination.ip().to_string(), 0, 0);
    session.add_media(media);
    // A session without a time is written as a permanent one, `t=0 0`.
    session.as_text()
}

fn address_type(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    }
}

/// Our own address on the way to `destination`; connecting a UDP socket sends nothing.
fn origin(destination: SocketAddr) -> IpAddr {
    let any: IpAddr = match destination {
        SocketAddr::V4(_) => [0, 0, 0, 0].into(),
        SocketAddr::V6(_) => [0u16; 8].into(),
    };
    UdpSocket::bind((any, 0))
        .and_then(|socket| socket.connect(destination).and_then(|()| socket.local_addr()))
        .map_or(destination.ip(), |address| address.ip())
}
