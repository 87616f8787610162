//! Which stream protocols are taken and asked for. The stream itself is the outcome.

use std::{convert::Infallible, future::Ready};

use libp2p::{InboundUpgrade, OutboundUpgrade, Stream, StreamProtocol, core::UpgradeInfo};

use crate::message::PROTOCOLS;

/// Takes every version that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inbound;

/// Asks for the version that is spoken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outbound;

impl UpgradeInfo for Inbound {
    type Info = StreamProtocol;
    type InfoIter = [StreamProtocol; 3];

    fn protocol_info(&self) -> Self::InfoIter {
        PROTOCOLS.map(StreamProtocol::new)
    }
}

impl UpgradeInfo for Outbound {
    type Info = StreamProtocol;
    type InfoIter = [StreamProtocol; 1];

    fn protocol_info(&self) -> Self::InfoIter {
        [StreamProtocol::new(PROTOCOLS[0])]
    }
}

impl InboundUpgrade<Stream> for Inbound {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        std::future::ready(Ok(stream))
    }
}

impl OutboundUpgrade<Stream> for Outbound {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        std::future::ready(Ok(stream))
    }
}
