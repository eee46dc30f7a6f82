//! `reload`: streamers read their configurations again.

use std::mem;

use cvmmap::nats::{Client, SERVICE_STREAMER, discover};
use serde::{Deserialize, Serialize};
use tools_cli::{failure::Failure, nats::RELOAD_SUBJECT, progress::say, report};

use super::{args::Options, failure};

/// What came of it.
#[derive(Deserialize, Serialize)]
struct Reloaded {
    config: String,
    ok: bool,
    message: String,
}

/// Asks each streamer with a configuration for it, and tells what each answers.
///
/// # Errors
/// When no streamer answers, or a configuration cannot be used.
pub fn run(client: &Client, options: &Options) -> Result<(), Failure> {
    let streamers = discover(client, SERVICE_STREAMER, options.timeout()).map_err(|error| failure(error.into()))?;
    let own = |subject: &String| subject.strip_prefix(RELOAD_SUBJECT).is_some_and(|rest| rest.starts_with('.'));
    let mut subjects: Vec<_> =
        streamers.into_iter().filter_map(|found| found.endpoints.into_iter().find(own)).collect();
    if subjects.is_empty() {
        // Nobody may be there, or who may reload may not ask who is there.
        subjects.push(RELOAD_SUBJECT.to_owned());
    }
    let is_alone = subjects.len() == 1;
    let mut outcome = Ok(());
    for subject in subjects {
        let told = ask(client, &subject, options).and_then(|reloaded| {
            let with = if is_alone { String::new() } else { format!("{}: ", reloaded.config) };
            if !reloaded.ok {
                return Err(Failure::Configuration(format!("{with}{}", reloaded.message)));
            }
            report::print(&reloaded, options.json, || format!("{with}{}\n", reloaded.message)).map(drop)
        });
        // The last one is told as the program ends.
        if told.is_err()
            && let Err(before) = mem::replace(&mut outcome, told)
        {
            say("cvmmap_ctl", &before.to_string());
        }
    }
    outcome
}

fn ask(client: &Client, subject: &str, options: &Options) -> Result<Reloaded, Failure> {
    let reply = client.request(subject, Vec::new(), options.timeout()).map_err(|error| failure(error.into()))?;
    serde_json::from_slice(&reply)
        .map_err(|error| Failure::Protocol(format!("the answer on {subject} is none: {error}")))
}
