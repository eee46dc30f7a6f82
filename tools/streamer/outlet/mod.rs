//! Outputs: each takes access units from the tee behind a backlog of its own, so that none holds up another.

mod backlog;
mod meter;
pub mod rtmp;
pub mod rtp;

use std::sync::Arc;

use gst::prelude::*;

use crate::common::elements;
use crate::common::failure::Failure;

pub use meter::Meter;

/// Which output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RTP over UDP.
    Rtp,
    /// RTMP publishing.
    Rtmp,
}

impl Kind {
    /// Name in the summary.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rtp => "rtp",
            Self::Rtmp => "rtmp",
        }
    }

    /// Which output an element of this name belongs to.
    pub fn of_element(name: &str) -> Option<Self> {
        [Self::Rtp, Self::Rtmp]
            .into_iter()
            .find(|kind| name.strip_prefix(kind.name()).is_some_and(|rest| rest.starts_with('-')))
    }

    fn make(self, factory: &str) -> Result<gst::Element, Failure> {
        let element = elements::make(factory)?;
        element.set_property("name", format!("{}-{factory}", self.name()));
        Ok(element)
    }
}

/// One output in a pipeline.
#[derive(Debug)]
pub struct Outlet {
    kind: Kind,
    meter: Arc<Meter>,
    elements: Vec<gst::Element>,
    tee: gst::Element,
    tee_pad: gst::Pad,
}

impl Outlet {
    /// Attaches `elements`, linked among themselves and in `pipeline` already, to `tee` by the first of them.
    fn attach(
        kind: Kind,
        meter: Arc<Meter>,
        pipeline: &gst::Pipeline,
        tee: &gst::Element,
        mut elements: Vec<gst::Element>,
    ) -> Result<Self, Failure> {
        // What breaks behind this element does not reach the tee, and so not the other outputs.
        let guard = kind.make("errorignore")?;
        guard.set_property_from_str("convert-to", "ok");
        elements::add_chain(pipeline, &[&guard])?;
        elements::link(&guard, &elements[0])?;
        let tee_pad = tee
            .request_pad_simple("src_%u")
            .ok_or_else(|| Failure::Pipeline("the tee has no more outputs".to_owned()))?;
        tee_pad
            .link(&elements::pad(&guard, "sink"))
            .map_err(|error| Failure::Pipeline(format!("the pipeline cannot be assembled: {error}")))?;
        elements.insert(0, guard);
        Ok(Self { kind, meter, elements, tee: tee.clone(), tee_pad })
    }

    /// Which output.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it sent.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Whether its receiver had agreed to take the stream: `rtmp2sink` holds the first access unit until then.
    pub fn has_worked(&self) -> bool {
        self.meter.sent() > 1
    }

    /// Takes a broken output out of the running pipeline.
    pub fn detach(&self, pipeline: &gst::Pipeline) {
        self.tee.release_request_pad(&self.tee_pad);
        for element in &self.elements {
            // Of an element that is broken anyway nothing more is asked.
            let _ = element.set_locked_state(true);
            let _ = element.set_state(gst::State::Null);
            let _ = pipeline.remove(element);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn elements_are_known_by_their_names() {
        assert_eq!(Kind::of_element("rtp-udpsink"), Some(Kind::Rtp));
        assert_eq!(Kind::of_element("rtmp-rtmp2sink"), Some(Kind::Rtmp));
        assert_eq!(Kind::of_element("rtpbin0"), None);
        assert_eq!(Kind::of_element("encoder"), None);
    }
}
