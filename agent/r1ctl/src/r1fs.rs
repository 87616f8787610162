//! Files: `r1ctl r1fs`.

pub mod cli;
mod folder;
mod transfer;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, anyhow, bail};
use http_body_util::BodyExt as _;
use hyper::Method;
use serde_json::{Value, json};

use self::{
    cli::{AddArgs, GetArgs, R1fsAction, SecretArgs},
    transfer::{Target, bar, body, copy},
};
use crate::{cli::Cli, client::Client, table::Table, units};

/// How long a call may take that reads or moves everything.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Runs `r1ctl r1fs`.
///
/// # Errors
/// What r1d refuses, or a file that cannot be read or written, by name.
pub async fn run(cli: &Cli, client: &Client<'_>, action: &R1fsAction) -> Result<()> {
    match action {
        R1fsAction::Add(args) => add(cli, client, args).await,
        R1fsAction::Get(args) => get(cli, client, args).await,
        R1fsAction::Ls { cid: None } => pins(cli, client).await,
        R1fsAction::Ls { cid: Some(cid) } => list(cli, client, cid).await,
        R1fsAction::Stat { cid } => show(cli, &client.get(&object(cid)).await?, stat),
        R1fsAction::Pin { cid, days } => pin(cli, client, cid, *days).await,
        R1fsAction::Rm { cids, keep_remote } => remove(cli, client, cids, *keep_remote).await,
        R1fsAction::Gc { grace } => {
            let body = json!({ "grace_s": grace });
            show(
                cli,
                &client.post_within("/v1/r1fs/gc", &body, LONG).await?,
                collected,
            )
        }
        R1fsAction::Verify { no_heal } => {
            let body = json!({ "heal": !no_heal });
            show(
                cli,
                &client.post_within("/v1/r1fs/verify", &body, LONG).await?,
                verified,
            )
        }
        R1fsAction::Import { file } => import(cli, client, file).await,
        R1fsAction::Export { cid, output, force } => {
            let path = format!("{}/car", object(cid));
            download(cli, client, &path, Some(output), *force).await
        }
        R1fsAction::Status => show(cli, &client.get("/v1/r1fs/status").await?, status),
        R1fsAction::Connect { address } => {
            let answer = client
                .post("/v1/r1fs/connect", &json!({ "address": address }))
                .await?;
            show(cli, &answer, |answer| {
                vec![format!("connected to {}", text(&answer["peer_id"]))]
            })
        }
    }
}

fn show(cli: &Cli, answer: &Value, lines: fn(&Value) -> Vec<String>) -> Result<()> {
    if cli.json {
        println!("{answer}");
    } else {
        lines(answer).iter().for_each(|line| println!("{line}"));
    }
    Ok(())
}

