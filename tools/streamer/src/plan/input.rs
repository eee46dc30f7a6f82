//! Which producer is read.

use std::fmt;

use cvmmap::{Address, AddressError, Target};
use tools_cli::failure::Failure;

use super::wrong::usage;
use crate::options::Options;

/// Which producer.
#[derive(Clone, Debug)]
pub enum Input {
    /// By name.
    Target(Target),
    /// By segment and endpoint.
    Address(Address),
}

impl Input {
    /// Name of the camera.
    pub fn name(&self) -> String {
        match self {
            Self::Target(target) => target.instance().to_owned(),
            Self::Address(address) => address.label().unwrap_or(address.shm_name()).to_owned(),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self {
            Self::Target(target) => {
                write!(f, "{target}, ")?;
                &Address::from(target)
            }
            Self::Address(address) => address,
        };
        write!(f, "segment /dev/shm/{}, endpoint {}", place.shm_name(), place.zmq_endpoint())
    }
}

pub(super) fn input(options: &Options) -> Result<Input, Failure> {
    match (&options.input_uri, &options.shm_name, &options.zmq_endpoint) {
        (Some(uri), None, None) => {
            uri.parse().map(Input::Target).map_err(|error| usage(format!("--input-uri: {error}")))
        }
        (None, Some(shm_name), Some(endpoint)) => {
            Address::new(shm_name, endpoint, None).map(Input::Address).map_err(|error| match error {
                AddressError::ShmName(_) => usage(format!("--shm-name: {error}")),
                _ => usage(format!("--zmq-endpoint: {error}")),
            })
        }
        (Some(_), ..) => {
            Err(usage("the input is named twice: take either --input-uri or --shm-name with --zmq-endpoint"))
        }
        (None, Some(_), None) => Err(usage("--shm-name needs --zmq-endpoint")),
        (None, None, Some(_)) => Err(usage("--zmq-endpoint needs --shm-name")),
        (None, None, None) => Err(usage("the input is missing: give --input-uri, or --shm-name with --zmq-endpoint")),
    }
}
