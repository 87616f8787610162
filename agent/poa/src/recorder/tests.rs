use r1_core::EpochClock;

use super::*;

const GENESIS: u64 = 1_748_016_000_000;

fn node(index: u8) -> NodeAddress {
    let mut point = [index; 33];
    point[0] = 2;
    NodeAddress::from_compressed(point).unwrap()
}

fn recorder() -> Recorder {
    let schedule = Schedule::new(EpochClock {
        genesis_ms: GENESIS,
        length_ms: 60_000,
    });
    let mut recorder = Recorder::new(schedule, "local");
    recorder.set_known([node(1), node(2)].into());
    recorder
}

fn hash(seq: u64) -> BeatHash {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&seq.to_be_bytes());
    hash
}

fn evidence(stamp_ms: u64) -> Evidence {
    let up = (stamp_ms - GENESIS + 1_000_000) * 1_000_000;
    let ticks = stamp_ms - GENESIS;
    Evidence {
        boot_id: "one".into(),
        boottime_ns: up,
        monotonic_ns: up,
        ticks,
        ..Evidence::default()
    }
}

/// Heartbeat of a slot that follows the slot `prev`.
fn beat(who: u8, seq: u64, prev: Option<u64>) -> Beat {
    let stamp_ms = recorder().schedule.stamp_ms(seq);
    Beat {
        node: node(who),
        network: "local".into(),
        seq,
        stamp_ms,
        hash: hash(seq),
        prev: prev.map(hash),
        alias: "n".into(),
        version: "0".into(),
        evidence: evidence(stamp_ms),
    }
}

fn send(recorder: &mut Recorder, beat: &Beat) -> Result<Vec<Record>, Refusal> {
    recorder.handle(beat.stamp_ms + 5, beat)
}

/// Sends the given slots of node 1, each chained to the one sent before.
fn play(recorder: &mut Recorder, slots: impl IntoIterator<Item = u64>) -> Vec<Record> {
    let (mut prev, mut records) = (None, Vec::new());
    for seq in slots {
        records.extend(send(recorder, &beat(1, seq, prev)).unwrap());
        prev = Some(seq);
    }
    records
}

#[test]
fn who_is_always_there_gets_255_in_any_order() {
    let mut recorder = recorder();
    play(&mut recorder, 0..31);
    assert_eq!(recorder.value(&node(1), 0), 255);
    // At an epoch's end two heartbeats are a millisecond apart and may overtake each other.
    let slots = [31, 32, 34, 33].into_iter().chain(35..61).chain([62, 61]);
    slots.for_each(|seq| drop(send(&mut recorder, &beat(1, seq, Some(seq - 1))).unwrap()));
    assert_eq!(
        (recorder.value(&node(1), 1), recorder.value(&node(2), 1)),
        (255, 0)
    );
}

#[test]
fn each_kind_of_false_heartbeat_is_refused_and_changes_nothing() {
    let mut recorder = recorder();
    play(&mut recorder, 0..3);
    let good = beat(1, 3, Some(2));
    let stamp = good.stamp_ms;
    let spacing = recorder.schedule.spacing_ms();
    let cases = [
        (
            "network",
            stamp,
            Beat {
                network: "main".into(),
                ..good.clone()
            },
        ),
        (
            "unknown_sender",
            stamp,
            Beat {
                node: node(9),
                ..good.clone()
            },
        ),
        (
            "off_schedule",
            stamp,
            Beat {
                stamp_ms: stamp + 1,
                ..good.clone()
            },
        ),
        (
            "off_schedule",
            stamp,
            Beat {
                seq: 4,
                ..good.clone()
            },
        ),
        ("late", stamp + spacing + 1, good.clone()),
        ("early", stamp - spacing - 1, good.clone()),
        ("replayed", stamp, beat(1, 2, Some(1))),
        (
            "replayed",
            stamp,
            Beat {
                hash: [9; 32],
                ..beat(1, 2, Some(1))
            },
        ),
    ];
    for (reason, now, beat) in cases {
        let refusal = recorder.handle(now, &beat).unwrap_err();
        assert_eq!(refusal.reason(), reason, "{refusal}");
        assert!(Refusal::REASONS.contains(&reason));
    }
    assert_eq!(recorder.slots(&node(1), 0).unwrap().count(), 3);
    assert!(recorder.handle(stamp + spacing, &good).is_ok());
}

#[test]
fn a_missed_stretch_costs_what_the_formula_says() {
    let mut recorder = recorder();
    play(&mut recorder, (0..10).chain(15..31));
    // Slots 10 to 14 are missing: the six spacings from slot 9 to 15 are not proven.
    let lost = recorder.schedule.offset_ms(15) - recorder.schedule.offset_ms(9);
    let rule = recorder.schedule.rule();
    assert_eq!(recorder.value(&node(1), 0), rule.value(59_999 - lost));
    assert_eq!(recorder.value(&node(1), 0), 204);
}

#[test]
fn the_table_names_who_was_there_and_an_absent_oracle_abstains() {
    let mut recorder = recorder();
    play(&mut recorder, 0..31);
    let table = recorder.table(&node(1), 0, 200).unwrap();
    assert_eq!(table, [(node(1), 255)].into());
    assert_eq!(recorder.table(&node(2), 0, 1), None);
}

#[test]
fn the_value_so_far_is_of_what_was_due() {
    let mut recorder = recorder();
    play(&mut recorder, 0..6);
    let at = |seq| recorder.schedule.stamp_ms(seq) + 100;
    assert_eq!(recorder.value_now(&node(1), at(0)), 255);
    assert_eq!(recorder.value_now(&node(1), at(5)), 255);
    assert_eq!(recorder.value_now(&node(1), at(11)), 128);
    assert_eq!(recorder.value_now(&node(2), at(5)), 0);
    assert!(recorder.is_online(&node(1), at(6)) && !recorder.is_online(&node(1), at(9)));
}

