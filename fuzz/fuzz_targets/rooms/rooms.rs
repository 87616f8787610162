//! The rooms and who plays in them.

use std::rc::Rc;

use r1_core::{EthAddress, U256};
use r1_economy::{
    Links, Mode, Moment, NetworkParams,
    adoption::Adoption,
    bank::{Bank, Mint},
    deeds::{DeedContext, NodeDeeds},
    mnd::{MasterContext, MasterDeeds},
    poai::Poai,
    pool::{Amounts, Exchange as _, Pool},
    sale::Sale,
    table::Journal,
};

/// Accounts that act.
pub const ACCOUNTS: u8 = 4;
/// One R1, wei.
pub const R1: u64 = 1_000_000_000_000_000_000;
/// One USDC, micro-units.
pub const USDC: u64 = 1_000_000;

/// Everything a step can change, and the rules.
#[derive(Clone, PartialEq)]
pub struct Rooms {
    pub params: Rc<NetworkParams>,
    pub now: Moment,
    /// First epoch that is not closed (strict).
    pub next_epoch: u64,
    pub bank: Bank,
    pub pool: Pool,
    pub sale: Sale,
    pub deeds: NodeDeeds,
    pub masters: MasterDeeds,
    pub links: Links,
    pub adoption: Adoption,
    pub poai: Poai,
}

/// An account by a random number.
pub fn account(number: u8) -> EthAddress {
    EthAddress::new([1 + number % ACCOUNTS; 20])
}

/// A node by a random number; more than accounts, and one is nobody's.
pub fn node(number: u8) -> EthAddress {
    match number % 8 {
        0 => EthAddress::new([0; 20]),
        other => EthAddress::new([0xa0 + other; 20]),
    }
}

impl Rooms {
    /// A small network: a pool, accounts with means, licences of both kinds, mining that starts early.
    pub fn new(mode: Mode) -> Self {
        let mut params = NetworkParams::preset("mainnet").expect("mainnet is a preset");
        params.mode = mode;
        params.mnd.no_mining_epochs = 2;
        let wallets = [
            &mut params.nd.lp_wallet,
            &mut params.nd.company_wallet,
            &mut params.nd.vat_wallet,
        ];
        for (number, wallet) in (0xc1..).zip(wallets) {
            *wallet = EthAddress::new([number; 20]);
        }
        let mut rooms = Self {
            bank: Bank::new(params.r1_cap),
            params: Rc::new(params),
            now: Moment {
                timestamp_ms: 1,
                epoch: 0,
            },
            next_epoch: 0,
            pool: Pool::default(),
            sale: Sale::default(),
            deeds: NodeDeeds::default(),
            masters: MasterDeeds::default(),
            links: Links::default(),
            adoption: Adoption::default(),
            poai: Poai::default(),
        };
        rooms.begin();
        rooms.furnish();
        rooms.commit();
        rooms
    }

    fn furnish(&mut self) {
        let (r1, usdc) = (U256::from(R1), U256::from(USDC));
        for number in 0..ACCOUNTS {
            let account = account(number);
            let minted = self
                .bank
                .mint(&account, r1 * U256::from(1_000_000), Mint::Genesis);
            minted.expect("far below the cap");
            let issued = self.bank.issue_usdc(&account, usdc * U256::from(1_000_000));
            issued.expect("far below 256 bits");
            self.deeds.grant(u64::from(number) + 1, &account);
        }
        let desired = Amounts {
            r1: r1 * U256::from(300_000),
            usdc: usdc * U256::from(150_000),
        };
        let (bank, first) = (&mut self.bank, account(0));
        let provided = self
            .pool
            .add_liquidity(bank, &first, desired, Amounts::default(), &first);
        provided.expect("the account has it");
        self.masters.found(&self.params.mnd, &first);
    }

    /// All that is journaled.
    fn journals(&mut self) -> [&mut dyn Journal; 8] {
        [
            &mut self.bank,
            &mut self.pool,
            &mut self.sale,
            &mut self.deeds,
            &mut self.masters,
            &mut self.links,
            &mut self.adoption,
            &mut self.poai,
        ]
    }

    /// As the state does before a transaction.
    pub fn begin(&mut self) {
        self.journals().into_iter().for_each(Journal::begin);
    }

    /// Keeps the changes.
    pub fn commit(&mut self) {
        self.journals().into_iter().for_each(Journal::commit);
    }

    /// Takes them back.
    pub fn rollback(&mut self) {
        self.journals().into_iter().for_each(Journal::rollback);
    }
}

/// What node deeds are asked with.
pub fn deed_context<'a>(params: &'a NetworkParams, at: Moment, next_epoch: u64) -> DeedContext<'a> {
    DeedContext {
        nd: &params.nd,
        mode: params.mode,
        at,
        next_epoch,
    }
}

/// What master node deeds are asked with.
pub fn master_context(params: &NetworkParams, at: Moment) -> MasterContext<'_> {
    MasterContext {
        mnd: &params.mnd,
        adoption: &params.adoption,
        link_cooldown_ms: params.nd.link_cooldown_ms,
        mode: params.mode,
        at,
    }
}
