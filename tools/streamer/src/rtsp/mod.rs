//! The RTSP server of all cameras: GStreamer's, whose players each have a thread of their own.

mod camera;
mod clients;
mod guard;
mod guesses;
mod mounts;
mod received;

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use gst::glib;
use gst_rtsp_server::{
    RTSPClient, RTSPContext, RTSPFilterResult, RTSPServer, RTSPSessionPool, RTSPThreadPool, gst_rtsp::RTSPStatusCode,
    prelude::*,
};
use tools_cli::failure::Failure;

pub use self::{
    camera::Picture,
    mounts::{Mount, Mounts, path},
};
use self::{
    clients::{CLIENTS_MAX, Clients, SESSIONS_MAX},
    guard::Guard,
};
use crate::plan::Rtsp;

/// How often clients and sessions are looked at.
const TICK: Duration = Duration::from_millis(250);
/// A player of which nothing is heard for so long, in seconds, has gone.
const SESSION_MAX: u32 = 30;
/// No request has a longer body.
const CONTENT_MAX: u32 = 16 << 10;
/// Players have this long to go at the end,
const LEAVE_MAX: Duration = Duration::from_secs(1);
/// and the server's thread this long.
const STOP_MAX: Duration = Duration::from_secs(2);

/// Stopped when it is dropped.
#[derive(Debug)]
pub struct Server {
    main_loop: glib::MainLoop,
    gone: mpsc::Receiver<()>,
}

impl Server {
    /// Serves what is mounted, from now on.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when the address cannot be used.
    pub fn start(plan: &Rtsp, mounts: &Arc<Mounts>) -> Result<Self, Failure> {
        let clients = Arc::<Clients>::default();
        let server = RTSPServer::new();
        server.set_address(&plan.listen.ip().to_string());
        server.set_service(&plan.listen.port().to_string());
        server.set_backlog(2 * CLIENTS_MAX as i32);
        server.set_content_length_limit(CONTENT_MAX);
        server.set_auth(Some(&Guard::new(plan.login.as_ref(), &clients)));
        server.set_mount_points(Some(mounts.points()));
        let sessions = RTSPSessionPool::new();
        sessions.set_max_sessions((CLIENTS_MAX * SESSIONS_MAX) as u32);
        server.set_session_pool(Some(&sessions));
        // As many as there are clients.
        let threads = RTSPThreadPool::new();
        threads.set_max_threads(-1);
        server.set_thread_pool(Some(&threads));
        receive(&server, &clients, &sessions, mounts);

        let context = glib::MainContext::new();
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let source = server.attach(Some(&context)).map_err(|_| {
            Failure::Configuration(format!("--rtsp: {} cannot be listened at; is it in use?", plan.listen))
        })?;
        mounts.listen(plan.listen);
        let tidy = glib::timeout_source_new(TICK, None, glib::Priority::DEFAULT, {
            let (sessions, clients, mounts) = (sessions.clone(), Arc::clone(&clients), Arc::clone(mounts));
            move || {
                clients.tidy(|media| mounts.has(media));
                mounts.tidy();
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
            clients.dismiss_all(LEAVE_MAX);
            sessions.filter(Some(&mut |_, _| RTSPFilterResult::Remove));
            drop(alive);
        });
        Ok(Self { main_loop, gone })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.main_loop.quit();
        // What hangs goes with the process.
        let _ = self.gone.recv_timeout(STOP_MAX);
    }
}

/// Has each client that comes be known, refused while there is nothing, and given a keyframe when it plays.
fn receive(server: &RTSPServer, clients: &Arc<Clients>, sessions: &RTSPSessionPool, mounts: &Arc<Mounts>) {
    let (clients, sessions, mounts) = (Arc::clone(clients), sessions.clone(), Arc::clone(mounts));
    server.connect_client_connected(move |_, client| {
        clients.meet(client);
        let (known, sessions) = (Arc::clone(&clients), sessions.clone());
        client.connect_closed(move |client| {
            for session in known.forget(client) {
                // It may have ended before.
                let _ = sessions.remove(&session);
            }
        });
        let known = Arc::clone(&clients);
        client.connect_new_session(move |client, session| {
            session.set_timeout(SESSION_MAX);
            known.remember(client, session);
        });
        // Both may be what makes the pipeline.
        let [described, set_up] = [Arc::clone(&mounts), Arc::clone(&mounts)];
        client.connect_pre_describe_request(move |client, request| answer(&described, client, request));
        let known = Arc::clone(&clients);
        client.connect_pre_setup_request(move |client, request| {
            if request.session().is_none() && !known.may_set_up(client) {
                return RTSPStatusCode::ServiceUnavailable;
            }
            answer(&set_up, client, request)
        });
        let [described, set_up] = [Arc::clone(&mounts), Arc::clone(&mounts)];
        client.connect_describe_request(move |client, request| described.answered(client, request));
        client.connect_setup_request(move |client, request| set_up.answered(client, request));
        let asked = Arc::clone(&mounts);
        client.connect_play_request(move |_, request| asked.greet(request));
    });
}

fn answer(mounts: &Mounts, client: &RTSPClient, request: &RTSPContext) -> RTSPStatusCode {
    if mounts.ask(client, request) { RTSPStatusCode::Ok } else { RTSPStatusCode::ServiceUnavailable }
}
