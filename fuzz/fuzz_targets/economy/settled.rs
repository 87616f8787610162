//! A ledger on which some things have happened already: nodes are linked, an escrow is open, a job runs, master node
//! deeds mine, a node deed is banned. Sequences that begin here reach what few would reach from the genesis.

use r1_core::{EthAddress, U256};
use r1_economy::{
    Action, LicenceRef, Mode, OwnerAction, Signature, State, Transaction, link_consent, message,
    poai::JobRequest,
};

use crate::{
    sign::sign,
    world::{CHAIN, EPOCH_MS, Wallet, World, moment},
};

/// R1 assigned to each master node deed, wei: a hundred thousand.
const ASSIGNED: u128 = 100_000_000_000_000_000_000_000;

/// The state and the time since the beginning, ms.
pub fn settle(world: &World) -> (State, u64) {
    let mut town = Town {
        world,
        state: world.state.clone(),
        ms: 1,
    };
    let wallets = world.wallets();
    for (id, wallet) in (1..).zip(&wallets[..3]) {
        town.link(wallet, LicenceRef::Nd(id), wallet);
    }
    town.send(wallets[0].eth, Action::DeployEscrow);
    town.send(world.owner(), Action::Owner(OwnerAction::Ban { licence: 5 }));
    for (id, owner) in (2..).zip(&wallets[3..5]) {
        let assigned = U256::from(ASSIGNED);
        let add = OwnerAction::AddMnd {
            owner: owner.eth,
            assigned,
        };
        town.send(world.owner(), Action::Owner(add));
        town.link(owner, LicenceRef::Mnd(id), owner);
    }
    let delegate = Action::Delegate {
        delegate: wallets[5].eth,
        permissions: 15,
    };
    town.send(wallets[0].eth, delegate);
    // No job starts in epoch 0.
    town.epoch();
    town.jobs();
    town.epoch();
    (town.state, town.ms)
}

struct Town<'a> {
    world: &'a World,
    state: State,
    ms: u64,
}

impl Town<'_> {
    /// An epoch passes and is closed.
    fn epoch(&mut self) {
        let (epoch, table) = (moment(self.ms).epoch, self.world.availability(200, u8::MAX));
        self.ms += EPOCH_MS;
        let closed = self.state.close_epoch(epoch, &table, false);
        closed.expect("the next epoch is closed");
    }

    fn send(&mut self, sender: EthAddress, action: Action) {
        let transaction = Transaction {
            chain_id: CHAIN,
            nonce: self.state.nonce(&sender),
            action,
        };
        let taken = self.state.apply_as(moment(self.ms), sender, &transaction);
        taken.unwrap_or_else(|refusal| panic!("{:?}: {refusal}", transaction.action));
    }

    fn consent(&self, owner: &Wallet, licence: LicenceRef, node: &Wallet) -> Signature {
        match self.state.params().mode {
            Mode::Strict => sign(node, &link_consent(CHAIN, &owner.eth, licence, &node.node, 0)),
            Mode::Compat => {
                let digest = message::link(&owner.eth, &node.eth).hash();
                sign(&self.world.oracles()[0], &digest)
            }
        }
    }

    fn link(&mut self, owner: &Wallet, licence: LicenceRef, node: &Wallet) {
        let link = Action::Link {
            licence,
            node: node.node,
            consent: self.consent(owner, licence, node),
        };
        self.send(owner.eth, link);
    }

    /// Two jobs in the first escrow, of which the first one runs.
    fn jobs(&mut self) {
        let tenant = self.world.wallets()[0].eth;
        let request = |nodes| JobRequest {
            job_type: 6,
            last_execution_epoch: 8,
            nodes,
        };
        self.send(tenant, Action::CreateJobs(vec![request(2), request(1)]));
        let mut nodes = vec![self.world.wallets()[0].eth, self.world.wallets()[1].eth];
        nodes.sort_unstable();
        for oracle in &self.world.oracles()[..2] {
            let nodes = nodes.clone();
            self.send(oracle.eth, Action::SubmitNodes { job: 1, nodes });
        }
    }
}
