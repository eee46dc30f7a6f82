//! Foxglove: the picture of the stream for all clients of the program's server, which serves depth and bodies beside it.

use std::sync::Arc;

use tools_cli::failure::Failure;

use super::{
    Outlet,
    feed::{AskForKeyframe, Feed, Unit},
    meter::Meter,
};
use crate::{
    foxglove::{Live, Terms, channels::Channel},
    plan::Foxglove,
    watch::DepthFeed,
};

/// A camera's topics.
pub struct Topics {
    plan: Foxglove,
    live: Arc<Live>,
    depth: Arc<DepthFeed>,
    feed: Arc<Feed>,
    ask_for_keyframe: AskForKeyframe,
    /// The channel of the picture, while it is there.
    open: Option<Arc<Channel>>,
    /// It is over; how often somebody subscribed.
    ended: Option<u64>,
}

impl std::fmt::Debug for Topics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topics").field("plan", &self.plan).field("open", &self.open).finish_non_exhaustive()
    }
}

impl Topics {
    /// Makes the output; nobody can subscribe yet.
    pub fn new(plan: &Foxglove, live: &Arc<Live>, depth: &Arc<DepthFeed>, ask_for_keyframe: AskForKeyframe) -> Self {
        let watched = Arc::clone(live);
        let tap = move |unit: Unit| watched.video(&unit.sample, unit.captured);
        let feed = Feed::tapped(Arc::<Meter>::default(), Arc::clone(&ask_for_keyframe), Box::new(tap));
        let (plan, live, depth) = (plan.clone(), Arc::clone(live), Arc::clone(depth));
        Self { plan, live, depth, feed, ask_for_keyframe, open: None, ended: None }
    }
}

impl Outlet for Topics {
    fn title(&self) -> String {
        format!("Foxglove at ws://{}", self.plan.server.listen)
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    fn start(&mut self) -> Result<(), Failure> {
        let terms = Terms {
            plan: self.plan.clone(),
            depth: Arc::clone(&self.depth),
            meter: Arc::clone(self.feed.meter()),
            ask_for_keyframe: Arc::clone(&self.ask_for_keyframe),
        };
        self.open = Some(self.live.open(terms));
        Ok(())
    }

    fn look(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn finish(&mut self) {
        self.stop();
    }

    fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    fn fault(&self) -> Option<Failure> {
        None
    }

    fn state(&self) -> &'static str {
        if self.open.as_ref().is_some_and(|video| video.is_wanted()) { "sending" } else { "waiting" }
    }

    fn connects(&self) -> Option<u64> {
        let subscribed = || self.open.as_ref().map_or(0, |video| video.subscribed());
        Some(self.ended.unwrap_or_else(subscribed))
    }

    fn stop(&mut self) {
        if self.ended.is_none() {
            self.ended = self.connects();
            if let Some(video) = self.open.take() {
                self.live.close(&video);
            }
        }
    }
}
