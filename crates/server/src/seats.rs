//! Who has a connection, and who gives way when all are taken. No input or output: a table, and a rule.
//!
//! The rule is about peers, not connections: of the peer that has most, the connection goes that has waited longest for a
//! request (idle, or with a head half sent); where none waits, one that is being answered, but only for a peer that has
//! fewer. So nobody who opens many keeps out somebody who opens one, and behind a proxy, where all have one address, only
//! what is idle gives way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// An address that counts as one client: of IPv6 the network, since every client has 2^64 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Peer(IpAddr);

impl Peer {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
            v4 => v4,
        })
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// It waits for a request, or for the rest of one.
    Waiting,
    /// It is being answered.
    Answering,
    /// The answer is complete and on its way out.
    Sending,
}

/// What a seat shares with the table.
#[derive(Debug)]
struct State {
    peer: Peer,
    doing: Mutex<(Doing, Instant)>,
    leave: Notify,
}

impl State {
    fn doing(&self) -> MutexGuard<'_, (Doing, Instant)> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All connections there may be.
#[derive(Debug)]
pub(crate) struct Seats {
    most: usize,
    taken: Mutex<(u64, BTreeMap<u64, Arc<State>>)>,
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    number: u64,
    state: Arc<State>,
    seats: Arc<Seats>,
}

/// An answer that is being made or sent, until it is dropped.
#[derive(Debug)]
pub(crate) struct Answer(Arc<State>);

impl Seats {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, taken: Mutex::new((0, BTreeMap::new())) }
    }

    fn taken(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Arc<State>>)> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection, if need be that of another, which is asked to leave. `None` where nobody gives way.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr, now: Instant) -> Option<Seat> {
        let peer = Peer::of(address);
        let mut taken = self.taken();
        let (next, taken) = &mut *taken;
        if taken.len() >= self.most {
            let leaves = who_leaves(taken, Some(peer))?;
            remove(taken, leaves);
        }
        let number = *next;
        *next += 1;
        let state = Arc::new(State { peer, doing: Mutex::new((Doing::Waiting, now)), leave: Notify::new() });
        taken.insert(number, Arc::clone(&state));
        Some(Seat { number, state, seats: Arc::clone(self) })
    }

    /// Asks one connection that waits to leave, if there is one.
    pub(crate) fn make_room(&self) {
        let mut taken = self.taken();
        if let Some(leaves) = who_leaves(&taken.1, None) {
            remove(&mut taken.1, leaves);
        }
    }
}

fn remove(taken: &mut BTreeMap<u64, Arc<State>>, number: u64) {
    if let Some(state) = taken.remove(&number) {
        state.leave.notify_one();
    }
}

/// The connection that gives way to a new one of this peer, or to nobody in particular.
fn who_leaves(taken: &BTreeMap<u64, Arc<State>>, newcomer: Option<Peer>) -> Option<u64> {
    let mut counts: HashMap<Peer, usize> = HashMap::new();
    taken.values().map(|state| state.peer).chain(newcomer).for_each(|peer| *counts.entry(peer).or_default() += 1);
    let own = newcomer.map_or(0, |peer| counts[&peer]);
    let of = |waiting: bool| {
        // Of the peer that has most, what began earliest.
        let fitting = taken.iter().filter_map(|(number, state)| {
            let (doing, since) = *state.doing();
            ((doing == Doing::Waiting) == waiting).then_some((counts[&state.peer], Reverse(since), *number))
        });
        fitting.max()
    };
    let waiting = of(true).filter(|(count, ..)| *count >= own);
    let busy = || of(false).filter(|(count, ..)| newcomer.is_some() && *count > own);
    waiting.or_else(busy).map(|(.., number)| number)
}

impl Seat {
    /// The connection has a request.
    pub(crate) fn answer(&self) -> Answer {
        *self.state.doing() = (Doing::Answering, Instant::now());
        Answer(Arc::clone(&self.state))
    }

