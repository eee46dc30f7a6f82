//! A run of the program: one camera from the command line, or those of a configuration.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    sync::{Arc, mpsc},
};

use clap::{CommandFactory as _, parser::ValueSource};
use tools_cli::{failure::Failure, report};

use super::{
    camera_run,
    config::{self, Config},
    fleet::{self, Fleet, Member, Phase, Told, Wanted},
    heap,
    log::{self, tell},
    options::Options,
    plan::{Plan, Rtsp, Servers, rtsp_server},
    reload_service::ReloadService,
    rtsp,
    service_manager::ServiceManager,
    site::Sites,
    status_lines::StatusLines,
    summary::Summary,
    watch::{self, Cameras},
};

/// Runs what was typed, to its end.
///
/// # Errors
/// What the specification's exit codes tell apart.
pub fn run(options: &Options) -> Result<(), Failure> {
    if options.example_config {
        return report::taken(std::io::Write::write_all(&mut std::io::stdout(), config::example().as_bytes()))
            .map(drop);
    }
    heap::share();
    log::init(options.log_level, options.log_format)?;
    match &options.config {
        Some(path) => run_config(path, options),
        None => run_one(Plan::new(options)?, options),
    }
}

fn run_one(plan: Plan, options: &Options) -> Result<(), Failure> {
    start_gstreamer()?;
    let cameras = Arc::<Cameras>::default();
    let mut fleet = Fleet::new(&cameras, camera_run::run, false);
    // From here on nothing that is set up is left behind by a signal.
    fleet::hear_signals(&fleet.teller(), false);
    let json = plan.json;
    let http = plan.stream.as_ref().and_then(|stream| stream.http.clone());
    let foxglove = plan.stream.as_ref().and_then(|stream| stream.foxglove.as_ref()).map(|shown| shown.server.clone());
    let name = plan.stream.as_ref().map(|stream| stream.input.name()).unwrap_or_default();
    let mut sites = Sites::new(&cameras);
    sites.serve(Servers { http, foxglove, rtsp: rtsp_server(&options.output)? })?;
    fleet.set(vec![Wanted { name, plan, source: Vec::new() }]);
    let mut manager = ServiceManager::of_this_process();
    let mut status = status_lines(options, false);
    fleet.run(&mut || Err("there is none".to_owned()), |members, phase| {
        tell_manager(&mut manager, members, phase);
        status.look(members.iter().map(|member| &*member.camera));
    });
    drop(status);
    let Some((outcome, summary)) = fleet.into_members().pop().and_then(|member| member.outcome) else {
        return Ok(());
    };
    let told = summary.map_or(Ok(()), |summary| report::print(&summary, json, || summary.to_string()).map(drop));
    outcome.and(told)
}

fn run_config(path: &Path, options: &Options) -> Result<(), Failure> {
    check_flags()?;
    let config = Config::read(path).map_err(|mistakes| unusable(&mistakes))?;
    if options.check_config {
        let plans = config.cameras.iter().map(|camera| (&camera.name, told(camera, config.servers.rtsp.as_ref())));
        let plans = plans.collect::<Vec<_>>();
        let by_name = plans.iter().cloned().collect::<BTreeMap<_, _>>();
        return report::print(&by_name, options.json, || {
            plans.iter().map(|(name, plan)| format!("{name}: {plan}\n")).collect()
        })
        .map(drop);
    }
    start_gstreamer()?;
    let cameras = Arc::<Cameras>::default();
    let mut fleet = Fleet::new(&cameras, camera_run::run, true);
    fleet::hear_signals(&fleet.teller(), true);
    let mut sites = Sites::new(&cameras);
    sites.serve(config.servers)?;
    let _reloads = reloads(config.nats.as_ref(), path, fleet.teller())?;
    fleet.set(config.cameras);
    let manager = RefCell::new(ServiceManager::of_this_process());
    let mut reread = || {
        manager.borrow_mut().reloading();
        let config = Config::read(path).map_err(|mistakes| mistakes.join("; "))?;
        let servers = sites.serve(config.servers).map_err(|failure| failure.to_string())?;
        Ok((config.cameras, servers))
    };
    let mut status = status_lines(options, true);
    fleet.run(&mut reread, |members, phase| {
        tell_manager(&mut manager.borrow_mut(), members, phase);
        status.look(members.iter().map(|member| &*member.camera));
    });
    drop(status);
    print(&fleet.into_members(), options.json)
}

