//! Payloads on their way: proposed, received, restreamed, fetched. Each is in the store before the engine hears of it.

use std::time::Instant;

use arc_malachitebft_app_channel::app::{engine::host::SyncedValueOutcome, types::ProposedValue};
use arc_malachitebft_core_types::Round;
use bytes::Bytes;

use super::{AppLoop, Ctx, unix_ms};
use crate::{
    Application, Signature, StoreError,
    digest::{Hash, keccak},
    engine::{
        codec::{decode_part, encode_part},
        context::{Address, Part},
        parts::{MAX_PARTS_PER_ROUND, check_part, proposed_value, sign_part},
    },
    wire::MAX_BLOCK_BYTES,
};

impl<A: Application> AppLoop<A> {
    pub(super) fn started_round(
        &mut self,
        height: u64,
        round: Round,
    ) -> Result<Vec<ProposedValue<Ctx>>, StoreError> {
        self.metrics.rounds.inc();
        self.round = round.as_u32().unwrap_or(0);
        self.seen.get_or_insert_with(Instant::now);
        let mut values = Vec::new();
        for bytes in self.store.proposed(height, self.round)? {
            let Ok(part) = decode_part(&bytes) else { continue };
            values.push(self.judge(&part, keccak(&part.payload)));
        }
        Ok(values)
    }

    /// The application's verdict on a part of the height behind the tip.
    pub(super) fn judge(&mut self, part: &Part, id: Hash) -> ProposedValue<Ctx> {
        let verdict = self.app.validate(part.height, &part.payload, Some(unix_ms()));
        match &verdict {
            Ok(()) => self.proposed = true,
            Err(reason) => {
                self.metrics.refused.inc();
                tracing::info!(
                    height = part.height, round = part.round, proposer = %part.proposer, %reason,
                    "proposed payload refused"
                );
            }
        }
        proposed_value(
            part.height,
            part.round,
            Address(part.proposer),
            id,
            verdict.is_ok(),
        )
    }

    /// What to propose: the payload proposed in this round before a crash, or a new one; stored before it is told.
    pub(super) fn value_to_propose(&mut self, height: u64, round: Round) -> Result<Option<Part>, StoreError> {
        let Some(round) = round.as_u32() else {
            return Ok(None);
        };
        let own = self.own();
        let stored = self.store.proposed(height, round)?;
        if let Some(part) = stored
            .iter()
            .filter_map(|bytes| decode_part(bytes).ok())
            .find(|part| part.proposer == own)
        {
            return Ok(Some(part));
        }
        let now = unix_ms();
        let Some(payload) = self.app.propose(height, now) else {
            self.metrics.unanswered.inc();
            return Ok(None);
        };
        if payload.len() > MAX_BLOCK_BYTES {
            tracing::error!(
                height,
                bytes = payload.len(),
                limit = MAX_BLOCK_BYTES,
                "own payload is too large"
            );
            return Ok(None);
        }
        if let Err(reason) = self.app.validate(height, &payload, Some(now)) {
            self.metrics.refused.inc();
            tracing::error!(height, %reason, "own payload is invalid");
            return Ok(None);
        }
        let part = sign_part(&self.domain, &self.key, height, round, payload.into());
        self.store
            .put_proposed(height, round, &keccak(&part.payload), &encode_part(&part))?;
        Ok(Some(part))
    }

    /// A payload that is proposed again in a later round goes out again, signed by that round's proposer.
    pub(super) fn part_to_restream(
        &self,
        height: u64,
        round: Round,
        id: &Hash,
    ) -> Result<Option<Part>, StoreError> {
        let (Some(round), Some(bytes)) = (round.as_u32(), self.store.proposed_by_id(height, id)?) else {
            return Ok(None);
        };
        let Ok(part) = decode_part(&bytes) else {
            return Ok(None);
        };
        let own_turn = self
            .set
            .proposer(height, round)
            .is_some_and(|oracle| oracle.eth == self.own());
        if part.round == round || !own_turn {
            return Ok(Some(part));
        }
        let part = sign_part(&self.domain, &self.key, height, round, part.payload);
        self.store.put_proposed(height, round, id, &encode_part(&part))?;
        Ok(Some(part))
    }

    pub(super) fn received_part(&mut self, part: &Part) -> Result<Option<ProposedValue<Ctx>>, StoreError> {
        let tip = self.tip();
        let id = match check_part(&self.domain, &self.set, tip, self.round, part) {
            Ok(id) => id,
            Err(reason) => {
                self.metrics.dropped.inc();
                tracing::debug!(
                    height = part.height,
                    round = part.round,
                    reason,
                    "proposal part dropped"
                );
                return Ok(None);
            }
        };
        let stored = self.store.proposed(part.height, part.round)?;
        let bytes = encode_part(part);
        if !stored.contains(&bytes) {
            if stored.len() >= MAX_PARTS_PER_ROUND {
                self.metrics.dropped.inc();
                return Ok(None);
            }
            self.store.put_proposed(part.height, part.round, &id, &bytes)?;
        }
        if part.height != tip + 1 {
            return Ok(None);
        }
        self.seen.get_or_insert_with(Instant::now);
        Ok(Some(self.judge(part, id)))
    }

    /// A payload that the engine fetched from a peer, with a certificate that it has verified.
    pub(super) fn synced_value(
        &mut self,
        height: u64,
        round: Round,
        proposer: Address,
        payload: Bytes,
    ) -> Result<SyncedValueOutcome<Ctx>, StoreError> {
        let Some(round) = round.as_u32() else {
            return Ok(SyncedValueOutcome::PeerFault);
        };
        if payload.len() > MAX_BLOCK_BYTES {
            return Ok(SyncedValueOutcome::PeerFault);
        }
        if height != self.tip() + 1 {
            return Ok(SyncedValueOutcome::LocalTransientError);
        }
        let id = keccak(&payload);
        let valid = match self.app.validate(height, &payload, None) {
            Ok(()) => true,
            Err(reason) => {
                self.metrics.refused.inc();
                tracing::error!(height, %reason, "a payload that the others decided is invalid here");
                false
            }
        };
        // The proposer's signature did not come along; this part is only a place for the payload.
        let signature = Signature::from_bytes(&[0; 64]);
        let part = Part {
            height,
            round,
            proposer: proposer.0,
            payload,
            signature,
        };
        self.store.put_proposed(height, round, &id, &encode_part(&part))?;
        self.synced = true;
        Ok(SyncedValueOutcome::Verdict(proposed_value(
            height, round, proposer, id, valid,
        )))
    }
}
