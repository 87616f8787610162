//! What a node records of the others: a pure state machine over verified heartbeats.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use r1_core::NodeAddress;
use serde::{Deserialize, Serialize};

use crate::{
    Beat, BeatHash, Cause, Evidence, Gap, Record, Schedule, Slots,
    availability::value_of,
    gap::{After, judge},
};

/// Epochs of each node that are kept in memory, the newest; older ones are in storage.
pub const EPOCHS_KEPT: usize = 4;
/// Judged gaps of each node that are kept, the newest.
pub const GAPS_KEPT: usize = 16;

/// Why a heartbeat is not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Longer than [`crate::MAX_BEAT_BYTES`].
    #[error("heartbeat of {0} bytes is too long")]
    Oversized(usize),
    /// Not JSON, or a field is missing or wrong.
    #[error("heartbeat is malformed: {0}")]
    Malformed(&'static str),
    /// The signature or the hash does not fit.
    #[error("heartbeat is forged: {0}")]
    Forged(String),
    /// Signed for another network.
    #[error("heartbeat of {0} is for another network")]
    Network(NodeAddress),
    /// The sender is neither an oracle nor linked to a licence.
    #[error("heartbeat of unknown node {0}")]
    UnknownSender(NodeAddress),
    /// Its time is not that of its slot.
    #[error("heartbeat {seq} of {node} is not stamped with its slot's time")]
    OffSchedule {
        /// Who sent it.
        node: NodeAddress,
        /// Number of the slot it claims.
        seq: u64,
    },
    /// It came too long after its time.
    #[error("heartbeat {seq} of {node} came {late_ms} ms late")]
    Late {
        /// Who sent it.
        node: NodeAddress,
        /// Number of its slot.
        seq: u64,
        /// Arrival less stamp, milliseconds.
        late_ms: u64,
    },
    /// It came too long before its time: a clock is wrong.
    #[error("heartbeat {seq} of {node} came {early_ms} ms early")]
    Early {
        /// Who sent it.
        node: NodeAddress,
        /// Number of its slot.
        seq: u64,
        /// Stamp less arrival, milliseconds.
        early_ms: u64,
    },
    /// The slot is filled already.
    #[error("heartbeat {seq} of {node} was recorded before")]
    Replayed {
        /// Who sent it.
        node: NodeAddress,
        /// Number of its slot.
        seq: u64,
    },
}

impl Refusal {
    /// All words that [`Refusal::reason`] can return.
    pub const REASONS: [&str; 9] = [
        "early",
        "forged",
        "late",
        "malformed",
        "network",
        "off_schedule",
        "oversized",
        "replayed",
        "unknown_sender",
    ];

    /// A short stable word, the `reason` of the metric.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Oversized(_) => "oversized",
            Self::Malformed(_) => "malformed",
            Self::Forged(_) => "forged",
            Self::Network(_) => "network",
            Self::UnknownSender(_) => "unknown_sender",
            Self::OffSchedule { .. } => "off_schedule",
            Self::Late { .. } => "late",
            Self::Early { .. } => "early",
            Self::Replayed { .. } => "replayed",
        }
    }

    /// True if no honest node would send or pass this on; late, repeated and unknown ones can happen to anyone.
    pub fn is_hostile(&self) -> bool {
        !matches!(
            self,
            Self::Late { .. } | Self::Early { .. } | Self::Replayed { .. } | Self::UnknownSender(_)
        )
    }
}

/// The last heartbeat of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// Number of its slot.
    pub seq: u64,
    /// Its time, milliseconds since 1970-01-01 UTC.
    pub stamp_ms: u64,
    /// When it came, milliseconds since 1970-01-01 UTC.
    pub arrival_ms: u64,
    /// Its `EE_HASH`.
    pub hash: BeatHash,
    /// The node's name for people.
    pub alias: String,
    /// Version of its agent.
    pub version: String,
    /// What its kernel saw.
    pub evidence: Evidence,
    /// How often its chain of hashes was broken, as seen from here.
    pub chain_breaks: u64,
}

#[derive(Debug, Default)]
struct Node {
    last: Option<Last>,
    epochs: BTreeMap<u64, Slots>,
    gaps: VecDeque<Gap>,
}

/// Records the heartbeats of the nodes it knows. A heartbeat counts if it is stamped with its slot's time, arrives
/// within one spacing of it and its slot is still empty; so each node has one heartbeat per slot and a replay none.
#[derive(Debug)]
pub struct Recorder {
    schedule: Schedule,
    network: String,
    known: BTreeSet<NodeAddress>,
    nodes: BTreeMap<NodeAddress, Node>,
}

