//! `r1ctl prove`: asks r1d for a document that proves one thing to anybody.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use r1_proof::Document;
use serde_json::Value;

use crate::client::Client;

/// `r1ctl prove`.
#[derive(Debug, Args)]
pub struct ProveArgs {
    /// What of
    #[command(subcommand)]
    pub what: What,
    /// Write the document to this file instead of standard output
    #[arg(long, global = true, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// What can be proven.
#[derive(Debug, Subcommand)]
pub enum What {
    /// What an account holds
    #[command(after_help = "Example:\n  r1ctl prove account --out proof.json")]
    Account {
        /// The account, 0x...; this node's if left out
        address: Option<String>,
    },
    /// Whose a licence is, where it is linked and what it earned
    #[command(after_help = "Example:\n  r1ctl prove licence nd-7")]
    Licence {
        /// 7 or nd-7, mnd-2, gnd
        licence: String,
    },
    /// A node's agreed availability in a closed epoch
    #[command(after_help = "Example:\n  r1ctl prove availability 12 0xai_A...")]
    Availability {
        /// The epoch
        epoch: u64,
        /// The node's address; this node if left out
        node: Option<String>,
    },
}

/// Fetches the document and writes it.
///
/// # Errors
/// What r1d refuses, an answer that is no document, a file that cannot be written.
pub async fn run(client: &Client<'_>, args: &ProveArgs) -> Result<()> {
    let path = path(client, &args.what).await?;
    let answer = client.get(&path).await?;
    let document: Document = serde_json::from_value(answer).context("r1d's answer is no proof")?;
    let text = serde_json::to_string(&document)? + "\n";
    let Some(out) = &args.out else {
        print!("{text}");
        return Ok(());
    };
    fs::write(out, text).with_context(|| out.display().to_string())?;
    println!(
        "{}: proof of {} at height {} of network {}",
        out.display(),
        document.subject,
        document.height,
        document.network
    );
    Ok(())
}

async fn path(client: &Client<'_>, what: &What) -> Result<String> {
    Ok(match what {
        What::Account { address } => {
            format!(
                "/v1/prove/account/{}",
                or_own(client, address, "eth_address").await?
            )
        }
        What::Licence { licence } => format!("/v1/prove/licence/{}", segment(licence)),
        What::Availability { epoch, node } => {
            format!(
                "/v1/prove/availability/{epoch}/{}",
                or_own(client, node, "address").await?
            )
        }
    })
}

/// What was named, or what r1d says of itself.
async fn or_own(client: &Client<'_>, named: &Option<String>, own: &str) -> Result<String> {
    match named {
        Some(named) => Ok(segment(named)),
        None => {
            let status: Value = client.get("/v1/status").await?;
            Ok(status[own].as_str().unwrap_or_default().to_owned())
        }
    }
}

/// Only what can stand in a path; r1d names what it does not know.
fn segment(text: &str) -> String {
    let kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match text.chars().filter(kept).collect::<String>() {
        empty if empty.is_empty() => "-".to_owned(),
        text => text,
    }
}
