//! Nonces drawn from an integer, as upstream draws them: CPython's generator (MT19937) seeded with that integer.

use super::gcm::Nonce;

/// Words of the generator's state.
const WORDS: usize = 624;
/// Distance of the words that are mixed.
const MIDDLE: usize = 397;

/// The nonce of a seed: what CPython prints for `random.Random(seed).randbytes(12)`.
///
/// CPython seeds with the absolute value, so `seed` and `-seed` give the same nonce.
pub fn from_integer(seed: i64) -> Nonce {
    let mut state = seeded(seed.unsigned_abs());
    twist(&mut state);
    let mut nonce = [0; 12];
    for (piece, word) in nonce.chunks_exact_mut(4).zip(state) {
        piece.copy_from_slice(&tempered(word).to_le_bytes());
    }
    nonce
}

/// The state that `init_genrand` of the MT19937 reference gives.
fn from_word(seed: u32) -> [u32; WORDS] {
    let mut state = [seed; WORDS];
    let mut previous = seed;
    for (index, word) in (0..).zip(&mut state).skip(1) {
        previous = (previous ^ (previous >> 30))
            .wrapping_mul(1_812_433_253)
            .wrapping_add(index);
        *word = previous;
    }
    state
}

/// The state that `init_by_array` gives for the seed's 32-bit words, lowest first, without leading zero words.
fn seeded(seed: u64) -> [u32; WORDS] {
    let words = [low(seed), low(seed >> 32)];
    let key = if words[1] == 0 { &words[..1] } else { &words[..] };
    let mut state = from_word(19_650_218);
    let mut at = 1;
    for (word, index) in key.iter().zip(0..).cycle().take(WORDS) {
        let mixed = mix(&state, at).wrapping_mul(1_664_525);
        state[at] = (state[at] ^ mixed).wrapping_add(*word).wrapping_add(index);
        at = next(&mut state, at);
    }
    for _ in 1..WORDS {
        let mixed = mix(&state, at).wrapping_mul(1_566_083_941);
        let position = u32::try_from(at).unwrap_or(0);
        state[at] = (state[at] ^ mixed).wrapping_sub(position);
        at = next(&mut state, at);
    }
    state[0] = 1 << 31;
    state
}

/// The lowest 32 bits.
fn low(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0)
}

fn mix(state: &[u32; WORDS], at: usize) -> u32 {
    state[at - 1] ^ (state[at - 1] >> 30)
}

/// The following position; the first word mirrors the last one at each turn.
fn next(state: &mut [u32; WORDS], at: usize) -> usize {
    if at + 1 < WORDS {
        return at + 1;
    }
    state[0] = state[WORDS - 1];
    1
}

/// One step of the generator for all words.
fn twist(state: &mut [u32; WORDS]) {
    for at in 0..WORDS {
        let joined = (state[at] & 0x8000_0000) | (state[(at + 1) % WORDS] & 0x7fff_ffff);
        let magic = if joined & 1 == 0 { 0 } else { 0x9908_b0df };
        state[at] = state[(at + MIDDLE) % WORDS] ^ (joined >> 1) ^ magic;
    }
}

fn tempered(mut word: u32) -> u32 {
    word ^= word >> 11;
    word ^= (word << 7) & 0x9d2c_5680;
    word ^= (word << 15) & 0xefc6_0000;
    word ^ (word >> 18)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_are_those_of_cpython() {
        // CPython 3.11: random.Random(n).randbytes(12).hex()
        for (seed, expected) in [
            (0, "cd072cd8be6f9f62ac4c09c2"),
            (1, "f5b165224a58b791df6af1d8"),
            (2, "73a9bef499bbf4dc7bd2a4f2"),
            (42, "9d79b1a37f31801cd11a6706"),
            (12345, "8799a76a3a4391bb45729a02"),
            (-1, "f5b165224a58b791df6af1d8"),
            (-12345, "8799a76a3a4391bb45729a02"),
            (1 << 31, "2253bb56b0ae976018be4b81"),
            ((1 << 32) - 1, "09c9a6a2f4049c9e41e90434"),
            (1 << 32, "d731ed1cbc8bef5906d5f66a"),
            ((1 << 32) + 1, "856e1e3bd4054080796c2d83"),
            ((1 << 40) + 7, "dab01b9d62a450bfb55a9ed0"),
            (-((1 << 40) + 7), "dab01b9d62a450bfb55a9ed0"),
            (123_456_789_012_345_678, "0eede36e251e3eb31e257d82"),
            (i64::MAX, "9fa30f51c89413a8cb359aa1"),
            (i64::MIN, "08d1af8dfe1bd664281cccf0"),
        ] {
            assert_eq!(hex::encode(from_integer(seed)), expected, "seed {seed}");
        }
    }
}
