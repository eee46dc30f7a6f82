//! The server, in a thread of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use gst::glib;
use gst_rtsp_server::{
    RTSP_PERM_MEDIA_FACTORY_ACCESS, RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, RTSP_TOKEN_MEDIA_FACTORY_ROLE, RTSPAuth,
    RTSPClient, RTSPFilterResult, RTSPMediaFactory, RTSPMountPoints, RTSPServer, RTSPSessionPool, RTSPThreadPool,
    RTSPToken,
    gst_rtsp::{RTSPAuthMethod, RTSPStatusCode},
    prelude::*,
};
use tools_cli::failure::Failure;

use super::{
    clients::{CLIENTS_MAX, Clients},
    media,
};
use crate::{
    options::Codec,
    outlet::feed::Feed,
    plan::{Login, Rtsp},
};

/// How often clients and sessions are looked at.
const TICK: Duration = Duration::from_millis(500);
/// A player of which nothing is heard for so long, in seconds, has gone.
const SESSION_MAX: u32 = 30;
/// No request has a longer body.
const CONTENT_MAX: u32 = 16 << 10;
/// An encoder that gave nothing for so long has nothing to describe.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// The end of its thread is waited for.
const STOP_MAX: Duration = Duration::from_secs(1);
const ROLE: &str = "viewer";

/// Stopped when it is dropped.
#[derive(Debug)]
pub struct Server {
    main_loop: glib::MainLoop,
    gone: mpsc::Receiver<()>,
    plays: Arc<AtomicU64>,
}

impl Server {
    /// Listens from now on.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when the address cannot be used.
    pub fn start(codec: Codec, plan: &Rtsp, feed: &Arc<Feed>) -> Result<Self, Failure> {
        let factory = media::factory(codec, feed);
        let server = RTSPServer::new();
        server.set_address(&plan.listen.ip().to_string());
        server.set_service(&plan.listen.port().to_string());
        // More may knock at once than have room: they are told so.
        server.set_backlog(2 * CLIENTS_MAX as i32);
        server.set_content_length_limit(CONTENT_MAX);
        if let Some(login) = &plan.login {
            server.set_auth(Some(&auth(login, &factory)));
        }
        let mounts = RTSPMountPoints::new();
        mounts.add_factory(&plan.path, factory);
        server.set_mount_points(Some(&mounts));
        let sessions = RTSPSessionPool::new();
        sessions.set_max_sessions(CLIENTS_MAX as u32);
        server.set_session_pool(Some(&sessions));
        // Clients are served by the thread that looks after them.
        let threads = RTSPThreadPool::new();
        threads.set_max_threads(0);
        server.set_thread_pool(Some(&threads));

        let (clients, plays) = (Arc::<Clients>::default(), Arc::<AtomicU64>::default());
        greet(&server, &clients, &plays, feed);
        let context = glib::MainContext::new();
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let source = server.attach(Some(&context)).map_err(|_| {
            Failure::Configuration(format!("--rtsp: {} cannot be listened at; is it in use?", plan.listen))
        })?;
        let tidy = glib::timeout_source_new(TICK, None, glib::Priority::DEFAULT, {
            let sessions = sessions.clone();
            move || {
                clients.tidy();
                sessions.cleanup();
                glib::ControlFlow::Continue
            }
        });
        tidy.attach(Some(&context));
        let (alive, gone) = mpsc::channel::<()>();
        let running = main_loop.clone();
        thread::spawn(move || {
            let served = context.with_thread_default(|| running.run());
            drop(served);
            tidy.destroy();
            if let Some(listening) = context.find_source_by_id(&source) {
                listening.destroy();
            }
            server.client_filter(Some(&mut |_, _| RTSPFilterResult::Remove));
            sessions.filter(Some(&mut |_, _| RTSPFilterResult::Remove));
            drop(alive);
        });
        Ok(Self { main_loop, gone, plays })
    }

    /// How often somebody began to watch.
    pub fn plays(&self) -> u64 {
        self.plays.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.main_loop.quit();
        // What hangs goes with the process.
        let _ = self.gone.recv_timeout(STOP_MAX);
    }
}

/// Nobody but who knows the password.
fn auth(login: &Login, factory: &RTSPMediaFactory) -> RTSPAuth {
    let auth = RTSPAuth::new();
    auth.set_supported_methods(RTSPAuthMethod::Digest);
    auth.set_realm(Some("cvmmap"));
    let token = RTSPToken::builder().field(RTSP_TOKEN_MEDIA_FACTORY_ROLE, ROLE).build();
    auth.add_digest(&login.user, &login.password, &token);
    let may = gst::Structure::builder(ROLE)
        .field(RTSP_PERM_MEDIA_FACTORY_ACCESS, true)
        .field(RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, true)
        .build();
    factory.add_role_from_structure(&may);
    auth
}

/// Has each client that comes be counted, refused while there is nothing, and given a keyframe when it plays.
fn greet(server: &RTSPServer, clients: &Arc<Clients>, plays: &Arc<AtomicU64>, feed: &Arc<Feed>) {
    let (clients, plays, feed) = (Arc::clone(clients), Arc::clone(plays), Arc::downgrade(feed));
    server.connect_client_connected(move |_, client: &RTSPClient| {
        let has_room = clients.meet(client);
        let alive = feed.clone();
        client.connect_pre_describe_request(move |_, _| {
            let is_alive = alive.upgrade().is_some_and(|feed| feed.is_alive(SILENCE_MAX));
            if has_room && is_alive { RTSPStatusCode::Ok } else { RTSPStatusCode::ServiceUnavailable }
        });
        client.connect_new_session(|_, session| session.set_timeout(SESSION_MAX));
        let (plays, feed) = (Arc::clone(&plays), feed.clone());
        client.connect_play_request(move |_, _| {
            plays.fetch_add(1, Ordering::Relaxed);
            if let Some(feed) = feed.upgrade() {
                feed.ask_for_keyframe();
            }
        });
    });
}
