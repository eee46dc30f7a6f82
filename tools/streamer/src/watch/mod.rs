//! What browsers and other programs ask for over HTTP.

mod camera;
mod cameras;
mod depth;
mod metrics;
mod page;
mod refusal;
mod sockets;
mod status;
mod whep;

use std::sync::Arc;

use axum::Router;

pub use camera::{Camera, Condition, Counts};
pub use cameras::Cameras;
pub use depth::DepthFeed;
pub use status::illness;

/// All of it, to be hung on a server.
pub fn routes(cameras: &Arc<Cameras>) -> Router {
    Router::new()
        .merge(page::routes())
        .merge(sockets::routes())
        .merge(whep::routes())
        .merge(status::routes())
        .merge(metrics::routes())
        .with_state(Arc::clone(cameras))
}
