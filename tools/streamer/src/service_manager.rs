//! What systemd is told of the program: that it is ready, how it is, that it reads its configuration, and that it lives.
//! Source: sd_notify(3).

use std::{
    env,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

/// The service manager, where the program is a service.
#[derive(Debug, Default)]
pub struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear that the program lives, and when it was told last.
    watchdog: Option<(Duration, Option<Instant>)>,
    status: String,
    is_ready: bool,
    is_stopping: bool,
}

impl ServiceManager {
    /// The one that started this process.
    pub fn of_this_process() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET").and_then(|path| {
            let path = path.into_encoded_bytes();
            let address = match path.split_first()? {
                (b'@', name) => SocketAddr::from_abstract_name(name).ok()?,
                (b'/', _) => SocketAddr::from_pathname(std::ffi::OsString::from(String::from_utf8(path).ok()?)).ok()?,
                _ => return None,
            };
            Some((UnixDatagram::unbound().ok()?, address))
        });
        let number = |name: &str| env::var(name).ok()?.parse::<u64>().ok();
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        // Half of it, as its manual says.
        let watchdog = number("WATCHDOG_USEC").filter(|_| is_ours && socket.is_some());
        let watchdog = watchdog.map(|micros| (Duration::from_micros(micros / 2), None));
        Self { socket, watchdog, ..Self::default() }
    }

    /// The program is up.
    pub fn ready(&mut self) {
        if !self.is_ready {
            self.is_ready = true;
            self.tell("READY=1");
        }
    }

    /// The program reads its configuration again; [`ServiceManager::ready`] says when it has.
    pub fn reloading(&mut self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.is_ready = false;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The program ends.
    pub fn stopping(&mut self) {
        if !self.is_stopping {
            self.is_stopping = true;
            self.tell("STOPPING=1");
        }
    }

    /// How the program is, for people.
    pub fn status(&mut self, status: String) {
        if self.status != status {
            self.tell(&format!("STATUS={}", status.replace('\n', " ")));
            self.status = status;
        }
    }

    /// The program lives.
    pub fn live(&mut self) {
        let Some((interval, last)) = &mut self.watchdog else {
            return;
        };
        if last.is_none_or(|last| last.elapsed() >= *interval / 2) {
            *last = Some(Instant::now());
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, text: &str) {
        if let Some((socket, address)) = &self.socket {
            // A manager that does not take it has other worries.
            let _ = socket.send_to_addr(text.as_bytes(), address);
        }
    }
}
