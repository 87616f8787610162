//! The network as files see it: whom to ask for an object, and asking them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use r1_net::{PeerId, peer_id};
use r1_r1fs::{
    Cid,
    durability::rank,
    exchange::{Exchange, Missing, Session},
};
use r1_r1fs_net::{FetchError, Handle};
use tokio::{sync::OnceCell, time::timeout};

use super::members::Members;
use crate::clock::now_ms;

/// Members that are asked first, best ranked ones.
const ASKED: usize = 32;
/// How long the table of providers may take.
const PROVIDERS: Duration = Duration::from_secs(10);

/// The file plane's network.
pub(super) struct Network {
    net: Handle,
    members: Arc<Mutex<Members>>,
}

impl Network {
    pub(super) fn new(net: Handle, members: Arc<Mutex<Members>>) -> Self {
        Self { net, members }
    }

    /// Who may have an object: members in the order in which they are asked to keep it, then whoever is connected.
    fn candidates(&self, root: &Cid) -> Vec<PeerId> {
        let mut candidates = Vec::new();
        let live = self
            .members
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .live(now_ms());
        let ranked = rank(root, &live).into_iter().take(ASKED);
        candidates.extend(ranked.map(|member| peer_id(&member.node)));
        for peer in self.net.peers() {
            if !candidates.contains(&peer) {
                candidates.push(peer);
            }
        }
        candidates
    }
}

#[async_trait]
impl Exchange for Network {
    async fn session(&self, root: &Cid) -> Arc<dyn Session> {
        asking(&self.net, self.candidates(root), root).await
    }
}

/// A session with these peers, and with providers when they have not got it.
pub(super) async fn asking(net: &Handle, candidates: Vec<PeerId>, root: &Cid) -> Arc<dyn Session> {
    Arc::new(Asking {
        first: net.session(candidates.clone()).await,
        candidates,
        net: net.clone(),
        root: *root,
        providers: OnceCell::new(),
    })
}

/// A session with members and connected peers, and, when they have it not, with the providers that are found.
struct Asking {
    first: r1_r1fs_net::Session,
    candidates: Vec<PeerId>,
    net: Handle,
    root: Cid,
    providers: OnceCell<Option<r1_r1fs_net::Session>>,
}

impl Asking {
    async fn providers(&self) -> Option<r1_r1fs_net::Session> {
        let found = timeout(PROVIDERS, self.net.find_providers(self.root)).await;
        let mut found = found.ok()?.ok()?;
        found.retain(|peer| !self.candidates.contains(peer));
        if found.is_empty() {
            return None;
        }
        Some(self.net.session(found).await)
    }
}

fn missing(error: FetchError) -> Missing {
    let cid = *match &error {
        FetchError::Missing { cid, .. } | FetchError::Hash { cid } | FetchError::Closed { cid } => cid,
    };
    let asked = match error {
        FetchError::Missing { asked, .. } => asked.iter().map(ToString::to_string).collect(),
        FetchError::Hash { .. } | FetchError::Closed { .. } => Vec::new(),
    };
    Missing { cid, asked }
}

#[async_trait]
impl Session for Asking {
    async fn get(&self, cid: &Cid) -> Result<Bytes, Missing> {
        let first = match self.first.get(*cid).await {
            Ok(data) => return Ok(data),
            Err(error) => missing(error),
        };
        let providers = self.providers.get_or_init(|| self.providers()).await;
        let Some(providers) = providers else {
            return Err(first);
        };
        providers.get(*cid).await.map_err(|error| {
            let mut all = missing(error);
            all.asked.splice(0..0, first.asked);
            all
        })
    }

    fn asked(&self) -> Vec<String> {
        self.candidates.iter().map(ToString::to_string).collect()
    }
}
