//! `rtmp_stub_tester`: a server for one publisher, or a reader of one FLV file, that checks every tag.

mod args;
mod chunk;
mod command;
mod connection;
mod handshake;
mod intake;
mod server;
mod session;

use std::path::Path;

use tools_cli::{command_line, failure::Failure};

use self::{args::Args, intake::Intake, server::Conduct};
use super::{
    flv::{
        file::{ReadError, Reader},
        mode::Mode,
    },
    report::{Report, talk},
};

/// The program.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn run() -> Result<(), Failure> {
    let Some(args) = command_line::parse::<Args>()? else {
        return Ok(());
    };
    let listener = match &args.file {
        Some(_) => None,
        None => Some(server::listen(&args)?),
    };
    let mut intake = Intake::new(&args)?;
    let mut conduct = Conduct::default();
    let judged = match (&listener, &args.file) {
        (Some(listener), _) => server::serve(&args, listener, &mut intake, &mut conduct),
        (None, Some(path)) => check_file(path, &mut intake),
        (None, None) => Ok(()),
    };
    // What was found counts more than a file that cannot be completed.
    let kept = intake.finish_files();
    let outcome = judged.and(kept);

    if args.mode == Mode::H265Enhanced
        && listener.is_some()
        && intake.counts().frames > 0
        && conduct.publisher.four_cc_list.is_empty()
    {
        intake.warn(
            "four-cc-list",
            "connect came without a fourCcList: Enhanced RTMP asks for it, the known servers do not",
        );
    }
    let mut report = Report::default();
    report.push("mode", args.mode.to_string());
    if listener.is_some() {
        let Conduct { publisher, reconnects, reconnect_step_ms, stall } = conduct;
        // Reports are passed on; the stream's name lets anybody publish, and a query may hold a password.
        report.push("app", publisher.app.split('?').next().unwrap_or_default());
        report.push("stream", if publisher.stream.is_empty() { "" } else { "***" });
        report.push("flash_version", publisher.flash_version);
        report.push("four_cc_list", publisher.four_cc_list.join(","));
        report.push("video_four_cc_info", publisher.video_four_cc_info.join(","));
        report.push("audio_four_cc_info", publisher.audio_four_cc_info.join(","));
        report.push("caps_ex", publisher.caps_ex);
        report.push("reconnects", reconnects);
        report.push("reconnect_step_ms", reconnect_step_ms);
        report.push("stalled_ms", stall.map(|(time, _)| time.as_millis() as u64));
        report.push("left_stalled_server", stall.map(|(_, left)| left));
    }
    intake.report(&mut report);
    report.print(outcome, args.json)
}

fn check_file(path: &Path, intake: &mut Intake) -> Result<(), Failure> {
    let failed = |error: ReadError| match error {
        ReadError::Io(error) => Failure::Configuration(format!("{} cannot be read: {error}", path.display())),
        ReadError::Format { .. } => Failure::Protocol(format!("{}: {error}", path.display())),
    };
    let mut reader = Reader::open(path).map_err(failed)?;
    while let Some(tag) = reader.next_tag().map_err(failed)? {
        intake.tag(&tag.as_tag())?;
    }
    if intake.counts().video_tags == 0 {
        talk(format_args!("{} holds no video", path.display()));
    }
    intake.judge_count()
}
