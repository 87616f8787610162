//! The agreed availability of an epoch: the median of the oracles' tables, in integers only.

use std::collections::{BTreeMap, BTreeSet};

use r1_core::NodeAddress;

/// What an epoch's tables amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The agreed value (1..=255) of each node; a node that is not in the map has 0.
    Agreed(BTreeMap<NodeAddress, u8>),
    /// Too few oracles could judge: every linked node is credited with 255.
    Faulty,
}

/// The median per node over the tables of the oracles that did not abstain; a node absent from a table counts 0
/// there. More than two thirds of all oracles must have a table, else the epoch is faulty.
///
/// As fewer than a third of the oracles lie, the liars are fewer than half of the tables, so that every agreed
/// value lies between the lowest and the highest honest one.
pub fn median(oracles: usize, tables: &[&BTreeMap<NodeAddress, u8>]) -> Outcome {
    if !is_quorum(tables.len(), oracles) {
        return Outcome::Faulty;
    }
    let nodes: BTreeSet<&NodeAddress> = tables.iter().flat_map(|table| table.keys()).collect();
    let agreed = nodes.into_iter().filter_map(|node| {
        let mut values: Vec<u8> = tables
            .iter()
            .map(|table| table.get(node).copied().unwrap_or(0))
            .collect();
        let value = middle(&mut values);
        (value != 0).then_some((*node, value))
    });
    Outcome::Agreed(agreed.collect())
}

/// True if `some` of `all` oracles, each with one vote, are more than two thirds.
pub fn is_quorum(some: usize, all: usize) -> bool {
    3 * some > 2 * all
}

/// The middle value; of two middle values their mean, a half rounded to even (2.5 to 2, 3.5 to 4).
fn middle(values: &mut [u8]) -> u8 {
    values.sort_unstable();
    let half = values.len() / 2;
    if values.len() % 2 == 1 {
        return values[half];
    }
    let sum = u16::from(values[half - 1]) + u16::from(values[half]);
    let floor = sum / 2;
    let rounded = if sum % 2 == 1 && floor % 2 == 1 {
        floor + 1
    } else {
        floor
    };
    u8::try_from(rounded).expect("the mean of two bytes is a byte")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(tag: u8) -> NodeAddress {
        let mut point = [tag; 33];
        point[0] = 2;
        NodeAddress::from_compressed(point).unwrap()
    }

    /// The agreed value of one node out of what each table says of it (`None`: absent).
    fn agreed(oracles: usize, said: &[Option<u8>]) -> Option<u8> {
        let tables: Vec<BTreeMap<_, _>> = said
            .iter()
            .map(|value| value.map(|v| (node(1), v)).into_iter().collect())
            .collect();
        match median(oracles, &tables.iter().collect::<Vec<_>>()) {
            Outcome::Agreed(map) => Some(map.get(&node(1)).copied().unwrap_or(0)),
            Outcome::Faulty => None,
        }
    }

    #[test]
    fn vectors_by_hand() {
        for (said, expected) in [
            (vec![Some(7)], 7),
            (vec![Some(1), Some(9), Some(5)], 5),
            (vec![Some(2), Some(3)], 2),
            (vec![Some(3), Some(4)], 4),
            (vec![Some(254), Some(255)], 254),
            (vec![Some(255), Some(255)], 255),
            (vec![Some(0), Some(2), Some(3), Some(255)], 2),
            (vec![Some(10), None, Some(20)], 10),
            (vec![Some(10), None, None], 0),
            (vec![Some(10), None, None, Some(10)], 5),
            (vec![Some(1), None], 0),
            (vec![Some(3), None], 2),
        ] {
            assert_eq!(agreed(said.len(), &said), Some(expected), "{said:?}");
        }
    }

    #[test]
    fn too_few_tables_make_the_epoch_faulty() {
        assert_eq!(
            agreed(3, &[Some(5), Some(5)]),
            None,
            "two of three is not more than two thirds"
        );
        assert_eq!(agreed(4, &[Some(5), Some(5), Some(5)]), Some(5));
        assert_eq!(agreed(4, &[Some(5), Some(5)]), None);
        assert_eq!(agreed(1, &[]), None);
        assert_eq!(agreed(1, &[Some(5)]), Some(5));
    }

    #[test]
    fn zero_values_are_removed() {
        let table: BTreeMap<_, _> = [(node(1), 0), (node(2), 9)].into();
        assert_eq!(median(1, &[&table]), Outcome::Agreed([(node(2), 9)].into()));
    }

    proptest! {
        #[test]
        fn fewer_than_a_third_of_liars_change_nothing(
            oracles in 1usize..40,
            truth in any::<u8>(),
            lies in proptest::collection::vec(proptest::option::of(any::<u8>()), 0..13),
            silent in 0usize..13,
        ) {
            let most_liars = (oracles - 1) / 3;
            let lies: Vec<_> = lies.into_iter().take(most_liars).collect();
            let silent = silent.min(most_liars - lies.len());
            let honest = oracles - lies.len() - silent;
            let said: Vec<_> = std::iter::repeat_n(Some(truth), honest).chain(lies).collect();
            prop_assert_eq!(agreed(oracles, &said), Some(truth));
        }

        #[test]
        fn the_agreed_value_lies_between_honest_ones(
            honest in proptest::collection::vec(any::<u8>(), 3..30),
            lies in proptest::collection::vec(any::<u8>(), 0..10),
        ) {
            let lies: Vec<_> = lies.into_iter().take((honest.len() - 1) / 2).collect();
            let said: Vec<_> = honest.iter().chain(&lies).map(|v| Some(*v)).collect();
            let value = agreed(said.len(), &said).unwrap();
            prop_assert!(value >= *honest.iter().min().unwrap() && value <= *honest.iter().max().unwrap());
        }

        #[test]
        fn the_order_of_tables_means_nothing(mut said in proptest::collection::vec(proptest::option::of(any::<u8>()), 1..20)) {
            let first = agreed(said.len(), &said);
            said.reverse();
            prop_assert_eq!(agreed(said.len(), &said), first);
        }
    }
}
