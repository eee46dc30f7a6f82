//! Being a producer on NATS: status, bodies, answers, and a micro service to be found by.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prost::Message as _;

use super::{
    camera::{self, Camera},
    client::Client,
    discovery::SERVICE_PRODUCER,
    playlist::{self, Player},
    proto::{
        CapabilitiesRequest, CapabilitiesResponse, ErrorCode, GetSourceInfoRequest, GetSourceInfoResponse,
        ModuleStatusCode, ModuleStatusEvent, ResetFrameCountRequest, ResetFrameCountResponse, SeekTimestampRequest,
        SeekTimestampResponse, source_flags,
    },
    service::Service,
    subjects::{Family, Subjects},
};
use crate::{Address, body::Packet};

/// Saying goodbye may take so long.
const GOODBYE_MAX: Duration = Duration::from_millis(500);
/// A connection is looked for this often, to say hello.
const HELLO_INTERVAL: Duration = Duration::from_millis(20);

/// Who the producer is.
#[derive(Clone, Debug)]
pub struct Identity {
    subjects: Subjects,
    instance: String,
    metadata: HashMap<String, String>,
}

impl Identity {
    /// A producer by its address. `backend` names the program. None when the segment's name cannot stand in a subject.
    pub fn new(address: &Address, backend: &str) -> Option<Self> {
        let subjects = Subjects::for_address(address)?;
        let instance = address.label().unwrap_or_default().to_owned();
        let (namespace, prefix) = convention(address).unwrap_or_default();
        let metadata = [
            ("instance_name", instance.clone()),
            ("namespace", namespace.to_owned()),
            ("ipc_prefix", prefix.to_owned()),
            ("base_name", address.shm_name().to_owned()),
            ("nats_target_key", subjects.key().to_owned()),
            ("shm_name", address.shm_name().to_owned()),
            ("zmq_addr", address.zmq_endpoint().to_owned()),
            ("body_subject", subjects.body()),
            ("status_subject", subjects.status()),
            ("control_subject_prefix", subjects.prefix(Family::Producer)),
            ("backend", backend.to_owned()),
            ("build_version", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        let metadata = metadata.map(|(name, value)| (name.to_owned(), value)).into();
        Some(Self { subjects, instance, metadata })
    }

    /// What discovery tells of the producer under this name.
    pub fn metadata(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(String::as_str)
    }

    /// The producer's subjects.
    pub fn subjects(&self) -> &Subjects {
        &self.subjects
    }
}

/// Namespace and prefix of an address that follows the naming convention. Source: cv-mmap IPC contract, section 1.
fn convention(address: &Address) -> Option<(&str, &str)> {
    let namespace = address.shm_name().strip_suffix(address.label()?)?.strip_suffix('_')?;
    let prefix = address.socket_path()?.strip_suffix(address.shm_name())?.strip_suffix('/')?;
    Some((namespace, if prefix.is_empty() { "/" } else { prefix }))
}

/// Where a source stands; `error` of it is not used.
pub type SourceState = GetSourceInfoResponse;

/// What answers the requests; called from threads of the client, and may block.
pub trait Source: Send + Sync + 'static {
    /// What the source is, and where it stands.
    fn state(&self) -> SourceState;

    /// Starts the frame count over.
    ///
    /// # Errors
    /// With the code to refuse with.
    fn reset(&self) -> Result<(), ErrorCode>;

    /// Goes on from another time of the source.
    ///
    /// # Errors
    /// With the code to refuse with.
    fn seek(&self, target_timestamp_ns: u64) -> Result<SeekTimestampResponse, ErrorCode>;

    /// Its camera's controls, if it has any.
    fn camera(&self) -> Option<&dyn Camera> {
        None
    }

    /// What plays its recordings, if it plays any.
    fn player(&self) -> Option<&dyn Player> {
        None
    }
}

/// A producer that is there until it is dropped.
pub struct Producer {
    client: Client,
    identity: Identity,
    /// Whether anybody was told that it is there.
    greeted: Arc<AtomicBool>,
    _service: Service,
}

impl Producer {
    /// Answers and is found from now on, or from when there is a connection; then it also says that it is online.
    pub fn start(client: Client, identity: Identity, source: Arc<dyn Source>) -> Self {
        let mut service = Service::builder(SERVICE_PRODUCER, env!("CARGO_PKG_VERSION")).description("cv-mmap producer");
        for (name, value) in &identity.metadata {
            service = service.metadata(name, value.clone());
        }
        for family in [Family::Producer, Family::Control] {
            let prefix = identity.subjects.prefix(family);
            for verb in ["info", "capabilities", "reset", "seek"] {
                let source = Arc::clone(&source);
                service = service
                    .endpoint(&format!("{prefix}.source.{verb}"), move |request| answer(&*source, verb, request));
            }
        }
        // The older family has neither.
        let prefix = identity.subjects.prefix(Family::Producer);
        for verb in camera::VERBS {
            let source = Arc::clone(&source);
            service = service.endpoint(&format!("{prefix}.camera_control.{verb}"), move |request| {
                camera::answer(source.camera(), verb, request)
            });
        }
        for verb in playlist::VERBS {
            let source = Arc::clone(&source);
            service = service.endpoint(&format!("{prefix}.source.playlist.{verb}"), move |request| {
                playlist::answer(source.player(), verb, request)
            });
        }
        let greeted = Arc::new(AtomicBool::new(false));
        let producer =
            Self { _service: service.start(&client), client: client.clone(), identity, greeted: Arc::clone(&greeted) };
        let (hello, subject) = (producer.event(ModuleStatusCode::Online), producer.identity.subjects.status());
        // A weak handle would do as well: the task ends with the connection's thread.
        let nats = client.nats();
        client.spawn(async move {
            while nats.connection_state() != async_nats::connection::State::Connected {
                tokio::time::sleep(HELLO_INTERVAL).await;
            }
            if !greeted.swap(true, Ordering::Relaxed) {
                // A connection that is gone again already greets nobody.
                let _ = nats.publish(subject, hello.into()).await;
            }
        });
        producer
    }

