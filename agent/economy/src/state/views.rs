//! What people ask of the ledger: licences, wallets, nodes, escrows and sums. The contract Reader gathers the same.

use r1_core::{EthAddress, NodeAddress, U256, wei};
use serde::Serialize;

use super::State;
use crate::{
    LicenceRef, Mode,
    bank::{Account, Asset, Totals},
    deeds::{NodeDeed, nd_room},
    mnd::{GND, MasterDeed},
    poai::{Delegation, Escrow, Job},
    pool::{Exchange as _, Reserves},
    sale,
};

/// A licence as people see it, of whatever kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LicenceView {
    /// The licence.
    #[serde(skip)]
    pub licence: LicenceRef,
    /// Its owner.
    pub owner: EthAddress,
    /// The node it is linked to, by name.
    pub node: Option<NodeAddress>,
    /// The node's EVM address.
    pub node_address: Option<EthAddress>,
    /// Most it can ever mint, wei.
    #[serde(rename = "assigned_wei", with = "wei")]
    pub assigned: U256,
    /// Minted or withheld so far, wei.
    #[serde(rename = "claimed_wei", with = "wei")]
    pub claimed: U256,
    /// What a claim would pay now, wei. Compat: 0, the ledger does not know what oracles will sign.
    #[serde(rename = "claimable_wei", with = "wei")]
    pub claimable: U256,
    /// Withheld by adoption and not paid yet, wei.
    #[serde(rename = "withheld_wei", with = "wei")]
    pub withheld: U256,
    /// First epoch that is not claimed, while linked.
    pub last_claim_epoch: Option<u64>,
    /// True if it was banned.
    pub banned: bool,
}

/// A wallet as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WalletView {
    /// What it holds.
    #[serde(flatten)]
    pub account: Account,
    /// LP tokens of the pool.
    #[serde(with = "wei")]
    pub pool_shares: U256,
    /// Its licences.
    pub licences: Vec<LicenceView>,
    /// Its own escrow.
    pub escrow: Option<Escrow>,
    /// The escrow it is a delegate of.
    pub delegation: Option<Delegation>,
}

/// The ledger in figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EconomyView {
    /// Sums over all accounts and all time.
    pub totals: Totals,
    /// Withheld from master node deeds and not paid yet, wei.
    #[serde(rename = "withheld_wei", with = "wei")]
    pub withheld: U256,
    /// The pool's reserves.
    pub pool: Reserves,
    /// USDC per R1 with 18 decimals; 0 without reserves.
    #[serde(with = "wei")]
    pub price: U256,
    /// Where the sale stands.
    pub sale: sale::Progress,
    /// Adoption in the last closed epoch, 0 to 65535.
    pub adoption: u16,
    /// Node deeds that exist, and master node deeds.
    pub licences: (u64, u64),
    /// Jobs that are not closed.
    pub open_jobs: u64,
    /// The first epoch that is not closed.
    pub next_epoch: u64,
}

impl State {
    fn deed_view(&self, id: u64, deed: &NodeDeed) -> LicenceView {
        let strict = self.params.mode == Mode::Strict;
        LicenceView {
            licence: LicenceRef::Nd(id),
            owner: deed.owner,
            node: deed.node_name,
            node_address: deed.node,
            assigned: self.params.nd.cap,
            claimed: deed.claimed,
            claimable: if strict {
                deed.pending.min(nd_room(&self.params.nd, deed.claimed))
            } else {
                U256::ZERO
            },
            withheld: U256::ZERO,
            last_claim_epoch: deed.node.map(|_| deed.last_claim_epoch),
            banned: deed.banned,
        }
    }

