//! Licences, jobs, escrows and money: what the Ratio1 dApp does, from the command line.

pub mod amount;
pub mod cli;
mod send;
mod show;

use anyhow::{Context as _, Result, bail};
use r1_core::{EthAddress, U256};
use r1_economy::{Action, bank::Asset, poai::JobRequest};
use serde_json::{Value, json};

use self::{
    cli::{
        BurnArgs, ClaimArgs, EscrowAction, EscrowArgs, JobAction, JobsArgs, LicenceAction, PayArgs,
        PoolAction,
    },
    send::{Session, amount as amount_of},
};
use crate::{cli::Cli, client::Client};

/// A session for one command.
fn session<'a>(cli: &'a Cli, client: Client<'a>) -> Session<'a> {
    Session { cli, client }
}

/// `r1ctl licences`.
///
/// # Errors
/// What r1d or the ledger refuses.
pub async fn licences(cli: &Cli, client: Client<'_>, action: Option<&LicenceAction>) -> Result<()> {
    let session = session(cli, client);
    match action {
        None => {
            session.print(&client.get("/v1/licences").await?, show::licences);
            Ok(())
        }
        Some(LicenceAction::Link { licence, waiting }) => {
            let path = format!("/v1/licences/{}/link", licence.handle());
            session.submit(&path, &json!({}), *waiting).await
        }
        Some(LicenceAction::Unlink { licence, waiting }) => {
            session
                .send(&Action::Unlink { licence: *licence }, *waiting)
                .await
        }
        Some(LicenceAction::Claim { licence, waiting }) => {
            session.send(&Action::Claim { licence: *licence }, *waiting).await
        }
        Some(LicenceAction::Transfer { licence, to, waiting }) => {
            let (licence, to) = (*licence, *to);
            session
                .send(&Action::TransferLicence { licence, to }, *waiting)
                .await
        }
        Some(LicenceAction::Burn {
            licence,
            yes,
            waiting,
        }) => {
            if !yes {
                bail!(
                    "burning licence {licence} destroys it and all it could still mint; say --yes if that is meant"
                );
            }
            session
                .send(&Action::BurnLicence { licence: *licence }, *waiting)
                .await
        }
    }
}

/// Least R1, wei, for micro-USDC at a price of USDC per R1 with 18 decimals, less the fee of 0.3 % and some percent.
fn least_r1(usdc: U256, price: U256, slippage: u8) -> Result<U256> {
    let scaled = usdc.checked_mul(U256::from(10).pow(U256::from(30)));
    let fair = scaled
        .and_then(|scaled| scaled.checked_div(price))
        .context("the pool has no price")?;
    let kept = U256::from(997 * u64::from(100_u8.saturating_sub(slippage)));
    Ok(fair / U256::from(100_000) * kept)
}

/// Least micro-USDC for R1 wei, in the same way.
fn least_usdc(r1: U256, price: U256, slippage: u8) -> Result<U256> {
    let scaled = r1.checked_mul(price).context("the amount is too large")?;
    let kept = U256::from(997 * u64::from(100_u8.saturating_sub(slippage)));
    let fair = scaled / U256::from(10).pow(U256::from(30));
    Ok(fair.checked_mul(kept).context("the amount is too large")? / U256::from(100_000))
}

/// `r1ctl claim`: everything that is owed to this node's key.
///
/// # Errors
/// What r1d or the ledger refuses.
pub async fn claim(cli: &Cli, client: Client<'_>, args: &ClaimArgs) -> Result<()> {
    let session = session(cli, client);
    let own = session.own_account().await?;
    let account = session.account(&own).await?;
    let mut sent = 0;
    for licence in account["licences"].as_array().into_iter().flatten() {
        let linked = !licence["node_address"].is_null();
        if linked && amount_of(licence, "claimable_wei")? > U256::ZERO {
            let name = licence["name"].as_str().unwrap_or_default();
            let licence = name.parse()?;
            session.send(&Action::Claim { licence }, args.waiting).await?;
            sent += 1;
        }
    }
    let earned = amount_of(&account, "job_earnings")?;
    if earned > U256::ZERO {
        let economy = session.client.get("/v1/economy").await?;
        let min_out = least_r1(earned, amount_of(&economy, "price")?, args.max_slippage)?;
        let nodes = vec![own.parse()?];
        session
            .send(&Action::ClaimJobs { nodes, min_out }, args.waiting)
            .await?;
        sent += 1;
    }
    if sent == 0 {
        session.print(&json!({ "claims": 0 }), |_| {
            vec![format!("nothing is owed to {own} now")]
        });
    }
    Ok(())
}

