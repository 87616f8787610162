//! One heartbeat: the fields of its envelope, written and read.
//!
//! It is a Ratio1 envelope (`EE_…` fields) whose own fields have the upstream names where upstream has one.
//! Four are ours: `R1_NETWORK` binds it to a network, `R1_SEQ` is the number of its slot, `R1_PREV` the `EE_HASH`
//! of the node's heartbeat before it (absent in the first), `R1_EVIDENCE` what its kernel saw.

use r1_core::NodeAddress;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use crate::{Evidence, Refusal, Schedule, parse_utc, utc_text};

/// Longest heartbeat that is looked at, bytes.
pub const MAX_BEAT_BYTES: usize = 8 * 1024;
/// Longest alias and version that are kept, characters.
const MAX_WORD: usize = 64;
/// Longest boot id that is kept; the kernel's has 36 characters.
const MAX_BOOT_ID: usize = 64;

/// SHA-256 that names an envelope (`EE_HASH`), 32 bytes.
pub type BeatHash = [u8; 32];

/// What a node says in a heartbeat, before it is signed.
#[derive(Debug, Clone)]
pub struct BeatBody<'a> {
    /// The network's name.
    pub network: &'a str,
    /// Number of the slot.
    pub seq: u64,
    /// The node's heartbeat before this one, if it has one.
    pub prev: Option<BeatHash>,
    /// The node's name for people.
    pub alias: &'a str,
    /// Version of the agent.
    pub version: &'a str,
    /// How long the agent has run, seconds.
    pub uptime_s: u64,
    /// What its kernel saw.
    pub evidence: &'a Evidence,
    /// Further fields, such as what the machine has; they cannot replace those above.
    pub machine: Map<String, Value>,
}

impl BeatBody<'_> {
    /// The fields of the envelope, to be signed as canonical JSON. The time in it is the slot's, not the clock's.
    pub fn fields(self, schedule: &Schedule) -> Map<String, Value> {
        let time = utc_text(schedule.stamp_ms(self.seq));
        let mut fields = self.machine;
        let own = [
            ("CURRENT_TIME", json!(time)),
            ("DEVICE_STATUS", json!("ONLINE")),
            ("EE_EVENT_TYPE", json!("HEARTBEAT")),
            ("EE_HB_TIME", json!(schedule.rule().interval_ms() as f64 / 1000.0)),
            ("EE_ID", json!(self.alias)),
            ("EE_TIMESTAMP", json!(time)),
            ("EE_TIMEZONE", json!("UTC+0")),
            ("HEARTBEAT_VERSION", json!("v1")),
            ("R1_EVIDENCE", json!(self.evidence)),
            ("R1_NETWORK", json!(self.network)),
            ("R1_SEQ", json!(self.seq)),
            ("UPTIME", json!(self.uptime_s)),
            ("VERSION", json!(self.version)),
        ];
        fields.extend(own.map(|(name, value)| (name.to_owned(), value)));
        match self.prev {
            Some(prev) => fields.insert("R1_PREV".into(), json!(hex(&prev))),
            None => fields.remove("R1_PREV"),
        };
        fields
    }
}

/// A heartbeat whose signature has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Who signed it.
    pub node: NodeAddress,
    /// The network it is meant for.
    pub network: String,
    /// Number of its slot.
    pub seq: u64,
    /// Its time, milliseconds since 1970-01-01 UTC.
    pub stamp_ms: u64,
    /// Its `EE_HASH`.
    pub hash: BeatHash,
    /// The node's heartbeat before it.
    pub prev: Option<BeatHash>,
    /// The node's name for people, cut to 64 characters.
    pub alias: String,
    /// Version of its agent, cut to 64 characters.
    pub version: String,
    /// What its kernel saw; zeroes if it does not say.
    pub evidence: Evidence,
}

