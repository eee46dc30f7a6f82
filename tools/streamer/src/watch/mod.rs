//! What browsers and other programs ask for over HTTP.

mod body;
mod camera;
mod cameras;
mod depth;
mod desk;
mod metrics;
mod operate;
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
pub use desk::Desk;
pub use status::illness;

/// All of it, to be hung on a server; whoever asks may change something if `may_operate`.
pub fn routes(cameras: &Arc<Cameras>, may_operate: bool) -> Router {
    Router::new()
        .merge(page::routes())
        .merge(sockets::routes())
        .merge(whep::routes())
        .merge(status::routes())
        .merge(metrics::routes())
        .merge(operate::routes(may_operate))
        .with_state(Arc::clone(cameras))
}
