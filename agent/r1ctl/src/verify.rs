//! `r1ctl verify`: checks a document against a genesis. Opens the two files and nothing else.

use std::{fs, path::Path, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use r1_core::{EthAddress, Genesis, NodeAddress, format_r1};
use r1_poa::utc_text;
use r1_proof::{Document, Fact, Proven};
use serde::de::DeserializeOwned;

/// Longest file that is read: a block of the largest size in hexadecimal digits, and room.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// Digits of a time that people need: to the second.
const SECONDS: usize = "2026-01-31 23:59:59".len();

/// `r1ctl verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The document, as r1ctl prove wrote it
    pub file: PathBuf,
    /// The genesis of the network, from a source that you trust
    #[arg(long, value_name = "FILE")]
    pub genesis: PathBuf,
}

/// Checks a document and prints what it proves.
///
/// # Errors
/// One line that names the file and what is wrong.
pub fn run(args: &VerifyArgs, json: bool) -> Result<()> {
    let genesis: Genesis = read(&args.genesis, "a genesis")?;
    genesis
        .validate()
        .with_context(|| args.genesis.display().to_string())?;
    let document: Document = read(&args.file, "a proof")?;
    let proven = document
        .verify(&genesis)
        .with_context(|| format!("{} proves nothing", args.file.display()))?;
    if json {
        println!("{}", serde_json::to_string(&proven)?);
    } else {
        words(&proven).iter().for_each(|line| println!("{line}"));
    }
    Ok(())
}

fn read<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T> {
    let name = || path.display().to_string();
    let bytes = fs::metadata(path).with_context(name)?.len();
    if bytes > MAX_FILE_BYTES {
        bail!("{}: {bytes} bytes, at most {MAX_FILE_BYTES} are read", name());
    }
    serde_json::from_slice(&fs::read(path).with_context(name)?)
        .with_context(|| format!("{} is not {what}", name()))
}

/// What is proven, and by whom.
fn words(proven: &Proven) -> Vec<String> {
    let time = utc_text(proven.timestamp_ms);
    vec![
        fact(&proven.fact),
        format!(
            "at height {} of network {}, decided by {} of {} oracles at {} UTC",
            proven.height,
            proven.network,
            proven.signers,
            proven.oracles,
            &time[..SECONDS.min(time.len())]
        ),
        format!("state root {}", proven.state_root),
    ]
}

fn fact(fact: &Fact) -> String {
    match fact {
        Fact::Account { address, account } => format!(
            "account {address} holds {} R1 and {} USDC",
            format_r1(account.r1),
            usdc(&account.usdc.to_string())
        ),
        Fact::NodeDeed { id, deed } => format!(
            "licence ND {id} belongs to {}, {}; it has minted {} R1{}",
            deed.owner,
            linked(deed.node, deed.node_name),
            format_r1(deed.claimed),
            flags(&[("banned", deed.banned), ("burned", deed.burned)])
        ),
        Fact::MasterDeed { id, deed } => format!(
            "licence {} belongs to {}, {}; of {} R1 assigned {} are released or withheld{}",
            r1_economy::LicenceRef::Mnd(*id),
            deed.owner,
            linked(deed.node, deed.node_name),
            format_r1(deed.progress.assigned),
            format_r1(deed.progress.claimed),
            flags(&[("burned", deed.burned)])
        ),
        Fact::Availability { epoch, node, value } => {
            format!("node {node} was available {value} of 255 in epoch {epoch}")
        }
        Fact::FaultyEpoch { epoch, .. } => {
            format!("epoch {epoch} was faulty: every linked node counted as available 255 of 255 in it")
        }
    }
}

fn linked(node: Option<EthAddress>, name: Option<NodeAddress>) -> String {
    match (name, node) {
        (Some(name), _) => format!("linked to node {name}"),
        (None, Some(node)) => format!("linked to node {node}"),
        (None, None) => "not linked".to_owned(),
    }
}

fn flags(flags: &[(&str, bool)]) -> String {
    let set = flags.iter().filter(|(_, set)| *set);
    set.map(|(name, _)| format!("; it is {name}")).collect()
}

/// Micro-units as USDC, exact.
fn usdc(micro: &str) -> String {
    let padded = format!("{micro:0>7}");
    let (whole, fraction) = padded.split_at(padded.len() - 6);
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use r1_core::Hex;

    use super::*;

    #[test]
    fn what_is_proven_is_said_in_words() {
        let proven = Proven {
            network: "sample".to_owned(),
            height: 9,
            timestamp_ms: 1_700_000_000_999,
            state_root: Hex([7; 32]),
            signers: 3,
            oracles: 4,
            fact: Fact::FaultyEpoch {
                epoch: 2,
                node: "0xai_AjcIThkOqrPlp35-S8czHUOV-y4mnhksnLs8NGjTbmty"
                    .parse()
                    .unwrap(),
            },
        };
        assert_eq!(
            words(&proven)[..2],
            [
                "epoch 2 was faulty: every linked node counted as available 255 of 255 in it",
                "at height 9 of network sample, decided by 3 of 4 oracles at 2023-11-14 22:13:20 UTC",
            ]
        );
    }

    #[test]
    fn usdc_have_six_decimals() {
        for (micro, shown) in [
            ("0", "0"),
            ("1", "0.000001"),
            ("2500000", "2.5"),
            ("12000000", "12"),
        ] {
            assert_eq!(usdc(micro), shown);
        }
    }
}
