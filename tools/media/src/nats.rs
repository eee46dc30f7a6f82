//! The NATS server of an element of this project.

use gst::prelude::*;
use tools_cli::nats::Server;

/// Sets the server, or that there is none.
pub fn configure(element: &gst::Element, server: Option<&Server>) {
    match server {
        None => element.set_property("nats-url", ""),
        Some(server) => server.properties().for_each(|(name, value)| element.set_property(name, value)),
    }
}