fn table(heading: &[&'static str], rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let mut table = Table::new(heading);
    rows.for_each(|row| table.row(row));
    table.lines()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn size(value: &Value) -> String {
    units::bytes(value.as_u64().unwrap_or_default())
}

fn object(cid: &str) -> String {
    format!("/v1/r1fs/objects/{}", escape(cid))
}

/// A text as a part of a path or query.
fn escape(text: &str) -> String {
    let keep = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let bytes = text.bytes().map(|byte| {
        if keep(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    bytes.collect()
}

impl SecretArgs {
    fn read(&self) -> Result<Option<String>> {
        let Some(path) = &self.secret_file else {
            return Ok(self.secret.clone());
        };
        let content = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let line = content.lines().next().unwrap_or_default();
        if line.is_empty() {
            bail!("{}: its first line is empty; a secret is needed", path.display());
        }
        Ok(Some(line.to_owned()))
    }
}

async fn add(cli: &Cli, client: &Client<'_>, args: &AddArgs) -> Result<()> {
    if args.path.is_dir() {
        return add_folder(cli, client, args).await;
    }
    let stdin = args.path == Path::new("-");
    let (length, own) = if stdin {
        (None, "stdin".to_owned())
    } else {
        let length = std::fs::metadata(&args.path)
            .with_context(|| args.path.display().to_string())?
            .len();
        let name = args
            .path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        (Some(length), name)
    };
    let name = args.name.clone().unwrap_or(own);
    let mut path = format!("/v1/r1fs/objects?plain={}&filename={}", args.plain, escape(&name));
    if let Some(secret) = args.secret.read()? {
        path.push_str(&format!("&secret={}", escape(&secret)));
    }
    if let Some(nonce) = args.nonce {
        path.push_str(&format!("&nonce={nonce}"));
    }
    if let Some(length) = length {
        path.push_str(&format!("&length={length}"));
    }
    let (progress, from) = (bar(cli.json, length), args.path.clone());
    let content = body(progress.clone(), move |out| {
        if stdin {
            return copy(io::stdin().lock(), out);
        }
        let named = || from.display().to_string();
        copy(File::open(&from).with_context(named)?, out).with_context(named)
    });
    let answer = client.upload(&path, content, length, LONG).await;
    progress.finish_and_clear();
    show(cli, &answer?, added)
}

async fn add_folder(cli: &Cli, client: &Client<'_>, args: &AddArgs) -> Result<()> {
    if !args.plain {
        bail!(
            "{}: a folder is not sealed; say --plain to add it for all to read, or seal an archive of it: \
             tar c {} | r1ctl r1fs add - --name folder.tar",
            args.path.display(),
            args.path.display()
        );
    }
    let (root, bytes) = folder::measure(&args.path)?;
    let (progress, path) = (bar(cli.json, Some(bytes)), args.path.clone());
    let content = body(progress.clone(), move |out| folder::write(&path, root, out));
    let answer = client.upload("/v1/r1fs/import", content, None, LONG).await;
    progress.finish_and_clear();
    let stat = answer.map(|_| object(&root.to_string()))?;
    let mut stat = client.get(&stat).await?;
    stat["size"] = bytes.into();
    show(cli, &stat, added)
}

fn added(answer: &Value) -> Vec<String> {
    vec![
        text(&answer["cid"]).to_owned(),
        format!("{}, {}", size(&answer["size"]), durability(answer)),
    ]
}

/// `3 of 3 replicas, 2 operators`.
fn durability(answer: &Value) -> String {
    let number = |key: &str| answer[key].as_u64().unwrap_or_default();
    let operators = number("operators");
    let plural = if operators == 1 { "" } else { "s" };
    format!(
        "{} of {} replicas, {operators} operator{plural}",
        number("replicas"),
        number("wanted")
    )
}

async fn get(cli: &Cli, client: &Client<'_>, args: &GetArgs) -> Result<()> {
    let mut path = format!(
        "{}/content?plain={}&path={}",
        object(&args.cid),
        args.plain,
        escape(&args.path)
    );
    if let Some(secret) = args.secret.read()? {
        path.push_str(&format!("&secret={}", escape(&secret)));
    }
    download(cli, client, &path, args.output.as_deref(), args.force).await
}

async fn download(
    cli: &Cli,
    client: &Client<'_>,
    path: &str,
    output: Option<&Path>,
    force: bool,
) -> Result<()> {
    let answer = client.open(Method::GET, path).await?;
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let length = header("content-length").and_then(|length| length.parse::<u64>().ok());
    let name = header("x-filename").and_then(|name| serde_json::from_str::<String>(name).ok());
    let output = match output {
        Some(output) => output.to_owned(),
        None => own_name(name.as_deref())?,
    };
    let mut target = Target::open(&output, force)?;
    let (progress, mut content, mut bytes) = (bar(cli.json, length), answer.into_body(), 0u64);
    while let Some(frame) = content.frame().await {
        let frame = frame.with_context(|| format!("broken off after {bytes} bytes; see r1d's log"))?;
        if let Ok(piece) = frame.into_data() {
            bytes += piece.len() as u64;
            target.write(&piece)?;
            progress.inc(piece.len() as u64);
        }
    }
    if let Some(length) = length.filter(|length| *length != bytes) {
        bail!("broken off after {bytes} of {length} bytes; see r1d's log");
    }
    progress.finish_and_clear();
    let written = target.finish()?;
    match written {
        Some(path) if cli.json => println!(
            "{}",
            json!({ "path": path.display().to_string(), "bytes": bytes })
        ),
        Some(path) => println!("{}  {}", path.display(), units::bytes(bytes)),
        None => {}
    }
    Ok(())
}

/// The object's own name, as a file of the current folder: it comes from whoever sealed it.
fn own_name(name: Option<&str>) -> Result<PathBuf> {
    let name = name
        .and_then(|name| Path::new(name).file_name())
        .map(PathBuf::from);
    name.ok_or_else(|| anyhow!("the object carries no name; say where to with -o"))
}

async fn pins(cli: &Cli, client: &Client<'_>) -> Result<()> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let mut page = client.get(&format!("/v1/r1fs/pins?limit=1000{after}")).await?;
        all.append(page["pins"].as_array_mut().unwrap_or(&mut Vec::new()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", escape(next)),
            None => break,
        }
    }
    show(cli, &json!({ "pins": all }), |answer| {
        let rows = answer["pins"].as_array().into_iter().flatten().map(|pin| {
            let until = pin["expires_ms"]
                .as_u64()
                .map_or("for good".into(), |ms| format!("until {}", left(ms)));
            vec![
                text(&pin["cid"]).to_owned(),
                text(&pin["label"]).to_owned(),
                until,
            ]
        });
        table(&["CID", "LABEL", "KEPT"], rows)
    })
}

/// When a time is, from now.
fn left(ms: u64) -> String {
    format!("{} from now", units::span(ms.saturating_sub(now_ms())))
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

async fn list(cli: &Cli, client: &Client<'_>, what: &str) -> Result<()> {
    let (cid, path) = what.split_once('/').unwrap_or((what, ""));
    let answer = client
        .get(&format!("{}/entries?path={}", object(cid), escape(path)))
        .await?;
    show(cli, &answer, |answer| {
        let rows = answer["entries"].as_array().into_iter().flatten();
        let rows = rows.map(|entry| {
            vec![
                size(&entry["size"]),
                text(&entry["cid"]).to_owned(),
                text(&entry["name"]).to_owned(),
            ]
        });
        table(&["SIZE", "CID", "NAME"], rows)
    })
}

fn stat(answer: &Value) -> Vec<String> {
    let pins = answer["pins"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|pin| text(&pin[0]).to_owned());
    let pins: Vec<String> = pins.collect();
    vec![
        format!(
            "{}  {}, {}",
            text(&answer["cid"]),
            text(&answer["kind"]),
            size(&answer["size"])
        ),
        format!(
            "here: {}",
            if answer["here"] == true {
                "yes"
            } else {
                "no, fetched when it is read"
            }
        ),
        format!(
            "pinned by: {}",
            if pins.is_empty() {
                "nobody here".into()
            } else {
                pins.join(", ")
            }
        ),
        format!("durability: {}", durability(answer)),
    ]
}

async fn pin(cli: &Cli, client: &Client<'_>, cid: &str, days: Option<u64>) -> Result<()> {
    let expires_ms = days.map(|days| now_ms().saturating_add(days.saturating_mul(86_400_000)));
    let path = format!("{}/pin", object(cid));
    let answer = client
        .post_within(&path, &json!({ "expires_ms": expires_ms }), LONG)
        .await?;
    show(cli, &answer, |answer| {
        vec![format!("pinned: {}", durability(answer))]
    })
}

async fn remove(cli: &Cli, client: &Client<'_>, cids: &[String], keep_remote: bool) -> Result<()> {
    for cid in cids {
        let path = format!("{}/pin?unpin_remote={}", object(cid), !keep_remote);
        client.delete(&path).await.with_context(|| cid.clone())?;
    }
    show(cli, &json!({ "removed": cids }), |answer| {
        let removed = answer["removed"].as_array().into_iter().flatten();
        removed.map(|cid| format!("{} let go", text(cid))).collect()
    })
}

fn collected(answer: &Value) -> Vec<String> {
    vec![format!(
        "{} blocks removed, {} freed, {} pins had expired",
        answer["blocks"],
        size(&answer["bytes"]),
        answer["expired_pins"]
    )]
}

fn verified(answer: &Value) -> Vec<String> {
    let count = |key: &str| answer[key].as_array().map_or(0, Vec::len);
    let mut lines = vec![format!(
        "{} blocks are sound ({}), {} damaged, {} missing, {} fetched again",
        answer["sound"],
        size(&answer["bytes"]),
        count("damaged"),
        count("absent"),
        answer["healed"]
    )];
    for key in ["damaged", "absent"] {
        lines.extend(
            answer[key]
                .as_array()
                .into_iter()
                .flatten()
                .map(|cid| format!("{key}: {}", text(cid))),
        );
    }
    lines
}

async fn import(cli: &Cli, client: &Client<'_>, file: &Path) -> Result<()> {
    let stdin = file == Path::new("-");
    let named = file.display().to_string();
    let length = if stdin {
        None
    } else {
        Some(std::fs::metadata(file).with_context(|| named.clone())?.len())
    };
    let (progress, from) = (bar(cli.json, length), file.to_owned());
    let content = body(progress.clone(), move |out| {
        if stdin {
            return copy(io::stdin().lock(), out);
        }
        copy(File::open(&from).with_context(|| named.clone())?, out).with_context(|| named)
    });
    let answer = client.upload("/v1/r1fs/import", content, length, LONG).await;
    progress.finish_and_clear();
    show(cli, &answer?, |answer| {
        let mut lines = vec![format!("{} blocks, {}", answer["blocks"], size(&answer["bytes"]))];
        lines.extend(
            answer["roots"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|root| format!("root {}", text(root))),
        );
        lines
    })
}

fn status(answer: &Value) -> Vec<String> {
    let members = answer["members"].as_array().map_or(0, Vec::len);
    let mut lines = vec![
        format!("peer      {}", text(&answer["peer_id"])),
        format!(
            "stored    {} blocks, {} of {}",
            answer["blocks"],
            size(&answer["bytes"]),
            size(&answer["quota"])
        ),
        format!(
            "objects   {} kept for the network, {} short of copies",
            answer["objects"], answer["repair_queue"]
        ),
        format!("network   {} peers, {members} other members", answer["peers"]),
    ];
    if answer["damaged"].as_u64().is_some_and(|count| count > 0) {
        lines.push(format!(
            "damaged   {} blocks since the start; run r1ctl r1fs verify",
            answer["damaged"]
        ));
    }
    lines.extend(
        answer["addresses"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|address| format!("address   {}", text(address))),
    );
    lines
}
