//! What starting and stopping leaves behind.

use anyhow::Result;
use serde_json::json;

use super::{Bench, Effort, produce};
use crate::{
    child::Role,
    picture::{self, Picture},
    report::Row,
    roles::churn::Left,
};

/// Descriptors and threads that may be there by chance: GLib's pools keep an idle thread for a while.
const BY_CHANCE: f64 = 2.0;
/// What the resident memory may grow by, KiB: an allocator's slack, far below one frame a cycle.
const RSS_MAX: f64 = 4096.0;

pub fn measure(effort: &Effort, bench: &Bench) -> Result<Vec<Row>> {
    let target = bench.target("churn")?;
    let churn = |what: &str, cycles: u32, picture: Picture| -> Result<Left> {
        let mut args = picture.args();
        args.extend([format!("--uri={target}"), format!("--of={what}"), format!("--cycles={cycles}")]);
        Ok(serde_json::from_str(&Role::start("churn", &args)?.answer()?)?)
    };
    let picture = picture::VGA.at(120);
    let source = {
        let _producer = produce(&target, picture, &[])?;
        churn("source", effort.source_cycles, picture)?
    };
    let producer = churn("producer", effort.producer_cycles, picture)?;
    let mut rows = left(&format!("{} starts and stops of a source", effort.source_cycles), &source);
    rows.extend(left(&format!("{} restarts of its producer", effort.producer_cycles), &producer));
    Ok(rows)
}

fn left(what: &str, Left { before, after }: &Left) -> Vec<Row> {
    let growth = |before: u64, after: u64| after as f64 - before as f64;
    let row = |unit, before: u64, after: u64| {
        Row::new("leaks", format!("left by {what}"), growth(before, after), unit)
            .details(json!({ "before": before, "after": after }))
    };
    vec![
        row("descriptors", before.fds, after.fds).at_most(BY_CHANCE, format!("<= {BY_CHANCE}")),
        row("threads", before.threads, after.threads).at_most(BY_CHANCE, format!("<= {BY_CHANCE}")),
        row("KiB", before.rss_kib, after.rss_kib).at_most(RSS_MAX, format!("<= {RSS_MAX}")),
    ]
}
