//! What a run may ask of the machine.

use clap::ValueEnum;

/// `--mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// The machine does what else it does
    Baseline,
    /// Two more processes keep a core busy each
    Degraded,
}

impl Mode {
    /// Busy processes beside the scenario.
    pub fn load(self) -> usize {
        match self {
            Self::Baseline => 0,
            Self::Degraded => 2,
        }
    }

    /// Oldest that the newest picture may be at the viewer, of 19 pictures in 20.
    pub fn latency_p95_ms(self) -> f64 {
        self.pick(800.0, 2500.0)
    }

    /// Longest that a viewer which nothing happens to may see nothing new.
    pub fn gap_ms(self) -> f64 {
        self.pick(1000.0, 3000.0)
    }

    /// Longest from the end of a fault to the first picture after it.
    pub fn recovery_ms(self) -> f64 {
        self.pick(4000.0, 8000.0)
    }

    /// Least share of the frames that come through where the fault costs none, in percent; scenarios whose fault costs some
    /// ask for a part of it.
    pub fn share_percent(self) -> f64 {
        self.pick(60.0, 30.0)
    }

    fn pick(self, baseline: f64, degraded: f64) -> f64 {
        match self {
            Self::Baseline => baseline,
            Self::Degraded => degraded,
        }
    }
}
