//! Names in bootstrap addresses, resolved by the system's resolver: libp2p's own one carries a library with open
//! advisories.

use std::{io, time::Duration};

use libp2p::{Multiaddr, multiaddr::Protocol};

/// How long the system may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// What a name at the start of an address may resolve to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    Any,
}

/// The name at the start of an address, if there is one.
fn name(address: &Multiaddr) -> Option<(String, Family)> {
    match address.iter().next()? {
        Protocol::Dns4(name) => Some((name.into_owned(), Family::V4)),
        Protocol::Dns6(name) => Some((name.into_owned(), Family::V6)),
        Protocol::Dns(name) => Some((name.into_owned(), Family::Any)),
        _ => None,
    }
}

/// True if the address starts with a name.
pub(crate) fn is_named(address: &Multiaddr) -> bool {
    name(address).is_some()
}

/// The addresses behind an address that starts with a name.
pub(crate) async fn resolve(address: &Multiaddr) -> io::Result<Vec<Multiaddr>> {
    let Some((name, family)) = name(address) else {
        return Ok(vec![address.clone()]);
    };
    let looked_up = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name.as_str(), 0)));
    let found = looked_up
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let fits = |ip: &std::net::IpAddr| match family {
        Family::V4 => ip.is_ipv4(),
        Family::V6 => ip.is_ipv6(),
        Family::Any => true,
    };
    let rest = |ip| {
        std::iter::once(Protocol::from(ip))
            .chain(address.iter().skip(1))
            .collect()
    };
    Ok(found
        .map(|socket| socket.ip())
        .filter(fits)
        .take(MAX_ADDRESSES)
        .map(rest)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_is_this_machine() {
        let address: Multiaddr = "/dns4/localhost/tcp/9000".parse().unwrap();
        assert!(is_named(&address));
        let wanted: Multiaddr = "/ip4/127.0.0.1/tcp/9000".parse().unwrap();
        assert!(resolve(&address).await.unwrap().contains(&wanted));
    }

    #[tokio::test]
    async fn an_address_without_name_stays_and_a_wrong_name_is_an_error() {
        let plain: Multiaddr = "/ip4/127.0.0.1/udp/9/quic-v1".parse().unwrap();
        assert!(!is_named(&plain));
        assert_eq!(resolve(&plain).await.unwrap(), [plain]);
        let wrong: Multiaddr = "/dns4/no-such-host.invalid/tcp/1".parse().unwrap();
        assert!(resolve(&wrong).await.map_or(true, |found| found.is_empty()));
    }
}
