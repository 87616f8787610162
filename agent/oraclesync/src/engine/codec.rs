//! The engine's messages as versioned postcard. Decoders see hostile bytes.

use std::sync::Arc;

use arc_malachitebft_app_channel::app::{
    engine::util::streaming::StreamContent,
    types::{
        PeerId, ProposedValue, SignedConsensusMsg,
        codec::{Codec, HasEncodedLen},
        streaming::{StreamId, StreamMessage},
        sync::{RawDecidedValue, Request, Response, Status},
    },
};
use arc_malachitebft_core_types::{
    NilOrVal, PolkaCertificate, PolkaSignature, Round, RoundCertificate, RoundCertificateType,
    RoundSignature, SignedMessage, ValidatorProof, Validity, VoteType,
};
use arc_malachitebft_sync::{ValueRequest, ValueResponse};
use bytes::Bytes;
use r1_core::EthAddress;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::watch;

use super::context::{
    Address, EngineSignature, Height, OracleContext, Part, Proposal, ValueId, Vote, certificate_from_engine,
    certificate_to_engine, from_engine, to_engine,
};
use crate::{
    Certificate, DecodeError, Signature,
    certificate::WireCertificate,
    digest::Hash,
    store::MAX_DECIDED_PER_ANSWER,
    wire::{self, MAX_BLOCK_BYTES, MAX_ORACLES},
};

type LivenessMsg = arc_malachitebft_app_channel::app::consensus::LivenessMsg<OracleContext>;
type Ctx = OracleContext;

/// Most bytes of a vote, proposal, status, request or validator proof.
const MAX_SMALL_BYTES: usize = 4 << 10;
/// Most bytes of a certificate of a round or polka.
const MAX_VOTES_BYTES: usize = 64 << 10;
/// Most bytes of a proposal part.
pub const MAX_PART_BYTES: usize = MAX_BLOCK_BYTES + (4 << 10);
/// Most bytes of a sync answer.
pub const MAX_RESPONSE_BYTES: usize = 10 << 20;
/// Most bytes of a stream's name.
const MAX_STREAM_ID_BYTES: usize = 64;

/// The codec. It also notes the highest height that a peer says it has decided or votes about: an idle oracle waits
/// between heights with its engine halted, and this is how it hears that the others go on. Only oracles are connected,
/// and a lie opens heights early, in which nothing is decided, and does nothing else.
#[derive(Clone)]
pub struct WireCodec {
    pub peer_height: Arc<watch::Sender<u64>>,
}

impl WireCodec {
    fn note(&self, height: u64) {
        self.peer_height.send_if_modified(|known| {
            let higher = height > *known;
            *known = height.max(*known);
            higher
        });
    }

    fn vote(&self, vote: WireVote) -> Result<SignedMessage<Ctx, Vote>, DecodeError> {
        self.note(vote.height);
        vote.open()
    }
}

#[derive(Serialize, Deserialize)]
struct WireVote {
    precommit: bool,
    height: u64,
    round: Option<u32>,
    value: Option<Hash>,
    address: [u8; 20],
    signature: Signature,
}

#[derive(Serialize, Deserialize)]
struct WireProposal {
    height: u64,
    round: Option<u32>,
    value: Hash,
    pol_round: Option<u32>,
    address: [u8; 20],
    signature: Signature,
}

#[derive(Serialize, Deserialize)]
enum WireMsg {
    Vote(WireVote),
    Proposal(WireProposal),
}

#[derive(Serialize, Deserialize)]
struct WirePart {
    height: u64,
    round: u32,
    proposer: [u8; 20],
    payload: Vec<u8>,
    signature: Signature,
}

#[derive(Serialize, Deserialize)]
struct WireStream {
    id: Vec<u8>,
    sequence: u64,
    part: Option<WirePart>,
}

#[derive(Serialize, Deserialize)]
struct WirePolka {
    height: u64,
    round: Option<u32>,
    value: Hash,
    signatures: Vec<([u8; 20], Signature)>,
}

#[derive(Serialize, Deserialize)]
struct WireRound {
    height: u64,
    round: Option<u32>,
    skip: bool,
    signatures: Vec<(bool, Option<Hash>, [u8; 20], Signature)>,
}

#[derive(Serialize, Deserialize)]
enum WireLiveness {
    Vote(WireVote),
    Polka(WirePolka),
    Skip(WireRound),
}

#[derive(Serialize, Deserialize)]
struct WireProposed {
    height: u64,
    round: Option<u32>,
    valid_round: Option<u32>,
    proposer: [u8; 20],
    value: Hash,
    valid: bool,
}

