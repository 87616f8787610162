//! The Merkle tree over an epoch's agreed availability: a node proves its own value without the others'.
//!
//! Its leaves are the nodes that the oracles agreed on, in the order of their addresses. A node that has no leaf was
//! absent (0); that cannot be proven with this tree.

use std::collections::BTreeMap;

use r1_core::NodeAddress;
use serde::{Deserialize, Serialize};

use crate::{
    merkle::{Hash, Proof, Tree, leaf},
    transaction::encode,
};

/// That a node's availability is part of an epoch's tree with a certain root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvailabilityProof {
    /// The node.
    pub node: NodeAddress,
    /// Its agreed availability, 0..=255.
    pub value: u8,
    /// The way from its leaf to the root.
    pub path: Proof,
}

impl AvailabilityProof {
    /// The root that the value belongs to; `None` if the proof does not hold together.
    pub fn root(&self) -> Option<Hash> {
        self.path.root(value_leaf(&self.node, self.value))
    }
}

/// The root of an epoch's agreed availability; [`crate::merkle::EMPTY`] if no node was available.
pub fn root(availability: &BTreeMap<NodeAddress, u8>) -> Hash {
    tree(availability).root()
}

/// Proves a node's value; `None` if the map does not name the node.
pub fn prove(availability: &BTreeMap<NodeAddress, u8>, node: &NodeAddress) -> Option<AvailabilityProof> {
    let value = *availability.get(node)?;
    let position = availability.range(..node).count();
    let path = tree(availability).proof(position)?;
    Some(AvailabilityProof {
        node: *node,
        value,
        path,
    })
}

fn tree(availability: &BTreeMap<NodeAddress, u8>) -> Tree {
    let leaves = availability.iter().map(|(node, value)| value_leaf(node, *value));
    let mut tree = Tree::default();
    tree.update(availability.len(), leaves.enumerate());
    tree
}

fn value_leaf(node: &NodeAddress, value: u8) -> Hash {
    leaf(&encode(&(node, value)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::merkle::EMPTY;

    fn node(tag: u8) -> NodeAddress {
        let mut point = [tag; 33];
        point[0] = 2;
        NodeAddress::from_compressed(point).unwrap()
    }

    #[test]
    fn nobody_available_has_the_root_of_nothing() {
        let none = BTreeMap::new();
        assert_eq!(root(&none), EMPTY);
        assert_eq!(prove(&none, &node(1)), None);
    }

    proptest! {
        #[test]
        fn every_node_proves_its_own_value_and_no_other(
            values in prop::collection::btree_map(any::<u8>().prop_map(node), any::<u8>(), 1..40),
            stranger in any::<u8>().prop_map(node),
        ) {
            let root = root(&values);
            for (node, value) in &values {
                let proof = prove(&values, node).unwrap();
                prop_assert_eq!((proof.node, proof.value, proof.root()), (*node, *value, Some(root)));
                let mut other = proof.clone();
                other.value = value.wrapping_add(1);
                prop_assert_ne!(other.root(), Some(root));
                let mut other = proof;
                other.node = super::tests::node(node.as_compressed()[1].wrapping_add(1));
                prop_assert_ne!(other.root(), Some(root));
            }
            prop_assert_eq!(prove(&values, &stranger).is_some(), values.contains_key(&stranger));
        }
    }
}
