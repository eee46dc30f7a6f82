//! Where a producer is found: its segment, its frame-sync endpoint, its label.

use crate::{
    sync::LABEL_SIZE,
    target::{IPC_PATH_MAX, Target},
};

/// Segment, endpoint and label of one producer, either from a [`Target`] or given one by one for a producer outside
/// the naming convention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    shm_name: String,
    zmq_endpoint: String,
    label: Option<String>,
}

/// Why an address is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not a POSIX shared memory name.
    #[error("shared memory name '{0}' must be one path segment of 1 to 255 bytes")]
    ShmName(String),
    /// Not an endpoint of a transport by which ZeroMQ reaches another program.
    #[error("frame-sync endpoint '{0}' must start with ipc:// or tcp://")]
    Endpoint(String),
    /// The socket path does not fit a Unix socket address.
    #[error("frame-sync endpoint '{0}': its path is empty or longer than 107 bytes")]
    EndpointPath(String),
    /// The label does not fit the sync message.
    #[error("label '{0}' must be 1 to 24 bytes without a NUL")]
    Label(String),
}

impl Address {
    /// An address from its parts. A leading `/` of the segment name is dropped. Without a label every label is taken.
    ///
    /// # Errors
    /// When a part cannot name a segment, an endpoint or a label.
    pub fn new(shm_name: &str, zmq_endpoint: &str, label: Option<&str>) -> Result<Self, AddressError> {
        let name = shm_name.strip_prefix('/').unwrap_or(shm_name);
        if name.is_empty() || name.len() > 255 || name.contains(['/', '\0']) || matches!(name, "." | "..") {
            return Err(AddressError::ShmName(shm_name.to_owned()));
        }
        match zmq_endpoint.split_once("://") {
            Some(("ipc", path)) if path.is_empty() || path.len() > IPC_PATH_MAX => {
                return Err(AddressError::EndpointPath(zmq_endpoint.to_owned()));
            }
            Some(("ipc" | "tcp", rest)) if !rest.is_empty() => {}
            _ => return Err(AddressError::Endpoint(zmq_endpoint.to_owned())),
        }
        if let Some(label) = label
            && (label.is_empty() || label.len() > LABEL_SIZE || label.contains('\0'))
        {
            return Err(AddressError::Label(label.to_owned()));
        }
        Ok(Self { shm_name: name.to_owned(), zmq_endpoint: zmq_endpoint.to_owned(), label: label.map(str::to_owned) })
    }

    /// POSIX shared memory name, without a leading `/`.
    pub fn shm_name(&self) -> &str {
        &self.shm_name
    }

    /// Frame-sync endpoint as ZeroMQ takes it.
    pub fn zmq_endpoint(&self) -> &str {
        &self.zmq_endpoint
    }

    /// Label of the sync messages that count, when only one does.
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// Path of the endpoint's socket, when it is a Unix socket in the file system.
    pub fn socket_path(&self) -> Option<&str> {
        self.zmq_endpoint.strip_prefix("ipc://").filter(|path| !path.starts_with('@'))
    }
}

impl From<&Target> for Address {
    fn from(target: &Target) -> Self {
        Self {
            shm_name: target.shm_name(),
            zmq_endpoint: target.zmq_endpoint(),
            label: Some(target.instance().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_name_nothing_are_refused() {
        for name in ["", "/", "a/b", "..", "//a"] {
            assert!(matches!(Address::new(name, "ipc:///tmp/x", None), Err(AddressError::ShmName(_))), "{name}");
        }
        for endpoint in ["", "ipc://", "/tmp/x", "udp://1.2.3.4:5", "inproc://a", "tcp://"] {
            assert!(Address::new("a", endpoint, None).is_err(), "{endpoint}");
        }
        for label in ["", "1234567890123456789012345", "a\0b"] {
            assert!(matches!(Address::new("a", "ipc:///tmp/x", Some(label)), Err(AddressError::Label(_))));
        }
    }

    #[test]
    fn the_posix_spelling_of_a_segment_is_taken() {
        let address = Address::new("/seg", "tcp://127.0.0.1:5555", Some("123456789012345678901234")).unwrap();
        assert_eq!(address.shm_name(), "seg");
        assert_eq!(address.socket_path(), None);
    }
}
