//! The application loop: answers the engine's questions, stores what it must not forget, and decides when heights
//! start.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use arc_malachitebft_app_channel::{
    AppMsg, NetworkMsg, Reply,
    app::{
        engine::host::{HeightParams, Next, SyncedValueOutcome},
        types::{
            LocallyProposedValue, MisbehaviorEvidence, ProposedValue, SignedConsensusMsg,
            sync::RawDecidedValue,
        },
    },
};
use arc_malachitebft_core_types::{CommitCertificate, Height as _, Round};
use bytes::Bytes;
use r1_core::EthAddress;
use tokio::sync::{Notify, mpsc, watch};

use super::{
    Config, Decided, EngineError, Timing,
    codec::{decode_part, encode_evidence, encode_part},
    context::{
        Address, Height, Members, OracleContext, Part, ValueId, certificate_from_engine,
        certificate_to_engine,
    },
    parts::{MAX_PARTS_PER_ROUND, check_part, proposed_value, sign_part, stream},
};
use crate::{
    Application, DecidedBlock, OracleKey, Signature, Store, StoreError, ValidatorSet,
    digest::{Domain, Hash, keccak},
    metrics::{EvidenceLabel, Metrics},
    pacing::{Situation, Start, start},
    wire::MAX_BLOCK_BYTES,
};

type Ctx = OracleContext;
type Network = mpsc::Sender<NetworkMsg<Ctx>>;

/// The engine waits to be told its next height.
enum Waiting {
    First(Reply<(Height, HeightParams<Ctx>)>),
    Next(Reply<Next<Ctx>>),
}

/// State of the loop. It lives on one thread; nothing here is shared but the store and the watch channels.
pub struct AppLoop<A> {
    moniker: String,
    key: OracleKey,
    domain: Domain,
    set: ValidatorSet,
    members: Members,
    timing: Timing,
    metrics: Metrics,
    app: A,
    store: Arc<Store>,
    peer_height: watch::Receiver<u64>,
    decided: watch::Sender<Decided>,
    waiting: Option<Waiting>,
    clock: Instant,
    last_start_ms: Option<u64>,
    /// When the height behind the tip was first seen: its round 0 started or its payload arrived.
    seen: Option<Instant>,
    round: u32,
    /// The height behind the tip has a valid payload.
    proposed: bool,
    /// The height behind the tip was fetched from a peer.
    synced: bool,
}

impl<A: Application> AppLoop<A> {
    pub fn new(
        config: &Config,
        domain: Domain,
        set: ValidatorSet,
        app: A,
        store: Arc<Store>,
        peer_height: watch::Receiver<u64>,
    ) -> Self {
        Self {
            moniker: config.moniker.clone(),
            key: config.key.clone(),
            domain,
            members: Members::new(&set),
            set,
            timing: config.timing,
            metrics: config.metrics.clone(),
            app,
            store,
            peer_height,
            decided: watch::Sender::new(Decided::default()),
            waiting: None,
            clock: Instant::now(),
            last_start_ms: None,
            seen: None,
            round: 0,
            proposed: false,
            synced: false,
        }
    }

    pub fn own(&self) -> EthAddress {
        self.key.eth()
    }

    pub fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    pub fn decided(&self) -> watch::Receiver<Decided> {
        self.decided.subscribe()
    }

    fn tip(&self) -> u64 {
        self.decided.borrow().height
    }

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

