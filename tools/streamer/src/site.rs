//! A server of the whole program, which a configuration that is read again may move.

use std::{net::SocketAddr, sync::Arc};

use tools_cli::failure::Failure;

use super::{
    foxglove,
    http::Server,
    plan::{FoxgloveServer, Http},
    watch::{self, Cameras},
};

/// What a server is to be like.
pub trait Wanted: PartialEq {
    /// Its address.
    fn listen(&self) -> SocketAddr;
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be.
    fn start(&self, cameras: &Arc<Cameras>) -> Result<Server, Failure>;
}

impl Wanted for Http {
    fn listen(&self) -> SocketAddr {
        self.listen
    }

    fn start(&self, cameras: &Arc<Cameras>) -> Result<Server, Failure> {
        Server::start(self, watch::routes(cameras))
    }
}

impl Wanted for FoxgloveServer {
    fn listen(&self) -> SocketAddr {
        self.listen
    }

    fn start(&self, cameras: &Arc<Cameras>) -> Result<Server, Failure> {
        foxglove::serve(self, &cameras.channels)
    }
}

/// The server of the moment.
pub struct Site<W> {
    served: Option<(W, Server)>,
    cameras: Arc<Cameras>,
}

impl<W: Wanted + Clone> Site<W> {
    /// None yet.
    pub fn new(cameras: &Arc<Cameras>) -> Self {
        Self { served: None, cameras: Arc::clone(cameras) }
    }

    /// What is served.
    pub fn wanted(&self) -> Option<W> {
        self.served.as_ref().map(|(wanted, _)| wanted.clone())
    }

    /// Serves what is wanted from now on. What was served goes on when that cannot be. Whether that is something else.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn serve(&mut self, wanted: Option<W>) -> Result<bool, Failure> {
        if self.wanted() == wanted {
            return Ok(false);
        }
        let Some(wanted) = wanted else {
            self.served = None;
            return Ok(true);
        };
        let before = match self.served.take() {
            // The address is free when the one before has left.
            Some((before, server)) if before.listen() == wanted.listen() => {
                drop(server);
                Some((before, None))
            }
            before => before.map(|(before, server)| (before, Some(server))),
        };
        match (wanted.start(&self.cameras), before) {
            (Ok(server), _) => {
                self.served = Some((wanted, server));
                Ok(true)
            }
            (Err(failure), None) => Err(failure),
            (Err(failure), Some((before, server))) => {
                let server = server.map_or_else(|| before.start(&self.cameras), Ok)?;
                self.served = Some((before, server));
                Err(failure)
            }
        }
    }
}