/// `r1ctl jobs`.
///
/// # Errors
/// What r1d or the ledger refuses.
pub async fn jobs(cli: &Cli, client: Client<'_>, args: &JobsArgs) -> Result<()> {
    let session = session(cli, client);
    match &args.action {
        None => {
            let escrow = args.escrow.map(|escrow| format!("&escrow={escrow}"));
            let path = format!("/v1/jobs?all={}{}", args.all, escrow.unwrap_or_default());
            session.print(&client.get(&path).await?, show::jobs);
        }
        Some(JobAction::Show { id }) => {
            session.print(&client.get(&format!("/v1/jobs/{id}")).await?, show::job);
        }
        Some(JobAction::Types) => session.print(&client.get("/v1/economy/params").await?, show::types),
        Some(JobAction::Create {
            job_type,
            nodes,
            epochs,
            waiting,
        }) => {
            let action = create(&session, job_type, *nodes, *epochs).await?;
            session.send(&action, *waiting).await?;
        }
        Some(JobAction::Extend {
            id,
            epochs,
            nodes,
            waiting,
        }) => {
            let action = extend(&session, *id, *epochs, *nodes).await?;
            session.send(&action, *waiting).await?;
        }
        Some(JobAction::Redeem { id, waiting }) => {
            session.send(&Action::Redeem { job: *id }, *waiting).await?
        }
        Some(JobAction::Submit {
            id, nodes, waiting, ..
        }) => {
            let nodes = resolve(&client.get("/v1/nodes").await?, nodes)?;
            session
                .send(&Action::SubmitNodes { job: *id, nodes }, *waiting)
                .await?;
        }
    }
    Ok(())
}

/// The type of a number or a name, and its price, micro-USDC.
fn job_type(params: &Value, wanted: &str) -> Result<(u8, U256)> {
    let prices = params["jobs"]["prices"].as_array().map_or(&[][..], Vec::as_slice);
    let is = |price: &&Value| {
        price["id"].as_u64().is_some_and(|id| id.to_string() == wanted)
            || price["name"]
                .as_str()
                .is_some_and(|name| name.eq_ignore_ascii_case(wanted))
    };
    let found = prices
        .iter()
        .find(is)
        .with_context(|| format!("job type {wanted:?} does not exist; see r1ctl jobs types"))?;
    let price = found["usdc"]
        .as_u64()
        .with_context(|| format!("job type {wanted:?} is no longer offered; see r1ctl jobs types"))?;
    let id = found["id"].as_u64().and_then(|id| u8::try_from(id).ok());
    Ok((id.context("a job type has no number")?, U256::from(price)))
}

async fn create(session: &Session<'_>, wanted: &str, nodes: u64, epochs: u64) -> Result<Action> {
    let (job_type, price) = job_type(&session.client.get("/v1/economy/params").await?, wanted)?;
    let total = price
        .checked_mul(U256::from(nodes))
        .and_then(|cost| cost.checked_mul(U256::from(epochs)))
        .context("the job costs more than any account can hold")?;
    let own = session.own_account().await?;
    session
        .client
        .get(&format!("/v1/escrows/{own}"))
        .await
        .context("a job is paid from an escrow; open one with r1ctl escrow deploy")?;
    let have = amount_of(&session.account(&own).await?, "usdc")?;
    let usdc = |amount| amount::show(amount, Asset::Usdc);
    if have < total {
        bail!(
            "the job costs {} USDC, account {own} has {} USDC",
            usdc(total),
            usdc(have)
        );
    }
    if !session.cli.json {
        println!(
            "nodes x epochs x price: {nodes} x {epochs} x {} USDC = {} USDC, paid into the escrow now",
            usdc(price),
            usdc(total)
        );
    }
    let epoch = session.client.get("/v1/status").await?["epoch"]["id"]
        .as_u64()
        .context("r1d's status names no epoch")?;
    let last_execution_epoch = epoch.checked_add(epochs).context("the job lasts too long")?;
    Ok(Action::CreateJobs(vec![JobRequest {
        job_type,
        last_execution_epoch,
        nodes,
    }]))
}

async fn extend(session: &Session<'_>, job: u64, epochs: Option<u64>, nodes: Option<u64>) -> Result<Action> {
    if let Some(nodes) = nodes {
        return Ok(Action::ExtendNodes { job, nodes });
    }
    let known = session.client.get(&format!("/v1/jobs/{job}")).await?;
    let last = known["last_execution_epoch"]
        .as_u64()
        .context("r1d's answer names no end")?;
    let last_execution_epoch = last
        .checked_add(epochs.unwrap_or(0))
        .context("the job would last too long")?;
    Ok(Action::ExtendDuration {
        job,
        last_execution_epoch,
    })
}

