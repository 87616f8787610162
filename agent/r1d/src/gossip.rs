//! What peers send: each message is judged before it is passed on, and each refusal is counted by its reason.

use std::sync::Arc;

use r1_economy::MAX_TRANSACTION_BYTES;
use r1_identity::envelope::{self, EnvelopeError};
use r1_net::{Acceptance, Event, GossipMessage, TopicConfig};
use r1_oraclesync::{MAX_TABLE_BYTES, SignedTable};
use r1_poa::{Beat, MAX_BEAT_BYTES, Refusal};
use tokio::sync::mpsc;

use crate::{
    clock::now_ms, files::members, follower, mempool::PoolError, node::Node, statements::StatementError,
};

/// Topic of heartbeats: signed envelopes as JSON.
pub const HEARTBEAT: &str = "heartbeat/1";
/// Topic of the oracles' tables: 8 bytes that differ each time, then the table.
pub const TABLE: &str = "table/1";
/// Topic of transactions: 8 bytes that differ each time, then the transaction.
pub const TRANSACTION: &str = "transaction/1";

/// The network drops the same bytes sent again within minutes, so what is repeated carries a number that is not.
const SALT: usize = 8;
/// What the network lets through of small topics; beyond the rooms' own limits, so that those refuse and count.
const SMALL_MESSAGE: usize = 64 << 10;
const _: () = assert!(MAX_TRANSACTION_BYTES + SALT <= SMALL_MESSAGE && MAX_BEAT_BYTES < SMALL_MESSAGE);

/// The topics of a node.
pub fn topics() -> Vec<TopicConfig> {
    vec![
        TopicConfig::new(HEARTBEAT, SMALL_MESSAGE),
        TopicConfig::new(TABLE, MAX_TABLE_BYTES + SALT),
        TopicConfig::new(TRANSACTION, SMALL_MESSAGE),
        TopicConfig::new(members::TOPIC, members::MAX_ANNOUNCEMENT + SALT),
    ]
}

/// Publishes something that may have been published before.
pub async fn publish_again(node: &Node, topic: &str, body: &[u8]) {
    let salt = rand::random::<[u8; SALT]>();
    let bytes = [&salt, body].concat();
    match node.net.publish(topic, bytes).await {
        Ok(()) | Err(r1_net::NetError::NoPeers { .. }) => {}
        Err(error) => tracing::warn!(topic, %error, "not published"),
    }
}

/// Takes the network's events until it ends.
pub async fn run(node: Arc<Node>, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Gossip(message) => {
                let acceptance = judge(&node, &message);
                message.verdict.report(acceptance);
            }
            Event::Request(request) => follower::answer(&node, request),
            Event::PeerConnected(peer) => tracing::debug!(%peer, "peer connected"),
            Event::PeerDisconnected(peer) => tracing::debug!(%peer, "peer disconnected"),
        }
    }
}

fn judge(node: &Arc<Node>, message: &GossipMessage) -> Acceptance {
    match message.topic.as_str() {
        HEARTBEAT => match heartbeat(node, &message.data) {
            Ok(()) => Acceptance::Accept,
            Err(refusal) => {
                node.figures.refuse_beat(&refusal);
                tracing::debug!(source = %message.source, %refusal, "heartbeat refused");
                blame(refusal.is_hostile())
            }
        },
        TABLE => match message.data.get(SALT..).map(|body| table(node, body)) {
            Some(Ok(())) => Acceptance::Accept,
            Some(Err((reason, hostile))) => refuse(node, TABLE, reason, hostile),
            None => refuse(node, TABLE, "malformed", true),
        },
        TRANSACTION => match message.data.get(SALT..).map(|body| transaction(node, body)) {
            Some(Ok(())) => Acceptance::Accept,
            Some(Err(error)) => refuse(node, TRANSACTION, error.reason(), error.is_hostile()),
            None => refuse(node, TRANSACTION, "malformed", true),
        },
        members::TOPIC => {
            let heard = message
                .data
                .get(SALT..)
                .and_then(|body| members::heard(node, message.source, body));
            match heard {
                Some(()) => Acceptance::Accept,
                None => refuse(node, members::TOPIC, "malformed", true),
            }
        }
        _ => Acceptance::Ignore,
    }
}

fn refuse(node: &Node, topic: &str, reason: &str, hostile: bool) -> Acceptance {
    node.figures.refuse_gossip(topic, reason);
    blame(hostile)
}

fn blame(hostile: bool) -> Acceptance {
    if hostile {
        Acceptance::Reject
    } else {
        Acceptance::Ignore
    }
}

/// Judges and records a heartbeat.
///
/// # Errors
/// Why it does not count.
pub fn heartbeat(node: &Node, bytes: &[u8]) -> Result<(), Refusal> {
    let now = now_ms();
    let beat = open(bytes)?;
    let mut handled = node.recorder().handle(now, &beat);
    if matches!(handled, Err(Refusal::UnknownSender(_))) && node.is_candidate(&beat.node) {
        let mut recorder = node.recorder();
        let mut known = recorder.known().clone();
        known.insert(beat.node);
        recorder.set_known(known);
        handled = recorder.handle(now, &beat);
    }
    node.persistence.add(&handled?);
    node.figures.poa_accepted.inc();
    Ok(())
}

/// Verifies a heartbeat's envelope and reads it.
fn open(bytes: &[u8]) -> Result<Beat, Refusal> {
    if bytes.len() > MAX_BEAT_BYTES {
        return Err(Refusal::Oversized(bytes.len()));
    }
    let limits = r1_core::CanonicalLimits {
        max_bytes: MAX_BEAT_BYTES * 2,
        max_depth: 8,
    };
    let fields = envelope::parse(bytes, limits).map_err(|_| Refusal::Malformed("json"))?;
    let verified = envelope::verify_within(&fields, limits).map_err(|error| match error {
        EnvelopeError::Digest(_) | EnvelopeError::Signature(_) => Refusal::Forged(error.to_string()),
        EnvelopeError::NoSender | EnvelopeError::SenderType | EnvelopeError::Sender(_) => {
            Refusal::Malformed("EE_SENDER")
        }
        EnvelopeError::NoSignature | EnvelopeError::SignatureText => Refusal::Malformed("EE_SIGN"),
        _ => Refusal::Malformed("envelope"),
    })?;
    Beat::read(verified.sender, &fields)
}

fn table(node: &Node, bytes: &[u8]) -> Result<(), (&'static str, bool)> {
    let table = SignedTable::decode(bytes).map_err(|_| ("malformed", true))?;
    let added = node.chain.lock().add_table(table);
    node.hint_work();
    added.map_err(|error| match error {
        StatementError::NotOracle { .. } => ("unknown_sender", true),
        StatementError::Signature { .. } => ("forged", true),
        StatementError::Epoch { .. } => ("epoch", false),
        StatementError::Known { .. } => ("duplicate", false),
    })
}

fn transaction(node: &Node, bytes: &[u8]) -> Result<(), PoolError> {
    node.chain.lock().add_transaction(now_ms(), bytes)?;
    node.hint_work();
    Ok(())
}
