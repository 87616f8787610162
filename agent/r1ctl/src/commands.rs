//! What each command does.

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use r1_economy::{LicenceRef, NetworkParams};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use crate::{
    cli::{Cli, Command, EconomyAction, RunArgs},
    client::Client,
    economy, prove, r1fs, show, simulate,
};

/// How often a container is looked at while it is waited for.
const POLL: Duration = Duration::from_millis(200);
/// Most lines asked for at once; r1-hostd's own limit.
const MAX_TAIL: u32 = 10_000;

/// Runs a command (not `completions` and `verify`, which need no node).
pub async fn run(cli: &Cli) -> Result<ExitCode> {
    let client = Client::new(&cli.socket);
    let print = |answer: &Value, show: fn(&Value) -> Vec<String>| {
        if cli.json {
            println!("{answer}");
        } else {
            show(answer).iter().for_each(|line| println!("{line}"));
        }
    };
    match &cli.command {
        Command::Economy { action } => match action {
            None | Some(EconomyAction::Show) => economy::economy(cli, client).await?,
            Some(EconomyAction::Params { network }) => println!("{}", params(network)?),
            Some(EconomyAction::Simulate(args)) => simulate::run(args, cli.json)?,
        },
        Command::Status => print(&client.get("/v1/status").await?, show::status),
        Command::Nodes => print(&client.get("/v1/nodes").await?, show::nodes),
        Command::Epochs { limit } => {
            print(
                &client.get(&format!("/v1/epochs?limit={limit}")).await?,
                show::epochs,
            );
        }
        Command::Licences { action } => economy::licences(cli, client, action.as_ref()).await?,
        Command::Claim(args) => economy::claim(cli, client, args).await?,
        Command::Jobs(args) => economy::jobs(cli, client, args).await?,
        Command::Escrow(args) => economy::escrow(cli, client, args).await?,
        Command::Account { account } => economy::account(cli, client, *account).await?,
        Command::Pay(args) => economy::pay(cli, client, args).await?,
        Command::Burn(args) => economy::burn(cli, client, args).await?,
        Command::Pool { action } => economy::pool(cli, client, action.as_ref()).await?,
        Command::R1fs { action } => r1fs::run(cli, &client, action).await?,
        Command::Run(args) => return start(cli, &client, args).await,
        Command::Ps => print(&client.get("/v1/containers").await?, show::containers),
        Command::Logs { id, tail, follow } => logs(cli, &client, id, *tail, *follow).await?,
        Command::Stop { id, timeout, remove } => stop(&client, id, *timeout, *remove).await?,
        Command::Why {
            what,
            of,
            epoch,
            licence,
        } => {
            let path = match (what.as_deref(), of.or(*epoch)) {
                (Some("reward"), Some(epoch)) => reward_path(epoch, *licence),
                (Some("reward"), None) => bail!("which epoch? for example: r1ctl why reward 12"),
                (what, _) => why_path(&client, what, *epoch).await?,
            };
            print(&client.get(&path).await?, show::why);
        }
        Command::Prove(args) => prove::run(&client, args).await?,
        Command::Metrics => print!("{}", client.text("/metrics").await?),
        Command::Completions { .. } | Command::Verify(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn start(cli: &Cli, client: &Client<'_>, args: &RunArgs) -> Result<ExitCode> {
    let env: Map<String, Value> = args
        .env
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let request = json!({
        "id": args.id.clone().unwrap_or_default(),
        "image": args.image,
        "command": args.command,
        "env": env,
        "cpu": args.cpu,
        "memory_bytes": args.memory,
        "pids": args.pids,
    });
    let answer = client.post("/v1/containers", &request).await?;
    let id = answer["id"].as_str().unwrap_or_default().to_owned();
    if !args.wait {
        println!("{}", if cli.json { answer.to_string() } else { id });
        return Ok(ExitCode::SUCCESS);
    }
    let container = wait(client, &id).await?;
    if cli.json {
        println!("{container}");
    } else {
        let answer = client
            .get(&format!("/v1/containers/{id}/logs?tail={MAX_TAIL}"))
            .await?;
        print_lines(&Position::default().advance(&answer));
    }
    let code = container["exit_code"]
        .as_u64()
        .and_then(|code| u8::try_from(code).ok());
    match code {
        Some(code) => Ok(ExitCode::from(code)),
        None => bail!("container {id} was lost; its exit code is not known"),
    }
}

async fn find(client: &Client<'_>, id: &str) -> Result<Value> {
    let answer = client.get("/v1/containers").await?;
    let containers = answer["containers"].as_array().cloned().unwrap_or_default();
    match containers.into_iter().find(|container| container["id"] == id) {
        Some(container) => Ok(container),
        None => bail!("container {id} is not there; see r1ctl ps"),
    }
}

fn is_over(container: &Value) -> bool {
    matches!(container["state"].as_str(), Some("stopped" | "lost"))
}

async fn wait(client: &Client<'_>, id: &str) -> Result<Value> {
    loop {
        let container = find(client, id).await?;
        if is_over(&container) {
            return Ok(container);
        }
        sleep(POLL).await;
    }
}

/// How far a log has been printed: the time of the last line, and how many lines of that time.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Position {
    time: u64,
    lines: usize,
}

impl Position {
    /// The lines behind the position, which moves to their end. Lines come in order of time.
    fn advance<'a>(&mut self, answer: &'a Value) -> Vec<&'a Value> {
        let lines = answer["lines"].as_array().map_or(&[][..], Vec::as_slice);
        let time_of = |line: &Value| line["t"].as_u64().unwrap_or(0);
        let before = *self;
        let known = lines
            .iter()
            .filter(|line| time_of(line) == before.time)
            .take(before.lines)
            .count();
        let old = lines.iter().filter(|line| time_of(line) < before.time).count() + known;
        let new: Vec<&Value> = lines.iter().skip(old).collect();
        if let Some(last) = new.last().map(|line| time_of(line)) {
            let same = new.iter().filter(|line| time_of(line) == last).count();
            let more = if last == before.time { before.lines } else { 0 };
            *self = Self {
                time: last,
                lines: same + more,
            };
        }
        new
    }
}

