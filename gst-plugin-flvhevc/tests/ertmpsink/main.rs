//! `ertmpsink` against a server of raw sockets that shares no code with it.

mod fresh;
mod hostile;
mod librtmp2;
mod negotiation;
mod publishing;
mod stalls;
mod support;
mod tls;
