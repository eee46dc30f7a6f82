//! An RTMP client that publishes: bytes in, bytes out. Knows neither GStreamer nor sockets nor clocks.
//!
//! Sources cited: "RTMP 1.0" is Adobe's *Real-Time Messaging Protocol* specification of 2012; "E-RTMP" and "FLV" as in
//! [`crate::flv`].

pub mod amf0;
pub mod authentication;
pub mod chunk_reader;
pub mod chunk_writer;
pub mod handshake;
pub mod location;
pub mod refusal;
pub mod session;
pub mod tag;

#[cfg(test)]
mod robustness;
