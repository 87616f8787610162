//! The nodes that keep copies for others: each says so to all from time to time, with where it is and what it can take.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use r1_core::NodeAddress;
use r1_net::{Multiaddr, peer_id};
use r1_r1fs::durability::Member;
use serde::{Deserialize, Serialize};

use super::FilePlane;
use crate::{clock::now_ms, gossip, node::Node};

/// Topic of announcements: 8 bytes that differ each time, then the announcement.
pub const TOPIC: &str = "r1fs/1";
/// Longest announcement, bytes.
pub const MAX_ANNOUNCEMENT: usize = 4 << 10;
/// Version of announcements.
const VERSION: u8 = 1;
/// Most addresses in an announcement.
const MAX_ADDRESSES: usize = 8;
/// Most members that are remembered.
const MAX_MEMBERS: usize = 10_000;

/// What a node says of itself. Who says it is proven by the network's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    version: u8,
    addresses: Vec<Vec<u8>>,
    free: u64,
}

impl Announcement {
    /// Reads an announcement.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let it: Self = postcard::from_bytes(bytes).ok()?;
        (it.version == VERSION && it.addresses.len() <= MAX_ADDRESSES).then_some(it)
    }

    /// Where the node's file plane is.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        let parsed = self
            .addresses
            .iter()
            .map(|bytes| Multiaddr::try_from(bytes.clone()));
        parsed.filter_map(Result::ok).collect()
    }
}

#[derive(Debug, Clone)]
struct Seen {
    member: Member,
    at_ms: u64,
}

/// Members by address.
#[derive(Debug)]
pub struct Members {
    own: NodeAddress,
    timeout_ms: u64,
    seen: BTreeMap<NodeAddress, Seen>,
}

impl Members {
    pub(super) fn new(own: NodeAddress, timeout: Duration) -> Self {
        Self {
            own,
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            seen: BTreeMap::new(),
        }
    }

    /// Takes an announcement.
    pub fn see(&mut self, now_ms: u64, member: Member) {
        if member.node == self.own {
            return;
        }
        if self.seen.len() >= MAX_MEMBERS && !self.seen.contains_key(&member.node) {
            self.seen
                .retain(|_, seen| now_ms.saturating_sub(seen.at_ms) < self.timeout_ms);
            if self.seen.len() >= MAX_MEMBERS {
                return;
            }
        }
        self.seen.insert(
            member.node,
            Seen {
                member,
                at_ms: now_ms,
            },
        );
    }

    /// Those who were heard of in time, this node left out.
    pub fn live(&self, now_ms: u64) -> Vec<Member> {
        let live = self
            .seen
            .values()
            .filter(|seen| now_ms.saturating_sub(seen.at_ms) < self.timeout_ms);
        live.map(|seen| seen.member.clone()).collect()
    }
}

/// Tells the others of this node, for ever.
pub async fn announce(node: Arc<Node>, plane: Arc<FilePlane>) {
    let mut next = tokio::time::interval(Duration::from_secs(plane.settings.announce_s));
    loop {
        next.tick().await;
        plane.show_figures();
        let announcement = Announcement {
            version: VERSION,
            addresses: plane
                .net
                .listen_addrs()
                .iter()
                .take(MAX_ADDRESSES)
                .map(Multiaddr::to_vec)
                .collect(),
            free: plane.files.store().usage().free,
        };
        match postcard::to_stdvec(&announcement) {
            Ok(bytes) => gossip::publish_again(&node, TOPIC, &bytes).await,
            Err(error) => tracing::warn!(%error, "this node is not announced"),
        }
    }
}

/// Takes what another node says of itself. `None` if it is not an announcement.
pub fn heard(node: &Arc<Node>, source: NodeAddress, bytes: &[u8]) -> Option<()> {
    let announcement = Announcement::decode(bytes)?;
    let Some(plane) = node.files.clone() else {
        return Some(());
    };
    let member = Member {
        node: source,
        operator: node.operator_of(&source),
        free: announcement.free,
    };
    plane.members().see(now_ms(), member.clone());
    tokio::spawn(async move {
        if let Err(error) = plane
            .net
            .add_peer(peer_id(&source), announcement.addresses())
            .await
        {
            tracing::debug!(%source, %error, "a member is not announced to the file plane");
        }
        plane.copier().seen(member);
    });
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(seed: u8) -> Member {
        let mut point = [seed; 33];
        point[0] = 2;
        Member {
            node: NodeAddress::from_compressed(point).unwrap(),
            operator: [seed; 20],
            free: 1,
        }
    }

    #[test]
    fn members_live_while_they_are_heard_of_and_a_node_is_none_of_its_own() {
        let mut members = Members::new(member(1).node, Duration::from_secs(1));
        members.see(0, member(1));
        members.see(0, member(2));
        members.see(900, member(3));
        assert_eq!(members.live(950).len(), 2);
        assert_eq!(members.live(1000), [member(3)]);
    }

    #[test]
    fn announcements_survive_the_round_trip_and_others_are_refused() {
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let mut it = Announcement {
            version: VERSION,
            addresses: vec![address.to_vec(), vec![255]],
            free: 9,
        };
        let decoded = Announcement::decode(&postcard::to_stdvec(&it).unwrap()).unwrap();
        assert_eq!(decoded.addresses(), [address]);
        it.version = 9;
        assert_eq!(Announcement::decode(&postcard::to_stdvec(&it).unwrap()), None);
        assert_eq!(Announcement::decode(&[1, 2, 3]), None);
    }
}
