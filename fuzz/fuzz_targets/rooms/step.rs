//! What can happen, and how the rooms are asked for it.

use std::rc::Rc;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use r1_core::{NodeAddress, U256};
use r1_economy::{
    Mode, Moment,
    bank::{Asset, Burn},
    deeds::{NdClaim, NodeId},
    mnd::MasterClaim,
    pool::{Amounts, Exchange as _},
    sale::{Desk, Order},
};

use crate::jobs::{self, JobStep};
use crate::rooms::{R1, Rooms, USDC, account, deed_context, master_context, node};

/// Most epochs that one step lets pass.
const MAX_EPOCHS: u64 = 40;

/// One thing that happens.
#[derive(Debug, Clone, Arbitrary)]
pub enum Step {
    /// Time goes on; strict rules close the epochs with this availability of all nodes.
    Wait { epochs: u8, ms: u16, availability: u8 },
    /// R1 or USDC changes hands, in thousandths.
    Transfer {
        from: u8,
        to: u8,
        usdc: bool,
        amount: u32,
    },
    /// R1 is burned, in thousandths.
    Burn { who: u8, amount: u32 },
    /// R1 or USDC is exchanged, in thousandths.
    Swap { who: u8, usdc: bool, amount: u32 },
    /// Liquidity is added, in thousandths.
    Provide { who: u8, r1: u32, usdc: u32 },
    /// A part of somebody's liquidity is removed, 255 = all.
    Withdraw { who: u8, part: u8 },
    /// Licences are bought.
    Buy {
        who: u8,
        count: u8,
        invoice: u8,
        vat_bp: u16,
    },
    /// A node deed is linked.
    Link { who: u8, licence: u8, node: u8 },
    /// A node deed is unlinked.
    Unlink { who: u8, licence: u8 },
    /// A node deed is given away.
    Give { who: u8, licence: u8, to: u8 },
    /// A node deed is claimed; compat: for all epochs but `short` with this availability.
    Claim {
        who: u8,
        licence: u8,
        availability: u8,
        short: bool,
    },
    /// A master node deed comes into being, in R1.
    Add { owner: u8, assigned: u32 },
    /// A master node deed is linked.
    LinkMaster { who: u8, licence: u8, node: u8 },
    /// A master node deed is unlinked.
    UnlinkMaster { who: u8, licence: u8 },
    /// A master node deed is claimed.
    ClaimMaster {
        who: u8,
        licence: u8,
        availability: u8,
        short: bool,
    },
    /// A master node deed's transfer or burn is allowed.
    Initiate { licence: u8, to: u8, burn: bool },
    /// It is given away, or burned.
    TransferMaster {
        who: u8,
        licence: u8,
        to: u8,
        burn: bool,
    },
    /// Somebody bans a node deed, or takes the ban back; the first account may.
    Ban { who: u8, licence: u8, back: bool },
    /// Licences of one kind stop, or go on.
    Pause { who: u8, masters: bool, paused: bool },
    /// Something about escrows and jobs.
    Job(JobStep),
    /// USDC is spent on jobs.
    Volume { usdc: u32 },
}

/// Runs it; false if it was refused.
pub fn run(rooms: &mut Rooms, step: &Step) -> bool {
    match step {
        Step::Job(step) => jobs::run(rooms, step),
        Step::Wait {
            epochs,
            ms,
            availability,
        } => wait(rooms, *epochs, *ms, *availability),
        Step::Volume { usdc } => {
            let spent = U256::from(*usdc) * U256::from(USDC);
            rooms.adoption.record_volume(rooms.now.epoch, spent).is_ok()
        }
        Step::Transfer { .. }
        | Step::Burn { .. }
        | Step::Swap { .. }
        | Step::Provide { .. }
        | Step::Withdraw { .. } => money(rooms, step),
        Step::Buy {
            who,
            count,
            invoice,
            vat_bp,
        } => buy(rooms, *who, (*count, *invoice, *vat_bp)),
        Step::Link { .. } | Step::Unlink { .. } | Step::Give { .. } | Step::Claim { .. } => deed(rooms, step),
        Step::Ban { .. } | Step::Pause { .. } => rule(rooms, step),
        _ => master(rooms, step),
    }
}

fn thousandths(asset: Asset, amount: u32) -> U256 {
    let unit = match asset {
        Asset::R1 => R1,
        Asset::Usdc => USDC,
    };
    U256::from(amount) * U256::from(unit / 1000)
}

