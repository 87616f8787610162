//! The types that Malachite's engine is generic over.

use std::{fmt, sync::Arc};

use arc_malachitebft_core_types::{
    self as core, Context, LinearTimeouts, NilOrVal, Round, SignedExtension, VoteType, VotingPower,
};
use arc_malachitebft_signing_ecdsa::{K256, K256Config, PublicKey};
use bytes::Bytes;
use r1_core::EthAddress;

use crate::{Certificate, Signature, ValidatorSet, digest::Hash};

/// A signature as the engine holds it.
pub type EngineSignature = arc_malachitebft_signing_ecdsa::Signature<K256Config>;

/// The engine's signature of ours, unless it is none.
pub fn to_engine(signature: &Signature) -> Option<EngineSignature> {
    signature.to_ecdsa().map(EngineSignature::new)
}

/// Our signature of the engine's.
pub fn from_engine(signature: &EngineSignature) -> Signature {
    Signature::of_ecdsa(signature.inner())
}

/// An oracle's name in votes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Address(pub EthAddress);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl core::Address for Address {}

/// A height, from 1.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Height(pub u64);

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl core::Height for Height {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

/// What is voted on: the keccak256 of a payload. The payload itself travels in one part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ValueId(pub Hash);

impl fmt::Display for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl core::Value for ValueId {
    type Id = Self;

    fn id(&self) -> Self {
        *self
    }
}

/// A payload on its way, signed by who proposes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    pub height: u64,
    pub round: u32,
    pub proposer: EthAddress,
    pub payload: Bytes,
    pub signature: Signature,
}

impl core::ProposalPart<OracleContext> for Part {
    fn is_first(&self) -> bool {
        true
    }

    fn is_last(&self) -> bool {
        true
    }
}

/// That somebody proposes a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    pub height: Height,
    pub round: Round,
    pub value: ValueId,
    pub pol_round: Round,
    pub address: Address,
}

impl core::Proposal<OracleContext> for Proposal {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &ValueId {
        &self.value
    }

    fn take_value(self) -> ValueId {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Address {
        &self.address
    }
}

/// A prevote or precommit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vote {
    pub kind: VoteType,
    pub height: Height,
    pub round: Round,
    pub value: NilOrVal<ValueId>,
    pub address: Address,
}

impl core::Vote<OracleContext> for Vote {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<ValueId> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<ValueId> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Address {
        &self.address
    }

    fn extension(&self) -> Option<&SignedExtension<OracleContext>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<OracleContext>> {
        None
    }

    fn extend(self, _extension: SignedExtension<OracleContext>) -> Self {
        self
    }
}

/// One oracle, with voting power 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    address: Address,
    key: PublicKey<K256Config>,
}

impl core::Validator<OracleContext> for Member {
    fn address(&self) -> &Address {
        &self.address
    }

    fn public_key(&self) -> &PublicKey<K256Config> {
        &self.key
    }

    fn voting_power(&self) -> VotingPower {
        1
    }
}

/// The oracles as the engine sees them; in the same order as our [`ValidatorSet`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Members(Arc<Vec<Member>>);

impl Members {
    pub fn new(set: &ValidatorSet) -> Self {
        let member = |oracle: &crate::Oracle| Member {
            address: Address(oracle.eth),
            key: PublicKey::new(oracle.key),
        };
        Self(Arc::new(set.oracles().iter().map(member).collect()))
    }
}

impl core::ValidatorSet<OracleContext> for Members {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn total_voting_power(&self) -> VotingPower {
        self.0.len() as VotingPower
    }

    fn get_by_address(&self, address: &Address) -> Option<&Member> {
        self.0
            .binary_search_by_key(address, |member| member.address)
            .ok()
            .map(|index| &self.0[index])
    }

    fn get_by_index(&self, index: usize) -> Option<&Member> {
        self.0.get(index)
    }
}

/// Ties the types together.
#[derive(Clone, Copy, Debug)]
pub struct OracleContext;

impl Context for OracleContext {
    type Address = Address;
    type Height = Height;
    type ProposalPart = Part;
    type Proposal = Proposal;
    type Validator = Member;
    type ValidatorSet = Members;
    type Timeouts = LinearTimeouts;
    type Value = ValueId;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = K256;

    fn select_proposer<'a>(&self, set: &'a Members, height: Height, round: Round) -> &'a Member {
        let turn = u128::from(height.0.saturating_sub(1)) + u128::from(round.as_u32().unwrap_or(0));
        let index = turn % (set.0.len().max(1) as u128);
        &set.0[usize::try_from(index).unwrap_or(0)]
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        value: ValueId,
        pol_round: Round,
        address: Address,
    ) -> Proposal {
        Proposal {
            height,
            round,
            value,
            pol_round,
            address,
        }
    }

    fn new_prevote(&self, height: Height, round: Round, value: NilOrVal<ValueId>, address: Address) -> Vote {
        Vote {
            kind: VoteType::Prevote,
            height,
            round,
            value,
            address,
        }
    }

    fn new_precommit(
        &self,
        height: Height,
        round: Round,
        value: NilOrVal<ValueId>,
        address: Address,
    ) -> Vote {
        Vote {
            kind: VoteType::Precommit,
            height,
            round,
            value,
            address,
        }
    }
}

/// Our certificate of the engine's; `None` for the round "nil", in which nothing can be decided.
pub fn certificate_from_engine(engine: &core::CommitCertificate<OracleContext>) -> Option<Certificate> {
    let mut signatures: Vec<_> = engine
        .commit_signatures
        .iter()
        .map(|commit| (commit.address.0, from_engine(&commit.signature)))
        .collect();
    signatures.sort_unstable();
    let round = engine.round.as_u32()?;
    Some(Certificate {
        height: engine.height.0,
        round,
        value_id: engine.value_id.0,
        signatures,
    })
}

/// The engine's certificate of ours; `None` if a signature is none.
pub fn certificate_to_engine(
    certificate: &Certificate,
) -> Option<core::ExtendedCommitCertificate<OracleContext>> {
    let commit_signatures = certificate
        .signatures
        .iter()
        .map(|(signer, signature)| {
            let signature = to_engine(signature)?;
            Some(core::ExtendedCommitSignature::new(
                Address(*signer),
                signature,
                None,
            ))
        })
        .collect::<Option<_>>()?;
    Some(core::ExtendedCommitCertificate {
        height: Height(certificate.height),
        round: Round::new(certificate.round),
        value_id: ValueId(certificate.value_id),
        commit_signatures,
    })
}
