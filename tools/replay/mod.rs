//! `mcap_replay`: a recording as a producer.

mod args;
mod decoder;
mod depth;
mod frames;
mod pace;
mod player;

use std::{io::Write as _, sync::mpsc, thread};

use gst::glib;

use self::{
    args::Args,
    player::{Player, Settings, Summary},
};
use crate::common::{cli, failure::Failure};

/// SIGINT and SIGTERM. Source: signal(7).
const SIGNALS: [i32; 2] = [2, 15];

/// The program.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn run() -> Result<(), Failure> {
    let Some(args) = cli::parse::<Args>()? else {
        return Ok(());
    };
    let settings = Settings {
        file: args.file.clone(),
        topics: args.topics(),
        address: args.address()?,
        speed: args.speed()?,
        repeat: args.repeat,
    };
    gst::init().map_err(|error| Failure::Pipeline(format!("GStreamer does not start: {error}")))?;
    let (stop, stopped) = mpsc::channel();
    let main_loop = glib::MainLoop::new(None, false);
    for signal in SIGNALS {
        let stop = stop.clone();
        glib_unix::unix_signal_add_local(signal, move || {
            // A player that has ended needs no telling.
            let _ = stop.send(());
            glib::ControlFlow::Continue
        });
    }
    let mut player = Player::new(settings, tell)?;
    let over = main_loop.clone();
    let playing = thread::spawn(move || {
        let mut bodies_told = false;
        let outcome = player.play(&stopped, |_| {
            if !std::mem::replace(&mut bodies_told, true) {
                tell("the recording has body-tracking packets; they are not published yet");
            }
        });
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
    print(&summary, args.json);
    outcome
}

/// One line for the person at the terminal.
fn tell(line: &str) {
    // A closed stderr is no reason to stop.
    let _ = writeln!(std::io::stderr(), "mcap_replay: {line}");
}

fn print(summary: &Summary, json: bool) {
    let mut stdout = std::io::stdout().lock();
    let Summary { frames, depth, depth_invalid, body, passes } = summary;
    // A reader that closed its end early has seen what it wanted.
    let _ = if json {
        serde_json::to_writer(&mut stdout, summary).map_err(Into::into).and_then(|()| writeln!(stdout))
    } else {
        writeln!(
            stdout,
            "replay: frames={frames} depth={depth} depth_invalid={depth_invalid} body={body} passes={passes}"
        )
    };
}
