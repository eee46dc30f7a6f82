//! `zed_svo_to_mcap`: the recordings of one camera, or of several, as an MCAP file. What is in it is in
//! `docs/mcap_layout.md`.

pub(crate) mod args;
mod camera;
mod convert;
mod messages;
mod nearest;
mod plan;
pub(crate) mod policy;
mod pose_config;
mod queue;
mod summary;

use std::path::PathBuf;

use tools_cli::{command_line, failure::Failure, interrupt, progress::say, report, target::Target};

pub use self::args::Args;
use self::{
    convert::{Job, convert},
    plan::Plan,
    policy::Policy,
};
use super::{open, source::Recording, wanted::Wanted};

const PROGRAM: &str = "zed_svo_to_mcap";

/// A recording, and what its camera is called.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its file.
    pub path: PathBuf,
    /// The camera's label.
    pub label: String,
}

/// The program.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn run() -> Result<(), Failure> {
    match command_line::parse::<Args>()? {
        Some(args) => run_with(&args),
        None => Ok(()),
    }
}

/// The program, told this.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn run_with(args: &Args) -> Result<(), Failure> {
    args.check()?;
    let wanted = args.wanted()?;
    let inputs = args.inputs()?;
    let paths: Vec<_> = inputs.iter().map(|input| input.path.clone()).collect();
    let target = Target::new(&args.output()?, args.overwrite, &paths)?;
    gst::init().map_err(|error| Failure::Pipeline(format!("GStreamer does not start: {error}")))?;
    interrupt::listen();
    let mut recordings = Vec::new();
    for input in &inputs {
        let recording = open::open(&input.path, &args.reading, &wanted).map_err(|failure| advised(failure, &wanted))?;
        say(PROGRAM, &format!("{}: {}", input.label, recording.facts().sentence()));
        recordings.push(recording);
    }
    let policy = args.bundle_policy.unwrap_or_default();
    let plan = plan(args, &inputs, &recordings)?;
    let job = Job {
        plan: &plan,
        inputs: &inputs,
        policy: if args.input.is_some() { Policy::Copy } else { policy },
        wanted: &wanted,
        encoding: &args.encoding,
        compression: args.mcap_compression,
        target: &target,
        waiting_max: convert::WAITING_MAX,
    };
    let summary = args.encoding.attempt(PROGRAM, |choice| convert(&job, &mut recordings, choice))?;
    report::print(&summary, args.json, || summary.to_string())?;
    Ok(())
}

/// What can be done where nobody gives what is wanted of a recording besides its pictures.
fn advised(failure: Failure, wanted: &Wanted) -> Failure {
    let instead = match wanted {
        Wanted { tracking: Some(_), .. } => "leave out --with-pose",
        Wanted { depth: Some(_), .. } => "take --no-depth",
        Wanted { .. } => return failure,
    };
    match failure {
        // Not of a file that is not there.
        Failure::Configuration(why) if why.contains("ZED SDK") => {
            Failure::Configuration(format!("{why} (or {instead}, or install the SDK)"))
        }
        failure => failure,
    }
}

fn plan(args: &Args, inputs: &[Input], recordings: &[Box<dyn Recording>]) -> Result<Plan, Failure> {
    let facts: Vec<_> = recordings.iter().map(|recording| recording.facts()).collect();
    if args.input.is_some() {
        return Plan::one(facts[0], args.part());
    }
    let labels: Vec<_> = inputs.iter().map(|input| input.label.as_str()).collect();
    let policy = args.bundle_policy.unwrap_or_default();
    let tolerance = args.sync_tolerance_ms.unwrap_or(plan::TOLERANCE);
    Plan::several(&facts, &labels, policy, tolerance, args.copy_range.unwrap_or_default(), args.part())
}
