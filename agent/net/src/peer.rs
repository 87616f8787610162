//! Names of peers: a node address and a libp2p peer id are the same public key in two spellings.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol, multihash::Multihash};
use r1_core::NodeAddress;

/// Multihash code of the identity "hash": the digest is the key itself (peer-ids specification).
const IDENTITY_HASH: u64 = 0;
/// A protobuf `PublicKey` of type Secp256k1 (2) with 33 bytes of data, up to those bytes.
const SECP256K1_PREFIX: [u8; 4] = [0x08, 0x02, 0x12, 0x21];
/// Length of that protobuf.
const ENCODED_LEN: usize = SECP256K1_PREFIX.len() + 33;

/// The peer id of a node.
///
/// Pure re-spelling: that the point lies on the curve is proven by the handshake with that peer, not here.
pub fn peer_id(address: &NodeAddress) -> PeerId {
    let mut encoded = [0; ENCODED_LEN];
    encoded[..SECP256K1_PREFIX.len()].copy_from_slice(&SECP256K1_PREFIX);
    encoded[SECP256K1_PREFIX.len()..].copy_from_slice(address.as_compressed());
    let hash = Multihash::wrap(IDENTITY_HASH, &encoded).expect("37 bytes fit into a multihash of 64");
    PeerId::from_multihash(hash).expect("an identity multihash of at most 42 bytes is a peer id")
}

/// The node behind a peer id, or `None` if its key is not secp256k1 (such a peer is no node of ours).
pub fn node_address(peer: &PeerId) -> Option<NodeAddress> {
    let hash: &Multihash<64> = peer.as_ref();
    if hash.code() != IDENTITY_HASH {
        return None;
    }
    let point = hash.digest().strip_prefix(&SECP256K1_PREFIX)?;
    NodeAddress::from_compressed(<[u8; 33]>::try_from(point).ok()?)
}

/// An address that also says who must answer there (`…/p2p/<peer id>`); replaces a peer id that it already names.
pub fn with_peer(address: &Multiaddr, node: &NodeAddress) -> Multiaddr {
    let (plain, _) = split_peer(address);
    plain.with(Protocol::P2p(peer_id(node)))
}

/// Splits `…/p2p/<peer id>` into the address without it and the peer id.
pub(crate) fn split_peer(address: &Multiaddr) -> (Multiaddr, Option<PeerId>) {
    let mut plain = address.clone();
    match plain.pop() {
        Some(Protocol::P2p(peer)) => (plain, Some(peer)),
        _ => (address.clone(), None),
    }
}

/// True if the address points to this machine only.
pub(crate) fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use libp2p::identity::{Keypair, PublicKey, secp256k1};
    use proptest::prelude::*;

    use super::*;

    fn key(secret: [u8; 32]) -> Option<secp256k1::Keypair> {
        secp256k1::SecretKey::try_from_bytes(secret).ok().map(Into::into)
    }

    proptest! {
        #[test]
        fn address_and_peer_id_name_the_same_key(secret in any::<[u8; 32]>()) {
            let Some(pair) = key(secret) else { return Ok(()) };
            let address = NodeAddress::from_compressed(pair.public().to_bytes()).unwrap();
            let theirs = PublicKey::from(pair.public().clone()).to_peer_id();
            prop_assert_eq!(peer_id(&address), theirs);
            prop_assert_eq!(node_address(&theirs), Some(address));
            prop_assert!(theirs.to_base58().starts_with("16Uiu2HA"));
        }

        #[test]
        fn any_address_survives_the_round_trip(parity in 2u8..=3, x in any::<[u8; 32]>()) {
            let mut point = [parity; 33];
            point[1..].copy_from_slice(&x);
            let address = NodeAddress::from_compressed(point).unwrap();
            prop_assert_eq!(node_address(&peer_id(&address)), Some(address));
        }

        #[test]
        fn arbitrary_peer_ids_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(peer) = PeerId::from_bytes(&bytes)
                && let Some(address) = node_address(&peer)
            {
                prop_assert_eq!(peer_id(&address), peer);
            }
        }
    }

    #[test]
    fn a_peer_with_another_kind_of_key_is_no_node() {
        assert_eq!(
            node_address(&Keypair::generate_ed25519().public().to_peer_id()),
            None
        );
        assert_eq!(node_address(&PeerId::random()), None);
    }

    #[test]
    fn an_address_gets_one_peer_suffix_only() {
        let node = NodeAddress::from_compressed([2; 33]).unwrap();
        let plain: Multiaddr = "/ip4/127.0.0.1/tcp/9".parse().unwrap();
        let once = with_peer(&plain, &node);
        assert_eq!(with_peer(&once, &node), once);
        assert_eq!(split_peer(&once), (plain, Some(peer_id(&node))));
    }
}
