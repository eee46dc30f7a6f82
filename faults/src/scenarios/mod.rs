//! What is broken. Each scenario shows that the fault was there, what was expected, and what came of it.

mod encoder;
mod packet_loss;
mod producer_killed;
mod producer_resized;
mod receiver_gone;
mod reset_storm;
mod segment_cut;
mod server_killed;
mod sink_stall;
mod torn_read;

use anyhow::Result;

use crate::rig::Rig;

/// One thing that goes wrong.
pub struct Scenario {
    pub name: &'static str,
    pub fault: &'static str,
    pub run: fn(&mut Rig) -> Result<()>,
}

/// All of them, in the order in which they are run.
pub const SCENARIOS: [Scenario; 15] = [
    Scenario {
        name: "torn_read",
        fault: "a producer overwrites its picture while it is read, and stops half-way",
        run: torn_read::run,
    },
    Scenario { name: "sink_stall", fault: "the RTMP server is stopped and goes on later", run: sink_stall::short },
    Scenario {
        name: "sink_stall_slow",
        fault: "the same with a stream of few bits, of which little waits anywhere",
        run: sink_stall::slow,
    },
    Scenario {
        name: "sink_hung",
        fault: "the RTMP server is stopped for so long that it is given up, and another takes its place",
        run: sink_stall::long,
    },
    Scenario {
        name: "reset_storm",
        fault: "the producer's frame counter and clock start over again and again",
        run: reset_storm::header_first,
    },
    Scenario {
        name: "reset_storm_reference",
        fault: "the same, of a producer in the reference order",
        run: reset_storm::reference,
    },
    Scenario { name: "producer_killed", fault: "the producer is killed and comes back", run: producer_killed::run },
    Scenario {
        name: "producer_resized",
        fault: "the producer is started over with another picture size",
        run: producer_resized::run,
    },
    Scenario { name: "segment_cut", fault: "the segment is cut off while it is read", run: segment_cut::run },
    Scenario { name: "server_killed", fault: "the RTMP server is killed and comes back", run: server_killed::run },
    Scenario {
        name: "encoder_silent",
        fault: "the hardware encoder takes frames and gives nothing",
        run: encoder::silent,
    },
    Scenario {
        name: "encoder_hung",
        fault: "the hardware encoder gives nothing more in the middle of a run",
        run: encoder::hung,
    },
    Scenario {
        name: "receiver_gone",
        fault: "the RTP receiver's port is closed and opened again",
        run: receiver_gone::run,
    },
    Scenario { name: "packet_loss_2", fault: "2 % of the RTP packets are lost", run: packet_loss::two_percent },
    Scenario { name: "packet_loss_10", fault: "10 % of the RTP packets are lost", run: packet_loss::ten_percent },
];
