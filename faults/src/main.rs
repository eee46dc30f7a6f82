//! The fault suite: breaks what `cvmmap_streamer` depends on, one thing after the other, and looks at what comes out.
//! `scripts/fault_suite.sh` builds the programs and starts it; docs/fault_suite.md says what each scenario proves.

mod camera;
mod evidence;
mod mode;
mod picture;
mod rig;
mod scenarios;
mod stand_in;
mod suite;
mod verdict;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tools_cli::failure;

#[derive(Parser)]
#[command(name = "fault_suite", args_conflicts_with_subcommands = true)]
/// Breaks what cvmmap_streamer depends on, one thing after the other, and looks at what comes out
struct Cli {
    #[command(flatten)]
    run: suite::Args,
    #[command(subcommand)]
    role: Option<Role>,
}

/// Processes that take part.
#[derive(Subcommand)]
enum Role {
    /// Publishes frames until its input ends
    #[command(hide = true)]
    Camera(camera::Settings),
    /// Keeps a core busy until its input ends
    #[command(hide = true)]
    Burn,
    /// cvmmap_streamer with an NVENC that hangs
    #[command(hide = true)]
    StreamerWithStandIn {
        works_for_frames: u32,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    Ok(match cli.role {
        None => suite::run(&cli.run)?,
        Some(Role::Camera(settings)) => {
            camera::run(&settings)?;
            ExitCode::SUCCESS
        }
        Some(Role::Burn) => {
            rig::burn();
            ExitCode::SUCCESS
        }
        Some(Role::StreamerWithStandIn { works_for_frames, args }) => {
            failure::exit_with("cvmmap_streamer", stand_in::run(works_for_frames, &args)?)
        }
    })
}