/// Prints log lines; standard error of the container goes to ours.
fn print_lines(lines: &[&Value]) {
    for line in lines {
        let text = line["m"].as_str().unwrap_or_default();
        if line["s"] == "stderr" {
            eprintln!("{text}")
        } else {
            println!("{text}")
        }
    }
}

/// The constants of a network by name, as JSON; needs no node.
fn params(network: &str) -> Result<String> {
    let params = NetworkParams::preset(network)?;
    Ok(serde_json::to_string_pretty(&params)?)
}

/// The last lines, at most `tail`.
fn last_of<T>(lines: &[T], tail: u32) -> &[T] {
    let tail = usize::try_from(tail).unwrap_or(usize::MAX);
    &lines[lines.len().saturating_sub(tail)..]
}

async fn logs(cli: &Cli, client: &Client<'_>, id: &str, tail: u32, follow: bool) -> Result<()> {
    // Who follows asks for all lines first: a tail could begin in the middle of the lines of one millisecond, and which
    // of them were printed would not be known.
    let asked = if follow && !cli.json { MAX_TAIL } else { tail };
    let path = format!("/v1/containers/{id}/logs?tail={asked}");
    let answer = client.get(&path).await?;
    if cli.json {
        println!("{answer}");
        return Ok(());
    }
    let mut position = Position::default();
    let lines = position.advance(&answer);
    print_lines(last_of(&lines, tail));
    if !follow {
        return Ok(());
    }
    loop {
        // Looked at before the lines, so that none written before the end is missed.
        let over = is_over(&find(client, id).await?);
        print_lines(&position.advance(&client.get(&path).await?));
        if over {
            return Ok(());
        }
        sleep(POLL).await;
    }
}

async fn stop(client: &Client<'_>, id: &str, timeout: u64, remove: bool) -> Result<()> {
    let body = json!({ "timeout_ms": timeout.saturating_mul(1000) });
    let time = Duration::from_secs(timeout.saturating_add(30));
    client
        .post_within(&format!("/v1/containers/{id}/stop"), &body, time)
        .await?;
    if remove {
        client.delete(&format!("/v1/containers/{id}")).await?;
    }
    Ok(())
}

fn reward_path(epoch: u64, licence: Option<LicenceRef>) -> String {
    let query = licence.map(|licence| format!("?licence={}", licence.handle()));
    format!("/v1/why/reward/{epoch}{}", query.unwrap_or_default())
}

/// The call that answers: nothing is this node, a number is an epoch, all else a node by address or alias.
async fn why_path(client: &Client<'_>, what: Option<&str>, epoch: Option<u64>) -> Result<String> {
    if let Some(number) = what.and_then(|what| what.parse::<u64>().ok()) {
        return Ok(format!("/v1/why/epoch/{number}"));
    }
    let address = match what {
        Some(address) if address.starts_with("0xai_") || address.starts_with("aixp_") => address.to_owned(),
        Some(alias) => by_alias(client, alias).await?,
        None => client.get("/v1/status").await?["address"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    };
    let query = epoch.map(|epoch| format!("?epoch={epoch}")).unwrap_or_default();
    Ok(format!("/v1/why/node/{address}{query}"))
}

async fn by_alias(client: &Client<'_>, alias: &str) -> Result<String> {
    let answer = client.get("/v1/nodes").await?;
    let nodes = answer["nodes"].as_array().cloned().unwrap_or_default();
    let found: Vec<_> = nodes.iter().filter(|node| node["alias"] == alias).collect();
    match found[..] {
        [node] => Ok(node["address"].as_str().unwrap_or_default().to_owned()),
        [] => bail!("{alias:?} is neither an epoch nor a node of this network; see r1ctl nodes"),
        _ => bail!(
            "{} nodes are called {alias:?}; name one by its address",
            found.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(times: &[u64]) -> Value {
        json!({ "lines": times.iter().map(|t| json!({ "t": t, "m": "x" })).collect::<Vec<_>>() })
    }

    #[test]
    fn a_followed_tail_prints_its_last_lines_only() {
        let lines = [1, 2, 3];
        assert_eq!(last_of(&lines, 2), [2, 3]);
        assert_eq!(last_of(&lines, 9), [1, 2, 3]);
        assert!(last_of(&lines, 0).is_empty());
    }

    #[test]
    fn the_constants_of_every_network_are_printed_and_others_are_refused_by_name() {
        for network in NetworkParams::PRESETS {
            assert!(
                params(network)
                    .unwrap()
                    .contains("\"reward_per_epoch\": \"1458508188386985115\"")
            );
        }
        assert!(params("moon").unwrap_err().to_string().contains("moon"));
    }

    #[test]
    fn a_followed_log_shows_each_line_once_even_when_the_window_moves() {
        let mut position = Position::default();
        assert_eq!(position.advance(&answer(&[5, 5, 6])).len(), 3);
        assert_eq!(position.advance(&answer(&[5, 5, 6])).len(), 0);
        assert_eq!(position.advance(&answer(&[5, 6, 6, 7])).len(), 2);
        assert_eq!(position.advance(&answer(&[7, 7, 8])).len(), 2);
        assert_eq!(position.advance(&answer(&[9])).len(), 1);
    }
}
