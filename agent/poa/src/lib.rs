//! Proof of Availability: signed heartbeats, the recorder, and the value 0..=255 of an epoch.
//!
//! * [`Schedule`] says when heartbeats are due: the same aligned instants ("slots") for every node.
//! * [`BeatBody`] and [`Beat`] write and read one heartbeat; each names the one before it by hash.
//! * [`Recorder`] takes verified heartbeats, refuses what does not count and says what to store ([`Record`]).
//! * [`Rule`] turns stamps into a value, exactly as upstream does, in integers.
//! * [`Recorder::explain`] says why a value is below 255, from the heartbeats around each [`Gap`].
//!
//! Everything here is pure: time comes in as milliseconds since 1970-01-01 UTC, storage and network are the
//! caller's.

mod availability;
mod beat;
mod evidence;
mod gap;
mod record;
mod recorder;
mod schedule;
mod slots;
mod time_text;

pub use availability::Rule;
pub use beat::{Beat, BeatBody, BeatHash, MAX_BEAT_BYTES};
pub use evidence::{Evidence, Source};
pub use gap::{Cause, Gap};
pub use record::Record;
pub use recorder::{EPOCHS_KEPT, GAPS_KEPT, Last, Recorder, Refusal};
pub use schedule::Schedule;
pub use slots::Slots;
pub use time_text::{parse_utc, utc_text};
