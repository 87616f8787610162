//! Keccak-f[1600] (FIPS 202, section 3) over several states at once, where the processor has wide enough registers.

/// States that are permuted together.
pub const LANES: usize = 8;
/// Words of one state.
pub const WORDS: usize = 25;
/// The states, word by word.
pub type States = [[u64; LANES]; WORDS];

/// A permutation that this processor can run: none other is ever made.
#[derive(Debug, Clone, Copy)]
pub struct Permutation(unsafe fn(&mut States));

impl Permutation {
    /// Permutes all states.
    pub fn run(self, states: &mut States) {
        // SAFETY: `all` makes permutations only after asking the processor for what they need.
        unsafe { (self.0)(states) }
    }
}

/// The fastest permutation; `None` if the processor has none.
pub fn permutation() -> Option<Permutation> {
    all().next()
}

/// All permutations that this processor can run, the fastest first.
#[cfg(not(target_arch = "x86_64"))]
pub fn all() -> impl Iterator<Item = Permutation> {
    std::iter::empty()
}

/// All permutations that this processor can run, the fastest first.
#[cfg(target_arch = "x86_64")]
pub fn all() -> impl Iterator<Item = Permutation> {
    let wide = is_x86_feature_detected!("avx512f").then_some(Permutation(x86::permute_512));
    let narrow = is_x86_feature_detected!("avx2").then_some(Permutation(x86::permute_256));
    wide.into_iter().chain(narrow)
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{States, WORDS};

    const ROUNDS: [i64; 24] = [
        0x0000_0000_0000_0001,
        0x0000_0000_0000_8082,
        0x8000_0000_0000_808a_u64.cast_signed(),
        0x8000_0000_8000_8000_u64.cast_signed(),
        0x0000_0000_0000_808b,
        0x0000_0000_8000_0001,
        0x8000_0000_8000_8081_u64.cast_signed(),
        0x8000_0000_0000_8009_u64.cast_signed(),
        0x0000_0000_0000_008a,
        0x0000_0000_0000_0088,
        0x0000_0000_8000_8009,
        0x0000_0000_8000_000a,
        0x0000_0000_8000_808b,
        0x8000_0000_0000_008b_u64.cast_signed(),
        0x8000_0000_0000_8089_u64.cast_signed(),
        0x8000_0000_0000_8003_u64.cast_signed(),
        0x8000_0000_0000_8002_u64.cast_signed(),
        0x8000_0000_0000_0080_u64.cast_signed(),
        0x0000_0000_0000_800a,
        0x8000_0000_8000_000a_u64.cast_signed(),
        0x8000_0000_8000_8081_u64.cast_signed(),
        0x8000_0000_0000_8080_u64.cast_signed(),
        0x0000_0000_8000_0001,
        0x8000_0000_8000_8008_u64.cast_signed(),
    ];

    /// The rounds over `$state`, an array of registers, in terms of what registers of that width can do.
    macro_rules! rounds {
        ($state:ident, $splat:expr, $xor:expr, $xor_5:expr, $rotate:ident, $chi:expr) => {
            for constant in ROUNDS {
                // Theta
                let mut column = [$state[0]; 5];
                for x in 0..5 {
                    column[x] = $xor_5(
                        $state[x],
                        $state[x + 5],
                        $state[x + 10],
                        $state[x + 15],
                        $state[x + 20],
                    );
                }
                let mut mixed = column;
                for x in 0..5 {
                    mixed[x] = $xor(column[(x + 4) % 5], $rotate!(column[(x + 1) % 5], 1));
                }
                // Rho and pi
                let mut moved = $state;
                moved[0] = $xor($state[0], mixed[0]);
                rounds!(@move $state, moved, mixed, $xor, $rotate,
                    1 10 1, 10 7 3, 7 11 6, 11 17 10, 17 18 15, 18 3 21, 3 5 28, 5 16 36, 16 8 45, 8 21 55, 21 24 2, 24 4 14,
                    4 15 27, 15 23 41, 23 19 56, 19 13 8, 13 12 25, 12 2 43, 2 20 62, 20 14 18, 14 22 39, 22 9 61, 9 6 20, 6 1 44);
                // Chi
                for y in [0, 5, 10, 15, 20] {
                    for x in 0..5 {
                        $state[y + x] = $chi(moved[y + x], moved[y + (x + 1) % 5], moved[y + (x + 2) % 5]);
                    }
                }
                // Iota
                $state[0] = $xor($state[0], $splat(constant));
            }
        };
        // From a word to a word, rotated by so many bits.
        (@move $state:ident, $moved:ident, $mixed:ident, $xor:expr, $rotate:ident, $($from:literal $to:literal $by:literal),*) => {
            $($moved[$to] = $rotate!($xor($state[$from], $mixed[$from % 5]), $by);)*
        };
    }

    macro_rules! rotate_512 {
        ($word:expr, $by:literal) => {
            _mm512_rol_epi64::<$by>($word)
        };
    }

    macro_rules! rotate_256 {
        ($word:expr, $by:literal) => {{
            let word = $word;
            _mm256_or_si256(
                _mm256_slli_epi64::<$by>(word),
                _mm256_srli_epi64::<{ 64 - $by }>(word),
            )
        }};
    }

    /// All eight states, one to a lane.
    #[target_feature(enable = "avx512f")]
    pub fn permute_512(states: &mut States) {
        // By truth table: the sum of three, and `a ^ (!b & c)`.
        const SUM: i32 = 0x96;
        const CHI: i32 = 0xd2;
        let mut state = [_mm512_setzero_si512(); WORDS];
        for (register, words) in state.iter_mut().zip(&*states) {
            // SAFETY: there are eight words, and they may lie anywhere.
            *register = unsafe { _mm512_loadu_si512(words.as_ptr().cast()) };
        }
        rounds!(
            state,
            |word| _mm512_set1_epi64(word),
            |a, b| _mm512_xor_si512(a, b),
            |a, b, c, d, e| {
                let three = _mm512_ternarylogic_epi64::<SUM>(a, b, c);
                _mm512_ternarylogic_epi64::<SUM>(three, d, e)
            },
            rotate_512,
            |a, b, c| _mm512_ternarylogic_epi64::<CHI>(a, b, c)
        );
        for (register, words) in state.iter().zip(states) {
            // SAFETY: as above.
            unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), *register) };
        }
    }

    /// Four states, then the other four.
    #[target_feature(enable = "avx2")]
    pub fn permute_256(states: &mut States) {
        for half in [0, 1] {
            let mut state = [_mm256_setzero_si256(); WORDS];
            for (register, words) in state.iter_mut().zip(&*states) {
                let four: &[u64; 4] = &words.as_chunks().0[half];
                // SAFETY: there are four words, and they may lie anywhere.
                *register = unsafe { _mm256_loadu_si256(four.as_ptr().cast()) };
            }
            rounds!(
                state,
                |word| _mm256_set1_epi64x(word),
                |a, b| _mm256_xor_si256(a, b),
                |a, b, c, d, e| {
                    let four = _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d));
                    _mm256_xor_si256(four, e)
                },
                rotate_256,
                |a, b, c| _mm256_xor_si256(a, _mm256_andnot_si256(b, c))
            );
            for (register, words) in state.iter().zip(&mut *states) {
                let four: &mut [u64; 4] = &mut words.as_chunks_mut().0[half];
                // SAFETY: as above.
                unsafe { _mm256_storeu_si256(four.as_mut_ptr().cast(), *register) };
            }
        }
    }
}
