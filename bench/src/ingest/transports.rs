//! The same pictures through this project's elements and through stock ones, both sides counted.

use std::thread;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::{Bench, Effort, consumer_of, cpu_per_frame, fresh_copy, read};
use crate::{
    child::Role,
    copies::Copies,
    picture::{self, Picture},
    report::{Row, median},
};

const COPIES: u32 = 40;

pub fn measure(effort: &Effort, bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for picture in [picture::VGA, picture::HD.at(30), picture::FULL_HD.at(30), picture::ZED.at(30), picture::UHD.at(10)]
    {
        rows.extend(measure_one(effort, bench, picture)?);
    }
    Ok(rows)
}

/// A sender and a receiver.
struct Pair {
    sender: Role,
    receiver: Role,
}

impl Pair {
    fn start(picture: Picture, sink: &str, source: impl FnOnce(&str) -> String) -> Result<Self> {
        let mut args = picture.args();
        args.push(format!("--sink={sink}"));
        let sender = Role::start("send", &args)?;
        let mut receiver = read(&[source(&sender.greeting)], "nothing")?;
        receiver.await_frames(10)?;
        Ok(Self { sender, receiver })
    }

    fn measure(&mut self, effort: &Effort) -> Result<Costs> {
        let before = (self.sender.sample()?, self.receiver.sample()?);
        thread::sleep(effort.window);
        let after = (self.sender.sample()?, self.receiver.sample()?);
        let frames = after.0.frames - before.0.frames;
        Ok(Costs {
            sender_us: cpu_per_frame(&before.0, &after.0, frames),
            receiver_us: cpu_per_frame(&before.1, &after.1, frames),
            buffers: (after.1.frames - before.1.frames) as f64 / frames as f64,
        })
    }
}

/// For each frame sent: CPU time, and the buffers that arrived.
#[derive(Serialize)]
struct Costs {
    sender_us: f64,
    receiver_us: f64,
    buffers: f64,
}

/// CPU time of `shmsrc ! fakesink` for each frame, microseconds: of a stock live source that copies nothing.
pub fn shm_receiver(effort: &Effort, bench: &Bench, picture: Picture) -> Result<f64> {
    let rounds = (0..effort.rounds).map(|_| Ok(shm_pair(bench, picture)?.measure(effort)?.receiver_us));
    Ok(median(&rounds.collect::<Result<Vec<_>>>()?))
}

fn measure_one(effort: &Effort, bench: &Bench, picture: Picture) -> Result<Vec<Row>> {
    let mut bare = Copies::of_own(picture.bytes())?;
    let mut memcpys = Vec::new();
    let (mut ours, mut shm, mut tcp) = (Vec::new(), Vec::new(), Vec::new());
    // One pair at a time: they would disturb each other.
    for _ in 0..effort.rounds.div_ceil(2) {
        for (pair, costs) in [
            (cvmmap_pair as fn(&Bench, Picture) -> Result<Pair>, &mut ours),
            (shm_pair, &mut shm),
            (tcp_pair, &mut tcp),
        ] {
            costs.push(pair(bench, picture)?.measure(effort)?);
        }
        bare.mean_ns(4);
        memcpys.push(bare.mean_ns(COPIES) / 1e3);
    }
    let cost =
        |rounds: &[Costs]| median(&rounds.iter().map(|costs| costs.sender_us + costs.receiver_us).collect::<Vec<_>>());
    let (our, by_shm, by_tcp, copy) = (cost(&ours), cost(&shm), cost(&tcp), median(&memcpys));
    let details = json!({ "cvmmap": ours, "shm": shm, "tcp": tcp, "memcpy_us": memcpys });
    let over_shm = our - by_shm;
    let one_copy = |what: &'static str, memcpy: f64| {
        let limit = fresh_copy::RATIO * memcpy + fresh_copy::FIXED;
        Row::new("transports", format!("... over shmsink to shmsrc ({by_shm:.0} us)"), over_shm, "us")
            .against(what, memcpy)
            .at_most(limit, format!("one copy: <= {limit:.0}"))
    };
    let fresh = fresh_copy::fresh_memcpy(effort, bench, picture)?;
    Ok(vec![
        Row::new("transports", format!("CPU of both sides, cvmmapsink to cvmmapsrc, {picture}"), our, "us")
            .against("tcp", by_tcp)
            .goal(our < by_tcp, "< tcpserversink to tcpclientsrc")
            .details(details),
        one_copy("fresh memcpy", fresh),
        one_copy("repeated memcpy", copy),
    ])
}

fn cvmmap_pair(bench: &Bench, picture: Picture) -> Result<Pair> {
    let target = bench.target("via")?;
    Pair::start(picture, &format!("cvmmapsink uri={target} nats-url=\"\" sync=false"), |_| consumer_of(&target, ""))
}

fn shm_pair(bench: &Bench, picture: Picture) -> Result<Pair> {
    let path = bench.path("shm");
    let size = picture.bytes() * 8 + (1 << 20);
    Pair::start(picture, &format!("shmsink socket-path={path} shm-size={size} sync=false"), |_| {
        format!("shmsrc socket-path={path} is-live=true ! fakesink sync=false")
    })
}

fn tcp_pair(_: &Bench, picture: Picture) -> Result<Pair> {
    Pair::start(picture, "tcpserversink host=127.0.0.1 port=0 sync=false buffers-max=16", |port| {
        format!("tcpclientsrc host=127.0.0.1 port={port} ! fakesink sync=false")
    })
}
