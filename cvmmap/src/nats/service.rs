//! Being a NATS micro service: found by `$SRV.PING`, described by `$SRV.INFO`, and answering on its endpoints. Source of
//! the discovery subjects and replies: NATS ADR-32.

use std::{collections::HashMap, sync::Arc};

use async_nats::service::ServiceExt as _;
use futures_util::{StreamExt as _, future::join_all};
use prost::bytes::Bytes;
use tokio::task::AbortHandle;

use super::client::Client;

type Handler = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// A service to be started.
pub struct ServiceBuilder {
    name: String,
    version: String,
    description: String,
    metadata: HashMap<String, String>,
    endpoints: Vec<(String, Handler)>,
}

/// A service that answers until it is dropped. It need not be connected yet, and stays through connections that end.
///
/// ```no_run
/// # use cvmmap::nats::{Client, Options, Service};
/// # let client = Client::connect(&Options::parse("nats://localhost:4222")?, "example")?;
/// let service = Service::builder("cvmmap_streamer", "0.1.0")
///     .description("records")
///     .metadata("instance_name", "cam0")
///     .endpoint("cvmmap.cvmmap_cam0.streamer.recorder.mcap.status", |_request| Vec::new())
///     .start(&client);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Service(AbortHandle);

impl Service {
    /// A service of a name (letters, digits, `-` and `_`) and a version (semantic versioning).
    pub fn builder(name: &str, version: &str) -> ServiceBuilder {
        ServiceBuilder {
            name: name.to_owned(),
            version: version.to_owned(),
            description: String::new(),
            metadata: HashMap::new(),
            endpoints: Vec::new(),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ServiceBuilder {
    /// What the service is for.
    pub fn description(mut self, text: &str) -> Self {
        text.clone_into(&mut self.description);
        self
    }

    /// A field of the service's metadata.
    pub fn metadata(mut self, name: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(name.to_owned(), value.into());
        self
    }

    /// Answers the requests of a subject, one at a time; `handler` gives the reply and may block. Endpoints do not wait
    /// for each other.
    pub fn endpoint(mut self, subject: &str, handler: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.endpoints.push((subject.to_owned(), Arc::new(handler)));
        self
    }

    /// Starts to answer.
    pub fn start(self, client: &Client) -> Service {
        let nats = client.nats();
        Service(client.spawn(async move {
            let started = nats.service_builder().description(self.description).metadata(self.metadata);
            // Refused only for a name or a version that breaks the rules.
            let Ok(service) = started.start(self.name, self.version).await else {
                return;
            };
            let _stop = StopOnDrop(Some(service));
            let service = _stop.0.as_ref().expect("it was just put there");
            let mut answering = Vec::new();
            for (subject, handler) in self.endpoints {
                if let Ok(endpoint) = service.endpoint(subject).await {
                    answering.push(answer(endpoint, handler));
                }
            }
            join_all(answering).await;
        }))
    }
}

async fn answer(mut endpoint: async_nats::service::endpoint::Endpoint, handler: Handler) {
    while let Some(request) = endpoint.next().await {
        let (handler, payload) = (Arc::clone(&handler), request.message.payload.clone());
        // A handler that panics leaves its request without an answer, and goes on with the next.
        if let Ok(reply) = tokio::task::spawn_blocking(move || handler(&payload)).await {
            // Who asks may be gone.
            let _ = request.respond(Ok(Bytes::from(reply))).await;
        }
    }
}

/// The library's service has a task of its own that outlives its handle.
struct StopOnDrop(Option<async_nats::service::Service>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(service) = self.0.take() {
            use futures_util::FutureExt as _;
            // Nothing in it waits.
            let _ = service.stop().now_or_never();
        }
    }
}
