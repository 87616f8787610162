//! The state before the first block.

use r1_core::{EthAddress, Genesis};
use r1_identity::PublicKey;

use super::{GenesisRefusal, State};
use crate::{
    Allocation, Links, NetworkParams,
    adoption::Adoption,
    bank::{Bank, Mint, holder},
    controller::Controller,
    deeds::{NOBODY, NodeDeeds},
    gratitude::Gratitude,
    mnd::MasterDeeds,
    poai::Poai,
    pool::{Amounts, Exchange as _, Pool},
    sale::Sale,
    table::{Journal as _, Table, Var},
};

impl State {
    /// The state before the first block: the licences that the genesis grants, the genesis node deed if the contracts
    /// have an owner, what accounts are allocated, the pool's first reserves, the oracles.
    ///
    /// # Errors
    /// A [`GenesisRefusal`].
    pub fn genesis(genesis: &Genesis) -> Result<Self, GenesisRefusal> {
        let mut state = Self::empty(genesis)?;
        state.begin();
        state.found(genesis)?;
        state.commit();
        Ok(state)
    }

    /// A state without records, into which the stored ones are put by [`State::restore`].
    ///
    /// # Errors
    /// A [`GenesisRefusal`] for the genesis' constants.
    pub fn empty(genesis: &Genesis) -> Result<Self, GenesisRefusal> {
        let params = NetworkParams::of(genesis)?;
        Ok(Self {
            bank: Bank::new(params.r1_cap),
            deeds: NodeDeeds::default(),
            masters: MasterDeeds::default(),
            links: Links::default(),
            controller: Controller::new(params.minimum_signatures),
            adoption: Adoption::default(),
            sale: Sale::default(),
            pool: Pool::default(),
            poai: Poai::default(),
            gratitude: Gratitude::default(),
            epochs: Table::default(),
            next_epoch: Var::new(0),
            params,
        })
    }

    fn found(&mut self, genesis: &Genesis) -> Result<(), GenesisRefusal> {
        let max = self.params.nd.max_supply;
        for given in &genesis.licences {
            if given.id > max {
                return Err(GenesisRefusal::Licence { id: given.id, max });
            }
            self.deeds.grant(given.id, &given.owner);
        }
        if self.params.owner != NOBODY {
            self.masters.found(&self.params.mnd, &self.params.owner);
        }
        for oracle in &genesis.oracles {
            let key =
                PublicKey::try_from(&oracle.address).map_err(|_| GenesisRefusal::Oracle(oracle.address))?;
            // A genesis names no oracle twice; a second mention would change nothing.
            let _ = self.controller.add(key.eth_address(), genesis.epoch.genesis_ms);
        }
        for allocation in self.params.allocations.clone() {
            self.allocate(&allocation.account.clone(), &allocation)?;
        }
        self.fill_pool()
    }

    fn allocate(&mut self, to: &EthAddress, allocation: &Allocation) -> Result<(), GenesisRefusal> {
        if holder::ALL.contains(to) {
            return Err(GenesisRefusal::Holder(*to));
        }
        self.bank.mint(to, allocation.r1, Mint::Genesis)?;
        Ok(self.bank.issue_usdc(to, allocation.usdc)?)
    }

    /// The pool's first reserves come from nowhere; their LP tokens are those of the account that the genesis names.
    fn fill_pool(&mut self) -> Result<(), GenesisRefusal> {
        let reserves = self.params.pool.clone();
        if reserves.r1.is_zero() {
            return Ok(());
        }
        let (to, all) = (
            reserves.account,
            Amounts {
                r1: reserves.r1,
                usdc: reserves.usdc,
            },
        );
        self.allocate(&to, &reserves)?;
        self.pool
            .add_liquidity(&mut self.bank, &to, all, Amounts::default(), &to)?;
        Ok(())
    }
}
