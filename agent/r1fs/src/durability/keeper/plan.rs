//! Which of the chosen members should hold which share.

use std::collections::BTreeMap;

use r1_core::NodeAddress;

use super::Share;
use crate::durability::{message::Holding, record::Record};

/// The share of each chosen member. Whole copies: one each. Pieces: who has one keeps it, the rest go to those with
/// the fewest, piece i to the i-th member if it is free; so a member that comes or goes moves one piece.
pub(super) fn assign(
    record: &Record,
    chosen: &[NodeAddress],
    held: impl Fn(&NodeAddress) -> Holding,
) -> Vec<Share> {
    let Some(pieces) = record.scheme.pieces() else {
        return chosen.iter().map(|node| (*node, None)).collect();
    };
    if chosen.is_empty() {
        return Vec::new();
    }
    let most = usize::from(pieces).div_ceil(chosen.len());
    let mut load = vec![0; chosen.len()];
    let mut assigned = BTreeMap::new();
    for (index, node) in chosen.iter().enumerate() {
        for piece in held(node).pieces().filter(|piece| *piece < pieces) {
            if load[index] < most && !assigned.contains_key(&piece) {
                load[index] += 1;
                assigned.insert(piece, *node);
            }
        }
    }
    for piece in 0..pieces {
        if assigned.contains_key(&piece) {
            continue;
        }
        let first = usize::from(piece) % chosen.len();
        let index = (0..chosen.len())
            .map(|step| (first + step) % chosen.len())
            .min_by_key(|index| load[*index])
            .unwrap_or(first);
        load[index] += 1;
        assigned.insert(piece, chosen[index]);
    }
    assigned
        .into_iter()
        .map(|(piece, node)| (node, Some(piece)))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use r1_identity::NodeKey;

    use super::*;
    use crate::{
        cid::{RAW, v1},
        durability::record::Scheme,
    };

    fn node(index: u8) -> NodeAddress {
        let mut point = [index; 33];
        point[0] = 2;
        NodeAddress::from_compressed(point).unwrap()
    }

    fn record(data: u8, parity: u8) -> Record {
        Record {
            root: v1(RAW, b"x"),
            size: 1,
            scheme: Scheme::Erasure {
                data,
                parity,
                manifest: v1(RAW, b"m"),
            },
            owner: NodeKey::from_secret_bytes(&[1; 32]).unwrap().address(),
            created_ms: 0,
            expires_ms: None,
        }
    }

    #[test]
    fn piece_i_goes_to_the_i_th_member() {
        let chosen: Vec<_> = (0..14).map(node).collect();
        let shares = assign(&record(10, 4), &chosen, |_| Holding::NONE);
        let wanted: Vec<_> = (0..14).map(|piece| (node(piece), Some(piece))).collect();
        assert_eq!(shares, wanted);
    }

    #[test]
    fn a_member_that_goes_moves_one_piece() {
        let before: Vec<_> = (0..6).map(node).collect();
        let shares = assign(&record(4, 2), &before, |_| Holding::NONE);
        let held = |node: &NodeAddress| {
            shares
                .iter()
                .filter(|(holder, _)| holder == node)
                .fold(Holding::NONE, |all, (_, piece)| all.with(Holding::share(*piece)))
        };
        let after: Vec<_> = (0..7).filter(|index| *index != 2).map(node).collect();
        let moved: Vec<_> = assign(&record(4, 2), &after, held)
            .into_iter()
            .filter(|share| !shares.contains(share))
            .collect();
        assert_eq!(moved, [(node(6), Some(2))]);
    }

    proptest! {
        #[test]
        fn every_piece_has_one_member_and_the_load_is_even(
            members in 1_u8..20,
            data in 1_u8..12,
            parity in 1_u8..6,
            masks in proptest::collection::vec(proptest::collection::vec(0_u8..18, 0..4), 20),
        ) {
            let chosen: Vec<_> = (0..members).map(node).collect();
            let held = |node: &NodeAddress| {
                let index = usize::from(node.as_compressed()[1]);
                masks[index].iter().fold(Holding::NONE, |all, piece| all.with(Holding::share(Some(*piece))))
            };
            let shares = assign(&record(data, parity), &chosen, held);
            let pieces: Vec<_> = shares.iter().map(|(_, piece)| piece.unwrap()).collect();
            prop_assert_eq!(pieces, (0..data + parity).collect::<Vec<_>>());
            let most = usize::from(data + parity).div_ceil(chosen.len());
            for node in &chosen {
                prop_assert!(shares.iter().filter(|(holder, _)| holder == node).count() <= most);
            }
        }
    }
}
