//! `rtmps://` with certificates of all kinds.

use std::{path::Path, process::Command};

use super::support::*;
use gst::prelude::*;

fn openssl(directory: &Path, arguments: &str) {
    let output =
        Command::new("openssl").current_dir(directory).args(arguments.split(' ')).output().expect("openssl is there");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority, and certificates for localhost: good, expired, and signed by nobody that is known.
fn certificates() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(path.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    for authority in ["ca", "foreign"] {
        openssl(
            path,
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {authority}.key -out {authority}.pem -days 2 -subj /CN={authority}"
            ),
        );
    }
    openssl(
        path,
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=localhost",
    );
    for (name, authority, days) in [("good", "ca", "2"), ("foreign-signed", "foreign", "2")] {
        openssl(
            path,
            &format!(
                "x509 -req -in server.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days {days} -extfile names -out {name}.pem"
            ),
        );
    }
    // Dates in the past need the other tool.
    std::fs::write(path.join("index"), "").unwrap();
    std::fs::write(path.join("serial"), "77\n").unwrap();
    std::fs::write(
        path.join("ca.conf"),
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n",
    )
    .unwrap();
    openssl(
        path,
        "ca -batch -config ca.conf -cert ca.pem -keyfile ca.key -in server.csr -extfile names -startdate 20200101000000Z -enddate 20210101000000Z -out expired.pem",
    );
    directory
}

#[test]
fn only_a_server_that_is_vouched_for_gets_the_stream() {
    let directory = certificates();
    let file = |name: &str| directory.path().join(name).display().to_string();
    let start = |name: &str| Server::start("serve", &["--cert", &file(name), "--key", &file("server.key")]);
    let publisher = |server: &Server, host: &str, ca: Option<&str>| {
        let publisher = Publisher::new(&format!("rtmps://{host}:{}/live/key", server.port));
        publisher.sink.set_property("tls-ca-file", ca.map(file));
        publisher.play()
    };

    let good = start("good.pem");
    let stream = publisher(&good, "localhost", Some("ca.pem"));
    let sent = |number| picture(number, number == 0, 100_000);
    for number in 0..20 {
        stream.push(number * 40, &sent(number)).unwrap();
    }
    stream.end();
    stream.stop();
    good.wait_for("closed", 1);
    good.assert_content();
    assert_eq!(numbers(&good, 0, sent), (0..20).collect::<Vec<_>>());
    assert_eq!(good.commands(), ["FCUnpublish", "deleteStream"]);

    for (server, host, ca, words) in [
        (&good, "localhost", None, "tls-ca-file"),
        (&good, "localhost", Some("foreign.pem"), "no authority that is trusted here"),
        (&good, "127.0.0.1", Some("ca.pem"), "another host"),
        (&start("foreign-signed.pem"), "localhost", Some("ca.pem"), "no authority that is trusted here"),
        (&start("expired.pem"), "localhost", Some("ca.pem"), "expired"),
        (&Server::start("http", &[]), "localhost", Some("ca.pem"), "does not speak TLS"),
        (&Server::start("close_on_accept", &[]), "localhost", Some("ca.pem"), "hangs up"),
    ] {
        let error = publisher(server, host, ca).error();
        assert!(error.contains(words), "{host} {ca:?}: {error}");
        assert!(server.told("publish").len() <= 1);
    }
}

#[test]
fn a_file_without_authorities_is_an_error_at_once() {
    init();
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for file in [empty, directory.path().join("nowhere.pem")] {
        let publisher = Publisher::new("rtmps://localhost:1/live/key");
        publisher.sink.set_property("tls-ca-file", file.display().to_string());
        assert!(publisher.pipeline.set_state(gst::State::Playing).is_err());
        let error = publisher.error();
        assert!(error.contains("tls-ca-file") && error.contains(&*file.display().to_string()), "{error}");
    }
}
