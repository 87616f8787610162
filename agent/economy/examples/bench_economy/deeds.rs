//! The whole ledger under strict rules, with node deeds that each have an owner and a node of their own: put back from its
//! records as after a restart, one epoch closed, every deed claimed, roots and proofs.

use std::collections::{BTreeMap, HashMap};

use r1_core::{EpochClock, EthAddress, Genesis, NodeAddress, U256};
use r1_economy::{
    Action, BlockContext, LicenceRef, NetworkParams, RecordProof, State, Transaction, availability,
    deeds::{NodeDeed, NodeDeeds},
    merkle::{Tree, leaf},
    table::{Journal as _, Slot},
};

use crate::{Result, measure::Meter};

/// How often what is done to one record is done, so that the kernel's clock shows it.
const REPEATED: u64 = 1000;
/// Claims in a block; r1d takes as many.
const CLAIMS_PER_BLOCK: u64 = 512;
/// Length of an epoch, ms.
const DAY_MS: u64 = 86_400_000;

fn owner(id: u64) -> EthAddress {
    let mut bytes = [0x11; 20];
    // Scattered, as addresses are: neighbours in the table are no neighbours in time.
    bytes[..8].copy_from_slice(&id.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    EthAddress::new(bytes)
}

fn node(id: u64) -> Result<(EthAddress, NodeAddress)> {
    let mut point = [0x22; 33];
    point[0] = 2;
    point[1..9].copy_from_slice(&id.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let mut address = *owner(id).as_bytes();
    address[19] = 0x33;
    let name = NodeAddress::from_compressed(point).ok_or("no compressed point")?;
    Ok((EthAddress::new(address), name))
}

fn genesis() -> Genesis {
    Genesis {
        network: "bench".into(),
        chain_id: 1,
        epoch: EpochClock {
            genesis_ms: 0,
            length_ms: DAY_MS,
        },
        oracle_min_availability: 0,
        oracles: Vec::new(),
        licences: Vec::new(),
        economy: serde_json::Map::new(),
    }
}

/// A stored record: table, key, slot.
type Record = (&'static str, Vec<u8>, Vec<u8>);

/// The records of a ledger with `size` linked deeds, as they are stored.
fn records(size: u64) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for id in 1..=size {
        let (address, name) = node(id)?;
        let deed = NodeDeed {
            node: Some(address),
            node_name: Some(name),
            assigned_at_ms: 1,
            links: 1,
            ..NodeDeed::new(owner(id))
        };
        let (position, value) = (id - 1, deed);
        let slot = postcard::to_allocvec(&Slot { position, value })?;
        records.push(("deeds", postcard::to_allocvec(&id)?, slot));
        let value = LicenceRef::Nd(id);
        let slot = postcard::to_allocvec(&Slot { position, value })?;
        records.push(("links", postcard::to_allocvec(&address)?, slot));
    }
    Ok(records)
}

/// Measures `size` deeds.
pub fn measure(size: u64, meter: &mut Meter) -> Result<()> {
    let stored = records(size)?;
    let mut state = State::empty(&genesis())?;
    meter.step("records put back", 2 * size, || {
        for (table, key, slot) in &stored {
            state.restore(table, key, slot)?;
        }
        Ok(())
    })?;
    drop(stored);
    let count = usize::try_from(size)?;
    meter.step("Merkle tree over plain leaves", size, || {
        let mut tree = Tree::default();
        tree.update(count, (0..count).map(|at| (at, leaf(&at.to_be_bytes()))));
        Ok(tree.root())
    })?;
    meter.step("first root of all records", 2 * size, || Ok(state.root()))?;
    let mut table = BTreeMap::new();
    for id in 1..=size {
        table.insert(node(id)?.1, u8::try_from(id % 256)?.max(1));
    }
    meter.step("availability tree of an epoch", size, || {
        Ok(availability::root(&table))
    })?;
    credits(size, &table, meter)?;
    meter.step("close of an epoch, tree and all", size, || {
        Ok(state.close_epoch(0, &table, false)?)
    })?;
    drop(table);
    meter.step("root after the epoch", size, || Ok(state.root()))?;
    meter.step("claims", size, || claim_all(&mut state, size))?;
    meter.step("root after the claims", 2 * size, || Ok(state.root()))?;
    single_records(&mut state, size, meter)
}

/// The credits alone, on deeds of their own.
fn credits(size: u64, table: &BTreeMap<NodeAddress, u8>, meter: &mut Meter) -> Result<()> {
    let nd = NetworkParams::preset("local")?.nd;
    let mut deeds = NodeDeeds::default();
    deeds.begin();
    for id in 1..=size {
        let (address, name) = node(id)?;
        let deed = NodeDeed {
            node: Some(address),
            node_name: Some(name),
            ..NodeDeed::new(owner(id))
        };
        deeds.deeds.insert(id, deed);
    }
    deeds.commit();
    let found: HashMap<&NodeAddress, u8> = table.iter().map(|(node, value)| (node, *value)).collect();
    meter.step("credits", size, || {
        deeds.begin();
        deeds.credit(&nd, 0, |node| found.get(node).copied().unwrap_or(0));
        deeds.commit();
        Ok(())
    })
}

/// Claims of all deeds, block by block, as r1d applies them; what was stored is forgotten after each block.
fn claim_all(state: &mut State, size: u64) -> Result<()> {
    let at = BlockContext {
        timestamp_ms: DAY_MS + 1,
        epoch: 1,
    };
    let mut next = 1;
    while next <= size {
        let end = (next + CLAIMS_PER_BLOCK).min(size + 1);
        state.begin();
        for id in next..end {
            let transaction = Transaction {
                chain_id: 1,
                nonce: 0,
                action: Action::Claim {
                    licence: LicenceRef::Nd(id),
                },
            };
            state.apply_as(at, owner(id), &transaction)?;
        }
        state.mark_stored();
        state.commit();
        next = end;
    }
    Ok(())
}

fn single_records(state: &mut State, size: u64, meter: &mut Meter) -> Result<()> {
    let at = BlockContext {
        timestamp_ms: DAY_MS + 2,
        epoch: 1,
    };
    meter.step("savepoints without changes", REPEATED, || {
        for _ in 0..REPEATED {
            state.begin();
            state.commit();
        }
        Ok(())
    })?;
    meter.step("root after one change", REPEATED, || {
        for id in ids(size) {
            let action = Action::Transfer {
                asset: r1_economy::bank::Asset::R1,
                to: EthAddress::new([9; 20]),
                amount: U256::from(1),
            };
            let transaction = Transaction {
                chain_id: 1,
                nonce: 1,
                action,
            };
            state.apply_as(at, owner(id), &transaction)?;
            state.root();
        }
        Ok(())
    })?;
    let root = state.root();
    let proofs = meter.step("proof of one deed", REPEATED, || {
        let prove = |id: u64| {
            Ok(state
                .prove("deeds", &postcard::to_allocvec(&id)?)
                .ok_or("no proof")?)
        };
        ids(size).map(prove).collect::<Result<Vec<RecordProof>>>()
    })?;
    let sound = meter.step("check of a proof", REPEATED, || {
        Ok(proofs.iter().all(|proof| proof.state_root() == Some(root)))
    })?;
    if !sound {
        return Err("a proof does not lead to the root".into());
    }
    let bytes = proofs.first().map(postcard::to_allocvec).transpose()?;
    eprintln!("a proof has {} bytes", bytes.map_or(0, |bytes| bytes.len()));
    Ok(())
}

/// Deeds all over the table, [`REPEATED`] of them.
fn ids(size: u64) -> impl Iterator<Item = u64> {
    (0..REPEATED).map(move |n| 1 + n * 7919 % size)
}
