//! Which bootstrap address is dialled when. Pure: the caller passes the time in.

use std::time::Instant;

use libp2p::{Multiaddr, PeerId};

use crate::{config::Times, peer::split_peer};

/// One bootstrap address.
#[derive(Debug)]
struct Entry {
    address: Multiaddr,
    /// Who must answer there, from `/p2p/…`.
    pinned: Option<PeerId>,
    /// Who answered there last. It is not demanded again: a node may come back with a new key.
    seen: Option<PeerId>,
    failures: u32,
    not_before: Instant,
    dialling: bool,
}

/// An address to dial now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) index: usize,
    pub(crate) address: Multiaddr,
    pub(crate) peer: Option<PeerId>,
}

/// The list of bootstrap addresses and their back-off.
#[derive(Debug)]
pub(crate) struct Bootstrap {
    entries: Vec<Entry>,
    times: Times,
    enough_peers: usize,
    /// Spreads the dials of nodes that were started together.
    spread: u8,
}

impl Bootstrap {
    pub(crate) fn new(
        addresses: &[Multiaddr],
        own: PeerId,
        times: Times,
        enough_peers: usize,
        now: Instant,
    ) -> Self {
        let entries = addresses
            .iter()
            .map(split_peer)
            .filter(|(_, peer)| *peer != Some(own))
            .map(|(address, pinned)| Entry {
                address,
                pinned,
                seen: pinned,
                failures: 0,
                not_before: now,
                dialling: false,
            })
            .collect();
        let spread = own.to_bytes().last().copied().unwrap_or_default();
        Self {
            entries,
            times,
            enough_peers,
            spread,
        }
    }

    /// Addresses to dial now; each counts as being dialled until [`Self::established`] or [`Self::failed`].
    pub(crate) fn due(
        &mut self,
        now: Instant,
        peers: usize,
        connected: impl Fn(&PeerId) -> bool,
    ) -> Vec<Due> {
        if peers >= self.enough_peers {
            return Vec::new();
        }
        if peers == 0 {
            // A long pause earned while others were there must not keep a lone node alone.
            let latest = now + self.times.redial_max_alone;
            self.entries
                .iter_mut()
                .for_each(|entry| entry.not_before = entry.not_before.min(latest));
        }
        let mut due = Vec::new();
        for (index, entry) in self.entries.iter_mut().enumerate() {
            let here = entry.seen.is_some_and(|peer| connected(&peer));
            if !here && !entry.dialling && entry.not_before <= now {
                entry.dialling = true;
                due.push(Due {
                    index,
                    address: entry.address.clone(),
                    peer: entry.pinned,
                });
            }
        }
        due
    }

    /// A dial led to a connection with a peer.
    pub(crate) fn established(&mut self, index: usize, peer: PeerId, now: Instant) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.seen = Some(peer);
            entry.dialling = false;
            entry.not_before = now + self.times.redial_min;
        }
    }

    /// A dial failed; the next one waits twice as long.
    pub(crate) fn failed(&mut self, index: usize, now: Instant) {
        let spread = f64::from(self.spread) / 255.0;
        let (min, max) = (self.times.redial_min, self.times.redial_max);
        if let Some(entry) = self.entries.get_mut(index) {
            entry.dialling = false;
            let pause = min.saturating_mul(1 << entry.failures.min(16)).min(max);
            entry.failures = entry.failures.saturating_add(1);
            entry.not_before = now + pause.mul_f64(0.75 + 0.25 * spread);
        }
    }

    /// How often in a row dials of an address failed.
    pub(crate) fn failures(&self, index: usize) -> usize {
        self.entries.get(index).map_or(0, |entry| entry.failures as usize)
    }

    /// A peer has proved to be a member of this network: its address is worth the shortest pause again.
    pub(crate) fn proved(&mut self, peer: &PeerId) {
        for entry in self.entries.iter_mut().filter(|entry| entry.seen == Some(*peer)) {
            entry.failures = 0;
        }
    }

    /// A peer was sent away as foreign; its addresses wait as after a failed dial.
    pub(crate) fn foreign(&mut self, peer: &PeerId, now: Instant) {
        for index in 0..self.entries.len() {
            if self.entries[index].seen == Some(*peer) {
                self.failed(index, now);
            }
        }
    }

    /// The address turned out to be this node's own: it is never dialled again.
    pub(crate) fn own(&mut self, index: usize) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.dialling = true;
        }
    }

    /// The longest pause that can be pending.
    #[cfg(test)]
    fn longest(&self, now: Instant) -> std::time::Duration {
        self.entries
            .iter()
            .map(|entry| entry.not_before - now)
            .max()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn bootstrap(now: Instant) -> Bootstrap {
        let address = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        Bootstrap::new(&[address], PeerId::random(), Times::default(), 8, now)
    }

    #[test]
    fn failures_double_the_pause_up_to_the_limit() {
        let mut now = Instant::now();
        let mut list = bootstrap(now);
        let mut last = Duration::ZERO;
        for _ in 0..40 {
            assert_eq!(list.due(now, 1, |_| false).len(), 1);
            assert!(list.due(now, 1, |_| false).is_empty(), "dialled twice at a time");
            list.failed(0, now);
            let pause = list.longest(now);
            assert!(pause >= last && pause <= Times::default().redial_max);
            last = pause;
            now += pause;
        }
        assert!(last >= Times::default().redial_max.mul_f64(0.75));
    }

    #[test]
    fn a_lone_node_waits_less() {
        let now = Instant::now();
        let mut list = bootstrap(now);
        list.entries[0].not_before = now + Duration::from_secs(60);
        assert!(list.due(now, 0, |_| false).is_empty());
        assert!(list.longest(now) <= Times::default().redial_max_alone);
    }

    #[test]
    fn a_connected_peer_is_not_dialled_and_a_lost_one_is() {
        let now = Instant::now();
        let (mut list, peer) = (bootstrap(now), PeerId::random());
        list.due(now, 0, |_| false);
        list.established(0, peer, now);
        let later = now + Duration::from_secs(1);
        assert!(list.due(later, 1, |other| *other == peer).is_empty());
        assert!(list.due(later, 8, |_| false).is_empty(), "enough peers");
        assert_eq!(
            list.due(later, 0, |_| false)[0].peer,
            None,
            "another key may answer there now"
        );
    }

    #[test]
    fn own_addresses_are_left_alone() {
        let (now, own) = (Instant::now(), PeerId::random());
        let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/1/p2p/{own}").parse().unwrap();
        assert!(
            Bootstrap::new(&[address], own, Times::default(), 8, now)
                .entries
                .is_empty()
        );
        let mut list = bootstrap(now);
        list.due(now, 0, |_| false);
        list.own(0);
        assert!(list.due(now + Duration::from_secs(600), 0, |_| false).is_empty());
    }
}
