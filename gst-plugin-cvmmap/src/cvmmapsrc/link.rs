//! What the producer says over NATS, and what that does to the element.

use std::sync::{
    Arc, Mutex, Weak,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use cvmmap::nats::{BodyPacket, Client, Consumer, Notice, Status, StatusCode, Subjects};
use gst::{glib, prelude::*};

use super::{body::Bodies, category::CAT, ingest::Ingest};
use crate::{body, lock::lock};

/// Name of the element message that carries a status event.
pub const STATUS_MESSAGE: &str = "cvmmap-status";

/// Counters of the messages, for `stats`.
const NAMES: [&str; 5] = ["status-received", "bodies-received", "bodies-attached", "bodies-passed", "messages-garbage"];

#[derive(Clone, Copy)]
#[repr(usize)]
enum Count {
    Status,
    Bodies,
    Attached,
    /// Packets that no frame carried: a newer one took their place.
    Passed,
    Garbage,
}

/// What the threads of the connection and the streaming thread share.
#[derive(Default)]
struct Shared {
    starts_over: AtomicBool,
    bodies: Mutex<Bodies<gst::Structure>>,
    counts: [AtomicU64; NAMES.len()],
}

impl Shared {
    fn add(&self, count: Count, more: u64) -> u64 {
        self.counts[count as usize].fetch_add(more, Ordering::Relaxed) + more
    }
}

/// The connection of a running element; dropping it ends it.
pub(super) struct Link {
    consumer: Consumer,
    shared: Arc<Shared>,
}

impl Link {
    /// Listens to a producer, as soon as there is a server.
    pub(super) fn start(client: Client, subjects: Subjects, element: &gst::Element, ingest: Weak<Ingest>) -> Self {
        let shared = Arc::new(Shared::default());
        let listener = Listener {
            element: element.downgrade(),
            name: element.name().to_string(),
            ingest,
            shared: Arc::clone(&shared),
        };
        Self { consumer: Consumer::start(client, subjects, move |notice| listener.hear(notice)), shared }
    }

    pub(super) fn consumer(&self) -> &Consumer {
        &self.consumer
    }

    /// Whether the source has started over since the last call.
    pub(super) fn has_started_over(&self) -> bool {
        self.shared.starts_over.swap(false, Ordering::Relaxed)
    }

    /// Puts the packet of this frame, or one of an earlier frame that came late, on its buffer.
    pub(super) fn attach_body(&self, buffer: &mut gst::BufferRef, timestamp_ns: u64) {
        let (packet, passed) = lock(&self.shared.bodies).take(timestamp_ns);
        self.shared.add(Count::Passed, passed);
        if let Some(packet) = packet {
            body::attach(buffer, &packet);
            self.shared.add(Count::Attached, 1);
        }
    }

    /// Adds what came to the element's counters.
    pub(super) fn count_into(&self, structure: &mut gst::StructureRef) {
        for (name, counter) in NAMES.iter().zip(&self.shared.counts) {
            structure.set(*name, counter.load(Ordering::Relaxed));
        }
        let client = self.consumer.client();
        structure.set("nats-connected", client.is_connected());
        structure.set("nats-connections", client.counters().connections);
        structure.set("messages-overrun", client.counters().overrun);
    }
}

struct Listener {
    element: glib::WeakRef<gst::Element>,
    /// Name of the element, for the log.
    name: String,
    ingest: Weak<Ingest>,
    shared: Arc<Shared>,
}

impl Listener {
    fn hear(&self, notice: Notice) {
        match notice {
            Notice::Status(status) => self.hear_status(&status),
            Notice::Body(BodyPacket { packet, bytes }) => {
                self.shared.add(Count::Bodies, 1);
                let described = body::describe(&packet, bytes);
                let lost = lock(&self.shared.bodies).push(packet.timestamp_ns, described.clone());
                self.shared.add(Count::Passed, lost);
                self.post(described);
            }
            Notice::Garbage { subject, why } => {
                let total = self.shared.add(Count::Garbage, 1);
                if total.is_power_of_two() {
                    gst::warning!(CAT, "{}: message on {subject} ignored: {why} ({total} so far)", self.name);
                }
            }
        }
    }

    fn hear_status(&self, status: &Status) {
        self.shared.add(Count::Status, 1);
        let code = match status.code {
            StatusCode::Online => "online",
            StatusCode::Offline => "offline",
            StatusCode::StreamReset => "stream-reset",
        };
        gst::info!(CAT, "{}: the producer says {code}", self.name);
        if status.code != StatusCode::Offline {
            // A producer that starts counts from its beginning as well.
            lock(&self.shared.bodies).clear();
            self.shared.starts_over.store(true, Ordering::Relaxed);
        }
        let message = gst::Structure::builder(STATUS_MESSAGE)
            .field("status", code)
            .field("instance", &status.instance)
            .field("timestamp", status.timestamp_ns);
        self.post(message.build());
        let ends = |element: &gst::Element| element.property::<bool>("eos-on-offline");
        if status.code == StatusCode::Offline
            && self.element.upgrade().as_ref().is_some_and(ends)
            && let Some(ingest) = self.ingest.upgrade()
        {
            ingest.end();
        }
    }

    fn post(&self, structure: gst::Structure) {
        if let Some(element) = self.element.upgrade() {
            // Refused only by an element that is in no pipeline.
            let _ = element.post_message(gst::message::Element::builder(structure).src(&element).build());
        }
    }
}