    /// Tells consumers that the source starts over.
    pub fn stream_reset(&self) {
        self.client.publish(&self.identity.subjects.status(), self.event(ModuleStatusCode::StreamReset));
    }

    /// Publishes a body-tracking packet. Whether it is on its way; one that cannot be written is not.
    pub fn publish_body(&self, packet: &Packet) -> bool {
        packet.to_bytes().is_ok_and(|bytes| self.client.publish(&self.identity.subjects.body(), bytes))
    }

    /// Publishes a body-tracking packet as it came from another producer.
    pub fn publish_body_bytes(&self, bytes: Vec<u8>) -> bool {
        self.client.publish(&self.identity.subjects.body(), bytes)
    }

    /// The connection.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn event(&self, status: ModuleStatusCode) -> Vec<u8> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp_ns = now.as_nanos() as u64;
        ModuleStatusEvent { status: status.into(), instance: self.identity.instance.clone(), timestamp_ns }
            .encode_to_vec()
    }
}

/// Who was told that it is there is told that it leaves.
impl Drop for Producer {
    fn drop(&mut self) {
        if self.greeted.swap(true, Ordering::Relaxed)
            && self.client.publish(&self.identity.subjects.status(), self.event(ModuleStatusCode::Offline))
        {
            self.client.flush(GOODBYE_MAX);
        }
    }
}

fn answer(source: &dyn Source, verb: &str, request: &[u8]) -> Vec<u8> {
    let invalid = ErrorCode::InvalidPayload;
    match verb {
        "info" => match GetSourceInfoRequest::decode(request) {
            Ok(_) => source.state(),
            Err(_) => GetSourceInfoResponse { error: invalid.into(), ..Default::default() },
        }
        .encode_to_vec(),
        "capabilities" => match CapabilitiesRequest::decode(request) {
            Ok(_) => CapabilitiesResponse {
                can_seek: source.state().flags & source_flags::CAN_SEEK != 0,
                ..Default::default()
            },
            Err(_) => CapabilitiesResponse { error: invalid.into(), ..Default::default() },
        }
        .encode_to_vec(),
        "reset" => {
            let outcome = ResetFrameCountRequest::decode(request).map_err(|_| invalid).and_then(|_| source.reset());
            ResetFrameCountResponse { error: outcome.err().unwrap_or(ErrorCode::Ok).into() }.encode_to_vec()
        }
        _ => {
            let wanted = SeekTimestampRequest::decode(request).map_err(|_| invalid);
            let asked = wanted.as_ref().map_or(0, |wanted| wanted.target_timestamp_ns);
            let outcome = wanted.and_then(|wanted| source.seek(wanted.target_timestamp_ns));
            let refused = |code: ErrorCode| SeekTimestampResponse {
                error: code.into(),
                requested_timestamp_ns: asked,
                ..Default::default()
            };
            outcome.unwrap_or_else(refused).encode_to_vec()
        }
    }
}
