//! Who is connected, and for how long without a reason. Each is served by a thread of GStreamer's, so that one who waits for a
//! camera holds nobody up; a connection is ended by shutting its socket, which that thread notices, for from another thread
//! it cannot be closed safely.

use std::{
    net::{IpAddr, Shutdown, TcpStream},
    os::fd::{BorrowedFd, RawFd},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use gst::glib::{self, translate::ToGlibPtr as _};
use gst_rtsp_server::{RTSPClient, RTSPMedia, RTSPSession, ffi, gio, gst_rtsp, prelude::*};

use super::received::received;
use crate::log::tell;

/// Connections at the same time.
pub const CLIENTS_MAX: usize = 64;
/// What one of them may have set up at the same time; GStreamer would keep what was left behind for half a minute.
pub const SESSIONS_MAX: usize = 4;
/// A client that has set up nothing by then is let go,
const SETUP_MAX: Duration = Duration::from_secs(10);
/// and one that says more than so many bytes and so many more each second. Players ask and report; RTP that one sends, GStreamer 1.22
/// never frees.
const SAID_MAX: (u64, u64) = (64 << 10, 4 << 10);

/// The connections.
#[derive(Debug, Default)]
pub struct Clients {
    clients: Mutex<Vec<Client>>,
    fewer: Condvar,
}

#[derive(Debug)]
struct Client {
    client: glib::WeakRef<RTSPClient>,
    /// Its socket, under a number of our own.
    socket: TcpStream,
    address: IpAddr,
    since: Instant,
    /// It knows the password.
    is_trusted: bool,
    sessions: Vec<glib::WeakRef<RTSPSession>>,
}

impl Clients {
    /// Whether one more may come.
    pub fn has_room(&self) -> bool {
        self.lock().len() < CLIENTS_MAX
    }

    /// One more has connected, and is not served yet.
    pub fn meet(&self, client: &RTSPClient) {
        if let Some(socket) = socket(client)
            && let Ok(peer) = socket.peer_addr()
        {
            self.lock().push(Client {
                client: client.downgrade(),
                socket,
                address: peer.ip(),
                since: Instant::now(),
                is_trusted: false,
                sessions: Vec::new(),
            });
        }
    }

    /// It has gone. What it had set up.
    pub fn forget(&self, client: &RTSPClient) -> Vec<RTSPSession> {
        let mut clients = self.lock();
        let sessions = clients.iter().filter(|known| known.is(client)).flat_map(Client::sessions).collect();
        clients.retain(|known| known.client.upgrade().is_some_and(|known| known != *client));
        self.fewer.notify_all();
        sessions
    }

    /// It has set something up.
    pub fn remember(&self, client: &RTSPClient, session: &RTSPSession) {
        for known in self.lock().iter_mut().filter(|known| known.is(client)) {
            known.sessions.retain(|session| session.upgrade().is_some());
            known.sessions.push(session.downgrade());
        }
    }

    /// Whether it may set up something new.
    pub fn may_set_up(&self, client: &RTSPClient) -> bool {
        self.lock().iter().any(|known| known.is(client) && known.sessions().len() < SESSIONS_MAX)
    }

    /// Where it is, and whether it knows the password.
    pub fn find(&self, client: &RTSPClient) -> Option<(IpAddr, bool)> {
        let clients = self.lock();
        let known = clients.iter().find(|known| known.is(client))?;
        Some((known.address, known.is_trusted))
    }

    /// It knows the password.
    pub fn trust(&self, client: &RTSPClient) {
        self.lock().iter_mut().filter(|known| known.is(client)).for_each(|known| known.is_trusted = true);
    }

    /// Lets it go.
    pub fn dismiss(&self, client: &RTSPClient) {
        self.lock().iter().filter(|known| known.is(client)).for_each(Client::hang_up);
    }

    /// Lets those go that do nothing, say too much, or watch what `is_there` no more.
    pub fn tidy(&self, is_there: impl Fn(&RTSPMedia) -> bool) {
        self.lock().retain(|known| {
            let Some(client) = known.client.upgrade() else {
                return false;
            };
            let sessions = client.session_filter(None);
            let mut watched = sessions.iter().flat_map(|session| session.filter(None)).filter_map(|it| it.media());
            let does_nothing = sessions.is_empty() && known.since.elapsed() >= SETUP_MAX;
            let says_too_much = known.says_too_much();
            if says_too_much {
                tell(&format!("warning: RTSP: {} sends more than a player says, and is let go", known.address));
            }
            if watched.any(|media| !is_there(&media)) || does_nothing || says_too_much {
                known.hang_up();
            }
            true
        });
    }

    /// Lets all go, and waits for so long until they have.
    pub fn dismiss_all(&self, patience: Duration) {
        let clients = self.lock();
        clients.iter().for_each(Client::hang_up);
        let waited = self.fewer.wait_timeout_while(clients, patience, |clients| !clients.is_empty());
        // What hangs goes with the process.
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    fn is(&self, client: &RTSPClient) -> bool {
        self.client.upgrade().is_some_and(|known| known == *client)
    }

    fn sessions(&self) -> Vec<RTSPSession> {
        self.sessions.iter().filter_map(glib::WeakRef::upgrade).collect()
    }

    fn says_too_much(&self) -> bool {
        let (at_once, each_second) = SAID_MAX;
        received(&self.socket).is_some_and(|bytes| bytes > at_once + each_second * self.since.elapsed().as_secs())
    }

    fn hang_up(&self) {
        // It may have left by itself.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// The socket of a client that no thread serves yet.
fn socket(client: &RTSPClient) -> Option<TcpStream> {
    // SAFETY: the client owns its connection, and the connection its socket; nobody else knows either of them yet.
    let number: RawFd = unsafe {
        let connection = ffi::gst_rtsp_client_get_connection(client.to_glib_none().0);
        if connection.is_null() {
            return None;
        }
        let socket = gst_rtsp::ffi::gst_rtsp_connection_get_read_socket(connection);
        if socket.is_null() {
            return None;
        }
        gio::ffi::g_socket_get_fd(socket)
    };
    if number < 0 {
        return None;
    }
    // SAFETY: as above: it stays open for as long as the client is held.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    Some(TcpStream::from(borrowed.try_clone_to_owned().ok()?))
}
