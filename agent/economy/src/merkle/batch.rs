//! Keccak-256 of several messages at once: a large tree is hashed several times faster so than node by node.

use sha3::{Digest, Keccak256};

use super::{
    Hash,
    lanes::{self, LANES, Permutation, States, WORDS},
};

/// Bytes that the sponge takes in between two permutations.
const RATE: usize = 136;
/// With fewer messages the permutation of all lanes costs more than it saves.
const WORTH: usize = 3;

/// Messages of nodes that are hashed together, each with its node's position.
pub struct Batch {
    permutation: Option<Permutation>,
    bytes: Vec<u8>,
    ends: [usize; LANES],
    positions: [usize; LANES],
    len: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            permutation: lanes::permutation(),
            bytes: Vec::new(),
            ends: [0; LANES],
            positions: [0; LANES],
            len: 0,
        }
    }
}

impl Batch {
    /// True if no more messages fit.
    pub fn is_full(&self) -> bool {
        self.len == LANES
    }

    /// Adds the message that `write` appends to the bytes it is given. There must be room.
    pub fn add(&mut self, position: usize, write: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        self.bytes = write(std::mem::take(&mut self.bytes));
        self.ends[self.len] = self.bytes.len();
        self.positions[self.len] = position;
        self.len += 1;
    }

    /// The hashes of all messages, with their positions; the batch is empty afterwards.
    pub fn take(&mut self) -> impl Iterator<Item = (usize, Hash)> + use<> {
        let (messages, len) = (self.messages(), self.len);
        let messages = &messages[..len];
        let hashes = match self.permutation {
            Some(permutation) if len >= WORTH => together(permutation, messages),
            _ => one_by_one(messages),
        };
        self.bytes.clear();
        self.len = 0;
        self.positions.into_iter().zip(hashes).take(len)
    }

    fn messages(&self) -> [&[u8]; LANES] {
        let mut messages = [&[][..]; LANES];
        let mut begin = 0;
        for (message, end) in messages.iter_mut().zip(&self.ends[..self.len]) {
            *message = &self.bytes[begin..*end];
            begin = *end;
        }
        messages
    }
}

/// The hashes of at most [`LANES`] messages.
fn one_by_one(messages: &[&[u8]]) -> [Hash; LANES] {
    let mut hashes = [[0; 32]; LANES];
    for (hash, message) in hashes.iter_mut().zip(messages) {
        *hash = Keccak256::digest(message).into();
    }
    hashes
}

/// The hashes of at most [`LANES`] messages, in lanes. A lane whose message has ended goes on idly with the others.
fn together(permutation: Permutation, messages: &[&[u8]]) -> [Hash; LANES] {
    let mut hashes = [[0; 32]; LANES];
    let mut states: States = [[0; LANES]; WORDS];
    let blocks = messages.iter().map(|message| message.len() / RATE + 1);
    for block in 0..blocks.max().unwrap_or(0) {
        for (lane, message) in messages.iter().enumerate() {
            if let Some(rest) = message.get(block * RATE..) {
                absorb(&mut states, lane, rest);
            }
        }
        permutation.run(&mut states);
        for (lane, message) in messages.iter().enumerate() {
            if message.len() / RATE == block {
                squeeze(&states, lane, &mut hashes[lane]);
            }
        }
    }
    hashes
}

/// Takes in the next block, padded if it is the last one: by Keccak's first rule, not by that of SHA-3.
fn absorb(states: &mut States, lane: usize, rest: &[u8]) {
    let mut padded = [0; RATE];
    let block = match rest.first_chunk::<RATE>() {
        Some(block) => block,
        None => {
            padded[..rest.len()].copy_from_slice(rest);
            padded[rest.len()] = 1;
            padded[RATE - 1] |= 0x80;
            &padded
        }
    };
    for (word, bytes) in states.iter_mut().zip(block.as_chunks().0) {
        word[lane] ^= u64::from_le_bytes(*bytes);
    }
}

fn squeeze(states: &States, lane: usize, hash: &mut Hash) {
    for (bytes, word) in hash.chunks_exact_mut(8).zip(states) {
        bytes.copy_from_slice(&word[lane].to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_way_gives_the_hashes_that_keccak_gives_one_by_one(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..500), 1..=LANES),
        ) {
            let expected: Vec<Hash> = messages.iter().map(|message| Keccak256::digest(message).into()).collect();
            let mut batch = Batch::default();
            for permutation in lanes::all().map(Some).chain([None]) {
                batch.permutation = permutation;
                for (position, message) in messages.iter().enumerate() {
                    prop_assert!(!batch.is_full());
                    batch.add(position, |mut bytes| { bytes.extend(message); bytes });
                }
                let hashes: Vec<(usize, Hash)> = batch.take().collect();
                let expected: Vec<(usize, Hash)> = expected.iter().copied().enumerate().collect();
                prop_assert_eq!(hashes, expected);
            }
        }
    }

    #[test]
    fn blocks_that_end_where_the_message_ends_are_padded_by_a_block_of_their_own() {
        for permutation in lanes::all() {
            for len in [0, RATE - 1, RATE, RATE + 1, 2 * RATE] {
                let message = vec![7; len];
                let hashes = together(permutation, &[&message, &message[..len / 2]]);
                assert_eq!(hashes[0], Hash::from(Keccak256::digest(&message)), "{len}");
                assert_eq!(
                    hashes[1],
                    Hash::from(Keccak256::digest(&message[..len / 2])),
                    "{len}"
                );
            }
        }
    }
}
