//! `encoder`: the encoder of a streamer.

use cvmmap::nats::{
    Client, ControlError, Subjects,
    proto::{EncoderResponse, ForceKeyframeRequest, GetEncoderRequest, SetEncoderRequest},
};
use serde::Serialize;
use tools_cli::{failure::Failure, report};

use super::{
    args::{Encoder, Options},
    failure, output,
};

#[derive(Serialize)]
struct Told {
    encoder: String,
    bitrate_kbit: Option<u32>,
    /// What the bit rate is below for now.
    full_bitrate_kbit: Option<u32>,
}

/// Asks the streamer.
///
/// # Errors
/// When it does not answer, or refuses.
pub fn run(client: &Client, verb: &Encoder, options: &Options) -> Result<(), Failure> {
    let subject = |producer: &super::args::Producer, verb| Subjects::from(&producer.target).streamer_encoder(verb);
    let timeout = options.timeout();
    let told: Result<EncoderResponse, ControlError> = match verb {
        Encoder::Show(producer) => client.ask(&subject(producer, "get"), &GetEncoderRequest {}, timeout),
        Encoder::Set { producer, bitrate } => {
            client.ask(&subject(producer, "set"), &SetEncoderRequest { bitrate_kbit: *bitrate }, timeout)
        }
        Encoder::Keyframe(producer) => client.ask(&subject(producer, "keyframe"), &ForceKeyframeRequest {}, timeout),
    };
    let told = told.map_err(failure)?;
    let rate = |kbit: u32| Some(kbit).filter(|kbit| *kbit > 0);
    let told = Told {
        encoder: told.encoder,
        bitrate_kbit: rate(told.bitrate_kbit),
        full_bitrate_kbit: rate(told.full_bitrate_kbit),
    };
    report::print(&told, options.json, || {
        let name = if told.encoder.is_empty() { "none yet" } else { &told.encoder };
        let mut fields = vec![("encoder", name.to_owned())];
        fields.extend(told.bitrate_kbit.map(|kbit| ("bit rate", format!("{kbit} kbit/s"))));
        fields.extend(told.full_bitrate_kbit.map(|kbit| ("lowered from", format!("{kbit} kbit/s"))));
        output::fields(&fields)
    })?;
    Ok(())
}
