//! What must hold after every step, whatever the steps were.

use r1_core::U256;
use r1_economy::{
    LicenceRef,
    bank::{Asset, holder},
};

use crate::rooms::Rooms;

/// The number of the genesis node deed.
const GND: u64 = 1;
/// What the shares of all claims of the GND may lose by flooring, wei.
const DUST: u64 = 10_000;

/// Looks at everything.
pub fn check(rooms: &Rooms) {
    bank(rooms);
    pool(rooms);
    deeds(rooms);
    masters(rooms);
    links(rooms);
    escrows(rooms);
}

/// What only grows.
pub fn grows(before: &Rooms, after: &Rooms) {
    let (old, new) = (&before.bank.totals, &after.bank.totals);
    assert!(
        old.minted_nd <= new.minted_nd && old.minted_mnd <= new.minted_mnd,
        "minted shrank"
    );
    assert!(old.burned_sale <= new.burned_sale && old.burned_voluntary <= new.burned_voluntary);
    let shares = (before.pool.reserves.shares, after.pool.reserves.shares);
    if shares.0 == shares.1 {
        let product = |rooms: &Rooms| rooms.pool.reserves.r1 * rooms.pool.reserves.usdc;
        assert!(product(before) <= product(after), "the pool lost to a swap");
    }
}

fn bank(rooms: &Rooms) {
    let totals = &rooms.bank.totals;
    let (mut r1, mut usdc) = (U256::ZERO, U256::ZERO);
    for (_, account) in rooms.bank.accounts.iter() {
        r1 += account.r1;
        usdc += account.usdc;
    }
    assert_eq!(
        (r1, usdc),
        (totals.r1, totals.usdc),
        "the balances are not the supply"
    );
    assert!(r1 <= rooms.bank.cap, "supply above the cap");
    let minted = totals.minted_genesis + totals.minted_nd + totals.minted_mnd + totals.minted_gnd;
    let burned = totals.burned_sale + totals.burned_job + totals.burned_voluntary;
    assert_eq!(minted - burned, r1, "minted less burned is not the supply");
}

fn pool(rooms: &Rooms) {
    let reserves = *rooms.pool.reserves;
    assert!(
        reserves.r1 <= rooms.bank.balance(Asset::R1, &holder::POOL),
        "the pool lacks R1"
    );
    assert!(
        reserves.usdc <= rooms.bank.balance(Asset::Usdc, &holder::POOL),
        "the pool lacks USDC"
    );
    let shares = rooms
        .pool
        .shares
        .iter()
        .fold(U256::ZERO, |sum, (_, held)| sum + *held);
    assert!(shares <= reserves.shares, "more shares are held than exist");
}

fn deeds(rooms: &Rooms) {
    let nd = &rooms.params.nd;
    let mut claimed = U256::ZERO;
    for (id, deed) in rooms.deeds.deeds.iter() {
        assert!(deed.claimed <= nd.cap, "ND {id} above its cap");
        assert!(
            deed.pending <= nd.cap - deed.claimed,
            "ND {id} is owed more than it may mint"
        );
        claimed += deed.claimed;
    }
    assert_eq!(
        claimed, rooms.bank.totals.minted_nd,
        "minted for node deeds is not claimed"
    );
    assert!(rooms.deeds.status.last_id <= nd.max_supply, "too many node deeds");
}

fn masters(rooms: &Rooms) {
    let mnd = &rooms.params.mnd;
    let (mut minted, mut minted_gnd, mut assigned) = (U256::ZERO, U256::ZERO, U256::ZERO);
    for (id, deed) in rooms.masters.deeds.iter() {
        let progress = &deed.progress;
        assert!(
            progress.claimed <= progress.assigned,
            "MND {id} above what is assigned"
        );
        let owed = progress.withheld + deed.pending;
        assert!(
            owed <= progress.claimed,
            "MND {id}: withheld and pending above claimed"
        );
        // Released is minted, waits to be claimed, or is withheld.
        let sum = if *id == GND { &mut minted_gnd } else { &mut minted };
        *sum += progress.claimed - owed;
        if *id != GND {
            assigned += if deed.burned {
                progress.claimed
            } else {
                progress.assigned
            };
        }
    }
    let totals = &rooms.bank.totals;
    assert_eq!(minted, totals.minted_mnd, "minted and withheld is not claimed");
    assert!(
        totals.minted_gnd <= minted_gnd,
        "the GND minted more than it claimed"
    );
    assert!(
        minted_gnd - totals.minted_gnd <= U256::from(DUST),
        "the GND's shares lose R1"
    );
    assert!(assigned <= mnd.max_assigned, "more is assigned than there is");
}

fn links(rooms: &Rooms) {
    for (node, licence) in rooms.links.iter() {
        let linked = match licence {
            LicenceRef::Nd(id) => rooms.deeds.deeds.get(id).and_then(|deed| deed.node),
            LicenceRef::Mnd(id) => rooms.masters.deeds.get(id).and_then(|deed| deed.node),
        };
        assert_eq!(linked, Some(*node), "{licence} does not know its node");
    }
    let nodes = rooms
        .deeds
        .deeds
        .iter()
        .filter(|(_, deed)| deed.node.is_some())
        .count()
        + rooms
            .masters
            .deeds
            .iter()
            .filter(|(_, deed)| deed.node.is_some())
            .count();
    assert_eq!(
        nodes,
        rooms.links.iter().count(),
        "a licence has a node that is not registered"
    );
}

fn escrows(rooms: &Rooms) {
    let poai = &rooms.poai;
    let mut held = U256::ZERO;
    for (owner, escrow) in poai.escrows.iter() {
        let balance = escrow.balance();
        held += balance.unwrap_or_else(|| panic!("escrow {owner} gave more than it got"));
    }
    let bank = rooms.bank.balance(Asset::Usdc, &holder::ESCROW);
    assert_eq!(held, bank, "the escrows are not what the bank holds for them");
    // What is not allocated yet and what nodes may claim is all there.
    let jobs = poai
        .jobs
        .iter()
        .fold(U256::ZERO, |sum, (_, job)| sum + job.balance);
    let wallets = poai.wallets.iter().fold(U256::ZERO, |sum, (_, usdc)| sum + *usdc);
    assert!(
        jobs + wallets <= held,
        "jobs and nodes are owed more than the escrows hold"
    );
    for (key, ()) in poai.active.iter() {
        let job = poai.jobs.get(&key.1).expect("an active job exists");
        assert!(
            !job.closed && job.escrow == key.0,
            "job {} is not active there",
            key.1
        );
    }
    let open = poai.jobs.iter().filter(|(_, job)| !job.closed).count();
    assert_eq!(open, poai.active.iter().count(), "an open job is not registered");
}
