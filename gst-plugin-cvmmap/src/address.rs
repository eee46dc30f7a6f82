//! The properties by which both elements are told their producer's address.

use cvmmap::{Address, Target};
use gst::{glib, prelude::*};

/// What was set of the three ways to name a producer: by URI, by instance, by segment and endpoint.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddressSettings {
    uri: Option<String>,
    instance: Option<String>,
    namespace: Option<String>,
    prefix: Option<String>,
    shm_name: Option<String>,
    zmq_endpoint: Option<String>,
    label: Option<String>,
}

impl AddressSettings {
    pub(crate) fn param_specs() -> Vec<glib::ParamSpec> {
        [
            ("uri", "URI", "Producer as cvmmap://INSTANCE[@/PREFIX][?namespace=NAMESPACE]"),
            (
                "instance",
                "Instance",
                "Instance name of the producer (default: this element's name, when one was given)",
            ),
            ("namespace", "Namespace", "Namespace of the producer, with instance (default: cvmmap)"),
            ("prefix", "Prefix", "Folder of the frame-sync socket, with instance (default: /tmp)"),
            ("shm-name", "Segment", "Shared memory segment of a producer outside the convention, with zmq-endpoint"),
            (
                "zmq-endpoint",
                "Endpoint",
                "ZeroMQ frame-sync endpoint of a producer outside the convention, with shm-name",
            ),
            ("label", "Label", "Label of the sync messages, with shm-name and zmq-endpoint"),
        ]
        .into_iter()
        .map(|(name, nick, blurb)| glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).mutable_ready().build())
        .collect()
    }

    fn field(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "uri" => &mut self.uri,
            "instance" => &mut self.instance,
            "namespace" => &mut self.namespace,
            "prefix" => &mut self.prefix,
            "shm-name" => &mut self.shm_name,
            "zmq-endpoint" => &mut self.zmq_endpoint,
            "label" => &mut self.label,
            _ => return None,
        })
    }

    /// Sets one of the properties; an empty string is none. `false` when the property is not one of these.
    pub(crate) fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        let Some(field) = self.field(name) else {
            return false;
        };
        *field = value.get::<Option<String>>().ok().flatten().filter(|text| !text.is_empty());
        true
    }

    /// The value of one of the properties.
    pub(crate) fn get(&mut self, name: &str) -> Option<glib::Value> {
        self.field(name).map(|field| field.to_value())
    }

    /// `GstURIHandler::get_uri`.
    pub(crate) fn uri(&self) -> Option<String> {
        self.uri.clone()
    }

    /// `GstURIHandler::set_uri`, of an element that runs or does not.
    pub(crate) fn set_uri(&mut self, uri: &str, runs: bool) -> Result<(), glib::Error> {
        uri.parse::<Target>().map_err(|error| glib::Error::new(gst::URIError::BadUri, &error.to_string()))?;
        if runs {
            return Err(glib::Error::new(gst::URIError::BadState, "the URI cannot change while the element runs"));
        }
        self.uri = Some(uri.to_owned());
        Ok(())
    }

    /// The address that the settings name, or a sentence that says what to set.
    pub(crate) fn address(&self, element: &gst::Element) -> Result<Address, String> {
        let by_name = self.instance.is_some() || self.namespace.is_some() || self.prefix.is_some();
        let by_parts = self.shm_name.is_some() || self.zmq_endpoint.is_some() || self.label.is_some();
        match (&self.uri, by_name, by_parts) {
            (Some(uri), false, false) => {
                let target = uri.parse::<Target>().map_err(|error| error.to_string())?;
                Ok(Address::from(&target))
            }
            (None, false, true) => {
                let (Some(shm_name), Some(endpoint)) = (&self.shm_name, &self.zmq_endpoint) else {
                    return Err("set both shm-name and zmq-endpoint, or uri alone".to_owned());
                };
                Address::new(shm_name, endpoint, self.label.as_deref()).map_err(|error| error.to_string())
            }
            (None, _, false) => {
                let instance = self
                    .instance
                    .clone()
                    .or_else(|| given_name(element))
                    .ok_or("no producer named; set uri=cvmmap://INSTANCE")?;
                let target = Target::new(&instance, self.namespace.as_deref(), self.prefix.as_deref())
                    .map_err(|error| error.to_string())?;
                Ok(Address::from(&target))
            }
            _ => Err("set one of uri, instance (with namespace, prefix), shm-name with zmq-endpoint".to_owned()),
        }
    }
}

/// The element's name, unless GStreamer made it up (`cvmmapsrc0`).
fn given_name(element: &gst::Element) -> Option<String> {
    let name = element.name();
    let factory = element.factory()?.name();
    let made_up = name.strip_prefix(factory.as_str()).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()));
    (!made_up).then(|| name.to_string())
}