    /// All licences that exist: node deeds by id, then master node deeds by number.
    pub fn licences(&self) -> impl Iterator<Item = LicenceView> + '_ {
        let deeds = self.deeds.deeds.iter().filter(|(_, deed)| !deed.burned);
        let masters = self.masters.deeds.iter().filter(|(_, deed)| !deed.burned);
        deeds
            .map(|(id, deed)| self.deed_view(*id, deed))
            .chain(masters.map(|(id, deed)| master_view(*id, deed)))
    }

    /// One licence, if it exists.
    pub fn licence(&self, licence: LicenceRef) -> Option<LicenceView> {
        match licence {
            LicenceRef::Nd(id) => Some(self.deed_view(id, self.deeds.deed(id).ok()?)),
            LicenceRef::Mnd(id) => Some(master_view(id, self.masters.deed(id).ok()?)),
        }
    }

    /// A wallet; one that was never heard of holds nothing.
    pub fn wallet(&self, account: &EthAddress) -> WalletView {
        WalletView {
            account: self.bank.accounts.get(account).cloned().unwrap_or_default(),
            pool_shares: self.pool.shares.get(account).copied().unwrap_or_default(),
            licences: self
                .licences()
                .filter(|licence| licence.owner == *account)
                .collect(),
            escrow: self.poai.escrows.get(account).cloned(),
            delegation: self.poai.delegates.get(account).copied(),
        }
    }

    /// The ledger in figures.
    pub fn economy(&self) -> EconomyView {
        let last = self.next_epoch().saturating_sub(1);
        let existing = |burned: bool| u64::from(!burned);
        EconomyView {
            totals: (*self.bank.totals).clone(),
            withheld: self.withheld(),
            pool: *self.pool.reserves,
            price: self.pool.price().unwrap_or_default(),
            sale: *self.sale.progress,
            adoption: self.adoption.at(&self.params.adoption, last),
            licences: (
                self.deeds
                    .deeds
                    .iter()
                    .map(|(_, deed)| existing(deed.burned))
                    .sum(),
                self.masters.status.supply,
            ),
            open_jobs: self.poai.active.len() as u64,
            next_epoch: self.next_epoch(),
        }
    }

    /// Withheld from master node deeds and not paid yet, wei.
    pub fn withheld(&self) -> U256 {
        let withheld = self.masters.deeds.iter().map(|(_, deed)| deed.progress.withheld);
        withheld.fold(U256::ZERO, U256::saturating_add)
    }

    /// An account's balance of R1, wei.
    pub fn balance(&self, account: &EthAddress) -> U256 {
        self.bank.balance(Asset::R1, account)
    }

    /// An account's balance of either asset, in its smallest unit.
    pub fn balance_of(&self, asset: Asset, account: &EthAddress) -> U256 {
        self.bank.balance(asset, account)
    }

    /// All R1 in existence, wei.
    pub fn supply(&self) -> U256 {
        self.bank.totals.r1
    }

    /// Sums over all accounts and all time.
    pub fn totals(&self) -> &Totals {
        &self.bank.totals
    }

    /// Sum of all balances of an asset; equals its total.
    pub fn sum_of_balances(&self, asset: Asset) -> U256 {
        let held = |account: &Account| match asset {
            Asset::R1 => account.r1,
            Asset::Usdc => account.usdc,
        };
        self.bank
            .accounts
            .iter()
            .fold(U256::ZERO, |sum, (_, account)| sum.saturating_add(held(account)))
    }

    /// The sale of node deeds.
    pub fn sale(&self) -> &sale::Sale {
        &self.sale
    }

    /// The R1/USDC pool.
    pub fn pool(&self) -> &crate::pool::Pool {
        &self.pool
    }

    /// All escrows by owner.
    pub fn escrows(&self) -> impl Iterator<Item = (&EthAddress, &Escrow)> + '_ {
        self.poai.escrows.iter()
    }

    /// The escrow that an account acts in: its own, or the one it is a delegate of.
    pub fn escrow_of(&self, account: &EthAddress) -> Option<(EthAddress, &Escrow)> {
        let owner = self.poai.escrow_of(account)?;
        Some((owner, self.poai.escrows.get(&owner)?))
    }

    /// All delegates of an escrow.
    pub fn delegates(&self, escrow: &EthAddress) -> Vec<(EthAddress, u8)> {
        let of = self
            .poai
            .delegates
            .iter()
            .filter(|(_, given)| given.escrow == *escrow);
        of.map(|(account, given)| (*account, given.permissions)).collect()
    }

    /// All jobs by number, the closed ones among them.
    pub fn jobs(&self) -> impl DoubleEndedIterator<Item = (u64, &Job)> + '_ {
        self.poai.jobs.iter().map(|(id, job)| (*id, job))
    }

    /// One job.
    pub fn job(&self, id: u64) -> Option<&Job> {
        self.poai.jobs.get(&id)
    }

    /// What a node may claim for jobs, micro-USDC.
    pub fn job_earnings(&self, node: &EthAddress) -> U256 {
        self.poai.claimable(node)
    }

    /// Least R1, wei, that USDC should buy if the pool's present quote worsens by no more than `slippage_bp` basis points;
    /// `None` if the pool cannot serve it.
    pub fn least_out(&self, usdc: U256, slippage_bp: u64) -> Option<U256> {
        let quote = self.pool.quote_swap(Asset::Usdc, usdc).ok()?;
        let kept = U256::from(10_000_u64.saturating_sub(slippage_bp));
        quote.checked_mul(kept).map(|scaled| scaled / U256::from(10_000))
    }

    /// The sets that oracles have submitted for a job in an epoch, in order: oracle and nodes.
    pub fn submissions(&self, job: u64, epoch: u64) -> Vec<(EthAddress, Vec<EthAddress>)> {
        let range = (job, epoch, 0)..=(job, epoch, u32::MAX);
        let sets = self.poai.proposals.range(range);
        sets.map(|(_, set)| (set.oracle, set.nodes.clone())).collect()
    }

    /// True if the account is an oracle.
    pub fn is_oracle(&self, account: &EthAddress) -> bool {
        self.controller.oracles.contains(account)
    }

    /// True if the node is linked to a licence of either kind that is not banned.
    pub fn is_node_active(&self, node: &EthAddress) -> bool {
        match self.links.get(node) {
            Some(LicenceRef::Nd(_)) => self.deeds.is_node_active(&self.links, node),
            Some(LicenceRef::Mnd(_)) => true,
            None => false,
        }
    }

    /// The apps in whose honour most was burned, and what, wei.
    pub fn top_apps(&self) -> Vec<(String, U256)> {
        let apps = self.gratitude.top_apps();
        apps.into_iter()
            .map(|(slug, app)| (slug.to_owned(), app.burned))
            .collect()
    }

    /// The accounts that burned most of their own will, and what, wei.
    pub fn top_burners(&self) -> Vec<(EthAddress, U256)> {
        crate::gratitude::top_burners(&self.bank)
    }
}

fn master_view(id: u64, deed: &MasterDeed) -> LicenceView {
    LicenceView {
        licence: LicenceRef::Mnd(id),
        owner: deed.owner,
        node: deed.node_name,
        node_address: deed.node,
        assigned: deed.progress.assigned,
        claimed: deed.progress.claimed,
        claimable: deed.pending,
        withheld: deed.progress.withheld,
        last_claim_epoch: deed.node.map(|_| deed.last_claim_epoch),
        banned: false,
    }
}

/// The kind's name, as the contract Reader has it: ND, MND or GND.
pub fn kind(licence: LicenceRef) -> &'static str {
    match licence {
        LicenceRef::Nd(_) => "ND",
        LicenceRef::Mnd(GND) => "GND",
        LicenceRef::Mnd(_) => "MND",
    }
}