fn bad(what: &'static str, why: &'static str) -> DecodeError {
    DecodeError::Malformed { what, why }
}

fn signature(what: &'static str, signature: &Signature) -> Result<EngineSignature, DecodeError> {
    to_engine(signature).ok_or(bad(what, "signature is out of range"))
}

fn address(bytes: [u8; 20]) -> Address {
    Address(EthAddress::new(bytes))
}

fn bytes_of(address: &Address) -> [u8; 20] {
    *address.0.as_bytes()
}

fn round_of(round: Option<u32>) -> Round {
    Round::from(round)
}

fn value_of(value: Option<Hash>) -> NilOrVal<ValueId> {
    value.map_or(NilOrVal::Nil, |hash| NilOrVal::Val(ValueId(hash)))
}

fn hash_of(value: &NilOrVal<ValueId>) -> Option<Hash> {
    match value {
        NilOrVal::Nil => None,
        NilOrVal::Val(value) => Some(value.0),
    }
}

fn vote_kind(precommit: bool) -> VoteType {
    if precommit {
        VoteType::Precommit
    } else {
        VoteType::Prevote
    }
}

impl WireVote {
    fn new(signed: &SignedMessage<Ctx, Vote>) -> Self {
        let vote = &signed.message;
        Self {
            precommit: vote.kind == VoteType::Precommit,
            height: vote.height.0,
            round: vote.round.as_u32(),
            value: hash_of(&vote.value),
            address: bytes_of(&vote.address),
            signature: from_engine(&signed.signature),
        }
    }

    fn open(self) -> Result<SignedMessage<Ctx, Vote>, DecodeError> {
        let vote = Vote {
            kind: vote_kind(self.precommit),
            height: Height(self.height),
            round: round_of(self.round),
            value: value_of(self.value),
            address: address(self.address),
        };
        Ok(SignedMessage::new(vote, signature("vote", &self.signature)?))
    }
}

impl WireProposal {
    fn new(signed: &SignedMessage<Ctx, Proposal>) -> Self {
        let proposal = &signed.message;
        Self {
            height: proposal.height.0,
            round: proposal.round.as_u32(),
            value: proposal.value.0,
            pol_round: proposal.pol_round.as_u32(),
            address: bytes_of(&proposal.address),
            signature: from_engine(&signed.signature),
        }
    }

    fn open(self) -> Result<SignedMessage<Ctx, Proposal>, DecodeError> {
        let proposal = Proposal {
            height: Height(self.height),
            round: round_of(self.round),
            value: ValueId(self.value),
            pol_round: round_of(self.pol_round),
            address: address(self.address),
        };
        Ok(SignedMessage::new(
            proposal,
            signature("proposal", &self.signature)?,
        ))
    }
}

impl WirePart {
    fn new(part: &Part) -> Self {
        Self {
            height: part.height,
            round: part.round,
            proposer: *part.proposer.as_bytes(),
            payload: part.payload.to_vec(),
            signature: part.signature,
        }
    }

    fn open(self) -> Result<Part, DecodeError> {
        wire::at_most(
            "proposal part",
            "payload bytes",
            self.payload.len(),
            MAX_BLOCK_BYTES,
        )?;
        Ok(Part {
            height: self.height,
            round: self.round,
            proposer: EthAddress::new(self.proposer),
            payload: self.payload.into(),
            signature: self.signature,
        })
    }
}

impl WirePolka {
    fn new(polka: &PolkaCertificate<Ctx>) -> Self {
        let sign = |s: &PolkaSignature<Ctx>| (bytes_of(&s.address), from_engine(&s.signature));
        Self {
            height: polka.height.0,
            round: polka.round.as_u32(),
            value: polka.value_id.0,
            signatures: polka.polka_signatures.iter().map(sign).collect(),
        }
    }

    fn open(self) -> Result<PolkaCertificate<Ctx>, DecodeError> {
        wire::at_most("polka", "signatures", self.signatures.len(), MAX_ORACLES)?;
        let open =
            |(who, s): ([u8; 20], Signature)| Ok(PolkaSignature::new(address(who), signature("polka", &s)?));
        Ok(PolkaCertificate {
            height: Height(self.height),
            round: round_of(self.round),
            value_id: ValueId(self.value),
            polka_signatures: self.signatures.into_iter().map(open).collect::<Result<_, _>>()?,
        })
    }
}