impl Recorder {
    /// A recorder that knows nobody.
    pub fn new(schedule: Schedule, network: impl Into<String>) -> Self {
        Self {
            schedule,
            network: network.into(),
            known: BTreeSet::new(),
            nodes: BTreeMap::new(),
        }
    }

    /// Who may be recorded from now on. What is recorded of others is forgotten.
    pub fn set_known(&mut self, known: BTreeSet<NodeAddress>) {
        self.nodes.retain(|node, _| known.contains(node));
        self.known = known;
    }

    /// Who may be recorded.
    pub fn known(&self) -> &BTreeSet<NodeAddress> {
        &self.known
    }

    /// The schedule it measures by.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Takes a verified heartbeat that arrived at `now_ms`. Returns what is to be stored.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing is recorded then.
    pub fn handle(&mut self, now_ms: u64, beat: &Beat) -> Result<Vec<Record>, Refusal> {
        self.check(now_ms, beat)?;
        let (epoch, place) = self.schedule.place(beat.seq);
        let node = self.nodes.entry(beat.node).or_default();
        if !node.epochs.entry(epoch).or_default().fill(place) {
            return Err(Refusal::Replayed {
                node: beat.node,
                seq: beat.seq,
            });
        }
        let index = u16::try_from(place / 64).unwrap_or(u16::MAX);
        let word = node.epochs[&epoch].word(index);
        let mut records = vec![Record::Slots {
            node: beat.node,
            epoch,
            index,
            word,
        }];
        records.extend(node.advance(now_ms, beat));
        while node.epochs.len() > EPOCHS_KEPT {
            node.epochs.pop_first();
        }
        Ok(records)
    }

    fn check(&self, now_ms: u64, beat: &Beat) -> Result<(), Refusal> {
        let (node, seq) = (beat.node, beat.seq);
        if beat.network != self.network {
            return Err(Refusal::Network(node));
        }
        if !self.known.contains(&node) {
            return Err(Refusal::UnknownSender(node));
        }
        if self.schedule.stamp_ms(seq) != beat.stamp_ms {
            return Err(Refusal::OffSchedule { node, seq });
        }
        let window = self.schedule.spacing_ms();
        let late_ms = now_ms.saturating_sub(beat.stamp_ms);
        if late_ms > window {
            return Err(Refusal::Late { node, seq, late_ms });
        }
        let early_ms = beat.stamp_ms.saturating_sub(now_ms);
        if early_ms > window {
            return Err(Refusal::Early { node, seq, early_ms });
        }
        Ok(())
    }

    /// Puts a stored record back, at start only.
    pub fn restore(&mut self, record: Record) {
        let slots = self.schedule.slots();
        match record {
            Record::Slots {
                node,
                epoch,
                index,
                word,
            } => {
                let epochs = &mut self.nodes.entry(node).or_default().epochs;
                epochs.entry(epoch).or_default().restore(index, word, slots);
                while epochs.len() > EPOCHS_KEPT {
                    epochs.pop_first();
                }
            }
            Record::Last { node, last } => self.nodes.entry(node).or_default().last = Some(last),
            Record::Gap { node, gap } => self.nodes.entry(node).or_default().note(gap),
        }
    }

    /// A node's slots in an epoch that is still in memory.
    pub fn slots(&self, node: &NodeAddress, epoch: u64) -> Option<&Slots> {
        self.nodes.get(node)?.epochs.get(&epoch)
    }

    /// A node's value for a whole epoch: 0 if nothing is recorded.
    pub fn value(&self, node: &NodeAddress, epoch: u64) -> u8 {
        self.slots(node, epoch)
            .map_or(0, |slots| slots.value(&self.schedule))
    }

    /// A node's value for the part of the current epoch whose heartbeats must have arrived by `now_ms`.
    pub fn value_now(&self, node: &NodeAddress, now_ms: u64) -> u8 {
        let due = self
            .schedule
            .next_at(now_ms.saturating_sub(self.schedule.spacing_ms() / 2));
        let Ok(epoch) = self.schedule.epoch_at(now_ms) else {
            return 0;
        };
        let Some(slots) = self.slots(node, epoch) else {
            return 0;
        };
        let elapsed = match self.schedule.place(due.saturating_sub(1)) {
            (current, place) if current == epoch => self.schedule.offset_ms(place),
            _ => 0,
        };
        match elapsed {
            // One heartbeat proves nothing yet; before a second is due, being there is all that can be asked.
            0 => u8::MAX,
            elapsed => value_of(slots.proven_ms(&self.schedule), elapsed),
        }
    }

