//! Who is there: NATS micro discovery.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{client::Client, client_error::RequestError, subjects};

/// Name of a producer's micro service. Source: cv-mmap IPC contract, section 4.
pub const SERVICE_PRODUCER: &str = "cvmmap_producer";
/// Name of the streamer's micro service.
pub const SERVICE_STREAMER: &str = "cvmmap_streamer";

/// Answers that are looked at; a network with more has another problem.
const SERVICES_MAX: usize = 1024;
/// After the last answer, others may come this long.
const QUIET: Duration = Duration::from_millis(200);
/// Longest text taken from an answer.
const TEXT_MAX: usize = 256;
/// Most fields and endpoints taken from an answer.
const FIELDS_MAX: usize = 64;

/// A service that answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// Its instance.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// Subjects that it answers on.
    pub endpoints: Vec<String>,
}

impl Discovered {
    fn parse(answer: &[u8], name: &str) -> Option<Self> {
        let answer: Value = serde_json::from_slice(answer).ok()?;
        let text = |field: &str| short(answer.get(field)?);
        if answer.get("name")?.as_str()? != name {
            return None;
        }
        let metadata = answer.get("metadata").and_then(Value::as_object);
        let endpoints = answer.get("endpoints").and_then(Value::as_array);
        Some(Self {
            id: text("id")?,
            version: text("version").unwrap_or_default(),
            metadata: metadata
                .into_iter()
                .flatten()
                .take(FIELDS_MAX)
                .filter_map(|(name, value)| Some((name.clone(), short(value)?)))
                .collect(),
            endpoints: endpoints
                .into_iter()
                .flatten()
                .take(FIELDS_MAX)
                .filter_map(|endpoint| short(endpoint.get("subject")?))
                .collect(),
        })
    }

    /// The target's key, when it says one that subjects can be made of.
    pub fn key(&self) -> Option<&str> {
        let key = self.metadata.get("nats_target_key")?;
        subjects::Subjects::for_key(key).map(|_| key.as_str())
    }

    /// What its request subjects begin with, when it says something that can be one.
    pub fn control_subject_prefix(&self) -> Option<&str> {
        let prefix = self.metadata.get("control_subject_prefix")?;
        subjects::is_literal(prefix).then_some(prefix.as_str())
    }
}

/// A text that is not too long, without what a terminal would act on.
fn short(value: &Value) -> Option<String> {
    let text = value.as_str().filter(|text| text.len() <= TEXT_MAX)?;
    Some(text.chars().filter(|c| !c.is_control()).collect())
}

/// Asks every service of a name for its description. Answers that are none are left out.
///
/// # Errors
/// When there is no connection; nobody at all is no error.
pub fn discover(client: &Client, name: &str, timeout: Duration) -> Result<Vec<Discovered>, RequestError> {
    let answers = client.request_all(&format!("$SRV.INFO.{name}"), (timeout, QUIET.min(timeout), SERVICES_MAX))?;
    let mut found: Vec<_> = answers.iter().filter_map(|answer| Discovered::parse(answer, name)).collect();
    found.sort_by(|a, b| (a.key(), &a.id).cmp(&(b.key(), &b.id)));
    found.dedup_by(|a, b| a.id == b.id);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_far_as_it_is_one() {
        let answer = br#"{"name":"cvmmap_producer","id":"x","version":"1.0.0","type":"io.nats.micro.v1.info_response",
            "metadata":{"nats_target_key":"cvmmap_cam0","control_subject_prefix":"cvmmap.cvmmap_cam0.control","n":1},
            "endpoints":[{"name":"a","subject":"cvmmap.cvmmap_cam0.control.source.info"},7]}"#;
        let found = Discovered::parse(answer, SERVICE_PRODUCER).unwrap();
        assert_eq!(found.key(), Some("cvmmap_cam0"));
        assert_eq!(found.control_subject_prefix(), Some("cvmmap.cvmmap_cam0.control"));
        assert_eq!(found.endpoints, ["cvmmap.cvmmap_cam0.control.source.info"]);
        assert_eq!(Discovered::parse(answer, SERVICE_STREAMER), None);
        for garbage in [&b""[..], b"{", b"[]", b"{\"name\":7}", b"{\"name\":\"cvmmap_producer\"}", b"\xff"] {
            assert_eq!(Discovered::parse(garbage, SERVICE_PRODUCER), None);
        }
    }

    #[test]
    fn a_prefix_that_is_a_pattern_is_not_taken() {
        let metadata = [("control_subject_prefix", ">"), ("nats_target_key", "a.b")];
        let metadata = metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let found = Discovered { metadata, ..Discovered::default() };
        assert_eq!((found.key(), found.control_subject_prefix()), (None, None));
    }
}
