//! Whom TLS trusts, and what its refusals mean.

use std::{path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, Error, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

/// How to connect, trusting the authorities in `file` instead of the system's.
///
/// # Errors
/// A sentence about what is missing.
pub fn configuration(file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let authorities = match file {
        Some(file) => authorities_of(file)?,
        None => system_authorities()?,
    };
    let configuration = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(authorities)
        .with_no_client_auth();
    Ok(Arc::new(configuration))
}

/// The authorities in a PEM file.
///
/// # Errors
/// What is wrong with the file, without its name.
pub fn authorities_of(file: &Path) -> Result<RootCertStore, String> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| pem_trouble(&error))?;
    let mut authorities = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| pem_trouble(&error))?;
        authorities.add(certificate).map_err(|error| format!("it holds a certificate that is none: {error}"))?;
    }
    if authorities.is_empty() {
        return Err("it holds no certificate in PEM form".into());
    }
    Ok(authorities)
}

fn pem_trouble(error: &rustls::pki_types::pem::Error) -> String {
    match error {
        rustls::pki_types::pem::Error::Io(error) => error.to_string(),
        other => format!("it is no PEM file: {other:?}"),
    }
}

fn system_authorities() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut authorities = RootCertStore::empty();
    authorities.add_parsable_certificates(found.certs);
    if authorities.is_empty() {
        return Err("this system has no certificate authorities: install them (Debian: ca-certificates), or name a \
                    file of your own with tls-ca-file"
            .into());
    }
    Ok(authorities)
}

/// What to do about a refusal.
pub fn sentence(error: &Error) -> String {
    const OWN: &str = "an authority of your own goes into tls-ca-file";
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            format!("the server's certificate is not trusted: no authority that is trusted here has signed it; {OWN}")
        }
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the server's certificate has expired".into()
        }
        Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            "the server's certificate is not valid yet: is this machine's clock right?".into()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the server's certificate is for another host".into(),
        Error::InvalidCertificate(why) => format!("the server's certificate is not accepted: {why:?}; {OWN}"),
        Error::InvalidMessage(_) => {
            "the server does not speak TLS on this port; rtmps:// goes to 443 when the URL names none".into()
        }
        other => format!("TLS: {other}"),
    }
}