    /// The local table of an epoch: each known node's value where it is not 0, or `None` (to abstain) if the own
    /// value is below the least with which a table counts.
    pub fn table(&self, own: &NodeAddress, epoch: u64, least: u8) -> Option<BTreeMap<NodeAddress, u8>> {
        if self.value(own, epoch) < least {
            return None;
        }
        let values = self.known.iter().map(|node| (*node, self.value(node, epoch)));
        Some(values.filter(|(_, value)| *value > 0).collect())
    }

    /// The last heartbeat of a node.
    pub fn last(&self, node: &NodeAddress) -> Option<&Last> {
        self.nodes.get(node)?.last.as_ref()
    }

    /// True if a node's last heartbeat is at most three spacings old.
    pub fn is_online(&self, node: &NodeAddress, now_ms: u64) -> bool {
        let patience = 3 * self.schedule.spacing_ms();
        self.last(node)
            .is_some_and(|last| now_ms.saturating_sub(last.stamp_ms) <= patience)
    }

    /// The judged gaps of a node, oldest first.
    pub fn gaps(&self, node: &NodeAddress) -> impl Iterator<Item = &Gap> {
        self.nodes.get(node).into_iter().flat_map(|node| &node.gaps)
    }

    /// Why a node's value of an epoch is below 255: the times it was not heard in it, until `now_ms` at most, each
    /// with its cause. `slots` are the node's slots in that epoch, from memory or storage.
    pub fn explain(&self, node: &NodeAddress, epoch: u64, slots: &Slots, now_ms: u64) -> Vec<Gap> {
        let clock = self.schedule.clock();
        let (start, end) = (clock.start_ms(epoch), clock.end_ms(epoch));
        let until = end.min(now_ms);
        let mut gaps = Vec::new();
        let mut from = None;
        let stamps = slots.places().map(|place| start + self.schedule.offset_ms(place));
        for stamp in stamps.map(Some).chain([None]) {
            let begin = from.unwrap_or(start);
            let good = match (from, stamp) {
                (Some(from), Some(stamp)) => self.schedule.rule().is_good_gap(stamp - from),
                (None, Some(stamp)) => stamp == start,
                // The last slot is a millisecond before the end; until then one may still come.
                (_, None) => until.saturating_sub(begin) <= self.schedule.spacing_ms() || begin + 1 == end,
            };
            if !good {
                gaps.push(self.cause_of(node, begin, stamp.unwrap_or(until)));
            }
            from = stamp;
        }
        gaps
    }

    fn cause_of(&self, node: &NodeAddress, from_ms: u64, to_ms: u64) -> Gap {
        let judged = self
            .gaps(node)
            .find(|gap| gap.from_ms < to_ms && from_ms < gap.to_ms);
        let (cause, detail) = match judged {
            Some(gap) => (gap.cause, gap.detail.clone()),
            None => (
                Cause::Unknown,
                "no heartbeat came, and no later one tells why".to_owned(),
            ),
        };
        Gap {
            from_ms,
            to_ms,
            cause,
            detail,
        }
    }
}

impl Node {
    /// Makes a heartbeat the node's last one, unless a later one came first.
    fn advance(&mut self, now_ms: u64, beat: &Beat) -> Vec<Record> {
        let mut records = Vec::new();
        let mut chain_breaks = 0;
        if let Some(last) = &self.last {
            if beat.seq < last.seq {
                return records;
            }
            let follows = beat.prev == Some(last.hash);
            // A chain that jumps although no slot lies between was rewritten, not merely received in part.
            let broken = !follows && beat.seq == last.seq + 1;
            chain_breaks = last.chain_breaks + u64::from(broken);
            if beat.seq > last.seq + 1 {
                let first = beat.prev.is_none();
                let after = After {
                    stamp_ms: beat.stamp_ms,
                    follows,
                    first,
                    evidence: &beat.evidence,
                };
                let gap = judge(last, &after);
                self.note(gap.clone());
                records.push(Record::Gap { node: beat.node, gap });
            }
        }
        let last = Last {
            seq: beat.seq,
            stamp_ms: beat.stamp_ms,
            arrival_ms: now_ms,
            hash: beat.hash,
            alias: beat.alias.clone(),
            version: beat.version.clone(),
            evidence: beat.evidence.clone(),
            chain_breaks,
        };
        records.push(Record::Last {
            node: beat.node,
            last: last.clone(),
        });
        self.last = Some(last);
        records
    }

    fn note(&mut self, gap: Gap) {
        if self.gaps.len() == GAPS_KEPT {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
    }
}

#[cfg(test)]
mod tests;
