//! The engine's messages as they are on the wire, and the way between the two forms.

use arc_malachitebft_core_types::{
    NilOrVal, PolkaCertificate, PolkaSignature, Round, RoundCertificate, RoundCertificateType,
    RoundSignature, SignedMessage, VoteType,
};
use r1_core::EthAddress;
use serde::{Deserialize, Serialize};

use super::Ctx;
use crate::{
    DecodeError, Signature,
    digest::Hash,
    engine::context::{
        Address, EngineSignature, Height, Part, Proposal, ValueId, Vote, from_engine, to_engine,
    },
    wire::{self, MAX_BLOCK_BYTES, MAX_ORACLES},
};

#[derive(Serialize, Deserialize)]
pub(super) struct WireVote {
    pub(super) precommit: bool,
    pub(super) height: u64,
    pub(super) round: Option<u32>,
    pub(super) value: Option<Hash>,
    pub(super) address: [u8; 20],
    pub(super) signature: Signature,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WireProposal {
    pub(super) height: u64,
    pub(super) round: Option<u32>,
    pub(super) value: Hash,
    pub(super) pol_round: Option<u32>,
    pub(super) address: [u8; 20],
    pub(super) signature: Signature,
}

#[derive(Serialize, Deserialize)]
pub(super) enum WireMsg {
    Vote(WireVote),
    Proposal(WireProposal),
}

#[derive(Serialize, Deserialize)]
pub(super) struct WirePart {
    pub(super) height: u64,
    pub(super) round: u32,
    pub(super) proposer: [u8; 20],
    pub(super) payload: Vec<u8>,
    pub(super) signature: Signature,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WireStream {
    pub(super) id: Vec<u8>,
    pub(super) sequence: u64,
    pub(super) part: Option<WirePart>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WirePolka {
    pub(super) height: u64,
    pub(super) round: Option<u32>,
    pub(super) value: Hash,
    pub(super) signatures: Vec<([u8; 20], Signature)>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WireRound {
    pub(super) height: u64,
    pub(super) round: Option<u32>,
    pub(super) skip: bool,
    pub(super) signatures: Vec<(bool, Option<Hash>, [u8; 20], Signature)>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WireProposed {
    pub(super) height: u64,
    pub(super) round: Option<u32>,
    pub(super) valid_round: Option<u32>,
    pub(super) proposer: [u8; 20],
    pub(super) value: Hash,
    pub(super) valid: bool,
}

pub(super) fn bad(what: &'static str, why: &'static str) -> DecodeError {
    DecodeError::Malformed { what, why }
}

pub(super) fn signature(what: &'static str, signature: &Signature) -> Result<EngineSignature, DecodeError> {
    to_engine(signature).ok_or(bad(what, "signature is out of range"))
}

pub(super) fn address(bytes: [u8; 20]) -> Address {
    Address(EthAddress::new(bytes))
}

pub(super) fn bytes_of(address: &Address) -> [u8; 20] {
    *address.0.as_bytes()
}

pub(super) fn round_of(round: Option<u32>) -> Round {
    Round::from(round)
}

pub(super) fn value_of(value: Option<Hash>) -> NilOrVal<ValueId> {
    value.map_or(NilOrVal::Nil, |hash| NilOrVal::Val(ValueId(hash)))
}

pub(super) fn hash_of(value: &NilOrVal<ValueId>) -> Option<Hash> {
    match value {
        NilOrVal::Nil => None,
        NilOrVal::Val(value) => Some(value.0),
    }
}

pub(super) fn vote_kind(precommit: bool) -> VoteType {
    if precommit {
        VoteType::Precommit
    } else {
        VoteType::Prevote
    }
}

impl WireVote {
    pub(super) fn new(signed: &SignedMessage<Ctx, Vote>) -> Self {
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

    pub(super) fn open(self) -> Result<SignedMessage<Ctx, Vote>, DecodeError> {
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
    pub(super) fn new(signed: &SignedMessage<Ctx, Proposal>) -> Self {
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

    pub(super) fn open(self) -> Result<SignedMessage<Ctx, Proposal>, DecodeError> {
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
    pub(super) fn new(part: &Part) -> Self {
        Self {
            height: part.height,
            round: part.round,
            proposer: *part.proposer.as_bytes(),
            payload: part.payload.to_vec(),
            signature: part.signature,
        }
    }

    pub(super) fn open(self) -> Result<Part, DecodeError> {
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
    pub(super) fn new(polka: &PolkaCertificate<Ctx>) -> Self {
        let sign = |s: &PolkaSignature<Ctx>| (bytes_of(&s.address), from_engine(&s.signature));
        Self {
            height: polka.height.0,
            round: polka.round.as_u32(),
            value: polka.value_id.0,
            signatures: polka.polka_signatures.iter().map(sign).collect(),
        }
    }

    pub(super) fn open(self) -> Result<PolkaCertificate<Ctx>, DecodeError> {
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
    pub(super) fn new(round: &RoundCertificate<Ctx>) -> Self {
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

    pub(super) fn open(self) -> Result<RoundCertificate<Ctx>, DecodeError> {
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