/// What is found out about a silence of five slots when the heartbeat after it is changed.
fn cause(change: impl FnOnce(&mut Beat)) -> (Cause, String) {
    let mut recorder = recorder();
    play(&mut recorder, 0..10);
    let mut after = beat(1, 15, Some(9));
    change(&mut after);
    send(&mut recorder, &after).unwrap();
    let slots = recorder.slots(&node(1), 0).unwrap();
    let gaps = recorder.explain(&node(1), 0, slots, after.stamp_ms);
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(
        (gaps[0].from_ms, gaps[0].to_ms),
        (recorder.schedule.stamp_ms(9), after.stamp_ms)
    );
    (gaps[0].cause, gaps[0].detail.clone())
}

#[test]
fn a_silence_is_explained_by_the_evidence_after_it() {
    let ten_seconds = 10_000_000_000;
    let (found, detail) = cause(|_| ());
    assert_eq!(found, Cause::AgentDown);
    assert!(detail.contains("ticked on (12000 ticks)"), "{detail}");
    assert_eq!(cause(|beat| beat.prev = None).0, Cause::AgentDown);
    assert_eq!(cause(|beat| beat.prev = Some(hash(14))).0, Cause::Network);
    assert_eq!(
        cause(|beat| beat.evidence.boot_id = "two".into()).0,
        Cause::HostDown
    );
    assert_eq!(
        cause(|beat| beat.evidence.suspended_ns = ten_seconds).0,
        Cause::Suspend
    );
    assert_eq!(
        cause(|beat| beat.evidence.monotonic_ns -= ten_seconds).0,
        Cause::Suspend
    );
    assert_eq!(
        cause(|beat| beat.evidence.gap_total_ns = ten_seconds).0,
        Cause::Stall
    );
    assert_eq!(
        cause(|beat| beat.evidence = Evidence::default()).0,
        Cause::Unknown
    );
    let (found, detail) = cause(|beat| beat.evidence.since_ms = GENESIS + 20_000);
    assert_eq!(found, Cause::AgentDown);
    assert!(detail.contains("restarted"), "{detail}");
}

#[test]
fn silences_at_both_ends_of_an_epoch_are_found() {
    let mut recorder = recorder();
    play(&mut recorder, 5..20);
    let explain = |epoch, slots: &Slots, now| recorder.explain(&node(1), epoch, slots, now);
    let slots = recorder.slots(&node(1), 0).unwrap();
    let ends: Vec<_> = explain(0, slots, GENESIS + 90_000)
        .iter()
        .map(|gap| (gap.from_ms, gap.to_ms))
        .collect();
    let stamp = |seq| recorder.schedule.stamp_ms(seq);
    assert_eq!(ends, [(GENESIS, stamp(5)), (stamp(19), GENESIS + 60_000)]);
    assert_eq!(
        explain(0, slots, stamp(20)).len(),
        1,
        "the next one may still come"
    );
    assert_eq!(explain(1, &Slots::default(), GENESIS + 200_000).len(), 1);
}

#[test]
fn a_full_epoch_needs_no_explanation() {
    let mut recorder = recorder();
    play(&mut recorder, 0..31);
    let slots = recorder.slots(&node(1), 0).unwrap();
    assert_eq!(recorder.explain(&node(1), 0, slots, GENESIS + 500_000), []);
}

#[test]
fn a_rewritten_chain_is_recorded_and_not_refused() {
    let mut recorder = recorder();
    play(&mut recorder, 0..3);
    send(
        &mut recorder,
        &Beat {
            prev: Some([7; 32]),
            ..beat(1, 3, None)
        },
    )
    .unwrap();
    assert_eq!(recorder.last(&node(1)).unwrap().chain_breaks, 1);
}

#[test]
fn records_bring_everything_back() {
    let mut first = recorder();
    let records = play(&mut first, (0..40).chain(45..70));
    let mut stored = BTreeMap::new();
    for record in records {
        assert_eq!(
            Record::parse(&record.key(), &record.value()),
            Some(record.clone())
        );
        stored.insert(record.key(), record.value());
    }
    let mut second = recorder();
    stored
        .iter()
        .for_each(|(key, value)| second.restore(Record::parse(key, value).unwrap()));
    for epoch in 0..3 {
        assert_eq!(first.value(&node(1), epoch), second.value(&node(1), epoch));
    }
    assert_eq!(first.last(&node(1)), second.last(&node(1)));
    assert!(first.gaps(&node(1)).eq(second.gaps(&node(1))));
    assert_eq!(
        send(&mut second, &beat(1, 69, Some(68))).unwrap_err().reason(),
        "replayed"
    );
}

#[test]
fn memory_is_bounded_by_epochs_gaps_and_known_nodes() {
    let mut recorder = recorder();
    play(&mut recorder, (0..31 * 20).step_by(3));
    let state = &recorder.nodes[&node(1)];
    assert_eq!((state.epochs.len(), state.gaps.len()), (EPOCHS_KEPT, GAPS_KEPT));
    recorder.set_known([node(2)].into());
    assert!(recorder.nodes.is_empty());
}

#[test]
fn stored_bytes_of_anything_else_are_survived() {
    for (key, value) in [
        (&b""[..], &b""[..]),
        (b"s", b"\x01"),
        (b"l", b"\x01{}"),
        (b"x", b"\x02"),
        (b"g", b"\x01x"),
    ] {
        assert_eq!(Record::parse(key, value), None);
    }
}
