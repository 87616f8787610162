//! What is signed: tightly packed fields, hashed with keccak256, then signed as an EIP-191 personal message over the 32
//! bytes. The layouts are those of the Ratio1 contracts (ratio1-sc) and, for claims of version 2, of the dApp's ABI.
//!
//! Solidity packs the elements of an array padded to 32 bytes, everything else as it is. The strict forms, which the
//! embedded ledger asks for, begin with a tag, the chain id and the nonce of what is agreed to, so that a signature
//! means one thing, once, on one chain.

use r1_core::{EthAddress, U256};
use sha3::{Digest, Keccak256};

use crate::merkle::Hash;

/// Fields, packed one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed(Vec<u8>);

impl Packed {
    /// An address: 20 bytes.
    pub fn address(mut self, address: &EthAddress) -> Self {
        self.0.extend(address.as_bytes());
        self
    }

    /// An address as an array's element: 32 bytes.
    pub fn address_word(mut self, address: &EthAddress) -> Self {
        self.0.extend([0; 12]);
        self.address(address)
    }

    /// A number: 32 bytes, big-endian.
    pub fn word(mut self, value: U256) -> Self {
        self.0.extend(value.to_be_bytes::<32>());
        self
    }

    /// Bytes as they are.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// The packed bytes.
    pub fn preimage(&self) -> &[u8] {
        &self.0
    }

    /// What is signed.
    pub fn hash(&self) -> Hash {
        Keccak256::digest(&self.0).into()
    }
}

/// Claim, version 1: epochs and availabilities as arrays of 32-byte words.
pub fn claim_v1(node: &EthAddress, epochs: &[U256], availabilities: &[u8]) -> Packed {
    let packed = epochs
        .iter()
        .fold(Packed::default().address(node), |packed, epoch| {
            packed.word(*epoch)
        });
    let words = availabilities.iter().map(|value| U256::from(*value));
    words.fold(packed, Packed::word)
}

/// Claim, version 2: first and last epoch, one byte per epoch.
pub fn claim_v2(node: &EthAddress, first: U256, last: U256, availabilities: &[u8]) -> Packed {
    Packed::default()
        .address(node)
        .word(first)
        .word(last)
        .bytes(availabilities)
}

/// Link of a node to a licence of a wallet.
pub fn link(wallet: &EthAddress, node: &EthAddress) -> Packed {
    Packed::default().address(wallet).address(node)
}

/// Link of several nodes to licences of a wallet.
pub fn link_multi(wallet: &EthAddress, nodes: &[EthAddress]) -> Packed {
    nodes
        .iter()
        .fold(Packed::default().address(wallet), Packed::address_word)
}

/// Permission to buy licences: how much the buyer may spend in whole USD, without `vat_bp` basis points of tax.
pub fn buy(buyer: &EthAddress, invoice: &Hash, usd_limit: U256, vat_bp: U256) -> Packed {
    Packed::default()
        .address(buyer)
        .bytes(invoice)
        .word(usd_limit)
        .word(vat_bp)
}

/// Strict form of [`buy`]: `"_R1_ECONOMY_BUY" || chain id || nonce || ` the compat fields; integers of 8 bytes,
/// big-endian. The nonce is the buyer's account nonce, so one signature serves one transaction.
pub fn buy_strict(chain_id: u64, nonce: u64, compat: &Packed) -> Packed {
    Packed::default()
        .bytes(b"_R1_ECONOMY_BUY")
        .bytes(&chain_id.to_be_bytes())
        .bytes(&nonce.to_be_bytes())
        .bytes(compat.preimage())
}

/// What a node states about a security test (RedMesh).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attestation {
    /// Kind of the test.
    pub test_mode: u8,
    /// How many nodes took part.
    pub node_count: u16,
    /// The result, 0 to 100.
    pub score: u8,
    /// The tested address, shortened.
    pub ip: [u8; 2],
    /// The report's CID, shortened.
    pub cid: [u8; 10],
}

/// RedMesh attestation; the node itself signs it.
pub fn attestation(value: &Attestation) -> Packed {
    let domain: Hash = Keccak256::digest(b"RATIO1_REDMESH_ATTESTATION_V1").into();
    Packed::default()
        .bytes(&domain)
        .bytes(&[value.test_mode])
        .bytes(&value.node_count.to_be_bytes())
        .bytes(&[value.score])
        .bytes(&value.ip)
        .bytes(&value.cid)
}

/// Name of a node set: `keccak256(abi.encode(address[]))`. It depends on the order; oracles sort ascending.
pub fn node_set(nodes: &[EthAddress]) -> Hash {
    let head = Packed::default()
        .word(U256::from(32))
        .word(U256::from(nodes.len()));
    nodes.iter().fold(head, Packed::address_word).hash()
}
