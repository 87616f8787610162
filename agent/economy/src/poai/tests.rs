use proptest::prelude::*;

use super::*;
use crate::{
    NetworkParams,
    adoption::Adoption,
    bank::{Asset, Bank, Mint, holder},
    pool::{Pool, Reserves},
};

const OWNER: EthAddress = EthAddress::new([1; 20]);
const DELEGATE: EthAddress = EthAddress::new([2; 20]);
const OPERATOR: EthAddress = EthAddress::new([3; 20]);
const NODE: EthAddress = EthAddress::new([4; 20]);
const OTHER_NODE: EthAddress = EthAddress::new([5; 20]);

struct One;

impl Registry for One {
    fn is_oracle(&self, account: &EthAddress) -> bool {
        *account == OWNER
    }

    fn oracles(&self) -> usize {
        1
    }

    fn owns_oracle_node(&self, wallet: &EthAddress) -> bool {
        *wallet == OWNER
    }

    fn deed_owner(&self, node: &EthAddress) -> Option<EthAddress> {
        [NODE, OTHER_NODE].contains(node).then_some(OPERATOR)
    }
}

struct World {
    params: NetworkParams,
    mode: Mode,
    at: Moment,
    bank: Bank,
    pool: Pool,
    adoption: Adoption,
    poai: Poai,
}

impl World {
    fn new(mode: Mode) -> Self {
        let params = NetworkParams::preset("mainnet").unwrap();
        let mut bank = Bank::new(params.r1_cap);
        let reserves = Reserves {
            r1: U256::from(3_000_000_000_000_000_000_000_000_u128),
            usdc: U256::from(1_500_000_000_000_u64),
            shares: U256::from(1),
        };
        bank.mint(&holder::POOL, reserves.r1, Mint::Genesis).unwrap();
        bank.issue_usdc(&holder::POOL, reserves.usdc).unwrap();
        for who in [OWNER, DELEGATE] {
            bank.issue_usdc(&who, U256::from(1_000_000_000_000_u64)).unwrap();
        }
        let mut pool = Pool::default();
        pool.reserves.set(reserves);
        let mut world = Self {
            params,
            mode,
            at: Moment {
                timestamp_ms: 86_400_000,
                epoch: 1,
            },
            bank,
            pool,
            adoption: Adoption::default(),
            poai: Poai::default(),
        };
        let (poai, context) = world.parts();
        poai.deploy(&context, &OWNER).unwrap();
        world
    }

    fn parts(&mut self) -> (&mut Poai, PoaiContext<'_>) {
        let context = PoaiContext {
            jobs: &self.params.jobs,
            mode: self.mode,
            at: self.at,
            registry: &One,
        };
        (&mut self.poai, context)
    }

    fn go_to(&mut self, epoch: u64) {
        self.at = Moment {
            timestamp_ms: self.at.timestamp_ms.max(epoch * 86_400_000) + 400_000,
            epoch,
        };
    }

    fn act<T>(
        &mut self,
        act: impl FnOnce(&mut Poai, &PoaiContext, &mut Bank, &mut Pool, &mut Adoption) -> Result<T, PoaiRefusal>,
    ) -> Result<T, PoaiRefusal> {
        let context = PoaiContext {
            jobs: &self.params.jobs,
            mode: self.mode,
            at: self.at,
            registry: &One,
        };
        for room in [
            &mut self.poai as &mut dyn Journal,
            &mut self.bank,
            &mut self.pool,
            &mut self.adoption,
        ] {
            room.begin();
        }
        let outcome = act(
            &mut self.poai,
            &context,
            &mut self.bank,
            &mut self.pool,
            &mut self.adoption,
        );
        for room in [
            &mut self.poai as &mut dyn Journal,
            &mut self.bank,
            &mut self.pool,
            &mut self.adoption,
        ] {
            match outcome {
                Ok(_) => room.commit(),
                Err(_) => room.rollback(),
            }
        }
        outcome
    }

    fn create(&mut self, sender: EthAddress, last: u64, nodes: u64) -> Result<u64, PoaiRefusal> {
        let request = JobRequest {
            job_type: 1,
            last_execution_epoch: last,
            nodes,
        };
        self.act(|poai, context, bank, _, _| {
            let ids = poai.create_jobs(context, &sender, &OWNER, &[request], bank)?;
            ids.first().copied().ok_or(PoaiRefusal::NoNodes)
        })
    }

    fn submit(&mut self, id: u64, nodes: &[EthAddress]) -> Result<(), PoaiRefusal> {
        self.act(|poai, context, bank, pool, adoption| {
            poai.submit(context, &OWNER, (id, nodes), (bank, pool, adoption))
                .map(|_| ())
        })
    }