/// EVM addresses of nodes that are named by EVM address, node address or alias, sorted as oracles sort them.
fn resolve(answer: &Value, names: &[String]) -> Result<Vec<EthAddress>> {
    let known = answer["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    let mut nodes = Vec::new();
    for name in names {
        if let Ok(address) = name.parse() {
            nodes.push(address);
            continue;
        }
        let named = |node: &&Value| node["address"] == name.as_str() || node["alias"] == name.as_str();
        let found: Vec<&Value> = known.iter().filter(named).collect();
        let [node] = found[..] else {
            bail!(
                "{} nodes are called {name:?}; name one by its address, see r1ctl nodes",
                found.len()
            );
        };
        let address = node["eth_address"]
            .as_str()
            .context("the node's EVM address is not known")?;
        nodes.push(address.parse()?);
    }
    nodes.sort_unstable();
    nodes.dedup();
    Ok(nodes)
}

/// The escrow that an account, or this node's own, acts in.
async fn show_escrow(session: &Session<'_>, account: Option<EthAddress>) -> Result<()> {
    let account = match account {
        Some(account) => account.to_string(),
        None => session.own_account().await?,
    };
    let path = format!("/v1/escrows/{account}");
    session.print(&session.client.get(&path).await?, show::escrow);
    Ok(())
}

/// `r1ctl escrow`.
///
/// # Errors
/// What r1d or the ledger refuses.
pub async fn escrow(cli: &Cli, client: Client<'_>, args: &EscrowArgs) -> Result<()> {
    let session = session(cli, client);
    match &args.action {
        None => show_escrow(&session, args.account).await,
        Some(EscrowAction::Show { account }) => show_escrow(&session, *account).await,
        Some(EscrowAction::Deploy { waiting }) => session.send(&Action::DeployEscrow, *waiting).await,
        Some(EscrowAction::Delegate {
            account,
            may,
            waiting,
            ..
        }) => {
            let permissions = may.iter().fold(0, |bits, one| bits | one.bit());
            let delegate = *account;
            session
                .send(
                    &Action::Delegate {
                        delegate,
                        permissions,
                    },
                    *waiting,
                )
                .await
        }
        Some(EscrowAction::Allocate { account, waiting }) => {
            let escrow = match account {
                Some(account) => *account,
                None => session.own_account().await?.parse()?,
            };
            session.send(&Action::Allocate { escrow }, *waiting).await
        }
    }
}

/// `r1ctl pay`.
///
/// # Errors
/// An amount that is none; what r1d or the ledger refuses.
pub async fn pay(cli: &Cli, client: Client<'_>, args: &PayArgs) -> Result<()> {
    let action = Action::Transfer {
        asset: args.asset,
        to: args.to,
        amount: amount::parse(&args.amount, args.asset)?,
    };
    session(cli, client).send(&action, args.waiting).await
}

/// `r1ctl burn`.
///
/// # Errors
/// An amount that is none; what r1d or the ledger refuses.
pub async fn burn(cli: &Cli, client: Client<'_>, args: &BurnArgs) -> Result<()> {
    let action = Action::Burn {
        amount: amount::parse(&args.amount, Asset::R1)?,
        app: args.app.clone(),
    };
    session(cli, client).send(&action, args.waiting).await
}

/// `r1ctl pool`.
///
/// # Errors
/// An amount that is none; what r1d or the ledger refuses.
pub async fn pool(cli: &Cli, client: Client<'_>, action: Option<&PoolAction>) -> Result<()> {
    let session = session(cli, client);
    match action {
        None => {
            session.print(&client.get("/v1/economy").await?, show::pool);
            Ok(())
        }
        Some(PoolAction::Swap {
            amount,
            asset,
            max_slippage,
            waiting,
        }) => {
            let price = amount_of(&client.get("/v1/economy").await?, "price")?;
            let (asset, amount) = (*asset, amount::parse(amount, *asset)?);
            let min_out = match asset {
                Asset::R1 => least_usdc(amount, price, *max_slippage)?,
                Asset::Usdc => least_r1(amount, price, *max_slippage)?,
            };
            let action = Action::Swap {
                asset,
                amount,
                min_out,
            };
            session.send(&action, *waiting).await
        }
        Some(PoolAction::Add { r1, usdc, waiting }) => {
            let action = Action::AddLiquidity {
                r1: amount::parse(r1, Asset::R1)?,
                usdc: amount::parse(usdc, Asset::Usdc)?,
                min_r1: U256::ZERO,
                min_usdc: U256::ZERO,
            };
            session.send(&action, *waiting).await
        }
        Some(PoolAction::Remove { shares, waiting }) => {
            let action = Action::RemoveLiquidity {
                shares: *shares,
                min_r1: U256::ZERO,
                min_usdc: U256::ZERO,
            };
            session.send(&action, *waiting).await
        }
    }
}

/// `r1ctl account`.
///
/// # Errors
/// What r1d refuses.
pub async fn account(cli: &Cli, client: Client<'_>, account: Option<EthAddress>) -> Result<()> {
    let session = session(cli, client);
    let account = match account {
        Some(account) => account.to_string(),
        None => session.own_account().await?,
    };
    session.print(&session.account(&account).await?, show::account);
    Ok(())
}

/// `r1ctl economy show`.
///
/// # Errors
/// What r1d refuses.
pub async fn economy(cli: &Cli, client: Client<'_>) -> Result<()> {
    session(cli, client).print(&client.get("/v1/economy").await?, show::economy);
    Ok(())
}

#[cfg(test)]
mod tests;
