//! What must hold of the disks of all nodes together.

use std::collections::BTreeSet;

use r1_r1fs::{Cid, durability::Holding};

use crate::world::{DATA, FACTOR, PARITY, World};

impl World {
    /// Whether a node knows that an object is deleted.
    pub fn is_remembered(&self, root: &Cid) -> bool {
        self.nodes.iter().any(|node| node.tombstones.contains_key(root))
    }

    pub fn is_erasure(&self, root: &Cid) -> bool {
        let mut stored = self.nodes.iter().filter_map(|node| node.disk.get(root));
        stored
            .next()
            .is_some_and(|stored| stored.record.scheme.pieces().is_some())
    }

    pub fn wanted(&self, root: &Cid) -> usize {
        usize::from(if self.is_erasure(root) {
            DATA + PARITY
        } else {
            FACTOR
        })
    }

    /// All durable shares of an object and where they are; a whole copy of one that is kept in pieces is none.
    pub fn shares(&self, root: &Cid) -> Vec<(usize, Option<u8>)> {
        let erasure = self.is_erasure(root);
        let mut shares = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let holding = node.holds(root);
            if erasure {
                shares.extend(holding.pieces().map(|piece| (index, Some(piece))));
            } else if holding.has(None) {
                shares.push((index, None));
            }
        }
        shares
    }

    /// As many shares as wanted, each on a node of its own.
    pub fn is_whole(&self, root: &Cid) -> bool {
        let shares = self.shares(root);
        let nodes: BTreeSet<_> = shares.iter().map(|(node, _)| node).collect();
        let pieces: BTreeSet<_> = shares.iter().filter_map(|(_, piece)| *piece).collect();
        let wanted = self.wanted(root);
        nodes.len() >= wanted && (!self.is_erasure(root) || pieces.len() >= wanted)
    }

    pub fn check_nothing_is_lost(&self) {
        for (root, object) in &self.objects {
            if !object.acknowledged || object.deleted || !object.safe {
                continue;
            }
            assert!(
                self.can_be_read(root),
                "{root} is lost after {} disks; left: {:?}",
                self.disks_lost,
                self.shares(root)
            );
        }
    }

    /// Whether the disks that are left have enough of an object.
    pub fn can_be_read(&self, root: &Cid) -> bool {
        let all = self
            .nodes
            .iter()
            .fold(Holding::NONE, |all, node| all.with(node.holds(root)));
        all.has(None) || all.pieces().count() >= usize::from(DATA)
    }
}
