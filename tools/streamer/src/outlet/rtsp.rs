//! RTSP: players come and go, and share one pipeline.

mod clients;
mod media;
mod server;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use server::Server;
use tools_cli::failure::Failure;

use super::{Outlet, feed::Feed};
use crate::{log::tell, options::Codec, plan::Rtsp};

/// How long the goodbye takes to the players that are there.
const GOODBYE: Duration = Duration::from_millis(100);

/// Serves one camera.
#[derive(Debug)]
pub struct Service {
    codec: Codec,
    plan: Rtsp,
    feed: Arc<Feed>,
    server: Option<Server>,
    /// The run is over then.
    leaving: Option<Instant>,
}

impl Service {
    /// Makes the output; nobody can come yet.
    pub fn new(codec: Codec, plan: &Rtsp, feed: Arc<Feed>) -> Self {
        Self { codec, plan: plan.clone(), feed, server: None, leaving: None }
    }
}

impl Outlet for Service {
    fn title(&self) -> String {
        format!("RTSP at rtsp://{}{}", self.plan.listen, self.plan.path)
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    fn start(&mut self) -> Result<(), Failure> {
        self.server = Some(Server::start(self.codec, &self.plan, &self.feed)?);
        tell(&format!("{}: listening", self.title()));
        Ok(())
    }

    fn look(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn finish(&mut self) {
        self.feed.finish();
        self.leaving = Some(Instant::now() + GOODBYE);
    }

    fn has_ended(&self) -> bool {
        self.leaving.is_some_and(|until| Instant::now() >= until)
    }

    fn fault(&self) -> Option<Failure> {
        None
    }

    fn state(&self) -> &'static str {
        if self.server.is_some() { "listening" } else { "off" }
    }

    fn connects(&self) -> Option<u64> {
        Some(self.server.as_ref().map_or(0, Server::plays))
    }

    fn stop(&mut self) {
        self.feed.detach();
        self.server = None;
    }
}
