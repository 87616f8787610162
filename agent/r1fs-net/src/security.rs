//! TLS or noise, whichever the other end has.

mod tls;

use std::{io, pin::Pin, sync::Arc};

use futures::{AsyncRead, AsyncWrite, future::Either};
use libp2p::{
    PeerId,
    core::{
        UpgradeInfo,
        upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade},
    },
    identity::Keypair,
    noise,
    tls::{Config as TlsConfig, TlsStream},
};
use rustls::ClientConfig;

use crate::{NetError, config::Security};

/// The offers of this node, the preferred first.
#[derive(Clone)]
pub(crate) struct Secure {
    /// How it accepts, and how it dials.
    tls: Option<(TlsConfig, Arc<ClientConfig>)>,
    noise: Option<noise::Config>,
}

type Secured<C> = (PeerId, Either<TlsStream<C>, noise::Output<C>>);
type Upgrading<C> = Pin<Box<dyn Future<Output = io::Result<Secured<C>>> + Send>>;

fn fault(error: &dyn std::fmt::Display) -> NetError {
    NetError::Setting {
        name: "security".into(),
        reason: error.to_string(),
    }
}

fn absent() -> io::Error {
    io::Error::other("not offered")
}

impl Secure {
    pub(crate) fn new(security: Security, key: &Keypair) -> Result<Self, NetError> {
        let tls = || {
            let accept = TlsConfig::new(key).map_err(|error| fault(&error))?;
            Ok((accept, tls::client(key).map_err(|error| fault(&error))?))
        };
        let noise = || noise::Config::new(key).map_err(|error| fault(&error));
        Ok(Self {
            tls: (security != Security::Noise).then(tls).transpose()?,
            noise: (security != Security::Tls).then(noise).transpose()?,
        })
    }

    fn tls_name(&self) -> Option<&'static str> {
        self.tls.as_ref()?.0.protocol_info().next()
    }
}

impl UpgradeInfo for Secure {
    type Info = &'static str;
    type InfoIter = std::vec::IntoIter<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        let noise = self.noise.as_ref().and_then(|noise| noise.protocol_info().next());
        let names: Vec<_> = self.tls_name().into_iter().chain(noise).collect();
        names.into_iter()
    }
}

impl<C> InboundConnectionUpgrade<C> for Secure
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Secured<C>;
    type Error = io::Error;
    type Future = Upgrading<C>;

    fn upgrade_inbound(self, socket: C, name: &'static str) -> Self::Future {
        Box::pin(async move {
            if self.tls_name() == Some(name) {
                let (accept, _) = self.tls.ok_or_else(absent)?;
                let done = accept.upgrade_inbound(socket, name).await;
                let (peer, stream) = done.map_err(io::Error::other)?;
                return Ok((peer, Either::Left(stream)));
            }
            let noise = self.noise.ok_or_else(absent)?;
            let done = noise.upgrade_inbound(socket, name).await;
            let (peer, stream) = done.map_err(io::Error::other)?;
            Ok((peer, Either::Right(stream)))
        })
    }
}

impl<C> OutboundConnectionUpgrade<C> for Secure
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Secured<C>;
    type Error = io::Error;
    type Future = Upgrading<C>;

    fn upgrade_outbound(self, socket: C, name: &'static str) -> Self::Future {
        Box::pin(async move {
            if self.tls_name() == Some(name) {
                let (_, dial) = self.tls.ok_or_else(absent)?;
                let (peer, stream) = tls::dial(dial, socket).await?;
                return Ok((peer, Either::Left(stream)));
            }
            let noise = self.noise.ok_or_else(absent)?;
            let done = noise.upgrade_outbound(socket, name).await;
            let (peer, stream) = done.map_err(io::Error::other)?;
            Ok((peer, Either::Right(stream)))
        })
    }
}
