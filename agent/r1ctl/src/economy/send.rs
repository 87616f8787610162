//! Sending an action, and waiting until it is decided.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use r1_core::U256;
use r1_economy::Action;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::cli::Waiting;
use crate::{cli::Cli, client::Client};

/// How long a transaction is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at.
const POLL: Duration = Duration::from_millis(250);

/// What speaks to the node on behalf of one command.
pub struct Session<'a> {
    /// The command line.
    pub cli: &'a Cli,
    /// The node.
    pub client: Client<'a>,
}

impl Session<'_> {
    /// Prints an answer as JSON, or for people.
    pub fn print(&self, answer: &Value, show: impl Fn(&Value) -> Vec<String>) {
        if self.cli.json {
            println!("{answer}");
        } else {
            show(answer).iter().for_each(|line| println!("{line}"));
        }
    }

    /// The account of this node's key.
    pub async fn own_account(&self) -> Result<String> {
        let status = self.client.get("/v1/status").await?;
        let account = status["eth_address"].as_str();
        account
            .map(str::to_owned)
            .context("r1d's status names no account")
    }

    /// An account as the ledger knows it.
    pub async fn account(&self, account: &str) -> Result<Value> {
        self.client.get(&format!("/v1/accounts/{account}")).await
    }

    /// Sends an action signed by the node's key.
    pub async fn send(&self, action: &Action, waiting: Waiting) -> Result<()> {
        self.submit("/v1/transactions", &json!({ "action": action }), waiting)
            .await
    }

    /// Sends what a call of r1d makes a transaction of.
    pub async fn submit(&self, path: &str, body: &Value, waiting: Waiting) -> Result<()> {
        let account = self.own_account().await?;
        let before = nonce(&self.account(&account).await?);
        let answer = self.client.post(path, body).await?;
        let tx = answer["tx"]
            .as_str()
            .context("r1d named no transaction")?
            .to_owned();
        if waiting.no_wait {
            self.print(&answer, |_| vec![format!("sent as transaction {tx}")]);
            return Ok(());
        }
        self.wait(&account, &tx, before).await?;
        let decided = json!({ "tx": tx, "decided": true });
        self.print(&decided, |_| vec![format!("decided: transaction {tx}")]);
        Ok(())
    }

    /// Waits until a transaction no longer waits, and says what became of it.
    async fn wait(&self, account: &str, tx: &str, before: u64) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        // Behind those that wait already; seen in the list, its own number is known.
        let mut number = before;
        loop {
            let state = self.account(account).await?;
            let waiting = state["waiting"].as_array().map_or(&[][..], Vec::as_slice);
            match waiting.iter().find(|entry| entry["tx"] == tx) {
                Some(entry) => number = entry["nonce"].as_u64().unwrap_or(number),
                None if nonce(&state) > number => return Ok(()),
                None => bail!(
                    "transaction {tx} was dropped: by the time its turn came the ledger refused it; send it again to see why"
                ),
            }
            if Instant::now() > deadline {
                bail!(
                    "transaction {tx} still waits after {} s; more than two thirds of the oracles must be up, see r1ctl nodes",
                    PATIENCE.as_secs()
                );
            }
            sleep(POLL).await;
        }
    }
}

fn nonce(account: &Value) -> u64 {
    account["nonce"].as_u64().unwrap_or(0)
}

/// A number of an answer, in its smallest unit.
///
/// # Errors
/// If it is not there.
pub fn amount(answer: &Value, key: &str) -> Result<U256> {
    let text = answer[key]
        .as_str()
        .with_context(|| format!("r1d's answer has no {key}"))?;
    Ok(r1_core::parse_wei(text)?)
}
