//! How decided blocks reach those who do not vote: any node serves them, a follower verifies each one.

use std::{sync::Arc, time::Duration};

use r1_core::NodeAddress;
use r1_net::{ProtocolConfig, Request};
use r1_oraclesync::{
    Block, DecidedBlock, Follower, MAX_DECIDED_BYTES, MAX_DECIDED_BYTES_PER_ANSWER, MAX_DECIDED_PER_ANSWER,
};
use tokio::time::sleep;

use crate::node::Node;

/// Protocol: the request is a height (8 bytes big-endian), the answer the decided blocks from it on, each with its
/// length (4 bytes big-endian) before it; empty if there is none.
pub const BLOCK: &str = "block/1";
/// Longest answer.
const MAX_ANSWER: usize = MAX_DECIDED_BYTES_PER_ANSWER + MAX_DECIDED_BYTES;
/// How often a peer is asked for news.
const POLL: Duration = Duration::from_secs(1);

/// The request-response protocols of a node.
pub fn protocols() -> Vec<ProtocolConfig> {
    vec![ProtocolConfig::new(BLOCK, 8, MAX_ANSWER.min(r1_net::MAX_BODY))]
}

/// Answers a peer's request.
pub fn answer(node: &Node, request: Request) {
    let from = <[u8; 8]>::try_from(request.data.as_slice()).map(u64::from_be_bytes);
    let (BLOCK, Ok(from)) = (request.protocol.as_str(), from) else {
        return request.reply.refuse();
    };
    match node.store.decided(from, MAX_DECIDED_PER_ANSWER) {
        Ok(blocks) => {
            let sent = request.reply.send(frame(&blocks));
            if let Err(error) = sent {
                tracing::warn!(%error, from, "blocks were not sent");
            }
        }
        Err(error) => {
            tracing::warn!(%error, from, "blocks cannot be read");
            request.reply.refuse();
        }
    }
}

fn frame(blocks: &[DecidedBlock]) -> Vec<u8> {
    let mut out = Vec::new();
    for block in blocks {
        let bytes = block.encode();
        if out.len() + 4 + bytes.len() > MAX_ANSWER.min(r1_net::MAX_BODY) {
            break;
        }
        out.extend((bytes.len() as u32).to_be_bytes());
        out.extend(bytes);
    }
    out
}

fn unframe(mut bytes: &[u8]) -> Result<Vec<DecidedBlock>, String> {
    let mut blocks = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let body = rest.get(..length).ok_or("an answer is cut off")?;
        blocks.push(DecidedBlock::decode(body).map_err(|error| error.to_string())?);
        bytes = &rest[length..];
        if blocks.len() > MAX_DECIDED_PER_ANSWER {
            return Err("an answer has too many blocks".into());
        }
    }
    if bytes.is_empty() {
        Ok(blocks)
    } else {
        Err("an answer is cut off".into())
    }
}

/// Follows the chain as a light client, for ever.
pub async fn run(node: Arc<Node>, mut follower: Follower) {
    if let Err(error) = catch_up(&node, &mut follower) {
        // Without its own blocks it could only start over, which an operator must decide.
        tracing::error!(
            error,
            "stored blocks cannot be applied; remove the state folder's blocks and ledger to start over"
        );
        return;
    }
    let mut turn = 0usize;
    loop {
        let peers = node.net.peers();
        let mut progress = false;
        if !peers.is_empty() {
            turn = turn.wrapping_add(1);
            let peer = peers[turn % peers.len()];
            progress = ask(&node, &mut follower, peer).await;
        }
        if !progress {
            sleep(POLL).await;
        }
    }
}

/// Applies stored blocks that a crash left unapplied, and goes to the end of the store.
fn catch_up(node: &Node, follower: &mut Follower) -> Result<(), String> {
    let store = &node.store;
    let text = |error: r1_oraclesync::StoreError| error.to_string();
    let end = store.tip().map_err(text)?;
    loop {
        let height = node.chain.lock().ledger().height();
        if height >= end {
            break;
        }
        for block in store.decided(height + 1, MAX_DECIDED_PER_ANSWER).map_err(text)? {
            node.chain
                .lock()
                .apply(&block, None)
                .map_err(|error| error.to_string())?;
        }
        if node.chain.lock().ledger().height() == height {
            return Err(format!("block {} is missing", height + 1));
        }
    }
    if let Some(last) = store.get(end).map_err(text)? {
        let block = Block::decode(&last.payload).map_err(|error| error.to_string())?;
        follower.resume(block.tip(&last.payload));
    }
    Ok(())
}

/// Asks a peer for the blocks behind ours; true if there were any.
async fn ask(node: &Node, follower: &mut Follower, peer: NodeAddress) -> bool {
    let from = follower.tip().height + 1;
    let answer = match node.net.request(peer, BLOCK, from.to_be_bytes().to_vec()).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!(%peer, %error, "no blocks");
            return false;
        }
    };
    let blocks = match unframe(&answer) {
        Ok(blocks) => blocks,
        Err(error) => {
            node.figures.false_blocks.inc();
            tracing::warn!(%peer, error, "an answer was refused");
            return false;
        }
    };
    let mut progress = false;
    for block in blocks {
        if let Err(error) = take(node, follower, &block) {
            node.figures.false_blocks.inc();
            tracing::warn!(%peer, error, "a block was refused");
            return false;
        }
        progress = true;
    }
    progress
}

fn take(node: &Node, follower: &mut Follower, decided: &DecidedBlock) -> Result<(), String> {
    let before = follower.tip();
    follower.accept(decided).map_err(|error| error.to_string())?;
    let kept = node.store.append(decided).map_err(|error| error.to_string());
    let applied = kept.and_then(|()| {
        node.chain
            .lock()
            .apply(decided, None)
            .map_err(|error| error.to_string())
    });
    if let Err(error) = applied {
        follower.resume(before);
        return Err(error);
    }
    node.figures.followed_blocks.inc();
    Ok(())
}

#[cfg(test)]
mod tests {
    use r1_oraclesync::Certificate;

    use super::*;

    #[test]
    fn what_is_framed_is_unframed_and_a_cut_is_noticed() {
        let block = |height| DecidedBlock {
            payload: vec![7; 100],
            certificate: Certificate {
                height,
                round: 0,
                value_id: [1; 32],
                signatures: Vec::new(),
            },
        };
        let bytes = frame(&[block(1), block(2)]);
        assert_eq!(unframe(&bytes).unwrap(), [block(1), block(2)]);
        assert_eq!(unframe(&[]).unwrap(), []);
        for cut in 1..bytes.len() {
            let whole = unframe(&bytes[..cut]);
            assert!(whole.is_err() || whole.unwrap().len() == 1, "cut at {cut}");
        }
    }
}
