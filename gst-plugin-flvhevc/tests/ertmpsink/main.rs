//! `ertmpsink` against a server of raw sockets that shares no code with it.

mod fresh;
mod hostile;
mod negotiation;
mod publishing;
mod support;
mod tls;
