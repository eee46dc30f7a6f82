//! The HTTP server: on a thread of its own, away from the frames.

mod guard;
mod tls;

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use axum::{Router, middleware};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
};
use tokio_rustls::TlsAcceptor;
use tools_cli::failure::Failure;

use self::guard::Guard;
use crate::{log::tell, plan::Http};

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
    /// Serves `routes` to who may ask.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when the address cannot be had, or the certificate not be used.
    pub fn start(http: &Http, routes: Router) -> Result<Self, Failure> {
        let listen = http.listen;
        let tls = http.access.tls.as_ref().map(|(certificate, key)| tls::acceptor(certificate, key)).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let guard = Guard::new(http.access.token.clone(), listen.ip().is_loopback(), tls.is_some());
        let routes = routes.layer(middleware::from_fn_with_state(Arc::new(guard), guard::check));
        let server = Self::serve("--http", listen, tls, routes)?;
        tell(&format!("watch at {scheme}://{listen}/"));
        Ok(server)
    }

    /// Serves `routes` to whoever reaches the address, which `flag` named.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when it cannot be had.
    pub fn serve(flag: &str, listen: SocketAddr, tls: Option<TlsAcceptor>, routes: Router) -> Result<Self, Failure> {
        let unusable = |error: std::io::Error| {
            Failure::Configuration(format!("{flag} {listen}: nothing can be served there: {error}; take another port"))
        };
        let listener = TcpListener::bind(listen).map_err(unusable)?;
        listener.set_nonblocking(true).map_err(unusable)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(unusable)?;
        let (stop, stopped) = oneshot::channel();
        let name = flag.trim_start_matches('-').to_owned();
        let thread_name = name.clone();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    outcome = serve(listener, tls, routes) => if let Err(error) = outcome {
                        tell(&format!("warning: {name}: nothing is served any more: {error}"));
                    },
                    _ = stopped => {}
                }
            });
            // A client that holds its connection holds nobody up.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name(thread_name).spawn(serve).map_err(unusable)?;
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

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, routes: Router) -> std::io::Result<()> {
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
        let (tls, routes) = (tls.clone(), routes.clone());
        tokio::spawn(async move {
            match tls {
                None => attend(socket, routes, permit).await,
                Some(tls) => {
                    // One that does not agree in time is let go.
                    if let Ok(Ok(socket)) = tokio::time::timeout(HEADERS_TIME, tls.accept(socket)).await {
                        attend(socket, routes, permit).await;
                    }
                }
            }
        });
    }
}

async fn attend(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    routes: Router,
    permit: OwnedSemaphorePermit,
) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_TIME)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADERS_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(routes))
        .with_upgrades();
    // A client that breaks off is no news.
    let _ = connection.await;
    drop(permit);
}