    /// All that there was to send is sent. Whether that was the end of an answer.
    pub(crate) fn sent(&self) -> bool {
        let mut doing = self.state.doing();
        let ended = doing.0 == Doing::Sending;
        if ended {
            *doing = (Doing::Waiting, Instant::now());
        }
        ended
    }

    /// Waits until another connection needs the place.
    pub(crate) async fn asked_to_leave(&self) {
        self.state.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().1.remove(&self.number);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.doing().0 = Doing::Sending;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Connections as `address` or `address!`, which is being answered, each later than the one before; and who is asked
    /// to leave, by number, when one more comes from an address. `None` says that the new one is not taken.
    #[track_caller]
    fn check(sitting: &[&str], newcomer: &str, leaves: Option<usize>) {
        let (seats, begin) = (Arc::new(Seats::new(sitting.len())), Instant::now());
        let parse = |text: &str| text.trim_end_matches('!').parse().unwrap();
        let mut answers = Vec::new();
        let all: Vec<Seat> = (0u64..)
            .zip(sitting)
            .map(|(number, text)| {
                let since = begin + Duration::from_secs(number);
                let seat = seats.take(parse(text), since).unwrap();
                if text.ends_with('!') {
                    answers.push(seat.answer());
                    seat.state.doing().1 = since;
                }
                seat
            })
            .collect();
        let new = seats.take(parse(newcomer), begin + Duration::from_secs(100));
        let gone = all.iter().position(|seat| !seats.taken().1.contains_key(&seat.number));
        assert_eq!((new.is_some(), gone), (leaves.is_some(), leaves), "{sitting:?} and {newcomer}");
        assert!(seats.taken().1.len() <= sitting.len());
    }

    #[test]
    fn who_has_most_gives_way_and_who_waits_does_first() {
        // Half-sent heads and idle connections of one peer, whoever comes.
        check(&["10.0.0.1", "10.0.0.1", "10.0.0.2"], "10.0.0.3", Some(0));
        check(&["10.0.0.1", "10.0.0.1", "10.0.0.1"], "10.0.0.1", Some(0));
        check(&["10.0.0.2", "10.0.0.1", "10.0.0.1"], "10.0.0.3", Some(1));
        // What is being answered stays as long as something waits.
        check(&["10.0.0.1!", "10.0.0.1", "10.0.0.2"], "10.0.0.3", Some(1));
        // Nobody who has many pushes out somebody who has few.
        check(&["10.0.0.1!", "10.0.0.1!", "10.0.0.2"], "10.0.0.1", None);
        check(&["10.0.0.1!", "10.0.0.1!", "10.0.0.2!"], "10.0.0.1", None);
        // Who has all gives one up to somebody who has none, also in the midst of an answer.
        check(&["10.0.0.1!", "10.0.0.1!", "10.0.0.1!"], "10.0.0.2", Some(0));
        check(&["10.0.0.1!", "10.0.0.2!"], "10.0.0.3", None);
        // One client has many addresses of IPv6, and one of IPv4 in two spellings.
        check(&["2001:db8::1!", "2001:db8::2!", "10.0.0.2!"], "10.0.0.3", Some(0));
        check(&["::ffff:10.0.0.1!", "10.0.0.1!", "10.0.0.2!"], "10.0.0.3", Some(0));
    }

    #[test]
    fn a_seat_is_free_again_when_its_connection_ends() {
        let seats = Arc::new(Seats::new(1));
        let now = Instant::now();
        let first = seats.take([10, 0, 0, 1].into(), now).unwrap();
        let answer = first.answer();
        assert!(seats.take([10, 0, 0, 2].into(), now).is_none());
        // Until the last byte is out, it is not idle.
        drop(answer);
        assert!(seats.take([10, 0, 0, 2].into(), now).is_none());
        assert!(first.sent() && !first.sent());
        let second = seats.take([10, 0, 0, 2].into(), now).unwrap();
        drop(first);
        assert_eq!(seats.taken().1.len(), 1);
        drop(second);
        assert_eq!(seats.taken().1.len(), 0);
    }
}
