//! Looks up names. The system's call cannot be ended, so it runs in a thread of its own that is left alone when nobody waits
//! any more. A name that is being looked up is not looked up twice: a resolver that hangs costs one thread for each name.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::waker::Waker;

/// Names that are looked up at once in this process.
const LOOKUPS_MAX: usize = 16;

type Addresses = Result<Vec<SocketAddr>, String>;

#[derive(Debug, Default)]
struct Shared {
    found: Option<Addresses>,
    waiting: Vec<Arc<Waker>>,
}

type Underway = HashMap<(String, u16), Arc<Mutex<Shared>>>;

static UNDERWAY: LazyLock<Mutex<Underway>> = LazyLock::new(Mutex::default);

/// A name that is being looked up.
#[derive(Debug)]
pub struct Lookup(Arc<Mutex<Shared>>);

impl Lookup {
    /// Begins. `waker` is woken when there is a result. Addresses need no lookup.
    pub fn new(host: &str, port: u16, waker: &Arc<Waker>) -> Self {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Self::known(Ok(vec![(address, port).into()]));
        }
        let mut underway = lock(&UNDERWAY);
        let name = (host.to_owned(), port);
        if let Some(shared) = underway.get(&name) {
            lock(shared).waiting.push(Arc::clone(waker));
            return Self(Arc::clone(shared));
        }
        if underway.len() == LOOKUPS_MAX {
            return Self::known(Err("too many names are being looked up: the resolver does not answer".into()));
        }
        let shared = Arc::new(Mutex::new(Shared { found: None, waiting: vec![Arc::clone(waker)] }));
        let spawned = thread::Builder::new().name("ertmpsink-name".into()).spawn({
            let (name, shared) = (name.clone(), Arc::clone(&shared));
            move || {
                let found = (name.0.as_str(), name.1).to_socket_addrs();
                let found = found.map(Iterator::collect).map_err(|error| error.to_string());
                lock(&UNDERWAY).remove(&name);
                let mut shared = lock(&shared);
                shared.found = Some(found);
                shared.waiting.drain(..).for_each(|waker| waker.wake());
            }
        });
        match spawned {
            Ok(_) => {
                underway.insert(name, Arc::clone(&shared));
                Self(shared)
            }
            Err(error) => Self::known(Err(error.to_string())),
        }
    }

    fn known(found: Addresses) -> Self {
        Self(Arc::new(Mutex::new(Shared { found: Some(found), waiting: Vec::new() })))
    }

    /// The result, once it is there.
    pub fn found(&self) -> Option<Addresses> {
        lock(&self.0).found.clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    #[test]
    fn addresses_are_there_at_once_and_names_wake_whoever_waits() {
        let waker = Arc::new(Waker::new().unwrap());
        assert_eq!(Lookup::new("::1", 1935, &waker).found(), Some(Ok(vec!["[::1]:1935".parse().unwrap()])));
        let lookup = Lookup::new("localhost", 1935, &waker);
        let mut polled = [PollFd::new(&*waker, PollFlags::IN)];
        let ready = poll(&mut polled, Some(&Timespec { tv_sec: 60, tv_nsec: 0 })).unwrap();
        assert_eq!(ready, 1);
        assert!(lookup.found().unwrap().unwrap().iter().all(|address| address.ip().is_loopback()));
    }
}
