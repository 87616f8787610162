//! What was decided: stored, applied, shown, served to peers; and what misbehaviour was seen on the way.

use arc_malachitebft_app_channel::app::types::{
    MisbehaviorEvidence, SignedConsensusMsg, sync::RawDecidedValue,
};
use arc_malachitebft_core_types::CommitCertificate;

use super::{AppLoop, Ctx, millis};
use crate::{
    Application, DecidedBlock, StoreError,
    engine::{
        Decided, EngineError,
        codec::{decode_part, encode_evidence},
        context::{Address, certificate_from_engine, certificate_to_engine},
    },
    metrics::EvidenceLabel,
};

impl<A: Application> AppLoop<A> {
    /// Applies what was decided but not applied when the process ended last time.
    pub fn replay(&mut self) -> Result<(), EngineError> {
        let tip = self.store.tip()?;
        loop {
            let applied = self.app.applied();
            let next = applied.saturating_add(1);
            if next > tip {
                break;
            }
            let blocks = self.store.decided(next, usize::MAX)?;
            if blocks.is_empty() {
                return Err(EngineError::PayloadMissing(next));
            }
            for block in blocks {
                let height = block.certificate.height;
                self.app
                    .apply(&block, None)
                    .map_err(|source| EngineError::Apply { height, source })?;
            }
            if self.app.applied() == applied {
                let source = "the application does not count it as applied".into();
                return Err(EngineError::Apply { height: next, source });
            }
        }
        if let Some(last) = self.store.get(tip)? {
            self.show(&last, None);
        }
        Ok(())
    }

    pub(super) fn show(&self, block: &DecidedBlock, decide_ms: Option<u64>) {
        let certificate = &block.certificate;
        let signers = certificate.signatures.len();
        self.metrics
            .height
            .set(i64::try_from(certificate.height).unwrap_or(i64::MAX));
        self.metrics
            .signers
            .set(i64::try_from(signers).unwrap_or(i64::MAX));
        let shown = Decided {
            height: certificate.height,
            round: certificate.round,
            signers,
            decide_ms,
        };
        self.decided.send_replace(shown);
    }

    pub(super) fn on_decided(&mut self, certificate: &CommitCertificate<Ctx>) -> Result<(), EngineError> {
        let height = certificate.height.0;
        let missing = || EngineError::PayloadMissing(height);
        let part = self
            .store
            .proposed_by_id(height, &certificate.value_id.0)?
            .ok_or_else(missing)?;
        let part = decode_part(&part).map_err(|_| missing())?;
        let certificate = certificate_from_engine(certificate).ok_or_else(missing)?;
        let block = DecidedBlock {
            payload: part.payload.to_vec(),
            certificate,
        };
        self.store.append(&block)?;
        let elapsed = self.seen.take().map(|seen| seen.elapsed());
        let decide_ms = if self.synced { None } else { elapsed.map(millis) };
        self.app
            .apply(&block, decide_ms)
            .map_err(|source| EngineError::Apply { height, source })?;
        self.metrics.heights.inc();
        if self.synced {
            self.metrics.synced.inc();
        } else if let Some(elapsed) = elapsed {
            self.metrics.decide.observe(elapsed.as_secs_f64());
        }
        (self.proposed, self.synced, self.round) = (false, false, 0);
        tracing::info!(
            height,
            round = block.certificate.round,
            signers = block.certificate.signatures.len(),
            ?decide_ms,
            "decided"
        );
        self.show(&block, decide_ms);
        Ok(())
    }

    /// Keeps the certificate if it has more signatures now, and what misbehaviour was seen.
    pub(super) fn on_finalized(
        &mut self,
        certificate: &CommitCertificate<Ctx>,
        evidence: &MisbehaviorEvidence<Ctx>,
    ) -> Result<(), StoreError> {
        if let (Some(certificate), Some(block)) = (
            certificate_from_engine(certificate),
            self.store.get(certificate.height.0)?,
        ) && certificate.signatures.len() > block.certificate.signatures.len()
        {
            self.store.append(&DecidedBlock {
                payload: block.payload,
                certificate,
            })?;
        }
        for (address, pairs) in evidence.votes.iter() {
            for (first, second) in pairs {
                let pair = [
                    SignedConsensusMsg::Vote(first.clone()),
                    SignedConsensusMsg::Vote(second.clone()),
                ];
                self.misbehaved(address, "vote", &pair)?;
            }
        }
        for (address, pairs) in evidence.proposals.iter() {
            for (first, second) in pairs {
                let pair = [
                    SignedConsensusMsg::Proposal(first.clone()),
                    SignedConsensusMsg::Proposal(second.clone()),
                ];
                self.misbehaved(address, "proposal", &pair)?;
            }
        }
        Ok(())
    }

    pub(super) fn misbehaved(
        &self,
        oracle: &Address,
        kind: &'static str,
        pair: &[SignedConsensusMsg<Ctx>],
    ) -> Result<(), StoreError> {
        self.metrics.evidence.get_or_create(&EvidenceLabel { kind }).inc();
        tracing::warn!(%oracle, kind, height = %pair[0].height(), "oracle signed two contradicting messages");
        self.store.put_evidence(&encode_evidence(pair))
    }

    pub(super) fn decided_values(
        &self,
        first: u64,
        last: u64,
    ) -> Result<Vec<RawDecidedValue<Ctx>>, StoreError> {
        let Some(count) = last.checked_sub(first) else {
            return Ok(Vec::new());
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX).saturating_add(1);
        let blocks = self.store.decided(first, count)?.into_iter();
        Ok(blocks
            .filter_map(|block| {
                let certificate = certificate_to_engine(&block.certificate)?;
                Some(RawDecidedValue::new(block.payload.into(), certificate))
            })
            .collect())
    }
}