    fn allocate(&mut self) -> Result<Allocated, PoaiRefusal> {
        self.act(|poai, context, bank, pool, adoption| poai.allocate_all(context, bank, pool, adoption))
    }

    fn extend(&mut self, id: u64, last: u64) -> Result<U256, PoaiRefusal> {
        self.act(|poai, context, bank, _, _| poai.extend_duration(context, &OWNER, id, last, bank))
    }

    fn widen(&mut self, id: u64, nodes: u64) -> Result<U256, PoaiRefusal> {
        self.act(|poai, context, bank, _, _| poai.extend_nodes(context, &OWNER, id, nodes, bank))
    }

    fn usdc(&self, who: &EthAddress) -> U256 {
        self.bank.balance(Asset::Usdc, who)
    }

    /// A job of two nodes until epoch 31 that one node ran, closed in epoch 31.
    fn closed(mode: Mode) -> (Self, u64) {
        let mut world = Self::new(mode);
        let id = world.create(OWNER, 31, 2).unwrap();
        world.submit(id, &[NODE]).unwrap();
        world.go_to(31);
        world.allocate().unwrap();
        world.submit(id, &[]).unwrap();
        (world, id)
    }

    fn check_sums(&self) -> Result<(), TestCaseError> {
        let mut held = U256::ZERO;
        for (owner, escrow) in self.poai.escrows.iter() {
            let balance = escrow.balance().unwrap();
            let jobs = self.poai.jobs.iter().filter(|(_, job)| job.escrow == *owner);
            let jobs = jobs.fold(U256::ZERO, |sum, (_, job)| sum + job.balance);
            let wallets = self
                .poai
                .wallets
                .iter()
                .filter(|((_, escrow), _)| escrow == owner);
            let wallets = wallets.fold(U256::ZERO, |sum, (_, due)| sum + *due);
            prop_assert_eq!(balance, jobs + wallets);
            held += balance;
        }
        prop_assert_eq!(held, self.usdc(&holder::ESCROW));
        prop_assert_eq!(self.bank.balance(Asset::R1, &holder::ESCROW), U256::ZERO);
        Ok(())
    }
}

/// What some nodes' epochs cost at the price of job type 1, micro-USDC.
fn price(node_epochs: u64) -> U256 {
    U256::from(375_000 * node_epochs)
}

#[test]
fn what_a_closed_job_did_not_use_is_lost_in_compat_and_refunded_in_strict() {
    let (world, id) = World::closed(Mode::Compat);
    assert_eq!(world.poai.job(id).unwrap().balance, price(30));
    assert_eq!(world.poai.escrows.get(&OWNER).unwrap().refunded, U256::ZERO);
    let (world, id) = World::closed(Mode::Strict);
    assert_eq!(world.poai.job(id).unwrap().balance, U256::ZERO);
    assert_eq!(world.poai.escrows.get(&OWNER).unwrap().refunded, price(30));
}

#[test]
fn extending_a_closed_job_costs_in_compat_and_is_refused_in_strict() {
    let (mut world, id) = World::closed(Mode::Compat);
    assert_eq!(world.extend(id, 38), Ok(price(14)));
    let (mut world, id) = World::closed(Mode::Strict);
    let held = world.usdc(&OWNER);
    assert_eq!(world.extend(id, 38), Err(PoaiRefusal::Closed(id)));
    assert_eq!(world.usdc(&OWNER), held);
}

#[test]
fn an_ended_job_is_extended_into_the_past_in_compat_and_refused_in_strict() {
    for mode in [Mode::Compat, Mode::Strict] {
        let mut world = World::new(mode);
        let id = world.create(OWNER, 31, 1).unwrap();
        world.submit(id, &[NODE]).unwrap();
        world.go_to(31);
        world.allocate().unwrap();
        let before = world.poai.claimable(&NODE);
        world.go_to(41);
        let extended = world.extend(id, 46);
        world.allocate().unwrap();
        let paid = world.poai.claimable(&NODE) - before;
        match mode {
            Mode::Compat => assert_eq!((extended, paid), (Ok(price(15)), U256::from(3_187_500))),
            Mode::Strict => assert_eq!(
                (extended, paid),
                (Err(PoaiRefusal::Ended { job: id, last: 31 }), U256::ZERO)
            ),
        }
    }
}

