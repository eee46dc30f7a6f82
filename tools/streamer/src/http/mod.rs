//! The HTTP server: on an address of this machine alone, on a thread of its own, away from the frames.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::sync::{Semaphore, oneshot};
use tools_cli::failure::Failure;

use crate::log::tell;

/// Connections at most; more wait to be accepted.
const CONNECTIONS_MAX: usize = 256;
/// A client has this long to send its headers,
const HEADERS_TIME: Duration = Duration::from_secs(10);
/// which may be so many,
const HEADERS_MAX: usize = 64;
/// and so large together, in bytes.
const HEADERS_BYTES_MAX: usize = 16 << 10;
/// After an accept that failed, the next one waits: descriptors may be short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until it is dropped.
#[derive(Debug)]
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Serves `routes` at `listen`.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when the address cannot be had.
    pub fn start(listen: SocketAddr, routes: Router) -> Result<Self, Failure> {
        let unusable = |error: std::io::Error| {
            Failure::Configuration(format!("--http {listen}: nothing can be served there: {error}; take another port"))
        };
        let listener = TcpListener::bind(listen).map_err(unusable)?;
        listener.set_nonblocking(true).map_err(unusable)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(unusable)?;
        let (stop, stopped) = oneshot::channel();
        let routes = routes.layer(middleware::from_fn(check_host));
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    outcome = serve(listener, routes) => if let Err(error) = outcome {
                        tell(&format!("warning: HTTP: nothing is served any more: {error}"));
                    },
                    _ = stopped => {}
                }
            });
            // A client that holds its connection holds nobody up.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("http".to_owned()).spawn(serve).map_err(unusable)?;
        tell(&format!("watch at http://{listen}/"));
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        // It ends by itself when the sender is gone; a panic has been printed.
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

async fn serve(listener: TcpListener, routes: Router) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
            return Ok(());
        };
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // A refusal costs a little delay.
        let _ = socket.set_nodelay(true);
        let service = TowerToHyperService::new(routes.clone());
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS_TIME)
                .max_headers(HEADERS_MAX)
                .max_buf_size(HEADERS_BYTES_MAX)
                .serve_connection(TokioIo::new(socket), service)
                .with_upgrades();
            // A client that breaks off is no news.
            let _ = connection.await;
            drop(permit);
        });
    }
}

async fn check_host(request: Request, next: Next) -> Response {
    if is_welcome(request.headers()) {
        next.run(request).await
    } else {
        let advice = "this server answers to localhost, 127.0.0.1 and [::1], and to its own page\n";
        (StatusCode::FORBIDDEN, advice).into_response()
    }
}

/// A page of a foreign host cannot ask in this machine's name: its name may lead here, but is not this machine's. Nor may it
/// open a WebSocket, for which browsers ask nobody's leave.
fn is_welcome(headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(host) = text(header::HOST) else {
        return false;
    };
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let is_here = matches!(name.map_or(host, |(name, _)| name), "localhost" | "127.0.0.1" | "[::1]");
    let is_own = !headers.contains_key(header::ORIGIN)
        || text(header::ORIGIN).and_then(|origin| origin.strip_prefix("http://")) == Some(host);
    is_here && is_own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_pages_are_turned_away() {
        let asked = |host: &'static str, origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            is_welcome(&headers)
        };
        for (host, origin) in [
            ("127.0.0.1:8080", None),
            ("localhost", None),
            ("[::1]:8080", Some("http://[::1]:8080")),
            ("localhost:8080", Some("http://localhost:8080")),
        ] {
            assert!(asked(host, origin), "{host} {origin:?}");
        }
        for (host, origin) in [
            ("evil.example", None),
            ("evil.example:8080", Some("http://evil.example:8080")),
            ("localhost:8080", Some("http://evil.example")),
            ("localhost:8080", Some("null")),
            ("localhost:8080", Some("http://localhost:8081")),
            ("127.0.0.1.evil.example", None),
        ] {
            assert!(!asked(host, origin), "{host} {origin:?}");
        }
        assert!(!is_welcome(&HeaderMap::new()));
    }
}
