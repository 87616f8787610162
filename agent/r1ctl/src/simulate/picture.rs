//! A simulation as a picture: five panels, and what was assumed.

use r1_core::U256;
use r1_economy::simulate::{Sample, Simulation, YEAR};

use super::grouped;
use crate::chart::{Anchor, Panel, Picture, Series, Unit};

/// Size of the picture, points.
pub(super) const WIDTH: u32 = 1600;
const HEIGHT: u32 = 1000;
/// An amount of `decimals` decimals as a number for drawing.
pub(super) fn number(amount: U256, decimals: usize) -> f64 {
    // Six decimals are kept: more than a picture shows.
    let scaled = amount / U256::from(10).pow(U256::from(decimals.saturating_sub(6)));
    u64::try_from(scaled).map_or(f64::INFINITY, |scaled| scaled as f64 / 1e6)
}

fn series(samples: &[Sample], name: &'static str, value: impl Fn(&Sample) -> f64) -> Series {
    Series {
        name,
        values: samples.iter().map(value).collect(),
    }
}

fn panel(samples: &[Sample], title: &'static str, series: Vec<Series>) -> Panel {
    let years = samples.iter().map(|sample| sample.epoch as f64 / YEAR as f64);
    Panel {
        title,
        unit: Unit::Plain,
        years: years.collect(),
        series,
        stacked: true,
        limit: None,
    }
}

/// The five panels.
pub(super) fn panels(simulation: &Simulation) -> Vec<Panel> {
    let samples = &simulation.samples[..];
    let all =
        |name, value: fn(&Sample) -> U256| series(samples, name, move |sample| number(value(sample), 18));
    let minted = vec![
        all("genesis", |sample| sample.totals.minted_genesis),
        all("ND", |sample| sample.totals.minted_nd),
        all("MND", |sample| sample.totals.minted_mnd),
        all("GND", |sample| sample.totals.minted_gnd),
    ];
    let burned = vec![
        all("licence sales", |sample| sample.totals.burned_sale),
        all("jobs", |sample| sample.totals.burned_job),
        all("voluntary", |sample| sample.totals.burned_voluntary),
    ];
    let burned = burned
        .into_iter()
        .filter(|series| series.values.iter().any(|value| *value > 0.0))
        .collect();
    let withheld = vec![all("withheld", |sample| sample.withheld)];
    let price = vec![series(samples, "price", |sample| number(sample.price, 18))];
    let flat = |panel: Panel| Panel {
        stacked: false,
        unit: Unit::Price,
        ..panel
    };
    vec![
        Panel {
            limit: Some(("cap", number(simulation.cap, 18))),
            ..panel(samples, "Supply: R1 minted, by source", minted)
        },
        panel(samples, "R1 burned, by cause", burned),
        panel(samples, "R1 withheld until adoption grows", withheld),
        flat(panel(samples, "Price of R1 in the pool, USDC", price)),
        flat(income(samples)),
    ]
}

/// What the operator earns. A sample tells the days before it, and before genesis there are none.
fn income(samples: &[Sample]) -> Panel {
    let samples = samples.get(1..).unwrap_or_default();
    let both = vec![
        series(samples, "Proof of Availability", |sample| {
            number(sample.income.poa_usdc, 6)
        }),
        series(samples, "Proof of AI", |sample| {
            number(sample.income.poai_usdc, 6)
        }),
    ];
    panel(samples, "An operator's income per day, USDC", both)
}

/// The five panels, and what was assumed.
pub(super) fn picture(simulation: &Simulation) -> Picture {
    let mut picture = Picture::new(WIDTH, HEIGHT);
    let plan = &simulation.plan;
    let title = format!("The economy over {} years, if this is what happens", plan.years);
    picture.text((40.0, 50.0), Anchor::Start, 28.0, true, title);
    let cell = |index: usize| {
        let (column, row) = ((index % 3) as f32, (index / 3) as f32);
        (20.0 + column * 525.0, 85.0 + row * 460.0, 510.0, 435.0)
    };
    for (index, panel) in panels(simulation).iter().enumerate() {
        panel.draw(&mut picture, cell(index));
    }
    let (left, top, ..) = cell(5);
    picture.text(
        (left + 40.0, top + 20.0),
        Anchor::Start,
        19.0,
        true,
        "What is assumed",
    );
    for (index, line) in assumptions(simulation).into_iter().enumerate() {
        let y = top + 55.0 + index as f32 * 27.0;
        picture.text((left + 40.0, y), Anchor::Start, 15.0, false, line);
    }
    picture
}

fn assumptions(simulation: &Simulation) -> Vec<String> {
    let plan = &simulation.plan;
    vec![
        match plan.licences_at_start {
            0 => format!(
                "{} node deeds (ND) are sold, day by day alike",
                grouped(plan.licences)
            ),
            given => format!(
                "ND: {} at the start, {} sold day by day",
                grouped(given),
                grouped(plan.licences)
            ),
        },
        "their buyers bring USDC and buy R1 from the pool".to_owned(),
        format!("{} master node deeds (MND) share their budget", plan.mnds),
        format!(
            "{} jobs of type {} run at the end",
            grouped(plan.jobs),
            plan.job_type
        ),
        format!("nodes are available {} of 255 on average", plan.availability),
        format!("operators claim every {} days", plan.claim_every),
        format!("and sell {} % of what they claim", plan.sell_percent),
        "holders of MND and of the genesis deed (GND)".to_owned(),
        "sell nothing".to_owned(),
        format!(
            "the pool begins with {} R1, {} USDC",
            grouped(plan.pool_r1),
            grouped(plan.pool_usdc)
        ),
        "the operator shown has one ND and one job;".to_owned(),
        format!(
            "an ND mints at most {} R1 in its life",
            grouped(simulation.licence_cap / U256::from(10).pow(U256::from(18)))
        ),
        "strict rules, the constants of the main network".to_owned(),
        "it is arithmetic, not a forecast".to_owned(),
    ]
}