#[test]
fn a_delegate_that_redeems_keeps_the_money_in_compat_and_not_in_strict() {
    for (mode, gainer) in [(Mode::Compat, DELEGATE), (Mode::Strict, OWNER)] {
        let mut world = World::new(mode);
        world
            .poai
            .delegate(&OWNER, &DELEGATE, permission::CREATE | permission::REDEEM)
            .unwrap();
        let id = world.create(OWNER, 31, 1).unwrap();
        world.at.timestamp_ms += 3_600_000;
        let before = world.usdc(&gainer);
        world
            .act(|poai, context, bank, _, _| poai.redeem(context, &DELEGATE, id, bank))
            .unwrap();
        assert_eq!(world.usdc(&gainer) - before, price(30));
    }
}

#[test]
fn more_nodes_for_a_job_that_waits_are_paid_for_all_its_epochs_in_strict_only() {
    for mode in [Mode::Compat, Mode::Strict] {
        let mut world = World::new(mode);
        let id = world.create(OWNER, 31, 1).unwrap();
        world.go_to(11);
        let cost = world.widen(id, 2).unwrap();
        world.submit(id, &[NODE, OTHER_NODE]).unwrap();
        assert_eq!(world.poai.job(id).unwrap().last_execution_epoch, 41);
        world.go_to(41);
        match mode {
            Mode::Compat => {
                assert_eq!(cost, price(20));
                assert_eq!(world.allocate(), Err(PoaiRefusal::Overflow("job balance")));
            }
            Mode::Strict => {
                assert_eq!(cost, price(30));
                assert_eq!(world.allocate().unwrap().gross(), price(60));
                assert_eq!(world.poai.job(id).unwrap().balance, U256::ZERO);
            }
        }
    }
}

#[test]
fn a_claim_has_a_minimum_in_strict_only() {
    for mode in [Mode::Compat, Mode::Strict] {
        let mut world = World::new(mode);
        let id = world.create(OWNER, 31, 1).unwrap();
        world.submit(id, &[NODE]).unwrap();
        world.go_to(5);
        world.allocate().unwrap();
        let min = U256::MAX;
        let claimed = world
            .act(|poai, context, bank, pool, _| poai.claim(context, &OPERATOR, (&[NODE], min), bank, pool));
        match mode {
            Mode::Compat => assert!(claimed.is_ok()),
            Mode::Strict => {
                let refused = claimed.unwrap_err();
                assert!(matches!(refused, PoaiRefusal::MinimumOut { .. }), "{refused}");
                assert!(!world.poai.claimable(&NODE).is_zero(), "nothing is lost");
            }
        }
    }
}

#[test]
fn epochs_before_a_change_of_nodes_are_paid_to_those_who_ran_them_in_strict() {
    let mut world = World::new(Mode::Strict);
    let id = world.create(OWNER, 31, 1).unwrap();
    world.submit(id, &[NODE]).unwrap();
    world.go_to(5);
    world.submit(id, &[OTHER_NODE]).unwrap();
    world.go_to(6);
    world.allocate().unwrap();
    let (four, one) = (world.poai.claimable(&NODE), world.poai.claimable(&OTHER_NODE));
    assert_eq!((four, one), (U256::from(318_750 * 4), U256::from(318_750)));
    let refused = world.submit(id, &[NODE, OTHER_NODE]).unwrap_err();
    assert!(refused.to_string().contains("job 1: 2 nodes, 1"), "{refused}");
}

proptest! {
    #[test]
    fn an_escrow_holds_what_came_in_less_what_went_out(
        strict: bool,
        steps in prop::collection::vec((0u8..9, 0u64..4, 0u64..40), 1..40)
    ) {
        let mut world = World::new(if strict { Mode::Strict } else { Mode::Compat });
        for (what, job, value) in steps {
            let epoch = world.at.epoch;
            // Refusals are part of the sequence.
            let _ = match what {
                0 => world.create(OWNER, epoch + value, 1 + job).map(|_| ()),
                1 => world.submit(job, &[NODE]),
                2 => world.submit(job, &[NODE, OTHER_NODE]),
                3 => world.submit(job, &[]),
                4 => { world.go_to(epoch + value); Ok(()) }
                5 => world.allocate().map(|_| ()),
                6 => world.extend(job, epoch + value).map(|_| ()),
                7 => world.widen(job, value % 6).map(|_| ()),
                _ => world.act(|poai, context, bank, pool, _| {
                    poai.redeem(context, &OWNER, job, bank).map(|_| ()).or_else(|_| {
                        poai.claim(context, &OPERATOR, (&[NODE, OTHER_NODE], U256::ZERO), bank, pool).map(|_| ())
                    })
                }),
            };
            world.check_sums()?;
        }
    }
}
