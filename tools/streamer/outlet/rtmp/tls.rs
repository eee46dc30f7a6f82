//! What `rtmps://` needs beyond `rtmp2sink`: TLS in GLib, and authorities to check certificates against.

use std::{fs, path::Path};

use gio::prelude::*;

use crate::common::failure::Failure;

/// Makes TLS ready for every connection of this process, with the authorities in `ca_file` in place of the system's.
///
/// # Errors
/// [`Failure::Pipeline`] when GLib has no TLS, [`Failure::Configuration`] when the file holds no certificates.
pub fn prepare(ca_file: Option<&Path>) -> Result<(), Failure> {
    let backend = gio::TlsBackend::default();
    if !backend.supports_tls() {
        return Err(Failure::Pipeline(
            "rtmps:// needs TLS for GLib, which is not here; install it (Debian: glib-networking)".to_owned(),
        ));
    }
    let Some(ca_file) = ca_file else {
        return Ok(());
    };
    let cannot =
        |why: &str| Failure::Configuration(format!("--rtmp-ca-file '{}' cannot be used: {why}", ca_file.display()));
    // GLib takes no relative path.
    let path = fs::canonicalize(ca_file).map_err(|error| cannot(&error.to_string()))?;
    // A database can be made of a file without certificates, and then trusts nobody.
    let certificates = gio::TlsCertificate::list_new_from_file(&path).map_err(|error| cannot(error.message()))?;
    if certificates.is_empty() {
        return Err(cannot("it holds no certificate in PEM form"));
    }
    let database = gio::TlsFileDatabase::new(&path).map_err(|error| cannot(error.message()))?;
    // rtmp2sink has no property for it.
    backend.set_default_database(Some(&database));
    Ok(())
}