fn asset(usdc: bool) -> Asset {
    if usdc { Asset::Usdc } else { Asset::R1 }
}

fn wait(rooms: &mut Rooms, epochs: u8, ms: u16, availability: u8) -> bool {
    let params = Rc::clone(&rooms.params);
    let epochs = u64::from(epochs) % (MAX_EPOCHS + 1);
    let timestamp_ms = rooms.now.timestamp_ms + epochs * params.epoch_length_ms + u64::from(ms);
    rooms.now = Moment {
        timestamp_ms,
        epoch: timestamp_ms / params.epoch_length_ms,
    };
    if params.mode == Mode::Strict {
        for epoch in rooms.next_epoch..rooms.now.epoch {
            rooms.deeds.credit(&params.nd, epoch, |_| availability);
            let context = master_context(&params, rooms.now);
            let credited = rooms
                .masters
                .credit(&context, &rooms.adoption, epoch, |_| availability);
            credited.expect("an epoch can be closed");
            rooms.next_epoch = epoch + 1;
        }
    }
    true
}

fn money(rooms: &mut Rooms, step: &Step) -> bool {
    let (bank, pool) = (&mut rooms.bank, &mut rooms.pool);
    match step {
        Step::Transfer {
            from,
            to,
            usdc,
            amount,
        } => {
            let asset = asset(*usdc);
            let amount = thousandths(asset, *amount);
            bank.transfer(asset, &account(*from), &account(*to), amount)
                .is_ok()
        }
        Step::Burn { who, amount } => {
            let amount = thousandths(Asset::R1, *amount);
            bank.burn(&account(*who), amount, Burn::Voluntary).is_ok()
        }
        Step::Swap { who, usdc, amount } => {
            let asset = asset(*usdc);
            let (who, paid) = (account(*who), thousandths(asset, *amount));
            pool.swap(bank, &who, (asset, paid), U256::ZERO, &who).is_ok()
        }
        Step::Provide { who, r1, usdc } => {
            let desired = Amounts {
                r1: thousandths(Asset::R1, *r1),
                usdc: thousandths(Asset::Usdc, *usdc),
            };
            let who = account(*who);
            pool.add_liquidity(bank, &who, desired, Amounts::default(), &who)
                .is_ok()
        }
        Step::Withdraw { who, part } => {
            let who = account(*who);
            let held = pool.shares.get(&who).copied().unwrap_or_default();
            let shares = held * U256::from(*part) / U256::from(u8::MAX);
            pool.remove_liquidity(bank, &who, shares, Amounts::default(), &who)
                .is_ok()
        }
        other => unreachable!("{other:?} is not about money"),
    }
}

fn buy(rooms: &mut Rooms, who: u8, (count, invoice, vat_bp): (u8, u8, u16)) -> bool {
    let params = Rc::clone(&rooms.params);
    let buyer = account(who);
    let order = Order {
        buyer,
        count: u64::from(count),
        tier: rooms.sale.progress.tier,
        max_price: U256::MAX,
        invoice: [invoice; 32],
        usd_limit: U256::from(200_000),
        vat_bp: U256::from(vat_bp % 12_000),
    };
    let mut desk = Desk {
        nd: &params.nd,
        mode: params.mode,
        at: rooms.now,
        bank: &mut rooms.bank,
        exchange: &mut rooms.pool,
        adoption: &mut rooms.adoption,
    };
    let bought = rooms
        .sale
        .buy(&mut desk, &mut rooms.deeds, &order, &mut || Ok(buyer));
    bought.is_ok()
}

/// What only the owner of the contracts may do: the first account.
fn rule(rooms: &mut Rooms, step: &Step) -> bool {
    let (owner, deeds) = (account(0), &mut rooms.deeds);
    match *step {
        Step::Ban { who, licence, back } => {
            let (sender, id) = (account(who), u64::from(licence % 16));
            let done = if back {
                deeds.unban(&owner, &sender, id)
            } else {
                deeds.ban(&owner, &sender, id)
            };
            done.is_ok()
        }
        Step::Pause {
            masters: true,
            paused,
            ..
        } => rooms.masters.pause(paused).is_ok(),
        Step::Pause { who, paused, .. } => deeds.pause(&owner, &account(who), paused).is_ok(),
        ref other => unreachable!("{other:?} is not the owner's"),
    }
}

/// A node as licences know it. Strict rules know it by its name too; any text that looks like a key will do.
fn node_id(number: u8) -> NodeId {
    NodeId {
        address: node(number),
        name: NodeAddress::from_compressed([2 + number % 2; 33]),
    }
}

