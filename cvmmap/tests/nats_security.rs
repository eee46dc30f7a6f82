//! NATS as people secure it: each way to prove who one is, against a real server that asks for it.
#![cfg(feature = "nats")]

#[path = "common/nats_server.rs"]
mod nats_server;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use cvmmap::nats::{Client, Credentials, Options, OptionsError, RequestError, Secret, TlsFiles};
use nats_server::NatsServer;
use nkeys::KeyPair;

const PATIENCE: Duration = Duration::from_secs(20);

fn options(
    url: &str,
    credentials: Credentials,
    files: TlsFiles,
    environment: &[(&str, &str)],
) -> Result<Options, OptionsError> {
    let environment: HashMap<_, _> = environment.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Options::new(url, credentials, files, |name| environment.get(name).cloned())
}

/// Gets in, and an answer.
fn gets_in(options: Options) {
    let shown = format!("{options:?} {options}");
    assert!(!shown.contains("sekret"), "{shown}");
    let client = Client::connect(&options, "test").unwrap();
    client.wait_connected(PATIENCE).unwrap_or_else(|error| panic!("{options}: {error}"));
    assert!(matches!(client.request("nobody", "", PATIENCE), Err(RequestError::NoResponders(_))));
}

/// Is refused, and says why without the secret.
fn is_refused(options: Options, why: &str) {
    let client = Client::connect(&options, "test").unwrap();
    let deadline = Instant::now() + PATIENCE;
    let complaint = loop {
        if let Some(complaint) = client.health().complaint {
            break complaint;
        }
        assert!(Instant::now() < deadline, "{options} is not refused");
        thread::sleep(Duration::from_millis(2));
    };
    assert!(complaint.contains(why) && !complaint.contains("sekret"), "{complaint}");
    assert!(!client.is_connected());
}

fn place(server: &NatsServer) -> String {
    format!("127.0.0.1:{}", server.port())
}

#[test]
fn user_and_password_by_url_flags_and_environment() {
    let server = NatsServer::with("authorization { user: \"cam@home\", password: \"sekret:/?\" }");
    let place = place(&server);
    let none = || (Credentials::default(), TlsFiles::default());
    let (credentials, files) = none();
    gets_in(options(&format!("nats://cam%40home:sekret%3A%2F%3F@{place}"), credentials, files, &[]).unwrap());
    let flags = Credentials {
        user: Some("cam@home".to_owned()),
        password: Some(Secret::new("sekret:/?")),
        ..Credentials::default()
    };
    gets_in(options(&server.url(), flags, TlsFiles::default(), &[]).unwrap());
    let environment = [("NATS_USER", "cam@home"), ("NATS_PASSWORD", "sekret:/?")];
    let (credentials, files) = none();
    gets_in(options(&server.url(), credentials, files, &environment).unwrap());
    let (credentials, files) = none();
    is_refused(options(&format!("nats://cam:sekret@{place}"), credentials, files, &[]).unwrap(), "authorization");
    let (credentials, files) = none();
    is_refused(options(&server.url(), credentials, files, &[]).unwrap(), "authorization");
}

#[test]
fn token_by_url_flags_and_environment() {
    let server = NatsServer::with("authorization { token: \"sekret-token\" }");
    gets_in(
        options(&format!("nats://sekret-token@{}", place(&server)), Credentials::default(), TlsFiles::default(), &[])
            .unwrap(),
    );
    let flags = Credentials { token: Some(Secret::new("sekret-token")), ..Credentials::default() };
    gets_in(options(&server.url(), flags, TlsFiles::default(), &[]).unwrap());
    let environment = [("NATS_TOKEN", "sekret-token")];
    gets_in(options(&server.url(), Credentials::default(), TlsFiles::default(), &environment).unwrap());
    let wrong = [("NATS_TOKEN", "sekret")];
    is_refused(options(&server.url(), Credentials::default(), TlsFiles::default(), &wrong).unwrap(), "authorization");
}

/// A JWT as NATS has it. Source: NATS JWT v2 (`ed25519-nkey`).
fn jwt(issuer: &KeyPair, subject: &KeyPair, name: &str, claims: serde_json::Value) -> String {
    let header = serde_json::json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let body = serde_json::json!({
        "jti": name, "iat": 1_700_000_000, "iss": issuer.public_key(), "sub": subject.public_key(), "name": name,
        "nats": claims,
    });
    let signed = format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(body.to_string().as_bytes()));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", base64url(&signature))
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            text.push(DIGITS[(word >> (18 - 6 * digit) & 63) as usize].into());
        }
    }
    text
}

#[test]
fn credentials_file_of_an_operators_user() {
    let [operator, account, user, stranger] =
        [KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user(), KeyPair::new_operator()];
    let operator_jwt = jwt(&operator, &operator, "home", serde_json::json!({ "type": "operator", "version": 2 }));
    let unlimited = serde_json::json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
    });
    let claims = serde_json::json!({ "type": "account", "version": 2, "limits": unlimited });
    let account_jwt = jwt(&operator, &account, "cameras", claims);
    let user_claims = || serde_json::json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
    let config = format!(
        "operator: \"{operator_jwt}\"\nresolver: MEMORY\nresolver_preload: {{ {}: \"{account_jwt}\" }}",
        account.public_key()
    );
    let server = NatsServer::with(&config);
    let write = |name: &str, issuer: &KeyPair| -> PathBuf {
        let path = server.path(name);
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            jwt(issuer, &user, "cam0", user_claims()),
            user.seed().unwrap(),
        );
        fs::write(&path, text).unwrap();
        path
    };
    let good = write("good.creds", &account);
    let file = Credentials { file: Some(good.clone()), ..Credentials::default() };
    gets_in(options(&server.url(), file, TlsFiles::default(), &[]).unwrap());
    let environment = [("NATS_CREDS", good.to_str().unwrap())];
    gets_in(options(&server.url(), Credentials::default(), TlsFiles::default(), &environment).unwrap());
    let bad = Credentials { file: Some(write("bad.creds", &stranger)), ..Credentials::default() };
    is_refused(options(&server.url(), bad, TlsFiles::default(), &[]).unwrap(), "authorization");
}

