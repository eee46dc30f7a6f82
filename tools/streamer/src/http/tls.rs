//! HTTPS.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio_rustls::TlsAcceptor;
use tools_cli::failure::Failure;

/// Agrees on encryption with this certificate.
///
/// # Errors
/// [`Failure::Configuration`] for files that cannot be used.
pub fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Failure> {
    let unusable = |flag: &str, path: &Path, why: &dyn std::fmt::Display| {
        Failure::Configuration(format!("{flag}: {} cannot be used: {why}", path.display()))
    };
    let read = |flag, path| fs::read(path).map_err(|error| unusable(flag, path, &error));
    let chain = read("--http-cert", certificate)?;
    let chain = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| unusable("--http-cert", certificate, &error))?;
    let private = PrivateKeyDer::from_pem_slice(&read("--http-key", key)?);
    let private = private.map_err(|error| unusable("--http-key", key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("--http-cert", certificate, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| unusable("--http-cert", certificate, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
