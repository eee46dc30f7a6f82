//! What browsers and other programs ask for over HTTP.

mod camera;
mod depth;
mod page;
mod sockets;
mod whep;

use std::sync::Arc;

use axum::Router;

pub use camera::Camera;

/// All of it, to be hung on a server.
pub fn routes(camera: &Arc<Camera>) -> Router {
    Router::new().merge(page::routes()).merge(sockets::routes()).merge(whep::routes()).with_state(Arc::clone(camera))
}
