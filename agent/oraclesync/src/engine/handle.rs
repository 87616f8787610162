//! The agreement as r1d holds it: a thread with the application loop, the engine's tasks, and a watchdog.

use std::{sync::Arc, time::Duration};

use arc_malachitebft_app_channel::{Channels, ConsensusRequest, EngineHandle};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{sleep, timeout},
};

use super::{Config, EngineError, app_loop::AppLoop, context::OracleContext};
use crate::{Application, DecidedBlock, StoreError, store::Store};

/// How long the engine's actors may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The last decided height, as [`Handle::subscribe`] shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decided {
    /// The height; 0 before the first.
    pub height: u64,
    /// The round in which it was decided.
    pub round: u32,
    /// Signatures in its certificate.
    pub signers: usize,
    /// How long the decision took here; `None` if it was fetched from a peer or decided before the start.
    pub decide_ms: Option<u64>,
}

/// A running agreement. Dropping it does not stop it; [`Handle::stop`] does.
#[derive(Debug)]
pub struct Handle {
    hint: Arc<Notify>,
    stop: Arc<Notify>,
    decided: watch::Receiver<Decided>,
    ended: watch::Receiver<Option<Arc<EngineError>>>,
    finished: watch::Receiver<bool>,
    store: Arc<Store>,
}

impl Handle {
    /// Says that the application may have something to decide now.
    pub fn hint_work(&self) {
        self.hint.notify_one();
    }

    /// The last decided height, 0 before the first.
    pub fn tip(&self) -> u64 {
        self.decided.borrow().height
    }

    /// Decided blocks from a height on, in order, at most `max` (and [`crate::MAX_DECIDED_PER_ANSWER`]).
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn decided(&self, from: u64, max: usize) -> Result<Vec<DecidedBlock>, StoreError> {
        self.store.decided(from, max)
    }

    /// The store, for readers of certificates and evidence.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Shows each decided height. A slow reader sees the latest only: read the heights between with
    /// [`Handle::decided`].
    pub fn subscribe(&self) -> watch::Receiver<Decided> {
        self.decided.clone()
    }

    /// Waits until the agreement ends by itself, which it should not: the process should then exit and be started
    /// again.
    pub fn ended(&self) -> impl Future<Output = Arc<EngineError>> + Send + use<> {
        let mut ended = self.ended.clone();
        async move {
            loop {
                if let Some(error) = ended.borrow_and_update().clone() {
                    return error;
                }
                if ended.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Stops the agreement and waits until its port and folder are free again.
    pub async fn stop(self) {
        self.stop.notify_one();
        let mut finished = self.finished.clone();
        while !*finished.borrow_and_update() {
            if finished.changed().await.is_err() {
                break;
            }
        }
    }
}

/// Runs the loop on a thread of its own, so that its fsyncs delay no one else's tasks.
pub(super) fn run<A: Application>(
    config: Config,
    app_loop: AppLoop<A>,
    channels: Channels<OracleContext>,
    engine: EngineHandle,
) -> Handle {
    let (hint, stop) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (ended_tx, ended) = watch::channel(None);
    let (finished_tx, finished) = watch::channel(false);
    let (store, decided) = (app_loop.store(), app_loop.decided());
    let Channels {
        consensus,
        network,
        requests,
        ..
    } = channels;
    let (result_tx, result_rx) = mpsc::channel(1);
    let thread = {
        let (hint, stop) = (Arc::clone(&hint), Arc::clone(&stop));
        std::thread::Builder::new()
            .name("oraclesync".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build();
                let result = match runtime {
                    Ok(runtime) => runtime.block_on(app_loop.run(consensus, network, hint, stop)),
                    Err(_) => Err(EngineError::Start {
                        moniker: String::new(),
                        why: "no runtime".to_owned(),
                    }),
                };
                // Nobody waits any more once the process ends.
                let _ = result_tx.blocking_send(result);
            })
    };
    if thread.is_err() {
        let error = EngineError::Start {
            moniker: config.moniker.clone(),
            why: "no thread".to_owned(),
        };
        let _ = ended_tx.send(Some(Arc::new(error)));
    }
    tokio::spawn(supervise(
        config,
        engine,
        requests,
        result_rx,
        ended_tx,
        finished_tx,
    ));
    Handle {
        hint,
        stop,
        decided,
        ended,
        finished,
        store,
    }
}

/// Waits for the loop or the engine to end, asks the engine for signs of life, and takes everything down.
async fn supervise(
    config: Config,
    mut engine: EngineHandle,
    requests: mpsc::Sender<ConsensusRequest<OracleContext>>,
    mut result: mpsc::Receiver<Result<(), EngineError>>,
    ended: watch::Sender<Option<Arc<EngineError>>>,
    finished: watch::Sender<bool>,
) {
    let gone = |why| EngineError::Ended {
        moniker: config.moniker.clone(),
        why,
    };
    let error = tokio::select! {
        result = result.recv() => match result {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(error),
            None => Some(gone("the application loop panicked")),
        },
        _ = &mut engine.handle => Some(gone("its supervisor stopped")),
        () = silent(&requests, config.timing.watchdog) => Some(gone("it gives no sign of life")),
    };
    if let Some(error) = error {
        tracing::error!(moniker = %config.moniker, %error, "the agreement ended");
        ended.send_replace(Some(Arc::new(error)));
    }
    engine
        .actor
        .stop_children_and_wait(None, Some(STOP_TIMEOUT))
        .await;
    engine.actor.stop(None);
    let stopped = engine.handle.is_finished() || timeout(STOP_TIMEOUT, &mut engine.handle).await.is_ok();
    if !stopped {
        tracing::warn!(moniker = %config.moniker, "the consensus engine did not stop in time");
    }
    // With its sender gone the loop ends, if it has not yet, and releases the store.
    drop(requests);
    while result.recv().await.is_some() {}
    finished.send_replace(true);
}

/// Returns when the engine no longer answers.
async fn silent(requests: &mpsc::Sender<ConsensusRequest<OracleContext>>, every: Duration) {
    loop {
        sleep(every).await;
        match timeout(every, ConsensusRequest::dump_state(requests)).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
