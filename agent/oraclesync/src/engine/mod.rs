//! The agreement itself: Malachite's engine (Tendermint with write-ahead log, value sync and its own network)
//! driven by the application loop.

mod app_loop;
mod codec;
mod config;
mod context;
mod handle;
mod parts;
mod signing;

use std::{path::PathBuf, sync::Arc};

use arc_malachitebft_app_channel::{
    Channels, ConsensusContext, EngineBuilder, EngineHandle, NetworkContext, NetworkIdentity, RequestContext,
    SyncContext, WalContext,
    app::types::{Keypair, codec::Codec},
};
use arc_malachitebft_signing::Signer;
use tokio::sync::watch;

pub use config::{Config, Timing};
pub use handle::{Decided, Handle};

use self::{
    app_loop::AppLoop,
    codec::WireCodec,
    config::{EngineConfig, check_port, check_resolver, peer_id},
    context::{Address, OracleContext},
    signing::{OracleSigner, OracleVerifier},
};
use crate::{
    Application, KeyError, OracleKey, StoreError, ValidatorSet, application::Refusal, digest::Domain,
    store::Store,
};

/// Requests to the engine that may wait.
const REQUESTS: usize = 16;

/// Why the agreement did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The genesis is faulty.
    #[error(transparent)]
    Genesis(#[from] r1_core::GenesisError),
    /// A key is faulty.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// This node's key is not an oracle's.
    #[error("node {0} is not an oracle of the genesis")]
    NotAnOracle(r1_core::NodeAddress),
    /// An address cannot be used.
    #[error("consensus address {address:?}: {why}")]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// No name server is configured.
    #[error(
        "{0} names no server: the oracle engine cannot start without a \"nameserver\" line in it (any address \
         will do, it is not asked); add one, or bind such a file over it with BindReadOnlyPaths="
    )]
    Resolver(&'static str),
    /// A folder could not be made.
    #[error("folder {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The application cannot follow a decided block.
    #[error("decided height {height}: {source}")]
    Apply {
        /// The height.
        height: u64,
        /// Why not.
        source: Refusal,
    },
    /// The engine decided a value whose payload is not here.
    #[error("decided height {0}: its payload is not in the store")]
    PayloadMissing(u64),
    /// The engine did not start.
    #[error("consensus engine {moniker}: {why}")]
    Start {
        /// Its name.
        moniker: String,
        /// What it said.
        why: String,
    },
    /// The engine ended or hangs, as it does on purpose when its write-ahead log fails.
    #[error("consensus engine {moniker} ended: {why}")]
    Ended {
        /// Its name.
        moniker: String,
        /// What was noticed.
        why: &'static str,
    },
}

/// Starts the agreement. Decided blocks that the application has not applied are applied before this returns.
///
/// # Errors
/// [`EngineError`] if anything it needs is faulty; the message names it.
pub async fn spawn<A: Application>(config: Config, app: A) -> Result<Handle, EngineError> {
    config.genesis.validate()?;
    check_resolver()?;
    let set = ValidatorSet::from_genesis(&config.genesis)?;
    if set.by_node(&config.key.node()).is_none() {
        return Err(EngineError::NotAnOracle(config.key.node()));
    }
    check_port(&config.listen).await?;
    let domain = Domain::of(&config.genesis);
    let wal_dir = config.state_dir.join("wal");
    std::fs::create_dir_all(&wal_dir).map_err(|source| EngineError::Folder {
        path: wal_dir.clone(),
        source,
    })?;
    let store = Arc::new(Store::open(&config.state_dir.join("store"))?);
    let peer_height = Arc::new(watch::Sender::new(0));
    let mut app_loop = AppLoop::new(&config, domain, set, app, store, peer_height.subscribe());
    app_loop.replay()?;
    let (channels, engine) = build(&config, domain, &app_loop, WireCodec { peer_height }, wal_dir).await?;
    Ok(handle::run(config, app_loop, channels, engine))
}

async fn build<A: Application>(
    config: &Config,
    domain: Domain,
    app_loop: &AppLoop<A>,
    codec: WireCodec,
    wal_dir: PathBuf,
) -> Result<(Channels<OracleContext>, EngineHandle), EngineError> {
    let failed = |why: String| EngineError::Start {
        moniker: config.moniker.clone(),
        why,
    };
    let signer = OracleSigner {
        domain,
        key: config.key.clone(),
    };
    let identity = identity(config, &signer, &codec).await?;
    let address = Address(config.key.eth());
    let engine_config = EngineConfig::new(config)?;
    debug_assert_eq!(app_loop.own(), address.0);
    EngineBuilder::new(OracleContext, engine_config)
        .with_default_wal(WalContext::new(wal_dir.join("consensus.wal"), codec.clone()))
        .with_default_network(NetworkContext::new(identity, codec.clone()))
        .with_default_sync(SyncContext::new(codec))
        .with_default_consensus(ConsensusContext::new_validator(
            address,
            Box::new(OracleVerifier { domain }),
            Box::new(signer),
        ))
        .with_default_request(RequestContext::new(REQUESTS))
        .build()
        .await
        .map_err(|error| failed(format!("{error:#}")))
}

/// The network identity: the node's own key, with a proof that it is also the validator's.
async fn identity(
    config: &Config,
    signer: &OracleSigner,
    codec: &WireCodec,
) -> Result<NetworkIdentity, EngineError> {
    let failed = |why: String| EngineError::Start {
        moniker: config.moniker.clone(),
        why,
    };
    let keypair = keypair(&config.key)?;
    let node = config.key.node();
    let proof = signer
        .sign_validator_proof(node.as_compressed().to_vec(), peer_id(&node)?.to_bytes())
        .await
        .map_err(|error| failed(error.to_string()))?;
    let bytes = codec.encode(&proof).map_err(|error| failed(error.to_string()))?;
    let address = Address(config.key.eth()).to_string();
    Ok(NetworkIdentity::new_validator(
        config.moniker.clone(),
        keypair,
        address,
        bytes,
    ))
}

fn keypair(key: &OracleKey) -> Result<Keypair, EngineError> {
    let mut bytes: [u8; 32] = key.secret().to_bytes().into();
    let secret = libp2p_identity::secp256k1::SecretKey::try_from_bytes(&mut bytes)
        .map_err(|_| EngineError::Key(KeyError::Secret))?;
    Ok(Keypair::from(libp2p_identity::secp256k1::Keypair::from(secret)))
}
