//! RTMP through TLS, as stunnel ends it: whom the streamer trusts, and what it says when it does not.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::streamer_support::{Names, RtmpServer, Running, finish, free_port, json, wait_for};

const H265: [&str; 4] = ["--codec", "h265", "--rtmp-mode", "enhanced"];

fn openssl(directory: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("openssl is there: run scripts/setup.sh --tests");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority, and a server that it vouches for under the name of localhost.
struct Certificates(PathBuf);

impl Certificates {
    fn make(names: &Names) -> Self {
        let directory = names.path("tls");
        fs::create_dir(&directory).unwrap();
        let key = ["-newkey", "rsa:2048", "-nodes"];
        let authority = ["-x509", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test authority"];
        openssl(&directory, &[&["req"], &key[..], &authority].concat());
        let server = ["-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost"];
        openssl(&directory, &[&["req"], &key[..], &server].concat());
        fs::write(directory.join("names"), "subjectAltName=DNS:localhost").unwrap();
        let signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.pem", "-days", "2"];
        openssl(&directory, &[&["x509", "-req", "-in", "server.csr", "-extfile", "names"], &signed[..]].concat());
        Self(directory)
    }

    /// Replaces the server's certificate with one of the year before.
    fn expire(&self) {
        let settings = "[ca]\ndefault_ca = past\n[past]\ndatabase = index\nnew_certs_dir = .\nserial = ca.srl\ndefault_md = sha256\n\
                        policy = any\ncopy_extensions = none\nx509_extensions = names\n[any]\ncommonName = supplied\n\
                        [names]\nsubjectAltName = DNS:localhost\n";
        fs::write(self.0.join("past.conf"), settings).unwrap();
        fs::write(self.0.join("index"), "").unwrap();
        let past = ["-startdate", "20240101000000Z", "-enddate", "20241231000000Z"];
        let signed = ["-cert", "ca.pem", "-keyfile", "ca.key", "-in", "server.csr", "-out", "server.pem", "-notext"];
        openssl(&self.0, &[&["ca", "-batch", "-config", "past.conf"], &past[..], &signed].concat());
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

/// stunnel on a port of its own, in front of a plain server.
struct Tunnel {
    _process: Running,
    port: u16,
}

impl Tunnel {
    fn start(certificates: &Certificates, server: u16) -> Self {
        let port = free_port();
        let file = certificates.file("stunnel.conf");
        let configuration = format!(
            "foreground = yes\npid =\n[rtmps]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{server}\ncert = {}\nkey = {}\n",
            certificates.file("server.pem"),
            certificates.file("server.key")
        );
        fs::write(&file, configuration).unwrap();
        assert!(Path::new("/usr/bin/stunnel4").exists(), "stunnel4 is not there: run scripts/setup.sh --tests");
        let process = Running::start(Command::new("/usr/bin/stunnel4").arg(file).stderr(Stdio::null()));
        // State 0A is LISTEN. Source: proc_net_tcp.
        let listening = format!(":{port:04X} 00000000:0000 0A");
        wait_for("TLS server", || fs::read_to_string("/proc/net/tcp").unwrap().contains(&listening));
        Self { _process: process, port }
    }

    fn url(&self, host: &str) -> String {
        format!("rtmps://{host}:{}/live/sekret", self.port)
    }
}

/// A simulator that publishes, and gives up when it is refused.
fn publisher(names: &Names, url: &str) -> Command {
    let mut command = names.simulator();
    command.args(H265).args(["--dummy-frames", "60", "--json", "--rtmp", "--rtmp-required", "--rtmp-url", url]);
    command
}

/// Runs `command`, which has to fail for lack of trust. What it says.
fn refused(command: &mut Command) -> String {
    let (status, _, stderr) = finish(command);
    assert_eq!(status, Some(5), "{stderr}");
    assert!(!stderr.contains("sekret"), "{stderr}");
    stderr
}

#[test]
fn a_stream_goes_through_tls_to_a_server_that_is_vouched_for() {
    let names = Names::new();
    let certificates = Certificates::make(&names);
    let server = RtmpServer::start(&names);
    let tunnel = Tunnel::start(&certificates, server.port);
    let (status, stdout, stderr) = finish(
        publisher(&names, &tunnel.url("localhost").replace("sekret", "key"))
            .args(["--rtmp-ca-file", &certificates.file("ca.pem")]),
    );
    assert_eq!(status, Some(0), "{stderr}");
    let sent = json(&stdout)["outputs"]["rtmp"]["sent"].as_u64().unwrap();
    let (frames, complaints) = server.decoded();
    assert!(frames > 0 && frames == sent && complaints.is_empty(), "{frames} of {sent}: {complaints}");
}

#[test]
fn a_server_that_nobody_vouches_for_gets_nothing() {
    let names = Names::new();
    let certificates = Certificates::make(&names);
    let plain = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let tunnel = Tunnel::start(&certificates, plain.local_addr().unwrap().port());
    // An authority of one's own is not trusted unless it is named,
    let said = refused(&mut publisher(&names, &tunnel.url("localhost")));
    assert!(said.contains("certificate") && said.contains("--rtmp-ca-file"), "{said}");
    // and vouches for no other host.
    let said =
        refused(publisher(&names, &tunnel.url("127.0.0.1")).args(["--rtmp-ca-file", &certificates.file("ca.pem")]));
    assert!(said.contains("another host"), "{said}");
}

#[test]
fn a_server_whose_certificate_has_expired_gets_nothing() {
    let names = Names::new();
    let certificates = Certificates::make(&names);
    certificates.expire();
    let plain = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let tunnel = Tunnel::start(&certificates, plain.local_addr().unwrap().port());
    let said =
        refused(publisher(&names, &tunnel.url("localhost")).args(["--rtmp-ca-file", &certificates.file("ca.pem")]));
    assert!(said.contains("expired"), "{said}");
}

#[test]
fn what_has_to_be_there_is_named() {
    let names = Names::new();
    let url = "rtmps://localhost:1/live/sekret";
    let empty = names.path("empty.pem");
    fs::write(&empty, "").unwrap();
    for file in [empty.display().to_string(), names.path("nowhere.pem").display().to_string()] {
        let (status, _, stderr) = finish(publisher(&names, url).args(["--rtmp-ca-file", &file]));
        assert_eq!(status, Some(2), "{stderr}");
        assert!(stderr.contains("--rtmp-ca-file") && stderr.contains(&file), "{stderr}");
    }
    for url in [&["--rtmp-url", "rtmp://localhost/live/key"][..], &[]] {
        let (status, _, stderr) =
            finish(names.simulator().args(["--codec", "h264", "--rtmp-ca-file", "ca.pem", "--rtmp"]).args(url));
        assert_eq!(status, Some(1), "{stderr}");
    }
}
