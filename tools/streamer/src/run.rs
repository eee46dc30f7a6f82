//! A run of the program: one camera from the command line, or those of a configuration.

use std::sync::Arc;

use tools_cli::{failure::Failure, report};

use super::{
    camera_run,
    fleet::{self, Fleet, Wanted},
    http,
    options::Options,
    plan::Plan,
    watch::{self, Cameras},
};

/// Runs what was typed, to its end.
///
/// # Errors
/// What the specification's exit codes tell apart.
pub fn run(options: &Options) -> Result<(), Failure> {
    let plan = Plan::new(options)?;
    start_gstreamer()?;
    let cameras = Arc::<Cameras>::default();
    let mut fleet = Fleet::new(&cameras, camera_run::run, false);
    // From here on nothing that is set up is left behind by a signal.
    fleet::hear_signals(&fleet.teller(), false);
    let json = plan.json;
    let http = plan.stream.as_ref().and_then(|stream| stream.http);
    let name = plan.stream.as_ref().map(|stream| stream.input.name()).unwrap_or_default();
    let _http = http.map(|http| http::Server::start(http.listen, watch::routes(&cameras))).transpose()?;
    fleet.set(vec![Wanted { name, plan, source: Vec::new() }]);
    fleet.run(&mut || Err("there is none".to_owned()), |_| {});
    let Some((outcome, summary)) = fleet.into_members().pop().and_then(|member| member.outcome) else {
        return Ok(());
    };
    let told = summary.map_or(Ok(()), |summary| report::print(&summary, json, || summary.to_string()).map(drop));
    outcome.and(told)
}

fn start_gstreamer() -> Result<(), Failure> {
    gst::init()
        .map_err(|error| error.to_string())
        .and_then(|()| gstcvmmap::plugin_register_static().map_err(|error| error.to_string()))
        .and_then(|()| gstflvhevc::plugin_register_static().map_err(|error| error.to_string()))
        .map_err(|error| Failure::Pipeline(format!("GStreamer does not start: {error}")))
}
