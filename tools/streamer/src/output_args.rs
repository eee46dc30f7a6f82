//! Flags of outputs that need no program on the other side to be there first.

use clap::Args;

/// Further ways out.
#[derive(Args, Clone, Debug, Default)]
pub struct OutputArgs {
    /// Send MPEG-TS over SRT: srt://HOST:PORT?mode=caller|listener&latency=MS&passphrase=TEXT. A listener without a host is
    /// reached from this machine alone. Several times for several ways
    #[arg(long, value_name = "URL", help_heading = "Output")]
    pub srt_url: Vec<String>,
}
