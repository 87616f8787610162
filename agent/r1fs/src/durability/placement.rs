//! Which members keep an object: rendezvous hashing over distinct operators.
//!
//! Every member is scored by sha-256 of the object's name and the member's key, and the highest scores win. So
//! everybody who knows the same members comes to the same order without asking, and a member that comes or goes
//! moves only the objects that it wins or held.

use std::{cmp::Reverse, collections::BTreeMap};

use r1_core::NodeAddress;
use sha2::{Digest as _, Sha256};

use crate::Cid;

/// A node that keeps copies for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The node.
    pub node: NodeAddress,
    /// The EVM address of who runs it. Copies go to distinct operators first.
    pub operator: [u8; 20],
    /// Bytes that it still takes.
    pub free: u64,
}

/// A member's score for an object: the higher, the earlier it is asked to keep it.
pub fn score(root: &Cid, node: &NodeAddress) -> [u8; 32] {
    Sha256::new()
        .chain_update(root.to_bytes())
        .chain_update(node.as_compressed())
        .finalize()
        .into()
}

/// Members in the order in which they are asked to keep an object. The order of `members` does not matter.
pub fn rank<'a>(root: &Cid, members: impl IntoIterator<Item = &'a Member>) -> Vec<&'a Member> {
    let mut scored: Vec<_> = members
        .into_iter()
        .map(|member| (Reverse(score(root, &member.node)), member))
        .collect();
    scored.sort_unstable_by_key(|(score, member)| (*score, member.node));
    scored.into_iter().map(|(_, member)| member).collect()
}

/// Takes up to `count` of ranked members, `fixed` ones first. An operator is used once more only when every operator
/// among those that `fits` accepts has been used as often. `fixed` ones are taken even beyond `count`.
pub fn choose<'a>(
    ranked: &[&'a Member],
    count: usize,
    fixed: impl Fn(&Member) -> bool,
    fits: impl Fn(&Member) -> bool,
) -> Vec<&'a Member> {
    let mut uses: BTreeMap<[u8; 20], usize> = BTreeMap::new();
    let (mut chosen, mut rest) = (Vec::new(), Vec::new());
    for member in ranked {
        if fixed(member) {
            *uses.entry(member.operator).or_default() += 1;
            chosen.push(*member);
        } else if fits(member) {
            rest.push(*member);
        }
    }
    let mut level = 0;
    while chosen.len() < count && !rest.is_empty() {
        rest.retain(|member| {
            let used = uses.entry(member.operator).or_default();
            if chosen.len() >= count || *used > level {
                return true;
            }
            *used += 1;
            chosen.push(*member);
            false
        });
        level += 1;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::cid::{RAW, v1};

    pub(crate) fn member(index: u8, operator: u8) -> Member {
        let mut point = [index; 33];
        point[0] = 2;
        Member {
            node: NodeAddress::from_compressed(point).unwrap(),
            operator: [operator; 20],
            free: 1 << 30,
        }
    }

    fn root(index: u32) -> Cid {
        v1(RAW, &index.to_be_bytes())
    }

    fn replicas<'a>(root: &Cid, members: &'a [Member], count: usize) -> BTreeSet<&'a NodeAddress> {
        choose(&rank(root, members), count, |_| false, |member| member.free > 0)
            .into_iter()
            .map(|member| &member.node)
            .collect()
    }

    #[test]
    fn a_thousand_objects_are_spread_evenly() {
        let members: Vec<_> = (0..10).map(|index| member(index, index)).collect();
        let mut load = BTreeMap::new();
        for index in 0..1000 {
            for node in replicas(&root(index), &members, 3) {
                *load.entry(*node).or_insert(0) += 1;
            }
        }
        // 300 each are expected; 60 are more than four standard deviations.
        assert!(
            load.len() == 10 && load.values().all(|copies| (240..=360).contains(copies)),
            "{load:?}"
        );
    }

    #[test]
    fn full_members_are_skipped_and_fixed_ones_are_kept() {
        let mut members: Vec<_> = (0..5).map(|index| member(index, index)).collect();
        let root = root(7);
        let first = rank(&root, &members)[0].node;
        let last = rank(&root, &members)[4].node;
        members
            .iter_mut()
            .find(|member| member.node == first)
            .unwrap()
            .free = 0;
        assert!(!replicas(&root, &members, 4).contains(&first));
        let ranked = rank(&root, &members);
        let chosen = choose(
            &ranked,
            2,
            |member| member.node == first || member.node == last,
            |_| true,
        );
        assert_eq!(
            chosen.iter().map(|member| member.node).collect::<Vec<_>>(),
            [first, last]
        );
    }

    proptest! {
        #[test]
        fn operators_are_distinct_while_there_are_enough(
            operators in proptest::collection::vec(0_u8..6, 1..20),
            count in 1_usize..12,
            seed: u32,
        ) {
            let members: Vec<_> = (0..).zip(&operators).map(|(index, operator)| member(index, *operator)).collect();
            let chosen = choose(&rank(&root(seed), &members), count, |_| false, |_| true);
            prop_assert_eq!(chosen.len(), count.min(members.len()));
            let mut total = BTreeMap::new();
            for operator in &operators {
                *total.entry([*operator; 20]).or_insert(0_usize) += 1;
            }
            let mut uses = BTreeMap::new();
            for member in &chosen {
                *uses.entry(member.operator).or_insert(0_usize) += 1;
            }
            // Whoever is used more often than another has another with no node left.
            let most = uses.values().max().copied().unwrap_or(0);
            for (operator, nodes) in total {
                let used = uses.get(&operator).copied().unwrap_or(0);
                prop_assert!(used + 1 >= most || used == nodes);
            }
        }

        #[test]
        fn a_member_that_leaves_or_joins_moves_only_what_it_holds(
            nodes in 4_u8..30,
            gone in 0_u8..30,
            seed: u32,
        ) {
            let gone = gone % nodes;
            let all: Vec<_> = (0..nodes).map(|index| member(index, index)).collect();
            let left: Vec<_> = all.iter().filter(|one| one.node != member(gone, 0).node).cloned().collect();
            let (before, after) = (replicas(&root(seed), &all, 3), replicas(&root(seed), &left, 3));
            let moved = after.difference(&before).count();
            prop_assert_eq!(moved, usize::from(before.contains(&member(gone, 0).node)));
        }

        #[test]
        fn the_order_of_the_members_does_not_matter(nodes in 1_u8..30, seed: u32) {
            let all: Vec<_> = (0..nodes).map(|index| member(index, index % 4)).collect();
            let turned: Vec<_> = all.iter().rev().cloned().collect();
            prop_assert_eq!(replicas(&root(seed), &all, 5), replicas(&root(seed), &turned, 5));
        }
    }
}
