//! The encoder's bit rate while it runs: what is asked for, or what the slowest RTMP server takes.

use std::{sync::Arc, time::Instant};

use tools_media::encoders::Live;

use super::{
    adaptation::{Adaptation, Congestion},
    encoder_control::{Control, Told},
    plan::Encoding,
};

/// Decides on the bit rate.
#[derive(Debug)]
pub struct RateKeeper {
    control: Arc<Control>,
    /// As asked for.
    encoding: Encoding,
    adaptation: Option<Adaptation>,
    /// The rate that follows from the picture, where none is asked for.
    natural: Option<u32>,
    changes: u64,
}

impl RateKeeper {
    /// Begins with what the command line asks for.
    pub fn new(encoding: Encoding, control: &Arc<Control>) -> Self {
        let adaptation = encoding.adapt.map(Adaptation::new);
        Self { control: Arc::clone(control), encoding, adaptation, natural: None, changes: 0 }
    }

    /// How an encoder is made now.
    pub fn encoding(&self) -> Encoding {
        let live = Live { kbit: self.lowered_to().or(self.encoding.live.kbit), ..self.encoding.live };
        Encoding { live, ..self.encoding }
    }

    /// How often the bit rate was changed.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Looks what is asked for and, where the rate adapts, how the `slowest` server does. What the encoder, at `kbit` now, has
    /// to change to, and what is said of it.
    pub fn look(&mut self, kbit: Option<u32>, slowest: impl FnOnce() -> Option<Congestion>) -> Option<(u32, String)> {
        if self.encoding.live.kbit.is_none() && self.lowered_to().is_none() {
            self.natural = kbit.or(self.natural);
        }
        let asked = self.control.asked();
        self.encoding.live.kbit = asked.or(self.encoding.live.kbit);
        let full = self.encoding.live.kbit.or(self.natural)?;
        if let Some(adaptation) = &mut self.adaptation {
            adaptation.look(Instant::now(), full, slowest());
        }
        let lowered = self.lowered_to();
        let wanted = lowered.unwrap_or(full);
        // A first encoder may have none yet, and one of constant quality no ceiling.
        if kbit == Some(wanted) || kbit.is_none() && asked.is_none() {
            return None;
        }
        self.changes += 1;
        let why = match (asked, lowered) {
            (Some(_), _) => "as asked for",
            (None, Some(_)) if kbit > Some(wanted) => "the slowest RTMP server takes no more",
            _ => "RTMP servers take more again",
        };
        Some((wanted, format!("encoder: {wanted} kbit/s from now on, {why}")))
    }

    /// Tells those who ask how `encoder` does.
    pub fn tell(&self, encoder: &'static str, kbit: Option<u32>) {
        let full_kbit = self.lowered_to().and(self.encoding.live.kbit.or(self.natural));
        self.control.tell(Told { encoder, kbit, full_kbit });
    }

    fn lowered_to(&self) -> Option<u32> {
        self.adaptation.as_ref().and_then(Adaptation::lowered_to)
    }
}
