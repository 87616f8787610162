//! A peer that writes whatever it likes onto Bitswap streams.

use std::io;

use async_trait::async_trait;
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, StreamExt as _};
use libp2p::{
    StreamProtocol, Swarm, SwarmBuilder, noise,
    request_response::{self, Behaviour, Event, Message, ProtocolSupport},
    swarm::SwarmEvent,
    tcp, yamux,
};
use r1_r1fs_net::{Multiaddr, PROTOCOLS, PeerId};
use tokio::sync::mpsc;

/// Requests are raw bytes, each on a stream of its own; there are no answers.
#[derive(Clone, Default)]
struct Codec;

#[async_trait]
impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = ();

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut first = vec![0; 1];
        io.read_exact(&mut first).await?;
        Ok(first)
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<()>
    where
        T: AsyncRead + Unpin + Send,
    {
        // The other end closes its side when it has read all of ours, or has had enough.
        let _ = io.read(&mut [0; 1]).await;
        Ok(())
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, _: &mut T, (): ()) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        Ok(())
    }
}

/// The peer.
pub struct Raw {
    pub peer: PeerId,
    pub address: Multiaddr,
    say: mpsc::UnboundedSender<(PeerId, Vec<u8>)>,
    heard: mpsc::UnboundedReceiver<PeerId>,
}

impl Raw {
    /// Starts it; with an address, it is connected there.
    pub async fn start(dial: Option<&Multiaddr>) -> Self {
        Self::with(ProtocolSupport::Full, dial).await
    }

    /// Starts one that takes no Bitswap stream.
    pub async fn deaf(dial: &Multiaddr) -> Self {
        Self::with(ProtocolSupport::Outbound, Some(dial)).await
    }

    async fn with(support: ProtocolSupport, dial: Option<&Multiaddr>) -> Self {
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(move |_| {
                let protocol = StreamProtocol::new(PROTOCOLS[0]);
                Behaviour::<Codec>::new([(protocol, support.clone())], request_response::Config::default())
            })
            .unwrap()
            .with_swarm_config(|config| {
                config.with_idle_connection_timeout(std::time::Duration::from_secs(60))
            })
            .build();
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        if let Some(dial) = dial {
            swarm.dial(dial.clone()).unwrap();
            while swarm.connected_peers().next().is_none() {
                swarm.select_next_some().await;
            }
        }
        let peer = *swarm.local_peer_id();
        let ((say, said), (hear, heard)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        tokio::spawn(run(swarm, said, hear));
        Self {
            peer,
            address,
            say,
            heard,
        }
    }

    /// Writes bytes onto a new stream.
    pub fn say(&self, peer: PeerId, bytes: Vec<u8>) {
        self.say.send((peer, bytes)).unwrap();
    }

    /// Waits until somebody opens a stream and writes to it.
    pub async fn heard(&mut self) -> PeerId {
        self.heard.recv().await.unwrap()
    }
}

async fn run(
    mut swarm: Swarm<Behaviour<Codec>>,
    mut said: mpsc::UnboundedReceiver<(PeerId, Vec<u8>)>,
    hear: mpsc::UnboundedSender<PeerId>,
) {
    loop {
        tokio::select! {
            event = swarm.select_next_some() => {
                if let SwarmEvent::Behaviour(Event::Message { peer, message: Message::Request { .. }, .. }) = event {
                    let _ = hear.send(peer);
                }
            }
            Some((peer, bytes)) = said.recv() => {
                swarm.behaviour_mut().send_request(&peer, bytes);
            }
            else => return,
        }
    }
}
