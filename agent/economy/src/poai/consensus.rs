//! How oracles agree on the nodes of a job: a pure decision over the sets submitted, oldest first.

use crate::{Mode, merkle::Hash};

/// What the submissions give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Too few have submitted.
    Waiting,
    /// Enough have submitted, and they do not agree.
    Split,
    /// They agree on a set.
    Agreed {
        /// Index of the first submission with that set.
        first: usize,
        /// How many submitted it.
        votes: usize,
    },
}

/// Counts `sets`, the hashes submitted by distinct oracles of `oracles`, oldest first.
///
/// Compat: from `oracles / 2 + 1` submissions on the most frequent set, of equals the first submitted, wins if it has
/// `oracles / 3 + 1` votes. Two of two oracles agree with one vote, and three ways of a third each never agree.
///
/// Strict: more than half of all oracles win at once. When all have submitted and none has more than half, the most
/// frequent set wins, of equals the one with the smallest hash: the order of submission, which one oracle can choose,
/// decides nothing, and every epoch resolves.
pub fn decide(mode: Mode, oracles: usize, sets: &[Hash]) -> Decision {
    let votes = |set: &Hash| sets.iter().filter(|other| *other == set).count();
    let first = |set: &Hash| sets.iter().position(|other| other == set).unwrap_or_default();
    let agreed = |set: &Hash| Decision::Agreed {
        first: first(set),
        votes: votes(set),
    };
    // The first of the most frequent: `max_by_key` would give the last.
    let most = sets.iter().map(votes).max().unwrap_or_default();
    match mode {
        Mode::Compat if sets.len() <= oracles / 2 => Decision::Waiting,
        Mode::Compat => match sets.iter().find(|set| votes(set) == most) {
            Some(set) if most > oracles / 3 => agreed(set),
            _ => Decision::Split,
        },
        Mode::Strict if most > oracles / 2 || (sets.len() >= oracles && most > 0) => sets
            .iter()
            .filter(|set| votes(set) == most)
            .min()
            .map_or(Decision::Waiting, agreed),
        Mode::Strict if sets.len() > oracles / 2 => Decision::Split,
        Mode::Strict => Decision::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(letters: &str) -> Vec<Hash> {
        letters.bytes().map(|letter| [letter; 32]).collect()
    }

    #[test]
    fn a_three_way_split_never_agrees_in_compat_and_always_in_strict() {
        for n in [3, 6, 9] {
            let all = sets(&"CBA".repeat(n / 3));
            assert_eq!(decide(Mode::Compat, n, &all), Decision::Split);
            let agreed = Decision::Agreed {
                first: 2,
                votes: n / 3,
            };
            assert_eq!(decide(Mode::Strict, n, &all), agreed);
        }
    }

    #[test]
    fn one_of_two_decides_in_compat_only() {
        assert_eq!(
            decide(Mode::Compat, 2, &sets("BA")),
            Decision::Agreed { first: 0, votes: 1 }
        );
        assert_eq!(decide(Mode::Strict, 2, &sets("B")), Decision::Waiting);
        assert_eq!(
            decide(Mode::Strict, 2, &sets("AA")),
            Decision::Agreed { first: 0, votes: 2 }
        );
        assert_eq!(decide(Mode::Strict, 4, &sets("ABC")), Decision::Split);
    }
}
