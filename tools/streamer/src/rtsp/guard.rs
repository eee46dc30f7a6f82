//! Who may connect, and who may watch. The digests are compared by GStreamer.

use std::{
    ffi::CStr,
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Instant,
};

use gst::glib::{self, subclass::prelude::*, translate::ToGlibPtr as _};
use gst_rtsp_server::{
    RTSP_TOKEN_MEDIA_FACTORY_ROLE, RTSPAuth, RTSPClient, RTSPContext, RTSPToken,
    gst_rtsp::{self, RTSPAuthMethod},
    prelude::*,
    subclass::prelude::*,
};

use super::{
    camera::ROLE,
    clients::Clients,
    guesses::{ASKED_MAX, Guesses, PERIOD, WRONG_MAX},
};
use crate::{log::tell, plan::Login};

glib::wrapper! {
    /// Asked by GStreamer's server.
    pub struct Guard(ObjectSubclass<imp::Guard>) @extends RTSPAuth;
}

impl Guard {
    /// Lets in who knows the password, or everybody when there is none.
    pub fn new(login: Option<&Login>, clients: &Arc<Clients>) -> Self {
        let guard: Self = glib::Object::new();
        let rules = Rules { asks: login.is_some(), clients: Arc::clone(clients), guesses: Guesses::default() };
        // Nobody else has set them.
        let _ = guard.imp().0.set(rules);
        if let Some(login) = login {
            guard.set_supported_methods(RTSPAuthMethod::Digest);
            guard.set_realm(Some("cvmmap"));
            let token = RTSPToken::builder().field(RTSP_TOKEN_MEDIA_FACTORY_ROLE, ROLE).build();
            guard.add_digest(&login.user, &login.password, &token);
        }
        guard
    }
}

#[derive(Debug)]
struct Rules {
    asks: bool,
    clients: Arc<Clients>,
    guesses: Guesses,
}

impl Rules {
    fn admits(&self, address: IpAddr) -> bool {
        self.clients.has_room() && !self.guesses.is_out(address, Instant::now())
    }

    /// Whether a client that is connected is heard. Who showed the password is, whatever others do at the same address.
    fn hears(&self, client: &RTSPClient) -> bool {
        let known = self.clients.find(client);
        known.is_some_and(|(address, is_trusted)| is_trusted || !self.guesses.is_out(address, Instant::now()))
    }

    fn judge(&self, client: &RTSPClient, is_right: bool, has_tried: bool) {
        let Some((address, _)) = self.clients.find(client) else {
            return;
        };
        let refused = |why: String| {
            tell(&format!("warning: RTSP: {address} {why}; it is refused for {} s", PERIOD.as_secs()));
        };
        if is_right {
            self.clients.trust(client);
            self.guesses.right(address);
        } else if has_tried {
            if self.guesses.wrong(address, Instant::now()) {
                refused(format!("gave {WRONG_MAX} wrong passwords"));
            }
        } else if self.guesses.asked(address, Instant::now()) {
            refused(format!("asked {ASKED_MAX} times without a password"));
        }
    }
}

mod imp {
    use super::{
        Guard as Outer, OnceLock, RTSPAuth, RTSPAuthImpl, RTSPAuthImplExt as _, RTSPContext, Rules, glib,
        glib::subclass::prelude::*, peer,
    };

    #[derive(Debug, Default)]
    pub struct Guard(pub(super) OnceLock<Rules>);

    #[glib::object_subclass]
    impl ObjectSubclass for Guard {
        const NAME: &'static str = "CvmmapRtspGuard";
        type Type = Outer;
        type ParentType = RTSPAuth;
    }

    impl ObjectImpl for Guard {}

    impl RTSPAuthImpl for Guard {
        /// The names are GStreamer's.
        fn check(&self, context: &RTSPContext, check: &glib::GString) -> bool {
            let Some(rules) = self.0.get() else {
                return false;
            };
            match (check.as_str(), context.client()) {
                ("auth.check.connect", _) => peer(context).is_some_and(|address| rules.admits(address)),
                ("auth.check.transport.client-settings", _) => false,
                _ if !rules.asks => true,
                ("auth.check.url", Some(client)) if !rules.hears(client) => {
                    rules.clients.dismiss(client);
                    false
                }
                _ => self.parent_check(context, check),
            }
        }

        fn authenticate(&self, context: &RTSPContext) -> bool {
            let could_tell = self.parent_authenticate(context);
            if let (Some(rules), Some(client)) = (self.0.get(), context.client()) {
                let has_tried = context.request().is_some_and(|it| !it.parse_auth_credentials().is_empty());
                rules.judge(client, context.token().is_some(), has_tried);
            }
            could_tell
        }
    }
}

/// The address of the connection that a question is about.
fn peer(context: &RTSPContext) -> Option<IpAddr> {
    let context: *mut gst_rtsp_server::ffi::GstRTSPContext = context.to_glib_none().0;
    // SAFETY: GStreamer's context is valid while it asks, and so is the connection in it; the address is text that the
    // connection owns, and is read here alone.
    let text = unsafe {
        let connection = (*context).conn;
        if connection.is_null() {
            return None;
        }
        let text = gst_rtsp::ffi::gst_rtsp_connection_get_ip(connection);
        if text.is_null() {
            return None;
        }
        CStr::from_ptr(text).to_str().ok()?
    };
    // Addresses of a link have its name behind them.
    text.split('%').next()?.parse().ok()
}
