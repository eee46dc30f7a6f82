//! `list`: who answers, with what they offer.

use std::collections::BTreeMap;

use cvmmap::nats::{Client, Discovered, SERVICE_PRODUCER, SERVICE_STREAMER, discover};
use serde::Serialize;
use tools_cli::{failure::Failure, report};

use super::{args::Options, failure, output};

#[derive(Serialize)]
struct Service {
    kind: &'static str,
    instance: String,
    namespace: String,
    key: String,
    version: String,
    backend: String,
    offers: Vec<String>,
    metadata: BTreeMap<String, String>,
}

impl Service {
    fn new(kind: &'static str, found: Discovered) -> Self {
        let field = |name: &str| found.metadata.get(name).cloned().unwrap_or_default();
        let key = field("nats_target_key");
        let offers = offers(&key, &found.endpoints);
        let [instance, namespace, backend] = ["instance_name", "namespace", "backend"].map(field);
        Self { kind, instance, namespace, key, version: found.version, backend, offers, metadata: found.metadata }
    }
}

/// What the endpoints are for, each once: `source.info` and the like, in whatever family.
fn offers(key: &str, endpoints: &[String]) -> Vec<String> {
    let prefix = format!("cvmmap.{key}.");
    let rest = endpoints.iter().filter_map(|subject| subject.strip_prefix(&prefix)?.split_once('.'));
    let mut offers: Vec<_> = rest.map(|(_, offer)| offer.to_owned()).collect();
    offers.sort();
    offers.dedup();
    offers
}

/// Lists who answers.
///
/// # Errors
/// When there is no server.
pub fn run(client: &Client, options: &Options) -> Result<(), Failure> {
    let mut services = Vec::new();
    for (kind, name) in [("producer", SERVICE_PRODUCER), ("streamer", SERVICE_STREAMER)] {
        let found = discover(client, name, options.timeout()).map_err(|error| failure(error.into()))?;
        services.extend(found.into_iter().map(|found| Service::new(kind, found)));
    }
    report::print(&services, options.json, || {
        let rows = services.iter().map(|service| {
            let Service { kind, instance, namespace, version, backend, offers, .. } = service;
            let offers = offers.join(" ");
            [(*kind).to_owned(), instance.clone(), namespace.clone(), version.clone(), backend.clone(), offers]
        });
        output::table(["KIND", "INSTANCE", "NAMESPACE", "VERSION", "BACKEND", "OFFERS"], &rows.collect::<Vec<_>>())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_of_two_families_is_one() {
        let endpoints = ["cvmmap.k.producer.source.info", "cvmmap.k.control.source.info", "other.subject"];
        assert_eq!(offers("k", &endpoints.map(str::to_owned)), ["source.info"]);
    }
}