fn deed(rooms: &mut Rooms, step: &Step) -> bool {
    let params = Rc::clone(&rooms.params);
    let context = deed_context(&params, rooms.now, rooms.next_epoch);
    let (deeds, links) = (&mut rooms.deeds, &mut rooms.links);
    match step {
        Step::Link {
            who,
            licence,
            node: number,
        } => {
            let node = node_id(*number);
            let id = u64::from(*licence % 16);
            deeds
                .link(&context, links, &account(*who), (id, node), &mut || {
                    Ok(node.address)
                })
                .is_ok()
        }
        Step::Unlink { who, licence } => deeds
            .unlink(&context, links, &account(*who), u64::from(*licence % 16))
            .is_ok(),
        Step::Give { who, licence, to } => {
            let id = u64::from(*licence % 16);
            deeds
                .transfer(&context, links, &account(*who), id, &account(*to))
                .is_ok()
        }
        Step::Claim {
            who,
            licence,
            availability,
            short,
        } => {
            let id = u64::from(*licence % 16);
            if params.mode == Mode::Strict {
                return deeds
                    .claim_credited(&context, &mut rooms.bank, &account(*who), id)
                    .is_ok();
            }
            let Ok(deed) = deeds.deed(id) else {
                return false;
            };
            let first = deed.last_claim_epoch + u64::from(*short);
            let epochs: Vec<u64> = (first..rooms.now.epoch).collect();
            let claim = NdClaim {
                licence: id,
                node: deed.node.unwrap_or(node(0)),
                availabilities: vec![*availability; epochs.len()],
                epochs,
            };
            let mut verify = |_: usize, _: &NdClaim| Ok(node(1));
            let paid = deeds.claim_signed(&context, &mut rooms.bank, &account(*who), &[claim], &mut verify);
            paid.is_ok()
        }
        other => unreachable!("{other:?} is not about node deeds"),
    }
}

fn master(rooms: &mut Rooms, step: &Step) -> bool {
    let params = Rc::clone(&rooms.params);
    let context = master_context(&params, rooms.now);
    let (masters, links) = (&mut rooms.masters, &mut rooms.links);
    let id = |number: &u8| u64::from(number % 6);
    match step {
        Step::Add { owner, assigned } => {
            let assigned = U256::from(*assigned) * U256::from(R1);
            masters.add(&context, &account(*owner), assigned).is_ok()
        }
        Step::LinkMaster {
            who,
            licence,
            node: to,
        } => masters
            .link(&context, links, &account(*who), id(licence), node_id(*to))
            .is_ok(),
        Step::UnlinkMaster { who, licence } => masters
            .unlink(&context, links, &account(*who), id(licence))
            .is_ok(),
        Step::Initiate { licence, to, burn } => {
            let receiver = if *burn { node(0) } else { account(*to) };
            masters.initiate(id(licence), receiver).is_ok()
        }
        Step::TransferMaster {
            who,
            licence,
            burn: true,
            ..
        } => masters.burn(&context, links, &account(*who), id(licence)).is_ok(),
        Step::TransferMaster { who, licence, to, .. } => masters
            .transfer(&context, &account(*who), id(licence), &account(*to))
            .is_ok(),
        Step::ClaimMaster {
            who,
            licence,
            availability,
            short,
        } => claim_master(rooms, (*who, id(licence)), (*availability, *short)),
        other => unreachable!("{other:?} is not about master node deeds"),
    }
}

fn claim_master(rooms: &mut Rooms, (who, id): (u8, u64), (availability, short): (u8, bool)) -> bool {
    let params = Rc::clone(&rooms.params);
    let context = master_context(&params, rooms.now);
    let (masters, who) = (&mut rooms.masters, account(who));
    if params.mode == Mode::Strict {
        return masters
            .claim_credited(&context, &who, id, &mut rooms.bank)
            .is_ok();
    }
    let Ok(deed) = masters.deed(id) else {
        return false;
    };
    let first = deed.last_claim_epoch.max(deed.first_mining_epoch) + u64::from(short);
    let epochs: Vec<u64> = (first..rooms.now.epoch).collect();
    let claim = MasterClaim {
        id,
        node: deed.node.unwrap_or(node(0)),
        availabilities: &vec![availability; epochs.len()],
        epochs: &epochs,
    };
    let money = (&mut rooms.bank, &rooms.adoption);
    masters.claim(&context, &who, &claim, money, node(1)).is_ok()
}