fn status_lines(options: &Options, are_named: bool) -> StatusLines {
    let are_live = options.log_format == log::Format::Plain && log::is_terminal();
    StatusLines::every(options.status_interval, are_live, are_named)
}

/// What a camera is to do, with the servers of all cameras.
fn told(camera: &Wanted, rtsp: Option<&Rtsp>) -> String {
    let played = rtsp.filter(|_| camera.plan.stream.as_ref().is_some_and(|stream| stream.rtsp));
    let played = played.map(|rtsp| format!(", RTSP at rtsp://{}{}", rtsp.listen, rtsp::path(&camera.name)));
    format!("{}{}", camera.plan, played.unwrap_or_default())
}

/// Tells the service manager how the cameras are. One that hangs ends the watchdog's patience.
fn tell_manager(manager: &mut ServiceManager, members: &[Member], phase: Phase) {
    if phase.is_ending {
        manager.stopping();
    } else {
        manager.ready();
        let running = members.iter().filter(|member| member.runs()).count();
        let ill = members.iter().filter_map(|member| Some((&member.wanted.name, watch::illness(&member.camera)?)));
        let ill = ill.map(|(name, why)| format!("; {name}: {why}")).collect::<String>();
        manager.status(format!("{running} of {} cameras run{ill}", members.len()));
    }
    if phase.is_alive {
        manager.live();
    }
}

/// The summaries of all cameras.
fn print(members: &[Member], json: bool) -> Result<(), Failure> {
    let summaries = members.iter().filter_map(|member| Some((member.wanted.name.as_str(), member.summary()?)));
    let summaries = summaries.collect::<Vec<(&str, &Summary)>>();
    let by_name = BTreeMap::from([("cameras", summaries.iter().copied().collect::<BTreeMap<_, _>>())]);
    report::print(&by_name, json, || {
        let mut text = String::new();
        for (name, summary) in summaries {
            for line in summary.to_string().lines() {
                // A string takes everything.
                let _ = writeln!(text, "{name}: {line}");
            }
        }
        text
    })
    .map(drop)
}

/// Tells each mistake; the failure has the last word.
fn unusable(mistakes: &[String]) -> Failure {
    match mistakes {
        [one] => Failure::Usage(one.clone()),
        several => {
            several.iter().for_each(|mistake| tell(mistake));
            Failure::Usage(format!("the configuration cannot be used: {} mistakes", several.len()))
        }
    }
}

/// Nothing of a camera may be told beside the file.
fn check_flags() -> Result<(), Failure> {
    let command = Options::command();
    // It was parsed before.
    let Ok(matches) = command.clone().try_get_matches() else {
        return Ok(());
    };
    let typed = |arg: &&clap::Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    let flags = command.get_arguments().filter(typed).filter_map(clap::Arg::get_long);
    match flags.into_iter().find(|flag| !config::FLAGS_OF_PROGRAM.contains(flag)) {
        Some(flag) => Err(Failure::Usage(format!(
            "--{flag} belongs into the file of --config, as {} = ...",
            flag.replace('-', "_")
        ))),
        None => Ok(()),
    }
}

fn reloads(
    server: Option<&tools_cli::nats::Server>,
    path: &Path,
    tell: mpsc::Sender<Told>,
) -> Result<Option<ReloadService>, Failure> {
    server.map(|server| ReloadService::start(server, path, tell)).transpose()
}

fn start_gstreamer() -> Result<(), Failure> {
    gst::init()
        .map_err(|error| error.to_string())
        .and_then(|()| gstcvmmap::plugin_register_static().map_err(|error| error.to_string()))
        .and_then(|()| gstflvhevc::plugin_register_static().map_err(|error| error.to_string()))
        .map_err(|error| Failure::Pipeline(format!("GStreamer does not start: {error}")))
}