impl WireRound {
    fn new(round: &RoundCertificate<Ctx>) -> Self {
        let sign = |s: &RoundSignature<Ctx>| {
            let precommit = s.vote_type == VoteType::Precommit;
            (
                precommit,
                hash_of(&s.value_id),
                bytes_of(&s.address),
                from_engine(&s.signature),
            )
        };
        Self {
            height: round.height.0,
            round: round.round.as_u32(),
            skip: round.cert_type == RoundCertificateType::Skip,
            signatures: round.round_signatures.iter().map(sign).collect(),
        }
    }

    fn open(self) -> Result<RoundCertificate<Ctx>, DecodeError> {
        // Prevotes and precommits of one oracle may both be in it.
        wire::at_most(
            "round certificate",
            "signatures",
            self.signatures.len(),
            2 * MAX_ORACLES,
        )?;
        let open = |(precommit, value, who, s): (bool, Option<Hash>, [u8; 20], Signature)| {
            let signature = signature("round certificate", &s)?;
            Ok(RoundSignature::new(
                vote_kind(precommit),
                value_of(value),
                address(who),
                signature,
            ))
        };
        Ok(RoundCertificate {
            height: Height(self.height),
            round: round_of(self.round),
            cert_type: if self.skip {
                RoundCertificateType::Skip
            } else {
                RoundCertificateType::Precommit
            },
            round_signatures: self.signatures.into_iter().map(open).collect::<Result<_, _>>()?,
        })
    }
}

/// Bytes of a part for the store.
pub fn encode_part(part: &Part) -> Vec<u8> {
    wire::encode(&WirePart::new(part))
}

/// Reads a stored or received part.
pub fn decode_part(bytes: &[u8]) -> Result<Part, DecodeError> {
    wire::decode::<WirePart>("proposal part", bytes, MAX_PART_BYTES)?.open()
}

/// The bytes of two signed votes or proposals that contradict each other.
pub fn encode_evidence<'a>(pair: impl IntoIterator<Item = &'a SignedConsensusMsg<Ctx>>) -> Vec<u8> {
    wire::encode(&pair.into_iter().map(wire_msg).collect::<Vec<_>>())
}

fn wire_msg(msg: &SignedConsensusMsg<Ctx>) -> WireMsg {
    match msg {
        SignedConsensusMsg::Vote(vote) => WireMsg::Vote(WireVote::new(vote)),
        SignedConsensusMsg::Proposal(proposal) => WireMsg::Proposal(WireProposal::new(proposal)),
    }
}

fn small<T: Serialize + DeserializeOwned>(what: &'static str, bytes: &Bytes) -> Result<T, DecodeError> {
    wire::decode(what, bytes, MAX_SMALL_BYTES)
}

macro_rules! codec {
    ($type:ty, |$codec:ident, $bytes:ident| $decode:expr, |$msg:ident| $encode:expr) => {
        impl Codec<$type> for WireCodec {
            type Error = DecodeError;

            fn decode(&self, $bytes: Bytes) -> Result<$type, DecodeError> {
                let $codec = self;
                $decode
            }

            fn encode(&self, $msg: &$type) -> Result<Bytes, DecodeError> {
                Ok(wire::encode(&$encode).into())
            }
        }
    };
}

codec!(Part, |_codec, bytes| decode_part(&bytes), |part| WirePart::new(
    part
));

codec!(
    SignedConsensusMsg<Ctx>,
    |codec, bytes| match small("consensus message", &bytes)? {
        WireMsg::Vote(vote) => Ok(SignedConsensusMsg::Vote(codec.vote(vote)?)),
        WireMsg::Proposal(proposal) => {
            codec.note(proposal.height);
            Ok(SignedConsensusMsg::Proposal(proposal.open()?))
        }
    },
    |msg| wire_msg(msg)
);

codec!(
    StreamMessage<Part>,
    |_codec, bytes| {
        let stream: WireStream = wire::decode("proposal stream", &bytes, MAX_PART_BYTES)?;
        wire::at_most(
            "proposal stream",
            "bytes of a name",
            stream.id.len(),
            MAX_STREAM_ID_BYTES,
        )?;
        let content = match stream.part {
            Some(part) => StreamContent::Data(part.open()?),
            None => StreamContent::Fin,
        };
        Ok(StreamMessage::new(
            StreamId::new(stream.id.into()),
            stream.sequence,
            content,
        ))
    },
    |msg| WireStream {
        id: msg.stream_id.to_bytes().to_vec(),
        sequence: msg.sequence,
        part: msg.content.as_data().map(WirePart::new),
    }
);

