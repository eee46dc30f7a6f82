//! Cameras live in Foxglove, by its WebSocket protocol. Source: the protocol's specification, `docs/spec.md` of
//! `foxglove/ws-protocol`.

mod bodies;
pub mod channels;
mod client;
mod depth_source;
mod live;
mod origin;
mod outbox;
mod packing;
mod protocol;

use std::sync::Arc;

use axum::{
    Router,
    extract::{
        State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::sync::Semaphore;
use tools_cli::failure::Failure;

use self::channels::Channels;
pub use self::live::{Live, Terms};
use crate::{http::Server, log::tell, plan::FoxgloveServer};

/// Clients at most.
const CLIENTS_MAX: usize = 32;
/// Clients say what they subscribe to, and no more.
const MESSAGE_MAX: usize = 64 << 10;

/// What a connection is decided by.
#[derive(Debug)]
struct Door {
    channels: Arc<Channels>,
    places: Arc<Semaphore>,
    /// Whether pages of any host may connect.
    is_open: bool,
}

/// Serves all topics, until what is returned is dropped.
///
/// # Errors
/// [`Failure::Configuration`] when the address cannot be had.
pub fn serve(plan: &FoxgloveServer, channels: &Arc<Channels>) -> Result<Server, Failure> {
    let door =
        Door { channels: Arc::clone(channels), places: Arc::new(Semaphore::new(CLIENTS_MAX)), is_open: plan.is_open };
    let routes = Router::new().route("/", get(connect)).with_state(Arc::new(door));
    let server = Server::serve("--foxglove", plan.listen, None, routes)?;
    tell(&format!("Foxglove at ws://{}", plan.listen));
    Ok(server)
}

async fn connect(
    State(door): State<Arc<Door>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if !door.is_open && !origin::is_welcome(headers.get(header::ORIGIN)) {
        let advice = "this server answers to Foxglove, to programs and to pages of this machine\n";
        return (StatusCode::FORBIDDEN, advice).into_response();
    }
    let Ok(upgrade) = upgrade else {
        return (StatusCode::BAD_REQUEST, "this is for Foxglove: open a connection to ws://HOST:PORT there\n")
            .into_response();
    };
    let upgrade = upgrade.max_message_size(MESSAGE_MAX).max_frame_size(MESSAGE_MAX).protocols(protocol::NAMES);
    if upgrade.selected_protocol().is_none() {
        let names = protocol::NAMES.join(" and ");
        return (StatusCode::BAD_REQUEST, format!("the protocols spoken here are {names}\n")).into_response();
    }
    let Ok(place) = Arc::clone(&door.places).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "enough clients are here already\n").into_response();
    };
    let channels = Arc::clone(&door.channels);
    upgrade.on_upgrade(|socket| async move {
        client::attend(socket, &channels).await;
        drop(place);
    })
}
