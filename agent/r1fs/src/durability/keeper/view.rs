//! How an object stands: who should hold what, what is missing, what is too much.

use std::collections::BTreeSet;

use r1_core::NodeAddress;

use super::{Keeper, Safety, Share, job::Job, plan::assign};
use crate::{
    Cid,
    durability::{
        message::Holding,
        placement::{Member, choose},
        record::{Record, Scheme},
    },
};

/// How an object stands, as far as it is known.
pub(super) struct View {
    pub(super) assigned: Vec<Share>,
    pub(super) missing: Vec<Share>,
    /// Other nodes that have something of it.
    pub(super) holders: Vec<NodeAddress>,
    pub(super) surplus: Holding,
    pub(super) safety: Safety,
    /// Shares that there could be with the members that have room.
    pub(super) possible: usize,
    pub(super) responsible: bool,
}

impl Keeper {
    /// How an object stands after what was heard.
    pub(super) fn view(&self, root: Cid, job: &Job) -> View {
        let kept = &self.kept[&root];
        let record = &kept.record;
        let own = kept.holding.pinned(kept.pinned);
        let held = |node: &NodeAddress| {
            if *node == self.own.node {
                own
            } else {
                job.held.get(node).copied().unwrap_or_default()
            }
        };
        let ranked: Vec<&Member> = job.ranked.iter().filter_map(|node| self.known(node)).collect();
        let has_room =
            |member: &Member| !held(&member.node).is_empty() || member.free >= record.share_bytes();
        let whole = record.scheme.pieces().is_none();
        let chosen: Vec<_> = choose(
            &ranked,
            record.scheme.shares(),
            |member| whole && held(&member.node).has(None) && held(&member.node).is_pinned(),
            |member| has_room(member) && !job.failed.contains_key(&member.node),
        )
        .into_iter()
        .map(|member| member.node)
        .collect();
        let assigned = assign(record, &chosen, held);
        let missing = assigned
            .iter()
            .filter(|(node, piece)| !held(node).has(*piece))
            .copied()
            .collect();
        let kept_here = assigned.iter().filter(|(node, _)| *node == self.own.node);
        let surplus = kept_here.fold(kept.holding, |all, (_, piece)| {
            all.without(Holding::share(*piece))
        });
        // What the node pins is the whole object; pieces are for others.
        let surplus = if kept.pinned {
            surplus.without(Holding::WHOLE)
        } else {
            surplus
        };
        let all: Vec<&Member> = ranked
            .iter()
            .filter(|member| !held(&member.node).is_empty())
            .copied()
            .collect();
        let position = all
            .iter()
            .position(|member| member.node == self.own.node)
            .unwrap_or(0);
        let everything = all
            .iter()
            .fold(Holding::NONE, |sum, member| sum.with(held(&member.node)));
        let readable = everything.has(None)
            || matches!(record.scheme, Scheme::Erasure { data, .. } if everything.pieces().count() >= usize::from(data));
        let takers = ranked.iter().filter(|member| {
            has_room(member) && !job.failed.get(&member.node).is_some_and(|failure| failure.full)
        });
        View {
            missing,
            surplus,
            possible: possible(record, takers.count()),
            safety: safety(record, &all, held),
            holders: all
                .iter()
                .map(|member| member.node)
                .filter(|node| *node != self.own.node)
                .collect(),
            responsible: readable && (position <= usize::from(kept.left) || self.adds.contains_key(&root)),
            assigned,
        }
    }

    fn known(&self, node: &NodeAddress) -> Option<&Member> {
        if *node == self.own.node {
            Some(&self.own)
        } else {
            self.links.member(node)
        }
    }
}

pub(super) fn count(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// Shares that there could be on so many members.
fn possible(record: &Record, members: usize) -> usize {
    match record.scheme.pieces() {
        Some(_) if members == 0 => 0,
        Some(pieces) => usize::from(pieces),
        None => record.scheme.shares().min(members),
    }
}

fn safety(record: &Record, holders: &[&Member], held: impl Fn(&NodeAddress) -> Holding) -> Safety {
    let shares = |member: &&&Member| match record.scheme.pieces() {
        None => held(&member.node).has(None),
        Some(_) => held(&member.node).pieces().next().is_some(),
    };
    let useful: Vec<_> = holders.iter().filter(shares).collect();
    let operators: BTreeSet<_> = useful.iter().map(|member| member.operator).collect();
    let copies = match record.scheme.pieces() {
        None => useful.len(),
        Some(pieces) => (0..pieces)
            .filter(|piece| useful.iter().any(|member| held(&member.node).has(Some(*piece))))
            .count(),
    };
    Safety {
        copies: count(copies),
        operators: count(operators.len()),
        wanted: count(record.scheme.shares()),
    }
}