/// Makes an authority, and certificates that it signed.
fn certificates(folder: &Path) {
    let openssl = |arguments: &[&str]| {
        let status = Command::new("openssl").args(arguments).current_dir(folder).stderr(Stdio::null()).status();
        assert!(status.expect("openssl runs").success(), "openssl {arguments:?}");
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    for authority in ["ca", "other"] {
        let (out, private) = (format!("{authority}.pem"), format!("{authority}.key"));
        let rest = ["-subj", "/CN=authority", "-keyout", &private, "-out", &out];
        openssl(&[&["req", "-x509"], &key[..], &rest].concat());
    }
    fs::write(folder.join("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    for name in ["server", "client"] {
        let (request, private, out) = (format!("{name}.csr"), format!("{name}.key"), format!("{name}.pem"));
        openssl(&[&["req"], &key[..5], &["-subj", "/CN=cam0", "-keyout", &private, "-out", &request]].concat());
        let rest = ["-CAcreateserial", "-extfile", "san", "-days", "2", "-out", &out];
        openssl(&[&["x509", "-req", "-in", &request, "-CA", "ca.pem", "-CAkey", "ca.key"], &rest[..]].concat());
    }
}

#[test]
fn tls_with_an_own_authority_and_client_certificates() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let path = |name: &str| folder.path().join(name);
    let files = |ca: &str| TlsFiles { ca: Some(path(ca)), ..TlsFiles::default() };
    let config = |verify: &str| {
        let quoted = |name: &str| format!("\"{}\"", path(name).display());
        let [certificate, key, ca] = ["server.pem", "server.key", "ca.pem"].map(quoted);
        format!("tls {{ cert_file: {certificate}, key_file: {key}, ca_file: {ca}, verify: {verify} }}")
    };
    let with = |server: &NatsServer, files| options(&server.url(), Credentials::default(), files, &[]).unwrap();

    let server = NatsServer::with(&config("false"));
    gets_in(with(&server, files("ca.pem")));
    let ca = path("ca.pem");
    let environment = [("NATS_CA", ca.to_str().unwrap())];
    let by_environment =
        options(&format!("tls://{}", place(&server)), Credentials::default(), TlsFiles::default(), &environment);
    gets_in(by_environment.unwrap());
    is_refused(with(&server, files("other.pem")), "TLS");
    is_refused(with(&server, TlsFiles::default()), "TLS");

    let strict = NatsServer::with(&config("true"));
    let client = TlsFiles { certificate: Some(path("client.pem")), key: Some(path("client.key")), ..files("ca.pem") };
    gets_in(with(&strict, client));
    is_refused(with(&strict, files("ca.pem")), "");

    // TLS that was asked for is not given up for a server that has none.
    let open = NatsServer::start();
    is_refused(with(&open, files("ca.pem")), "");
}

/// The permissions of docs/security.md: a consumer hears and asks, and cannot pass for the producer.
#[test]
fn permissions_of_the_sample_configuration() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md")).unwrap();
    let sample = page.split("```nats-server").nth(1).and_then(|rest| rest.split("```").next());
    let server = NatsServer::with(sample.expect("docs/security.md holds a configuration"));
    let as_user = |user: &str| {
        let credentials = Credentials {
            user: Some(user.to_owned()),
            password: Some(Secret::new("change-me")),
            ..Credentials::default()
        };
        let client =
            Client::connect(&options(&server.url(), credentials, TlsFiles::default(), &[]).unwrap(), user).unwrap();
        client.wait_connected(PATIENCE).unwrap();
        client
    };
    let [camera, viewer, operator] = ["camera", "viewer", "operator"].map(as_user);
    let (heard, hearing) = std::sync::mpsc::channel();
    let _listening = viewer.subscribe("cvmmap.cvmmap_cam0.status", move |message| {
        let _ = heard.send(message.payload);
    });
    let _service = cvmmap::nats::Service::builder("cvmmap_producer", "0.1.0")
        .endpoint("cvmmap.cvmmap_cam0.producer.source.info", |_| b"told".to_vec())
        .endpoint("cvmmap.cvmmap_cam0.producer.source.reset", |_| b"done".to_vec())
        .start(&camera);
    let info = "cvmmap.cvmmap_cam0.producer.source.info";
    let reset = "cvmmap.cvmmap_cam0.producer.source.reset";
    let deadline = Instant::now() + PATIENCE;
    while operator.request(reset, "", Duration::from_secs(1)).is_err() {
        assert!(Instant::now() < deadline, "{}", server.log());
    }
    assert_eq!(*viewer.request(info, "", PATIENCE).unwrap(), *b"told");
    let denied = viewer.request(reset, "", Duration::from_millis(300));
    assert!(denied.is_err(), "a viewer may not reset");
    let complaint = viewer.health().complaint.unwrap_or_default().to_lowercase();
    assert!(complaint.contains("permissions violation"), "{complaint}");
    viewer.publish("cvmmap.cvmmap_cam0.status", "forged");
    assert!(viewer.flush(PATIENCE));
    camera.publish("cvmmap.cvmmap_cam0.status", "real");
    assert_eq!(*hearing.recv_timeout(PATIENCE).unwrap(), *b"real");
}
