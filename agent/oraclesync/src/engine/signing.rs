//! How votes and proposals are signed and checked: our EIP-712 digests, our key.

use arc_malachitebft_core_types::{NilOrVal, SignedMessage, ValidatorProof, VoteExtensionScope, VoteType};
use arc_malachitebft_signing::{Error, Signer, VerificationResult, Verifier};
use arc_malachitebft_signing_ecdsa::{K256Config, PublicKey};
use async_trait::async_trait;

use super::context::{EngineSignature, OracleContext, Proposal, Vote, from_engine, to_engine};
use crate::{
    digest::{Domain, Hash, STEP_PRECOMMIT, STEP_PREVOTE, keccak},
    key::{OracleKey, verify},
};

type Key = PublicKey<K256Config>;
type Signed<T> = Result<SignedMessage<OracleContext, T>, Error>;

pub fn vote_digest(domain: &Domain, vote: &Vote) -> Hash {
    let step = match vote.kind {
        VoteType::Prevote => STEP_PREVOTE,
        VoteType::Precommit => STEP_PRECOMMIT,
    };
    let value = match &vote.value {
        NilOrVal::Nil => None,
        NilOrVal::Val(value) => Some(&value.0),
    };
    domain.vote(step, vote.height.0, vote.round.as_u32(), value)
}

pub fn proposal_digest(domain: &Domain, proposal: &Proposal) -> Hash {
    let round = proposal.round.as_u32();
    domain.proposal(
        proposal.height.0,
        round,
        &proposal.value.0,
        proposal.pol_round.as_u32(),
    )
}

/// Checks what others sign.
#[derive(Clone)]
pub struct OracleVerifier {
    pub domain: Domain,
}

impl OracleVerifier {
    fn check(digest: &Hash, signature: &EngineSignature, key: &Key) -> VerificationResult {
        VerificationResult::from_bool(verify(key.inner(), digest, &from_engine(signature)))
    }
}

#[async_trait]
impl Verifier<OracleContext> for OracleVerifier {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &EngineSignature,
        key: &Key,
    ) -> Result<VerificationResult, Error> {
        Ok(Self::check(&vote_digest(&self.domain, vote), signature, key))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &EngineSignature,
        key: &Key,
    ) -> Result<VerificationResult, Error> {
        Ok(Self::check(
            &proposal_digest(&self.domain, proposal),
            signature,
            key,
        ))
    }

    async fn verify_signed_vote_extension(
        &self,
        _scope: &VoteExtensionScope<OracleContext>,
        _extension: &(),
        _signature: &EngineSignature,
        _key: &Key,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(
        &self,
        proof: &ValidatorProof<OracleContext>,
    ) -> Result<VerificationResult, Error> {
        let Ok(key) = proof.decoded_public_key() else {
            return Ok(VerificationResult::Invalid);
        };
        Ok(Self::check(&keccak(&proof.preimage()), &proof.signature, &key))
    }
}

/// Signs what this oracle says.
pub struct OracleSigner {
    pub domain: Domain,
    pub key: OracleKey,
}

impl OracleSigner {
    fn sign(&self, digest: &Hash) -> Result<EngineSignature, Error> {
        to_engine(&self.key.sign(digest)).ok_or_else(Error::new)
    }
}

#[async_trait]
impl Signer<OracleContext> for OracleSigner {
    async fn sign_vote(&self, vote: Vote) -> Signed<Vote> {
        let signature = self.sign(&vote_digest(&self.domain, &vote))?;
        Ok(SignedMessage::new(vote, signature))
    }

    async fn sign_proposal(&self, proposal: Proposal) -> Signed<Proposal> {
        let signature = self.sign(&proposal_digest(&self.domain, &proposal))?;
        Ok(SignedMessage::new(proposal, signature))
    }

    async fn sign_vote_extension(
        &self,
        _scope: VoteExtensionScope<OracleContext>,
        _extension: (),
    ) -> Signed<()> {
        Err(Error::from_source("vote extensions are not used"))
    }

    async fn sign_validator_proof(
        &self,
        public_key: Vec<u8>,
        peer_id: Vec<u8>,
    ) -> Result<ValidatorProof<OracleContext>, Error> {
        let preimage = ValidatorProof::<OracleContext>::signing_bytes(&public_key, &peer_id);
        let signature = self.sign(&keccak(&preimage))?;
        Ok(ValidatorProof::new(public_key, peer_id, signature))
    }
}
