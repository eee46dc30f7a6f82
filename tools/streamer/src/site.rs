//! The servers of the whole program, which a configuration that is read again may move.

use std::{net::SocketAddr, sync::Arc};

use tools_cli::failure::Failure;

use super::{
    foxglove, http,
    plan::{FoxgloveServer, Http, Rtsp, Servers},
    rtsp,
    watch::{self, Cameras},
};

/// What a server is to be like.
trait Wanted: Clone + PartialEq {
    /// What serves.
    type Server;
    /// Its address.
    fn listen(&self) -> SocketAddr;
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be.
    fn start(&self, cameras: &Arc<Cameras>) -> Result<Self::Server, Failure>;
}

impl Wanted for Http {
    type Server = http::Server;

    fn listen(&self) -> SocketAddr {
        self.listen
    }

    fn start(&self, cameras: &Arc<Cameras>) -> Result<http::Server, Failure> {
        http::Server::start(self, watch::routes(cameras, self.may_operate()))
    }
}

impl Wanted for FoxgloveServer {
    type Server = http::Server;

    fn listen(&self) -> SocketAddr {
        self.listen
    }

    fn start(&self, cameras: &Arc<Cameras>) -> Result<http::Server, Failure> {
        foxglove::serve(self, &cameras.channels)
    }
}

impl Wanted for Rtsp {
    type Server = rtsp::Server;

    fn listen(&self) -> SocketAddr {
        self.listen
    }

    fn start(&self, cameras: &Arc<Cameras>) -> Result<rtsp::Server, Failure> {
        rtsp::Server::start(self, &cameras.mounts)
    }
}

/// All of them, as they are at the moment.
pub struct Sites {
    cameras: Arc<Cameras>,
    page: Site<Http>,
    foxglove: Site<FoxgloveServer>,
    rtsp: Site<Rtsp>,
}

impl Sites {
    /// None yet.
    pub fn new(cameras: &Arc<Cameras>) -> Self {
        Self { cameras: Arc::clone(cameras), page: Site(None), foxglove: Site(None), rtsp: Site(None) }
    }

    /// Serves what is wanted from now on. What was served goes on when one of them cannot be. Which are other ones now, in words.
    ///
    /// # Errors
    /// When one cannot be.
    pub fn serve(&mut self, wanted: Servers) -> Result<String, Failure> {
        let before = Servers { http: self.page.wanted(), foxglove: self.foxglove.wanted(), rtsp: self.rtsp.wanted() };
        let are_new = [
            ("HTTP", before.http != wanted.http),
            ("Foxglove", before.foxglove != wanted.foxglove),
            ("RTSP", before.rtsp != wanted.rtsp),
        ];
        self.set(wanted).inspect_err(|_| {
            // It was served a moment ago.
            let _ = self.set(before);
        })?;
        Ok(are_new.iter().filter(|(_, is_new)| *is_new).map(|(name, _)| format!(", and {name}")).collect())
    }

    fn set(&mut self, wanted: Servers) -> Result<(), Failure> {
        self.page.serve(wanted.http, &self.cameras)?;
        self.foxglove.serve(wanted.foxglove, &self.cameras)?;
        self.rtsp.serve(wanted.rtsp, &self.cameras)
    }
}

/// The server of the moment, and what it was made from.
struct Site<W: Wanted>(Option<(W, W::Server)>);

impl<W: Wanted> Site<W> {
    fn wanted(&self) -> Option<W> {
        self.0.as_ref().map(|(wanted, _)| wanted.clone())
    }

    /// Serves what is wanted from now on. What was served goes on when that cannot be.
    fn serve(&mut self, wanted: Option<W>, cameras: &Arc<Cameras>) -> Result<(), Failure> {
        if self.wanted() == wanted {
            return Ok(());
        }
        let Some(wanted) = wanted else {
            self.0 = None;
            return Ok(());
        };
        let before = match self.0.take() {
            // The address is free when the one before has left.
            Some((before, server)) if before.listen() == wanted.listen() => {
                drop(server);
                Some((before, None))
            }
            before => before.map(|(before, server)| (before, Some(server))),
        };
        match (wanted.start(cameras), before) {
            (Ok(server), _) => {
                self.0 = Some((wanted, server));
                Ok(())
            }
            (Err(failure), None) => Err(failure),
            (Err(failure), Some((before, server))) => {
                let server = server.map_or_else(|| before.start(cameras), Ok)?;
                self.0 = Some((before, server));
                Err(failure)
            }
        }
    }
}