    fn show(&self, block: &DecidedBlock, decide_ms: Option<u64>) {
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

    /// Serves the engine until it ends (an error) or `stop` is notified.
    pub async fn run(
        mut self,
        mut consensus: mpsc::Receiver<AppMsg<Ctx>>,
        network: Network,
        hint: Arc<Notify>,
        stop: Arc<Notify>,
    ) -> Result<(), EngineError> {
        let mut peer_height = self.peer_height.clone();
        let mut wait = self.timing.poll;
        let (mut asked, deadline) = (false, tokio::time::sleep(self.timing.watchdog));
        tokio::pin!(deadline);
        loop {
            let waits = self.waiting.is_some();
            tokio::select! {
                biased;
                () = stop.notified() => return Ok(()),
                message = consensus.recv() => match message {
                    Some(message) => {
                        asked = true;
                        self.answer(message, &network).await?;
                    }
                    None => return Err(self.ended("it no longer asks")),
                },
                () = &mut deadline, if !asked => return Err(self.ended("it never began to listen")),
                () = hint.notified(), if waits => {}
                Ok(()) = peer_height.changed(), if waits => {}
                () = tokio::time::sleep(wait), if waits => {}
            }
            wait = self.start_if_due();
        }
    }

    fn ended(&self, why: &'static str) -> EngineError {
        EngineError::Ended {
            moniker: self.moniker.clone(),
            why,
        }
    }

    /// Starts the next height if it is time; returns how long to wait before asking again.
    fn start_if_due(&mut self) -> Duration {
        if self.waiting.is_none() {
            return self.timing.poll;
        }
        let tip = self.tip();
        let now_ms = millis(self.clock.elapsed());
        let situation = Situation {
            now_ms,
            last_start_ms: self.last_start_ms,
            tip,
            peer_height: *self.peer_height.borrow(),
            proposed: self.proposed,
            work: self.app.has_work(tip + 1, unix_ms()),
        };
        match start(&situation, millis(self.timing.interval)) {
            Start::Now => self.start_next(now_ms),
            Start::At(due) => return Duration::from_millis(due - now_ms).min(self.timing.poll),
            Start::Idle => {}
        }
        self.timing.poll
    }

    fn start_next(&mut self, now_ms: u64) {
        let (height, params) = self.next();
        self.last_start_ms = Some(now_ms);
        // A dropped receiver means that the engine ends, which the loop notices by itself.
        match self.waiting.take() {
            Some(Waiting::First(reply)) => drop(reply.send((height, params))),
            Some(Waiting::Next(reply)) => drop(reply.send(Next::Start(height, params))),
            None => {}
        }
    }

    fn next(&self) -> (Height, HeightParams<Ctx>) {
        let params = HeightParams::new(self.members.clone(), self.timing.timeouts(), None);
        (Height(self.tip() + 1), params)
    }

    async fn answer(&mut self, message: AppMsg<Ctx>, network: &Network) -> Result<(), EngineError> {
        match message {
            AppMsg::ConsensusReady { reply } => self.waiting = Some(Waiting::First(reply)),
            AppMsg::StartedRound {
                height,
                round,
                reply_value,
                ..
            } => {
                let _ = reply_value.send(self.started_round(height.0, round)?);
            }
            AppMsg::GetValue {
                height, round, reply, ..
            } => {
                if let Some(part) = self.value_to_propose(height.0, round)? {
                    let value = ValueId(keccak(&part.payload));
                    let _ = reply.send(LocallyProposedValue::new(height, round, value));
                    publish(network, part).await;
                }
            }
            AppMsg::RestreamProposal {
                height,
                round,
                value_id,
                ..
            } => {
                if let Some(part) = self.part_to_restream(height.0, round, &value_id.0)? {
                    publish(network, part).await;
                }
            }
            AppMsg::ReceivedProposalPart { part, reply, .. } => {
                let value = match part.content.into_data() {
                    Some(part) => self.received_part(&part)?,
                    None => None,
                };
                let _ = reply.send(value);
            }
            AppMsg::Decided {
                certificate, reply, ..
            } => {
                self.on_decided(&certificate)?;
                let _ = reply.send(());
            }
            AppMsg::Finalized {
                certificate,
                evidence,
                reply,
                ..
            } => {
                self.on_finalized(&certificate, &evidence)?;
                self.waiting = Some(Waiting::Next(reply));
            }
            AppMsg::ProcessSyncedValue {
                height,
                round,
                proposer,
                value_bytes,
                reply,
            } => {
                let _ = reply.send(self.synced_value(height.0, round, proposer, value_bytes)?);
            }
            AppMsg::GetHistoryMinHeight { reply } => {
                let _ = reply.send(Height(self.store.first()?.max(Height::INITIAL.0)));
            }
            AppMsg::GetDecidedValues { range, reply } => {
                let _ = reply.send(self.decided_values(range.start().0, range.end().0)?);
            }
            AppMsg::ExtendVote { reply, .. } => drop(reply.send(None)),
            AppMsg::VerifyVoteExtensions {
                extensions, reply, ..
            } => {
                let _ = reply.send(
                    extensions
                        .into_iter()
                        .map(|(address, ())| (address, Ok(())))
                        .collect(),
                );
            }
        }
        Ok(())
    }

    fn started_round(&mut self, height: u64, round: Round) -> Result<Vec<ProposedValue<Ctx>>, StoreError> {
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
    fn judge(&mut self, part: &Part, id: Hash) -> ProposedValue<Ctx> {
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
    fn value_to_propose(&mut self, height: u64, round: Round) -> Result<Option<Part>, StoreError> {
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
    fn part_to_restream(&self, height: u64, round: Round, id: &Hash) -> Result<Option<Part>, StoreError> {
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

    fn received_part(&mut self, part: &Part) -> Result<Option<ProposedValue<Ctx>>, StoreError> {
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

    fn on_decided(&mut self, certificate: &CommitCertificate<Ctx>) -> Result<(), EngineError> {
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
    fn on_finalized(
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

    fn misbehaved(
        &self,
        oracle: &Address,
        kind: &'static str,
        pair: &[SignedConsensusMsg<Ctx>],
    ) -> Result<(), StoreError> {
        self.metrics.evidence.get_or_create(&EvidenceLabel { kind }).inc();
        tracing::warn!(%oracle, kind, height = %pair[0].height(), "oracle signed two contradicting messages");
        self.store.put_evidence(&encode_evidence(pair))
    }

    /// A payload that the engine fetched from a peer, with a certificate that it has verified.
    fn synced_value(
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

    fn decided_values(&self, first: u64, last: u64) -> Result<Vec<RawDecidedValue<Ctx>>, StoreError> {
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

async fn publish(network: &Network, part: Part) {
    if network
        .send(NetworkMsg::PublishProposalPart(stream(part)))
        .await
        .is_err()
    {
        tracing::warn!("proposal part not published: the network task ended");
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970-01-01 UTC.
fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}
