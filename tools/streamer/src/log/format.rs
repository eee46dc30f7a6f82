//! How lines are written: for people as ever, with time and level, as JSON, or for journald.

use std::{env, fmt};

use clap::ValueEnum;
use serde_json::{Map, Value};
use tools_cli::{failure::Failure, printable};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime as _, SystemTime},
    },
    registry::LookupSpan,
};

use super::live;

/// Where what the program itself says comes from.
pub const TARGET: &str = "cvmmap_streamer";

/// `--log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line for people
    Plain,
    /// With time and level
    Text,
    /// One JSON object a line
    Json,
    /// With the level as journald takes it from a service
    Journal,
}

/// `--log-level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verbosity {
    /// What ends a camera
    Error,
    /// What goes wrong
    Warn,
    /// What happens
    Info,
    /// What the libraries say, too
    Debug,
}

/// Writes what is told from now on. Without a level, `RUST_LOG` says what is told, else all that happens.
///
/// # Errors
/// [`Failure::Usage`] for a `RUST_LOG` that is none.
pub fn init(level: Option<Verbosity>, format: Format) -> Result<(), Failure> {
    let directives = match level {
        Some(Verbosity::Error) => "off,cvmmap_streamer=error".to_owned(),
        Some(Verbosity::Warn) => "off,cvmmap_streamer=warn".to_owned(),
        Some(Verbosity::Info) => "off,cvmmap_streamer=info".to_owned(),
        Some(Verbosity::Debug) => "info,cvmmap_streamer=debug".to_owned(),
        None => match env::var("RUST_LOG") {
            Ok(text) if !text.is_empty() => text,
            _ => "off,cvmmap_streamer=info".to_owned(),
        },
    };
    let filter = EnvFilter::try_new(&directives).map_err(|error| {
        Failure::Usage(format!("RUST_LOG cannot be used: {error}; take cvmmap_streamer=info, or debug"))
    })?;
    // Another one stays where it was made before, in tests.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| live::Above)
        .log_internal_errors(false)
        .event_format(format)
        .try_init();
    Ok(())
}

/// What an event tells.
#[derive(Debug, Default)]
struct Told {
    camera: Option<String>,
    message: String,
    more: Vec<(&'static str, String)>,
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            "camera" => self.camera = Some(value.to_owned()),
            name => self.more.push((name, value.to_owned())),
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static> FormatEvent<S, N> for Format {
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut told = Told::default();
        event.record(&mut told);
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        writeln!(writer, "{}", self.line(&told, level, target, &time))
    }
}

impl Format {
    fn line(self, told: &Told, level: Level, target: &str, time: &str) -> String {
        let camera = told.camera.as_ref().map(|camera| format!("{camera}: ")).unwrap_or_default();
        let more = told.more.iter().map(|(name, value)| format!(" {name}={value}")).collect::<String>();
        let text = format!("{target}: {camera}{}{more}", told.message);
        let text = printable::line(&text);
        match self {
            Self::Plain => text.into_owned(),
            Self::Text => format!("{time} {level:>5} {text}"),
            Self::Journal => {
                // Source: sd-daemon(3).
                let priority = match level {
                    Level::ERROR => 3,
                    Level::WARN => 4,
                    Level::INFO => 6,
                    _ => 7,
                };
                format!("<{priority}>{text}")
            }
            Self::Json => {
                let mut object = Map::new();
                let mut put = |name: &str, value: &str| object.insert(name.to_owned(), Value::from(value));
                put("time", time);
                put("level", level.as_str());
                put("target", target);
                told.camera.iter().for_each(|camera| drop(put("camera", camera)));
                put("message", &told.message);
                told.more.iter().for_each(|(name, value)| drop(put(name, value)));
                printable::json(&Value::Object(object).to_string()).into_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_same_news_in_each_format() {
        let told = Told {
            camera: Some("front".to_owned()),
            message: "gone\x1b\n".to_owned(),
            more: vec![("n", "1".to_owned())],
        };
        let line = |format: Format| format.line(&told, Level::WARN, TARGET, "2026-01-02T03:04:05Z");
        assert_eq!(line(Format::Plain), "cvmmap_streamer: front: gone\\u{1b}\\u{a} n=1");
        assert_eq!(line(Format::Text), "2026-01-02T03:04:05Z  WARN cvmmap_streamer: front: gone\\u{1b}\\u{a} n=1");
        assert_eq!(line(Format::Journal), "<4>cvmmap_streamer: front: gone\\u{1b}\\u{a} n=1");
        let json: Value = serde_json::from_str(&line(Format::Json)).unwrap();
        assert_eq!(
            (&json["camera"], &json["level"], &json["message"]),
            (&"front".into(), &"WARN".into(), &"gone\x1b\n".into())
        );
    }
}
