//! Jobs and their escrows through the ledger.

use super::*;

fn job(state: &mut State, context: BlockContext, epochs: u64) -> u64 {
    let request = JobRequest {
        job_type: 1,
        last_execution_epoch: context.epoch + epochs,
        nodes: 1,
    };
    match send(state, context, OWNER, Action::CreateJobs(vec![request])).unwrap() {
        Effect::Created(ids) => ids[0],
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_job_goes_from_the_escrow_to_the_nodes_owner_and_burns_its_share_by_itself() {
    let mut state = world("strict");
    link(&mut state, at(0, 1), OWNER, LicenceRef::Nd(1), OWNER);
    link(&mut state, at(0, 1), ALICE, LicenceRef::Nd(2), ALICE);
    close(&mut state, &[(OWNER, 255), (ALICE, 255)]);
    let refused = send(&mut state, at(1, 1), BOB, Action::DeployEscrow);
    assert_eq!(refused, Err(PoaiRefusal::NoOracleNode(eth(BOB)).into()));
    send(&mut state, at(1, 1), OWNER, Action::DeployEscrow).unwrap();
    assert_eq!(
        send(&mut state, at(1, 1), BOB, Action::CreateJobs(vec![])),
        Err(Refusal::Nothing("create_jobs"))
    );
    let pay = Action::Transfer {
        asset: Asset::Usdc,
        to: eth(OWNER),
        amount: U256::from(100 * USDC),
    };
    send(&mut state, at(1, 1), ALICE, pay).unwrap();
    let id = job(&mut state, at(1, 1), 3);
    let submit = |nodes| Action::SubmitNodes { job: id, nodes };
    assert_eq!(
        send(&mut state, at(1, 2), ALICE, submit(vec![eth(ALICE)])),
        Err(PoaiRefusal::NotOracle(eth(ALICE)).into())
    );
    let agreed = send(&mut state, at(1, 2), OWNER, submit(vec![eth(ALICE)])).unwrap();
    assert_eq!(agreed, Effect::Agreed(Some(vec![eth(ALICE)])));
    for _ in 0..3 {
        let closed = close(&mut state, &[(OWNER, 255), (ALICE, 255)]);
        assert_eq!(closed.failed, []);
        assert_eq!(closed.allocated.burned_usdc, U256::from(56_250));
    }
    assert_eq!(state.job_earnings(&eth(ALICE)), U256::from(3 * 318_750));
    let claim = |min_out| Action::ClaimJobs {
        nodes: vec![eth(ALICE)],
        min_out,
    };
    assert!(matches!(
        send(&mut state, at(4, 1), ALICE, claim(r1(3))),
        Err(Refusal::Poai(PoaiRefusal::MinimumOut { .. }))
    ));
    let paid = send(&mut state, at(4, 1), ALICE, claim(r1(1))).unwrap();
    assert!(matches!(paid, Effect::Paid { usdc, .. } if usdc == U256::from(956_250)));
    send(&mut state, at(4, 2), OWNER, submit(vec![])).unwrap();
    assert!(state.job(id).unwrap().closed);
    assert!(state.totals().burned_job > U256::ZERO);
}

#[test]
fn delegates_do_what_they_may_and_a_job_that_never_ran_is_given_back_to_the_escrows_owner() {
    let mut state = world("strict");
    link(&mut state, at(1, 1), OWNER, LicenceRef::Nd(1), OWNER);
    send(&mut state, at(1, 1), OWNER, Action::DeployEscrow).unwrap();
    let delegate = |permissions| Action::Delegate {
        delegate: eth(BOB),
        permissions,
    };
    send(&mut state, at(1, 1), OWNER, delegate(permission::CREATE)).unwrap();
    let request = JobRequest {
        job_type: 1,
        last_execution_epoch: 4,
        nodes: 2,
    };
    let created = send(&mut state, at(1, 1), BOB, Action::CreateJobs(vec![request])).unwrap();
    assert_eq!(created, Effect::Created(vec![1]));
    let redeem = || Action::Redeem { job: 1 };
    let refused = send(&mut state, at(1, 2000), BOB, redeem()).unwrap_err();
    assert!(refused.to_string().contains("may not do this"), "{refused}");
    send(&mut state, at(1, 2000), OWNER, delegate(permission::REDEEM)).unwrap();
    let before = state.balance_of(Asset::Usdc, &eth(OWNER));
    let refund = U256::from(375_000 * 2 * 3);
    assert_eq!(
        send(&mut state, at(1, 2000), BOB, redeem()),
        Ok(Effect::Refunded(refund))
    );
    assert_eq!(state.balance_of(Asset::Usdc, &eth(OWNER)), before + refund);
}

#[test]
fn an_escrow_without_liquidity_holds_up_no_epoch_and_is_paid_later() {
    let mut state = world("strict");
    link(&mut state, at(1, 1), OWNER, LicenceRef::Nd(1), OWNER);
    send(&mut state, at(1, 1), OWNER, Action::DeployEscrow).unwrap();
    let issue = Action::Owner(OwnerAction::IssueUsdc {
        to: eth(OWNER),
        amount: U256::from(1000 * USDC),
    });
    send(&mut state, at(1, 1), OWNER, issue).unwrap();
    let id = job(&mut state, at(1, 1), 5);
    let submit = Action::SubmitNodes {
        job: id,
        nodes: vec![eth(ALICE)],
    };
    send(&mut state, at(1, 2), OWNER, submit).unwrap();
    let shares = state.wallet(&eth(OWNER)).pool_shares;
    let take = Action::RemoveLiquidity {
        shares,
        min_r1: U256::ZERO,
        min_usdc: U256::ZERO,
    };
    send(&mut state, at(1, 2), OWNER, take).unwrap();
    close(&mut state, &[]);
    let closed = close(&mut state, &[]);
    assert!(
        closed.failed.is_empty()
            || matches!(closed.failed[0], (owner, PoaiRefusal::Pool(_)) if owner == eth(OWNER))
    );
    let add = Action::AddLiquidity {
        r1: r1(1000),
        usdc: U256::from(500 * USDC),
        min_r1: U256::ZERO,
        min_usdc: U256::ZERO,
    };
    send(&mut state, at(2, 1), ALICE, add).unwrap();
    let closed = close(&mut state, &[]);
    assert_eq!(closed.failed, []);
    assert!(state.job_earnings(&eth(ALICE)) >= U256::from(318_750 * 2));
}
