//! `mcap_replay`: a recording as a producer.

#![warn(missing_docs)]

mod args;
mod frames;
mod index;
mod link;
mod pace;
mod player;

use std::{io::Write as _, sync::mpsc, thread};

use cvmmap::nats::Identity;
use gst::glib;
use tools_cli::{command_line, failure::Failure, nats::Server, printable, report, signals};

use self::{
    args::Args,
    index::Index,
    link::{Link, Order},
    player::{Player, Settings, Summary},
};

/// The program.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn run() -> Result<(), Failure> {
    let Some(args) = command_line::parse::<Args>()? else {
        return Ok(());
    };
    let settings = Settings {
        file: args.file.clone(),
        topics: args.topics(),
        address: args.address()?,
        permissions: args.perms.unwrap_or_default(),
        speed: args.speed()?,
        repeat: args.repeat,
    };
    let server = args.nats.server()?;
    gst::init().map_err(|error| Failure::Pipeline(format!("GStreamer does not start: {error}")))?;
    let (orders, given) = mpsc::channel();
    let main_loop = glib::MainLoop::new(None, false);
    for signal in signals::ending() {
        let orders = orders.clone();
        glib_unix::unix_signal_add_local(signal, move || {
            // A player that has ended needs no telling.
            let _ = orders.send(Order::Stop);
            glib::ControlFlow::Continue
        });
    }
    let mut player = Player::new(settings.clone(), tell)?;
    if let Some(server) = &server
        && let Some(link) = speaker(server, &settings, orders.clone())?
    {
        player.speak(link);
    }
    let over = main_loop.clone();
    let playing = thread::spawn(move || {
        let outcome = player.play(&given);
        let summary = player.summary();
        // Its names are free when the program says that it is done.
        drop(player);
        // In the loop: before it runs, it would not hear.
        glib::idle_add_once(move || over.quit());
        (outcome, summary)
    });
    main_loop.run();
    let (outcome, summary) =
        playing.join().map_err(|_| Failure::Pipeline("the player panicked; please report this".to_owned()))?;
    let told = report::print(&summary, args.json, || line(&summary)).map(drop);
    outcome.and(told)
}

/// The producer's side on NATS. None when its name cannot stand in a subject.
fn speaker(server: &Server, settings: &Settings, orders: mpsc::Sender<Order>) -> Result<Option<Link>, Failure> {
    let client = server.connect("mcap_replay")?;
    let Some(identity) = Identity::new(&settings.address, "mcap_replay") else {
        tell("the segment's name cannot stand in a NATS subject; the replay does without NATS");
        return Ok(None);
    };
    // What is wrong with the recording itself is the player's to tell.
    let index = Index::read(&settings.file, settings.topics.clone()).ok().flatten();
    Ok(Some(Link::start(client, identity, index, settings.repeat, orders)))
}

/// One line for the person at the terminal.
fn tell(line: &str) {
    // A closed stderr is no reason to stop.
    let _ = writeln!(std::io::stderr(), "mcap_replay: {}", printable::line(line));
}

fn line(summary: &Summary) -> String {
    let Summary { frames, depth, depth_invalid, body, body_dropped, body_invalid, body_unsent, passes, seeks } =
        summary;
    format!(
        "replay: frames={frames} depth={depth} depth_invalid={depth_invalid} body={body} body_dropped={body_dropped} \
         body_invalid={body_invalid} body_unsent={body_unsent} passes={passes} seeks={seeks}\n"
    )
}
