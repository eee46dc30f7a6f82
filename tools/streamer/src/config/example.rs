//! The example of a configuration, made from the flags so that it tells every key.

use std::fmt::Write as _;

use super::keys::{self, Key, Kind};

const HEAD: &str = "\
# Cameras of one cvmmap_streamer: cvmmap_streamer --config FILE. --check-config tells mistakes and what would run;
# SIGHUP and cvmmap_ctl reload have the file read again.
#
# Every flag of a camera is a key, with underscores. A key in [defaults] counts for each camera that does not have it.
# ${NAME} is the variable NAME, ${camera} the camera's name, $$ a dollar. A key with _file behind it takes its value from
# a file: nats_password_file = \"/run/secrets/nats\". Keys that are commented out show their default, or a value's form.
";

/// The text of `config/cameras.example.toml`.
pub fn example() -> String {
    let mut text = HEAD.to_owned();
    for (section, port, what, keys) in [
        ("http", 8080, "The page, WHEP and status of all cameras.", keys::http()),
        ("foxglove", 8765, "Topics of all cameras for Foxglove: /NAME/video and so on.", keys::foxglove()),
        ("rtsp", 8554, "The RTSP server of all cameras: rtsp://127.0.0.1:8554/front.", keys::rtsp()),
    ] {
        let _ = writeln!(text, "\n# {what}\n[{section}]\nlisten = \"127.0.0.1:{port}\"");
        keys.iter().filter(|key| key.name != "listen").for_each(|key| write(&mut text, key));
    }
    text.push_str("\n[defaults]\ncodec = \"h264\"\n");
    let mut heading = String::new();
    for key in keys::camera() {
        if key.heading != heading {
            heading.clone_from(&key.heading);
            let _ = writeln!(text, "\n## {heading}");
        }
        write(&mut text, &key);
    }
    text.push_str(
        "\n# Without input_uri, the producer of the camera's name is read.\n[[camera]]\nname = \"front\"\n\
         # Whether browsers see it, Foxglove, and players by RTSP.\n# http = true\n# foxglove = true\n# rtsp = true\nrtp = true\n\
         rtp_endpoint = [\"127.0.0.1:5004\"]\n\n\
         [[camera]]\nname = \"back\"\ninput_uri = \"cvmmap://cam1\"\ngop = 60\n",
    );
    text
}

/// One key, commented out, with what the help says.
fn write(text: &mut String, key: &Key) {
    let help = key.help.split_whitespace().collect::<Vec<_>>().join(" ");
    let choices = if key.choices.is_empty() { String::new() } else { format!(" ({})", key.choices.join(", ")) };
    let quoted = |value: &str| match value.parse::<u64>() {
        Ok(_) => value.to_owned(),
        Err(_) => format!("\"{value}\""),
    };
    let form = || key.choices.first().cloned().unwrap_or_else(|| key.value.clone());
    let value = match (key.kind, &key.default) {
        (Kind::Switch, _) => "false".to_owned(),
        (Kind::List, _) => format!("[\"{}\"]", form()),
        (_, Some(default)) => quoted(default),
        (_, None) => quoted(&form()),
    };
    let _ = writeln!(text, "# {help}{choices}\n# {} = {value}", key.name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_in_config_tells_every_key() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/cameras.example.toml");
        if std::env::var_os("CVMMAP_WRITE_EXAMPLE").is_some() {
            std::fs::write(path, example()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == example(), "{path} is old: run this test with CVMMAP_WRITE_EXAMPLE=1 to write it anew");
    }
}
