//! Merkle trees over numbered leaves, and proofs of one leaf.
//!
//! A leaf is `keccak256(0x00 || postcard((key, value)))`, an inner node `keccak256(0x01 || left || right)`; a node
//! without a right neighbour is its own parent (as in RFC 6962). Positions that hold nothing are 32 zero bytes. The
//! number of leaves is part of what the roots are bound to, so the shape of a tree is never ambiguous.

use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};

/// A 32-byte hash.
pub type Hash = [u8; 32];

/// A position that holds nothing, and the root of a tree without leaves.
pub const EMPTY: Hash = [0; 32];

/// Hash of a leaf's canonical bytes.
pub fn leaf(bytes: &[u8]) -> Hash {
    Keccak256::new()
        .chain_update([0])
        .chain_update(bytes)
        .finalize()
        .into()
}

fn inner(left: &Hash, right: &Hash) -> Hash {
    Keccak256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The way from one leaf to the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The leaf's position, from 0.
    pub position: u64,
    /// How many positions the tree has.
    pub len: u64,
    /// The neighbours on the way up; levels where the node has none are left out.
    pub siblings: Vec<Hash>,
}

impl Proof {
    /// The root that follows from a leaf; `None` if the proof has not the shape that its position and length demand.
    pub fn root(&self, leaf: Hash) -> Option<Hash> {
        if self.position >= self.len {
            return None;
        }
        let (mut position, mut len, mut node) = (self.position, self.len, leaf);
        let mut siblings = self.siblings.iter();
        while len > 1 {
            if position % 2 == 1 {
                node = inner(siblings.next()?, &node);
            } else if position + 1 < len {
                node = inner(&node, siblings.next()?);
            }
            position /= 2;
            len = len.div_ceil(2);
        }
        siblings.next().is_none().then_some(node)
    }
}

/// A tree that keeps all its nodes: changing a leaf costs one hash per level.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// From the leaves up; the last level, if there is one, has one node.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// How many positions it has.
    pub fn len(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// True without any position.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The root; [`EMPTY`] without positions.
    pub fn root(&self) -> Hash {
        self.levels
            .last()
            .and_then(|level| level.first())
            .copied()
            .unwrap_or(EMPTY)
    }

    /// Sets the number of positions and some leaves (position, hash). New positions not named are [`EMPTY`].
    pub fn update(&mut self, len: usize, leaves: impl IntoIterator<Item = (usize, Hash)>) {
        let old = self.len();
        if self.levels.is_empty() {
            self.levels.push(Vec::new());
        }
        self.levels[0].resize(len, EMPTY);
        let mut dirty: Vec<usize> = Vec::new();
        for (position, hash) in leaves {
            if let Some(slot) = self.levels[0].get_mut(position) {
                *slot = hash;
                dirty.push(position);
            }
        }
        // Where the length changed, the right edge has other neighbours.
        dirty.extend(old.min(len).checked_sub(1));
        dirty.extend(old.min(len)..len);
        dirty.sort_unstable();
        dirty.dedup();
        self.rehash(dirty);
    }

    /// Recomputes everything above the given sorted positions.
    fn rehash(&mut self, mut dirty: Vec<usize>) {
        let mut below = 0;
        while self.levels[below].len() > 1 {
            let len = self.levels[below].len().div_ceil(2);
            if self.levels.len() == below + 1 {
                self.levels.push(Vec::new());
            }
            let (lower, upper) = self.levels.split_at_mut(below + 1);
            let (children, parents) = (&lower[below], &mut upper[0]);
            parents.resize(len, EMPTY);
            for position in &mut dirty {
                *position /= 2;
            }
            dirty.dedup();
            for position in dirty.iter().copied().filter(|position| *position < len) {
                let left = &children[position * 2];
                parents[position] = children
                    .get(position * 2 + 1)
                    .map_or(*left, |right| inner(left, right));
            }
            below += 1;
        }
        self.levels.truncate(below + 1);
    }

    /// The proof of a position; `None` if there is no such position.
    pub fn proof(&self, position: usize) -> Option<Proof> {
        let len = self.len();
        if position >= len {
            return None;
        }
        let mut siblings = Vec::new();
        let mut at = position;
        for level in &self.levels {
            siblings.extend(level.get(at ^ 1).copied());
            at /= 2;
        }
        Some(Proof {
            position: position as u64,
            len: len as u64,
            siblings,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => EMPTY,
            [one] => *one,
            many => {
                let above: Vec<Hash> = many
                    .chunks(2)
                    .map(|pair| {
                        if pair.len() == 2 {
                            inner(&pair[0], &pair[1])
                        } else {
                            pair[0]
                        }
                    })
                    .collect();
                naive(&above)
            }
        }
    }

    proptest! {
        #[test]
        fn any_changes_give_the_root_of_the_leaves_and_every_leaf_has_a_proof(
            steps in prop::collection::vec((0usize..40, prop::collection::vec((0usize..40, any::<u8>()), 0..6)), 1..12)
        ) {
            let mut tree = Tree::default();
            let mut leaves: Vec<Hash> = Vec::new();
            for (len, changes) in steps {
                leaves.resize(len, EMPTY);
                let changes: Vec<_> = changes.into_iter().filter(|(p, _)| *p < len).map(|(p, b)| (p, leaf(&[b]))).collect();
                for (position, hash) in &changes {
                    leaves[*position] = *hash;
                }
                tree.update(len, changes);
                prop_assert_eq!(tree.root(), naive(&leaves));
            }
            for (position, hash) in leaves.iter().enumerate() {
                let proof = tree.proof(position).unwrap();
                prop_assert_eq!(proof.root(*hash), Some(tree.root()));
                prop_assert_ne!(proof.root([7; 32]), Some(tree.root()));
                let mut longer = proof.clone();
                longer.siblings.push(EMPTY);
                prop_assert_eq!(longer.root(*hash), None);
            }
            prop_assert_eq!(tree.proof(leaves.len()), None);
        }
    }
}
