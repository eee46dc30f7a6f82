//! What can be asked of a stream over NATS: the micro service `cvmmap_streamer`.

use std::sync::Arc;

use cvmmap::{
    Address,
    nats::{Client, Control as Producer, Identity, SERVICE_STREAMER, Service},
};
use tools_cli::failure::Failure;

use super::{
    encoder_control::Control,
    encoder_service,
    plan::{Input, Stream},
    recorder_control::RecorderControl,
    recorder_service,
};

/// What discovery tells of the stream, of what a producer tells.
const METADATA: [&str; 5] = ["instance_name", "namespace", "ipc_prefix", "base_name", "nats_target_key"];

/// The service, until it is dropped.
pub struct MicroService {
    _service: Service,
    client: Client,
    identity: Identity,
}

impl MicroService {
    /// Answers from now on, or from when there is a connection. `None` without NATS, or for a producer whose segment's
    /// name cannot stand in a subject.
    ///
    /// # Errors
    /// [`Failure::Configuration`] for NATS files that cannot be used.
    pub fn start(
        plan: &Stream,
        recorders: &[Arc<RecorderControl>],
        encoder: &Arc<Control>,
    ) -> Result<Option<Self>, Failure> {
        let address = match &plan.input {
            Input::Target(target) => Address::from(target),
            Input::Address(address) => address.clone(),
        };
        let (Some(server), Some(identity)) = (&plan.nats, Identity::new(&address, "cvmmap-streamer")) else {
            return Ok(None);
        };
        let client = server.connect("cvmmap_streamer")?;
        let mut service = Service::builder(SERVICE_STREAMER, env!("CARGO_PKG_VERSION"))
            .description("cvmmap-streamer recorder service");
        for name in METADATA {
            service = service.metadata(name, identity.metadata(name).unwrap_or_default());
        }
        service = service.metadata("backend", "cvmmap-streamer").metadata("recording_formats", "mcap,mp4");
        service = recorder_service::offer(service, identity.subjects(), recorders);
        service = encoder_service::offer(service, identity.subjects(), encoder);
        Ok(Some(Self { _service: service.start(&client), client, identity }))
    }

    /// Requests to the producer of the stream.
    pub fn producer(&self) -> Producer {
        Producer::new(self.client.clone(), self.identity.subjects().clone())
    }
}
