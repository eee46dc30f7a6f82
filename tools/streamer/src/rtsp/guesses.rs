//! Passwords that were guessed wrong, by address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// So many wrong passwords within the period, and the address is refused for as long.
pub const WRONG_MAX: u32 = 5;
/// The same for requests without a password, each of which costs a number that the server keeps for half a minute.
pub const ASKED_MAX: u32 = 300;
/// The period.
pub const PERIOD: Duration = Duration::from_secs(60);
/// Addresses that are remembered; the oldest make room.
const ADDRESSES_MAX: usize = 1024;

/// Who guessed how often.
#[derive(Debug, Default)]
pub struct Guesses(Mutex<HashMap<IpAddr, Count>>);

#[derive(Clone, Copy, Debug)]
struct Count {
    since: Instant,
    wrong: u32,
    asked: u32,
}

impl Count {
    fn is_out(&self) -> bool {
        self.wrong >= WRONG_MAX || self.asked >= ASKED_MAX
    }
}

impl Guesses {
    /// Whether the address is refused now.
    pub fn is_out(&self, address: IpAddr, now: Instant) -> bool {
        self.lock().get(&place(address)).is_some_and(|count| is_recent(count, now) && count.is_out())
    }

    /// A wrong password came. True when the address is refused from now on.
    pub fn wrong(&self, address: IpAddr, now: Instant) -> bool {
        self.count(address, now, |count| count.wrong += 1)
    }

    /// Somebody asked without a password. True as above.
    pub fn asked(&self, address: IpAddr, now: Instant) -> bool {
        self.count(address, now, |count| count.asked += 1)
    }

    /// The right password came.
    pub fn right(&self, address: IpAddr) {
        self.lock().remove(&place(address));
    }

    fn count(&self, address: IpAddr, now: Instant, add: impl FnOnce(&mut Count)) -> bool {
        let (mut counts, address) = (self.lock(), place(address));
        if counts.len() >= ADDRESSES_MAX && !counts.contains_key(&address) {
            make_room(&mut counts, now);
        }
        let fresh = Count { since: now, wrong: 0, asked: 0 };
        let count = counts.entry(address).or_insert(fresh);
        if !is_recent(count, now) {
            *count = fresh;
        }
        let was_out = count.is_out();
        add(count);
        let is_newly_out = count.is_out() && !was_out;
        if is_newly_out {
            count.since = now;
        }
        is_newly_out
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_recent(count: &Count, now: Instant) -> bool {
    now.saturating_duration_since(count.since) < PERIOD
}

fn make_room(counts: &mut HashMap<IpAddr, Count>, now: Instant) {
    counts.retain(|_, count| is_recent(count, now));
    if counts.len() >= ADDRESSES_MAX
        && let Some(oldest) = counts.iter().min_by_key(|(_, count)| (count.is_out(), count.since)).map(|(at, _)| *at)
    {
        counts.remove(&oldest);
    }
}

/// Whoever has an IPv6 address has all that begin with the same 64 bits.
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn the_fifth_wrong_password_closes_the_door_for_a_minute_to_one_address() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        assert!((1..WRONG_MAX).all(|_| !guesses.wrong(address(1), now)) && !guesses.is_out(address(1), now));
        assert!(guesses.wrong(address(1), now) && guesses.is_out(address(1), now));
        assert!(!guesses.wrong(address(1), now), "it is told once");
        assert!(!guesses.is_out(address(2), now));
        assert!(guesses.is_out(address(1), now + PERIOD - Duration::from_secs(1)));
        assert!(!guesses.is_out(address(1), now + PERIOD));
        assert!(!guesses.wrong(address(1), now + PERIOD), "it counts anew");
    }

    #[test]
    fn the_right_password_is_a_new_start() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for _ in 0..3 {
            assert!((1..WRONG_MAX).all(|_| !guesses.wrong(address(1), now)));
            guesses.right(address(1));
        }
    }

    #[test]
    fn neighbours_in_one_network_of_ipv6_are_one() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let neighbour = |last| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
        assert!((1..=WRONG_MAX).any(|last| guesses.wrong(neighbour(last as u16), now)));
        assert!(guesses.is_out(neighbour(77), now));
        assert!(!guesses.is_out([0x2001, 0xdb8, 0, 1, 0, 0, 0, 1].into(), now));
    }

    #[test]
    fn many_addresses_do_not_push_out_one_that_is_refused() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        (0..WRONG_MAX).for_each(|_| {
            guesses.wrong(address(1), now);
        });
        for number in 0..3 * ADDRESSES_MAX as u32 {
            guesses.asked(IpAddr::from(0x0a00_0000_u32.wrapping_add(number).to_be_bytes()), now);
        }
        assert!(guesses.is_out(address(1), now) && guesses.lock().len() <= ADDRESSES_MAX);
    }
}