impl Beat {
    /// Reads the fields of an envelope whose signature by `node` has been verified.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] with the first field that is missing or wrong.
    pub fn read(node: NodeAddress, fields: &Map<String, Value>) -> Result<Self, Refusal> {
        let field = |name: &'static str| fields.get(name).ok_or(Refusal::Malformed(name));
        let text = |name: &'static str| field(name)?.as_str().ok_or(Refusal::Malformed(name));
        if text("EE_EVENT_TYPE")? != "HEARTBEAT" {
            return Err(Refusal::Malformed("EE_EVENT_TYPE"));
        }
        let stamp_ms = parse_utc(text("EE_TIMESTAMP")?, text("EE_TIMEZONE")?)
            .ok_or(Refusal::Malformed("EE_TIMESTAMP"))?;
        let prev = match fields.get("R1_PREV") {
            None | Some(Value::Null) => None,
            Some(value) => Some(
                value
                    .as_str()
                    .and_then(unhex)
                    .ok_or(Refusal::Malformed("R1_PREV"))?,
            ),
        };
        let evidence = match fields.get("R1_EVIDENCE") {
            None | Some(Value::Null) => Evidence::default(),
            Some(value) => Evidence::deserialize(value).map_err(|_| Refusal::Malformed("R1_EVIDENCE"))?,
        };
        if evidence.boot_id.len() > MAX_BOOT_ID {
            return Err(Refusal::Malformed("R1_EVIDENCE"));
        }
        Ok(Self {
            node,
            network: text("R1_NETWORK")?.to_owned(),
            seq: field("R1_SEQ")?.as_u64().ok_or(Refusal::Malformed("R1_SEQ"))?,
            stamp_ms,
            hash: unhex(text("EE_HASH")?).ok_or(Refusal::Malformed("EE_HASH"))?,
            prev,
            alias: word(fields, "EE_ID"),
            version: word(fields, "VERSION"),
            evidence,
        })
    }
}

fn word(fields: &Map<String, Value>, name: &str) -> String {
    let text = fields.get(name).and_then(Value::as_str).unwrap_or_default();
    text.chars()
        .filter(|character| !character.is_control())
        .take(MAX_WORD)
        .collect()
}

pub(crate) fn hex(bytes: &BeatHash) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Option<BeatHash> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut out = [0; 32];
    for (place, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use r1_core::EpochClock;

    use super::*;

    fn fields() -> Map<String, Value> {
        let schedule = Schedule::new(EpochClock {
            genesis_ms: 1_748_016_000_000,
            length_ms: 60_000,
        });
        let mut machine = Map::new();
        machine.insert("CPU_NR_CORES".into(), json!(4));
        machine.insert("R1_SEQ".into(), json!("forged"));
        let evidence = Evidence {
            ticks: 7,
            boot_id: "b".into(),
            ..Evidence::default()
        };
        let body = BeatBody {
            network: "local",
            seq: 32,
            prev: Some([0xab; 32]),
            alias: "worker-1",
            version: "0.1.0",
            uptime_s: 5,
            evidence: &evidence,
            machine,
        };
        let mut fields = body.fields(&schedule);
        fields.insert("EE_HASH".into(), json!("0f".repeat(32)));
        fields
    }

    fn node() -> NodeAddress {
        NodeAddress::from_compressed([2; 33]).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let beat = Beat::read(node(), &fields()).unwrap();
        assert_eq!((beat.seq, beat.stamp_ms), (32, 1_748_016_061_999));
        assert_eq!(
            (beat.network.as_str(), beat.alias.as_str()),
            ("local", "worker-1")
        );
        assert_eq!(
            (beat.prev, beat.hash, beat.evidence.ticks),
            (Some([0xab; 32]), [0x0f; 32], 7)
        );
    }

    #[test]
    fn the_envelope_has_the_upstream_names() {
        let fields = fields();
        assert_eq!(fields["EE_TIMESTAMP"], "2025-05-23 16:01:01.999000");
        assert_eq!(
            (&fields["EE_HB_TIME"], &fields["CPU_NR_CORES"]),
            (&json!(2.0), &json!(4))
        );
        assert_eq!(
            (&fields["DEVICE_STATUS"], &fields["EE_TIMEZONE"]),
            (&json!("ONLINE"), &json!("UTC+0"))
        );
    }

    #[test]
    fn a_missing_or_wrong_field_is_named() {
        for name in ["EE_TIMESTAMP", "EE_HASH", "R1_SEQ", "R1_NETWORK", "EE_EVENT_TYPE"] {
            let mut broken = fields();
            broken.remove(name);
            assert_eq!(Beat::read(node(), &broken), Err(Refusal::Malformed(name)));
            broken.insert(name.into(), json!([1]));
            assert_eq!(Beat::read(node(), &broken), Err(Refusal::Malformed(name)));
        }
        for (name, value) in [
            ("R1_PREV", json!("ab")),
            ("R1_EVIDENCE", json!({"ticks": -1})),
            ("R1_SEQ", json!(-1)),
        ] {
            let mut broken = fields();
            broken.insert(name.into(), value);
            assert_eq!(Beat::read(node(), &broken), Err(Refusal::Malformed(name)));
        }
    }
}
