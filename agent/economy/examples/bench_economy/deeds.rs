//! Node deeds under strict rules, each with an owner and a node of its own.

use std::collections::BTreeMap;

use r1_core::{EthAddress, NodeAddress, U256};
use r1_economy::{
    Links, Mode, Moment, NdParams, NetworkParams,
    bank::Bank,
    deeds::{DeedContext, NodeDeeds, NodeId},
    merkle::{Proof, Tree, leaf},
    table::{Journal, Stored, record_leaf},
};

use crate::{Result, measure::Meter};

/// Most R1 that may exist, wei.
const CAP: u128 = 161_803_398_000_000_000_000_000_000;

/// How often what is done to one record is done, so that the kernel's clock shows it.
const REPEATED: u64 = 1000;

/// The rooms that a claim touches.
struct Rooms {
    nd: NdParams,
    deeds: NodeDeeds,
    links: Links,
    bank: Bank,
}

impl Rooms {
    fn new() -> Result<Self> {
        Ok(Self {
            nd: NetworkParams::preset("local")?.nd,
            deeds: NodeDeeds::default(),
            links: Links::default(),
            bank: Bank::new(U256::from(CAP)),
        })
    }

    /// Runs one transaction's worth of changes.
    fn transact<T, E: std::error::Error + 'static>(
        &mut self,
        epoch: u64,
        change: impl FnOnce(&DeedContext, &mut NodeDeeds, &mut Links, &mut Bank) -> std::result::Result<T, E>,
    ) -> Result<T> {
        let context = DeedContext {
            nd: &self.nd,
            mode: Mode::Strict,
            at: Moment {
                timestamp_ms: 1 + epoch * 86_400_000,
                epoch,
            },
            next_epoch: epoch,
        };
        let rooms: [&mut dyn Journal; 3] = [&mut self.deeds, &mut self.links, &mut self.bank];
        rooms.into_iter().for_each(Journal::begin);
        let outcome = change(&context, &mut self.deeds, &mut self.links, &mut self.bank);
        let rooms: [&mut dyn Journal; 3] = [&mut self.deeds, &mut self.links, &mut self.bank];
        rooms.into_iter().for_each(if outcome.is_ok() {
            Journal::commit
        } else {
            Journal::rollback
        });
        Ok(outcome?)
    }
}

fn owner(id: u64) -> EthAddress {
    let mut bytes = [0x11; 20];
    // Scattered, as addresses are: neighbours in the table are no neighbours in time.
    bytes[..8].copy_from_slice(&id.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    EthAddress::new(bytes)
}

fn node(id: u64) -> Result<NodeId> {
    let mut point = [0x22; 33];
    point[0] = 2;
    point[1..9].copy_from_slice(&id.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let mut address = *owner(id).as_bytes();
    address[19] = 0x33;
    Ok(NodeId {
        address: EthAddress::new(address),
        name: Some(NodeAddress::from_compressed(point).ok_or("no compressed point")?),
    })
}

/// Measures `size` deeds.
pub fn measure(size: u64, meter: &mut Meter) -> Result<()> {
    let mut rooms = Rooms::new()?;
    meter.step("lay out and link", size, || lay_out(&mut rooms, size))?;
    let mut table = BTreeMap::new();
    for id in 1..=size {
        let value = u8::try_from(id % 256)?.max(1);
        table.insert(node(id)?.name.ok_or("no name")?, value);
    }
    meter.step("credit one epoch", size, || {
        let nd = rooms.nd.clone();
        rooms.transact(0, |_, deeds, _, _| {
            deeds.credit(&nd, 0, |node| table.get(node).copied().unwrap_or(0));
            Ok::<_, std::fmt::Error>(())
        })
    })?;
    drop(table);
    meter.step("claims", size, || {
        for id in 1..=size {
            rooms.transact(1, |context, deeds, _, bank| {
                deeds.claim_credited(context, bank, &owner(id), id)
            })?;
        }
        Ok(())
    })?;
    roots(&mut rooms, size, meter)
}

fn lay_out(rooms: &mut Rooms, size: u64) -> Result<()> {
    for id in 1..=size {
        let (owner, node) = (owner(id), node(id)?);
        rooms.transact(0, |context, deeds, links, _| {
            deeds.grant(id, &owner);
            deeds.link(context, links, &owner, (id, node), &mut || Ok(node.address))
        })?;
    }
    Ok(())
}

fn roots(rooms: &mut Rooms, size: u64, meter: &mut Meter) -> Result<()> {
    let count = usize::try_from(size)?;
    meter.step("Merkle tree over plain leaves", size, || {
        let mut tree = Tree::default();
        tree.update(count, (0..count).map(|at| (at, leaf(&at.to_be_bytes()))));
        Ok(tree.root())
    })?;
    let deeds = &mut rooms.deeds.deeds;
    let (_, root) = meter.step("first root of all deeds", size, || Ok(deeds.root()))?;
    meter.step("root after one change", REPEATED, || {
        for id in ids(size) {
            deeds.begin();
            deeds.get_mut(&id).ok_or("no such deed")?.links += 1;
            deeds.commit();
            deeds.root();
        }
        Ok(())
    })?;
    let (_, now) = deeds.root();
    let proofs = meter.step("proof of one deed", REPEATED, || {
        let prove = |id| Ok((id, deeds.proof(&id).ok_or("no proof")?));
        ids(size).map(prove).collect::<Result<Vec<_>>>()
    })?;
    let proved = meter.step("check of a proof", REPEATED, || {
        let leads = |(id, proof): &(u64, Proof)| {
            let deed = deeds.get(id).ok_or("no deed")?;
            Ok(proof.root(record_leaf(id, deed)) == Some(now))
        };
        proofs.iter().map(leads).collect::<Result<Vec<_>>>()
    })?;
    if proved.contains(&false) || root == now {
        return Err("a proof does not lead to the root".into());
    }
    Ok(())
}

/// Deeds all over the table, [`REPEATED`] of them.
fn ids(size: u64) -> impl Iterator<Item = u64> {
    (0..REPEATED).map(move |n| 1 + n * 7919 % size)
}
