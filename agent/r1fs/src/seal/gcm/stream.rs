//! AES-256-GCM in pieces (NIST SP 800-38D): counter mode and GHASH, both over any cut of the message.

use aes::{
    Aes256,
    cipher::{BlockEncrypt as _, KeyInit as _, KeyIvInit as _, StreamCipher as _, StreamCipherSeek as _},
};
use ctr::Ctr32BE;
use ghash::{GHash, universal_hash::UniversalHash as _};
use subtle::ConstantTimeEq as _;

use super::{Nonce, TAG, Tag};
use crate::seal::Key;

const BLOCK: usize = 16;
/// Bytes that are encrypted and then hashed in one go: they are still in the first-level cache then.
const STRIDE: usize = 8 << 10;
/// The counter of the message's first block; 1 is that of the tag's mask.
const FIRST: u32 = 2;

/// The state of a message in work.
pub(in crate::seal) struct Stream {
    cipher: Ctr32BE<Aes256>,
    hash: GHash,
    /// Ciphertext that fills no block yet.
    partial: [u8; BLOCK],
    filled: usize,
    mask: [u8; TAG],
}

fn counter(nonce: Nonce, count: u32) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..nonce.len()].copy_from_slice(&nonce);
    block[nonce.len()..].copy_from_slice(&count.to_be_bytes());
    block
}

impl Stream {
    pub(in crate::seal) fn new(key: &Key, nonce: Nonce) -> Self {
        let aes = Aes256::new(key.bytes().into());
        let mut hash_key = ghash::Key::default();
        aes.encrypt_block(&mut hash_key);
        let mut mask = counter(nonce, 1);
        aes.encrypt_block((&mut mask).into());
        Self {
            cipher: Ctr32BE::new(key.bytes().into(), (&counter(nonce, FIRST)).into()),
            hash: GHash::new(&hash_key),
            partial: [0; BLOCK],
            filled: 0,
            mask,
        }
    }

    /// Encrypts the next bytes in place. The caller keeps the message below GCM's limit.
    pub(in crate::seal) fn encrypt(&mut self, piece: &mut [u8]) {
        for part in piece.chunks_mut(STRIDE) {
            self.cipher.apply_keystream(part);
            self.hash(part);
        }
    }

    /// Takes the next bytes of the ciphertext.
    pub(in crate::seal) fn hash(&mut self, mut ciphertext: &[u8]) {
        if self.filled > 0 {
            let taken = ciphertext.len().min(BLOCK - self.filled);
            let (head, rest) = ciphertext.split_at(taken);
            self.partial[self.filled..self.filled + taken].copy_from_slice(head);
            self.filled += taken;
            ciphertext = rest;
            if self.filled < BLOCK {
                return;
            }
            self.hash.update_padded(&self.partial);
            self.filled = 0;
        }
        let whole = ciphertext.len() - ciphertext.len() % BLOCK;
        let (blocks, tail) = ciphertext.split_at(whole);
        self.hash.update_padded(blocks);
        self.partial[..tail.len()].copy_from_slice(tail);
        self.filled = tail.len();
    }

    /// The tag of a message of `length` bytes.
    pub(in crate::seal) fn tag(mut self, length: u64) -> Tag {
        self.hash.update_padded(&self.partial[..self.filled]);
        let mut lengths = [0; BLOCK];
        // Lengths are in bits; the first 8 bytes are for additional data, of which there is none.
        lengths[8..].copy_from_slice(&(length * 8).to_be_bytes());
        self.hash.update_padded(&lengths);
        let mut tag: Tag = self.hash.finalize().into();
        for (byte, mask) in tag.iter_mut().zip(self.mask) {
            *byte ^= mask;
        }
        tag
    }

    /// Whether `tag` is the tag of a message of `length` bytes; takes as long for any tag of that length.
    pub(in crate::seal) fn accepts(self, length: u64, tag: &[u8]) -> bool {
        self.tag(length)[..].ct_eq(tag).into()
    }
}

/// Decrypts in place bytes that begin `at` bytes behind the message's beginning.
pub(in crate::seal) fn decrypt(key: &Key, nonce: Nonce, at: u64, piece: &mut [u8]) {
    let mut cipher = Ctr32BE::<Aes256>::new(key.bytes().into(), (&counter(nonce, FIRST)).into());
    cipher.seek(at);
    cipher.apply_keystream(piece);
}
