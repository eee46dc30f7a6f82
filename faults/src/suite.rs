//! Runs scenarios and tells what they found.

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Instant, SystemTime},
};

use anyhow::{Context, Result, bail};
use clap::Args as ClapArgs;

use crate::{
    evidence::{Evidence, Run},
    mode::Mode,
    rig::{Load, Rig},
    scenarios::{SCENARIOS, Scenario},
    verdict::{Bound, Verdict},
};

/// Less is no load. On a machine where many others want its two cores, two processes get no more than a part of one.
const LOAD_CPU_PERCENT: f64 = 10.0;

#[derive(ClapArgs)]
pub struct Args {
    /// What else the machine has to do meanwhile
    #[arg(long, value_enum, default_value_t = Mode::Baseline)]
    mode: Mode,
    /// Runs this scenario alone; several times for several
    #[arg(long, value_name = "SCENARIO")]
    only: Vec<String>,
    /// Tells the scenarios and runs none
    #[arg(long)]
    list: bool,
    /// Injects no fault: every scenario has to fail, or it proves nothing
    #[arg(long)]
    without_faults: bool,
    /// Where evidence goes
    #[arg(long, value_name = "FOLDER", default_value = ".sisyphus/evidence")]
    evidence: PathBuf,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    if args.list {
        SCENARIOS.iter().for_each(|scenario| println!("{:<18} {}", scenario.name, scenario.fault));
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(&args.only)?;
    gst::init()?;
    let mut evidence = Evidence::create(&args.evidence, args.mode)?;
    println!("mode={:?} evidence={}", args.mode, evidence.dir().display());
    for scenario in chosen {
        println!("\n== {}: {}", scenario.name, scenario.fault);
        let run = play(scenario, args, &evidence)?;
        run.verdict.figures.iter().for_each(|figure| println!("   {figure}"));
        if let Some(error) = &run.verdict.error {
            println!("   error: {error}");
        }
        println!("   {} in {:.1} s", run.verdict.status(), run.seconds);
        evidence.add(run)?;
    }
    let (pass, fail) = evidence.finish()?;
    println!("\nevidence: {}\ntotal={} pass={pass} fail={fail} skip=0", evidence.dir().display(), pass + fail);
    Ok(ExitCode::from(u8::from(fail > 0)))
}

fn choose(names: &[String]) -> Result<Vec<&'static Scenario>> {
    if let Some(unknown) = names.iter().find(|name| SCENARIOS.iter().all(|scenario| scenario.name != **name)) {
        bail!("there is no scenario '{unknown}': --list tells them");
    }
    Ok(SCENARIOS.iter().filter(|scenario| names.is_empty() || names.iter().any(|name| name == scenario.name)).collect())
}

fn play(scenario: &Scenario, args: &Args, evidence: &Evidence) -> Result<Run> {
    let dir = evidence.dir().join(scenario.name);
    let exe = std::env::current_exe()?;
    let programs = exe.parent().context("this program's folder")?;
    let mut rig = Rig::new(dir.clone(), programs, args.mode, !args.without_faults, scenario.name)?;
    let load = Load::start(&dir, args.mode.load())?;
    let (began, at) = (Instant::now(), SystemTime::now());
    let outcome = (scenario.run)(&mut rig);
    if let Some(percent) = load.cpu_percent()? {
        rig.injected("load_cpu_percent", percent, Bound::AtLeast(LOAD_CPU_PERCENT));
    }
    let verdict =
        Verdict { error: outcome.err().map(|error| format!("{error:#}")), ..std::mem::take(&mut rig.verdict) };
    Ok(Run { name: scenario.name, fault: scenario.fault, began: at, seconds: began.elapsed().as_secs_f64(), verdict })
}
