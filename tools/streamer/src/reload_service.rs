//! Reading the configuration again on request: an endpoint of the micro service `cvmmap_streamer` over NATS.

use std::{path::Path, sync::mpsc, time::Duration};

use cvmmap::nats::{Client, SERVICE_STREAMER, Service};
use serde_json::json;
use tools_cli::{
    failure::Failure,
    nats::{self, RELOAD_SUBJECT},
};

use crate::{
    fleet::{Reloaded, Told},
    random_name::random_name,
};

/// The main thread answers at once, unless it hangs.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The service, until it is dropped.
pub struct ReloadService {
    _service: Service,
    _client: Client,
}

impl ReloadService {
    /// Answers from now on, or from when there is a connection.
    ///
    /// # Errors
    /// [`Failure::Configuration`] for NATS files that cannot be used.
    pub fn start(server: &nats::Server, config: &Path, tell: mpsc::Sender<Told>) -> Result<Self, Failure> {
        let client = server.connect("cvmmap_streamer")?;
        // Of those that answer on the first subject one gets the request; the second is its own.
        let subjects = [RELOAD_SUBJECT.to_owned(), format!("{RELOAD_SUBJECT}.{}", random_name())];
        let mut service = Service::builder(SERVICE_STREAMER, env!("CARGO_PKG_VERSION"))
            .description("cvmmap-streamer with a configuration")
            .metadata("backend", "cvmmap-streamer")
            .metadata("config", config.display().to_string());
        for subject in subjects {
            let (config, tell) = (config.display().to_string(), tell.clone());
            service = service.endpoint(&subject, move |_| {
                let (reply, answer) = mpsc::channel();
                let asked = tell.send(Told::Reload(Some(reply)));
                let outcome = match asked.ok().and_then(|()| answer.recv_timeout(ANSWER_MAX).ok()) {
                    Some(outcome) => outcome,
                    None => Err("the streamer is ending, or does not answer".to_owned()),
                };
                reply_of(&config, &outcome).into_bytes()
            });
        }
        Ok(Self { _service: service.start(&client), _client: client })
    }
}

fn reply_of(config: &str, outcome: &Reloaded) -> String {
    let (is_ok, message) = match outcome {
        Ok(changes) => (true, changes),
        Err(why) => (false, why),
    };
    json!({ "config": config, "ok": is_ok, "message": message }).to_string()
}
