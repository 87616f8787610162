//! Why a node was not heard: judged from the two heartbeats around the silence.

use serde::{Deserialize, Serialize};

use crate::{Evidence, recorder::Last};

/// What a silence was, as far as it can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The machine was up, but the node signed nothing: r1d (and perhaps r1-hostd) did not run.
    AgentDown,
    /// The machine was off or rebooted.
    HostDown,
    /// The machine was suspended.
    Suspend,
    /// The machine ran, but its kernel's ticks stopped: its hypervisor or a frozen CPU.
    Stall,
    /// The node signed heartbeats that did not arrive.
    Network,
    /// Nothing has been heard since, or the heartbeats carry no evidence.
    Unknown,
}

/// A silence between two heartbeats of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Time of the heartbeat before it, milliseconds since 1970-01-01 UTC.
    pub from_ms: u64,
    /// Time of the heartbeat after it.
    pub to_ms: u64,
    /// Why.
    pub cause: Cause,
    /// The evidence for it, one line for people.
    pub detail: String,
}

/// What is looked at of the heartbeat after a silence.
pub(crate) struct After<'a> {
    pub stamp_ms: u64,
    pub follows: bool,
    pub first: bool,
    pub evidence: &'a Evidence,
}

/// Judges the silence between two heartbeats of one node.
pub(crate) fn judge(before: &Last, after: &After<'_>) -> Gap {
    let (cause, detail) = cause_of(before, after);
    Gap {
        from_ms: before.stamp_ms,
        to_ms: after.stamp_ms,
        cause,
        detail,
    }
}

fn cause_of(before: &Last, after: &After<'_>) -> (Cause, String) {
    let (old, new) = (&before.evidence, after.evidence);
    let silence_ns = after
        .stamp_ms
        .saturating_sub(before.stamp_ms)
        .saturating_mul(1_000_000);
    let silence = seconds(silence_ns);
    if old.boot_id.is_empty() || new.boot_id.is_empty() {
        return (
            Cause::Unknown,
            format!("no heartbeat for {silence}, and the node sends no evidence"),
        );
    }
    if old.boot_id != new.boot_id {
        let up = seconds(new.boottime_ns);
        return (
            Cause::HostDown,
            format!("rebooted: another boot id, up for {up} when it came back"),
        );
    }
    let suspended = new.suspended().saturating_sub(old.suspended());
    if suspended > silence_ns / 2 {
        return (
            Cause::Suspend,
            format!("suspended for {} of {silence}", seconds(suspended)),
        );
    }
    let measured_on = new.since_ms == old.since_ms;
    let stood_still = new.gap_total_ns.saturating_sub(old.gap_total_ns);
    if measured_on && stood_still > silence_ns / 2 {
        return (
            Cause::Stall,
            format!("no kernel tick for {} of {silence}", seconds(stood_still)),
        );
    }
    let ticks = new.ticks.saturating_sub(old.ticks);
    let host = match (measured_on, ticks) {
        (true, 1..) => format!("the kernel ticked on ({ticks} ticks)"),
        (true, 0) => "the machine was up (same boot)".to_owned(),
        (false, _) => "the machine was up (same boot) and its kernel measurement was restarted".to_owned(),
    };
    if after.follows || after.first {
        return (
            Cause::AgentDown,
            format!("the agent signed nothing for {silence} while {host}"),
        );
    }
    (
        Cause::Network,
        format!("heartbeats signed within {silence} did not arrive while {host}"),
    )
}

fn seconds(ns: u64) -> String {
    format!("{}.{} s", ns / 1_000_000_000, ns / 100_000_000 % 10)
}
