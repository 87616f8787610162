//! The application loop: answers the engine's questions, stores what it must not forget, and decides when heights
//! start.

mod decisions;
mod values;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use arc_malachitebft_app_channel::{
    AppMsg, NetworkMsg, Reply,
    app::{
        engine::host::{HeightParams, Next},
        types::LocallyProposedValue,
    },
};
use arc_malachitebft_core_types::Height as _;
use r1_core::EthAddress;
use tokio::sync::{Notify, mpsc, watch};

use super::{
    Config, Decided, EngineError, Timing,
    context::{Height, Members, OracleContext, Part, ValueId},
    parts::stream,
};
use crate::{
    Application, OracleKey, Store, ValidatorSet,
    digest::{Domain, keccak},
    metrics::Metrics,
    pacing::{Situation, Start, start},
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