codec!(
    LivenessMsg,
    |codec, bytes| match wire::decode("liveness message", &bytes, MAX_VOTES_BYTES)? {
        WireLiveness::Vote(vote) => Ok(LivenessMsg::Vote(codec.vote(vote)?)),
        WireLiveness::Polka(polka) => Ok(LivenessMsg::PolkaCertificate(polka.open()?)),
        WireLiveness::Skip(round) => Ok(LivenessMsg::SkipRoundCertificate(round.open()?)),
    },
    |msg| match msg {
        LivenessMsg::Vote(vote) => WireLiveness::Vote(WireVote::new(vote)),
        LivenessMsg::PolkaCertificate(polka) => WireLiveness::Polka(WirePolka::new(polka)),
        LivenessMsg::SkipRoundCertificate(round) => WireLiveness::Skip(WireRound::new(round)),
    }
);

codec!(
    ValidatorProof<Ctx>,
    |_codec, bytes| {
        let (key, peer, raw): (Vec<u8>, Vec<u8>, Signature) = small("validator proof", &bytes)?;
        Ok(ValidatorProof::new(
            key,
            peer,
            signature("validator proof", &raw)?,
        ))
    },
    |proof| (&proof.public_key, &proof.peer_id, from_engine(&proof.signature))
);

codec!(
    PolkaCertificate<Ctx>,
    |_codec, bytes| wire::decode::<WirePolka>("polka", &bytes, MAX_VOTES_BYTES)?.open(),
    |polka| WirePolka::new(polka)
);

codec!(
    ProposedValue<Ctx>,
    |_codec, bytes| {
        let wire: WireProposed = small("proposed value", &bytes)?;
        Ok(ProposedValue {
            height: Height(wire.height),
            round: round_of(wire.round),
            valid_round: round_of(wire.valid_round),
            proposer: address(wire.proposer),
            value: ValueId(wire.value),
            validity: Validity::from_bool(wire.valid),
        })
    },
    |proposed| WireProposed {
        height: proposed.height.0,
        round: proposed.round.as_u32(),
        valid_round: proposed.valid_round.as_u32(),
        proposer: bytes_of(&proposed.proposer),
        value: proposed.value.0,
        valid: proposed.validity.is_valid(),
    }
);

codec!(
    Status<Ctx>,
    |codec, bytes| {
        let (peer, tip, first): (Vec<u8>, u64, u64) = small("status", &bytes)?;
        let peer_id = PeerId::from_bytes(&peer).map_err(|_| bad("status", "not a peer id"))?;
        codec.note(tip);
        Ok(Status {
            peer_id,
            tip_height: Height(tip),
            history_min_height: Height(first),
        })
    },
    |status| (
        status.peer_id.to_bytes(),
        status.tip_height.0,
        status.history_min_height.0
    )
);

codec!(
    Request<Ctx>,
    |_codec, bytes| {
        let (first, last): (u64, u64) = small("sync request", &bytes)?;
        Ok(Request::ValueRequest(ValueRequest::new(
            Height(first)..=Height(last),
        )))
    },
    |request| match request {
        Request::ValueRequest(request) => (request.range.start().0, request.range.end().0),
    }
);

codec!(
    Response<Ctx>,
    |_codec, bytes| {
        let (start, values): (u64, Vec<(Vec<u8>, WireCertificate)>) =
            wire::decode("sync response", &bytes, MAX_RESPONSE_BYTES)?;
        wire::at_most("sync response", "values", values.len(), MAX_DECIDED_PER_ANSWER)?;
        let open = |(payload, certificate): (Vec<u8>, WireCertificate)| {
            let certificate = certificate_to_engine(&Certificate::from_wire(certificate)?)
                .ok_or(bad("sync response", "signature is out of range"))?;
            Ok(RawDecidedValue::new(payload.into(), certificate))
        };
        let values = values.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Response::ValueResponse(ValueResponse::new(Height(start), values)))
    },
    |response| {
        let Response::ValueResponse(response) = response;
        let values: Vec<_> = response.values.iter().filter_map(wire_value).collect();
        (response.start_height.0, values)
    }
);

fn wire_value(value: &RawDecidedValue<Ctx>) -> Option<(Vec<u8>, WireCertificate)> {
    let certificate = certificate_from_engine(&value.certificate.trim_vote_extensions())?;
    Some((value.value_bytes.to_vec(), certificate.to_wire()))
}

impl HasEncodedLen<Response<Ctx>> for WireCodec {
    fn encoded_len(&self, response: &Response<Ctx>) -> Result<usize, DecodeError> {
        Ok(Codec::encode(self, response)?.len())
    }
}

#[cfg(test)]
mod tests;
