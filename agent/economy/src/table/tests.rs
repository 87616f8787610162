use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Insert(u8, u8),
    Change(u8, u8),
    Remove(u8),
    Begin,
    Commit,
    Rollback,
    Root,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0u8..12;
    prop_oneof![
        (key.clone(), any::<u8>()).prop_map(|(k, v)| Step::Insert(k, v)),
        (key.clone(), any::<u8>()).prop_map(|(k, v)| Step::Change(k, v)),
        key.prop_map(Step::Remove),
        Just(Step::Begin),
        Just(Step::Commit),
        Just(Step::Rollback),
        Just(Step::Root),
    ]
}

proptest! {
    #[test]
    fn rollbacks_restore_and_the_root_follows_from_the_records(steps in prop::collection::vec(step(), 0..60)) {
        let mut table: Table<u8, u8> = Table::default();
        let mut stored: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut saved: Vec<Table<u8, u8>> = Vec::new();
        table.begin();
        for step in steps {
            match step {
                Step::Insert(key, value) => {
                    table.insert(key, value);
                }
                Step::Change(key, value) => {
                    if let Some(slot) = table.get_mut(&key) {
                        *slot = value;
                    }
                }
                Step::Remove(key) => {
                    table.remove(&key);
                }
                Step::Begin => {
                    saved.push(table.clone());
                    table.begin();
                }
                Step::Commit => {
                    if saved.pop().is_some() {
                        table.commit();
                    }
                }
                Step::Rollback => {
                    if let Some(before) = saved.pop() {
                        table.rollback();
                        prop_assert_eq!(&table, &before);
                        prop_assert_eq!(table.slots.len(), before.slots.len());
                        prop_assert_eq!(&table.free, &before.free);
                    }
                }
                Step::Root => {
                    table.root();
                }
            }
        }
        while saved.pop().is_some() {
            table.commit();
        }
        table.commit();
        for (key, value) in table.changes() {
            match value {
                Some(value) => stored.insert(key, value),
                None => stored.remove(&key),
            };
        }
        let mut again: Table<u8, u8> = Table::default();
        for (key, slot) in &stored {
            again.restore(key, slot).unwrap();
        }
        prop_assert_eq!(&again, &table);
        prop_assert_eq!(again.root(), table.root());
        for (key, value) in table.iter() {
            let proof = table.proof(key).unwrap();
            prop_assert_eq!(proof.root(record_leaf(key, value)), Some(again.tree.root()));
        }
    }

    #[test]
    fn a_value_goes_back_too(changes in prop::collection::vec((0u8..4, any::<u8>()), 0..40)) {
        let mut var = Var::new(0u8);
        let mut saved = Vec::new();
        for (what, value) in changes {
            match what {
                0 => { saved.push(*var); var.begin(); }
                1 => if saved.pop().is_some() { var.commit(); },
                2 => if let Some(before) = saved.pop() { var.rollback(); prop_assert_eq!(*var, before); },
                _ => var.set(value),
            }
        }
    }
}
