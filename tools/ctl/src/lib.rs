//! `cvmmap_ctl`: what a person at a terminal or a script asks of producers and streamers.

#![warn(missing_docs)]

pub mod args;

mod camera;
mod encoder;
mod list;
mod output;
mod playlist;
mod record;
mod reload;
mod source;
mod watch;

use cvmmap::nats::{Client, ControlError, RequestError};
use tools_cli::failure::Failure;

use self::args::{Command, Options};

/// Does what was asked.
///
/// # Errors
/// What the exit codes tell apart.
pub fn run(options: &Options) -> Result<(), Failure> {
    let server = options.nats.server()?;
    let connect = || {
        let server = server.as_ref().ok_or_else(|| Failure::Usage("--nats-url is empty; give a server".to_owned()))?;
        let client = server.connect("cvmmap_ctl")?;
        client.wait_connected(options.timeout()).map_err(|error| failure(error.into()))?;
        Ok::<Client, Failure>(client)
    };
    match &options.command {
        Command::List => list::run(&connect()?, options),
        Command::Info(producer) => source::info(connect()?, &producer.target, options),
        Command::Watch(watch) => watch::run(server.as_ref(), watch, options),
        Command::Reset(producer) => source::reset(connect()?, &producer.target, options),
        Command::Seek { producer, moment } => {
            let client = connect()?;
            let timestamp_ns = source::timestamp(&client, &producer.target, *moment, options)?;
            source::seek(client, &producer.target, timestamp_ns, options)
        }
        Command::Reload => reload::run(&connect()?, options),
        Command::Record { verb } => record::run(&connect()?, verb, options),
        Command::Encoder { verb } => encoder::run(&connect()?, verb, options),
        Command::Camera { verb } => camera::run(connect()?, verb, options),
        Command::Playlist { verb } => playlist::run(connect()?, verb, options),
    }
}

/// What an unanswered or refused request is worth.
fn failure(error: ControlError) -> Failure {
    let text = error.to_string();
    match error {
        ControlError::Garbage(_) => Failure::Protocol(text),
        ControlError::Refused { .. }
        | ControlError::Request(RequestError::Service { .. } | RequestError::Denied { .. }) => {
            Failure::Configuration(text)
        }
        ControlError::Request(_) => Failure::Timeout(text),
    }
}
