use super::*;

fn small() -> Plan {
    Plan {
        years: 1,
        licences: 40,
        mnds: 14,
        jobs: 6,
        sample_every: 73,
        ..Plan::default()
    }
}

fn run(plan: &Plan) -> Simulation {
    simulate(plan, &mut |_| {}).unwrap()
}

#[test]
fn the_same_plan_gives_the_same_figures_and_another_seed_others() {
    let first = run(&small());
    assert_eq!(run(&small()), first);
    let other = run(&Plan { seed: 2, ..small() });
    assert_ne!(other.samples, first.samples);
    assert_eq!(first.samples.len(), 6);
    let last = first.samples.last().unwrap();
    assert_eq!((last.epoch, last.licences, last.jobs), (364, 41, 6));
    assert!(last.totals.burned_sale > U256::ZERO && last.totals.burned_job > U256::ZERO);
    assert!(last.totals.minted_mnd > U256::ZERO && last.totals.minted_gnd > U256::ZERO);
    assert!(last.withheld > U256::ZERO && last.adoption > 0);
    assert!(last.income.poai_usdc > U256::ZERO && last.income.poa > U256::ZERO);
}

#[test]
fn one_licence_without_jobs_earns_the_sum_of_its_epochs() {
    let plan = Plan {
        licences: 1,
        jobs: 0,
        availability: 0,
        ..small()
    };
    let last = run(&plan).samples.pop().unwrap();
    assert_eq!(last.totals.minted_nd, U256::ZERO);
    // A mean of 31 varies by less than one thirty-second: not at all, but on days that are cut short.
    let plan = Plan {
        availability: 31,
        claim_every: 365,
        sample_every: 1,
        ..plan
    };
    let whole = U256::from(1_458_508_188_386_985_115_u64) * U256::from(31) / U256::from(255);
    let daily = run(&plan).samples;
    let at_most = daily.iter().all(|sample| sample.income.poa <= whole);
    let usual = daily.iter().filter(|sample| sample.income.poa == whole).count();
    assert!(at_most && usual > 330, "{usual} days of the mean");
}

#[test]
fn a_figure_out_of_range_is_refused_by_name() {
    for (plan, name) in [
        (Plan { years: 0, ..small() }, "years of 0: it must be 1 to 10"),
        (
            Plan {
                licences: 46_225,
                ..small()
            },
            "licences of 46225",
        ),
        (Plan { mnds: 1, ..small() }, "mnds of 1"),
        (
            Plan {
                pool_usdc: 1,
                ..small()
            },
            "pool-usdc of 1",
        ),
    ] {
        let error = simulate(&plan, &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
    let error = simulate(
        &Plan {
            job_type: 45,
            ..small()
        },
        &mut |_| {},
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "epoch 60: job: job type 45 is unknown");
}
