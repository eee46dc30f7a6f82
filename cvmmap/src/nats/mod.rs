//! Control, status and body-tracking messages of a producer, over NATS. Source: cv-mmap IPC contract, section 4.
//!
//! Frames never depend on any of it: [`Client::connect`] returns at once, tries in the background until it is dropped,
//! and no publication waits. Each client has one thread of its own, and ends with it.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use cvmmap::{
//!     Target,
//!     nats::{Client, Consumer, Notice, Options, Subjects},
//! };
//!
//! let target: Target = "cvmmap://cam0".parse()?;
//! let client = Client::connect(&Options::parse("nats://localhost:4222")?, "example")?;
//! let consumer = Consumer::start(client, Subjects::from(&target), |notice| match notice {
//!     Notice::Status(status) => println!("{:?}", status.code),
//!     Notice::Body(body) => println!("{} bodies on frame {}", body.packet.bodies.len(), body.packet.frame_id),
//!     Notice::Garbage { subject, why } => eprintln!("{subject}: {why}"),
//! });
//! println!("{:?}", consumer.control().source_info(Duration::from_secs(1))?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod proto;

mod camera;
mod client;
mod client_error;
mod consumer;
mod control;
mod denials;
mod discovery;
mod options;
mod playlist;
mod producer;
mod refusal;
mod runtime;
mod service;
mod subjects;

pub use camera::{Camera, CameraControlChange, CameraControlValue, UnknownSetting};
pub use client::{Client, Counters, Health, Message, Subscription};
pub use client_error::{ClientError, RequestError};
pub use consumer::{BodyPacket, Consumer, Notice, Status, StatusCode};
pub use control::{Control, ControlError};
pub use discovery::{Discovered, SERVICE_PRODUCER, SERVICE_STREAMER, discover};
pub use options::{Credentials, DEFAULT_URL, Options, OptionsError, Secret, TlsFiles};
pub use playlist::Player;
pub use producer::{Identity, Producer, Source, SourceState};
/// What the messages of [`proto`] are made with, in the version that they need.
pub use prost;
pub use refusal::Refusal;
pub use service::{Service, ServiceBuilder};
pub use subjects::{Family, Subjects};
