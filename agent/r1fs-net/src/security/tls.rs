//! TLS that prefers AES-GCM (libp2p TLS 1.0.0).
//!
//! libp2p's own configuration offers ChaCha20-Poly1305 first, which costs processors with AES instructions about three
//! times as much. Who dials decides, so only that side is made here: the same certificate, the same checks, another
//! order of ciphers.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use futures::{AsyncRead, AsyncWrite};
use futures_rustls::TlsConnector;
use libp2p::{
    PeerId,
    identity::Keypair,
    tls::{self, certificate},
};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring::{self, cipher_suite},
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::TLS13,
};

/// One self-signed certificate that carries a signature of the peer's key.
#[derive(Debug)]
struct PeerCertificate;

impl ServerCertVerifier for PeerCertificate {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !more.is_empty() {
            return Err(Error::General("more than one certificate".into()));
        }
        certificate::parse(certificate)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not offered".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = certificate::parse(certificate)?;
        certificate.verify_signature(signed.scheme, message, signed.signature())?;
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        // What libp2p's own verifier takes, but for RSA PKCS 1, which TLS 1.3 does not allow here.
        vec![
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA256,
        ]
    }
}

/// How this node dials.
pub(super) fn client(key: &Keypair) -> Result<Arc<ClientConfig>, String> {
    // Its certificate is taken over.
    let usual = tls::make_client_config(key, None).map_err(|error| error.to_string())?;
    let mut provider = ring::default_provider();
    provider.cipher_suites = vec![
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    let mut config = ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PeerCertificate))
        .with_client_cert_resolver(usual.client_auth_cert_resolver);
    config.alpn_protocols = usual.alpn_protocols;
    Ok(Arc::new(config))
}

/// The handshake of the side that dialled: who answered, proven by its certificate.
pub(super) async fn dial<C>(config: Arc<ClientConfig>, socket: C) -> io::Result<(PeerId, tls::TlsStream<C>)>
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // An address instead of a name: nothing is sent as server name.
    let nowhere = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into());
    let stream = TlsConnector::from(config).connect(nowhere, socket).await?;
    let (_, state) = stream.get_ref();
    let Some([own]) = state.peer_certificates() else {
        return Err(io::Error::other("not exactly one certificate"));
    };
    let peer = certificate::parse(own).map_err(io::Error::other)?.peer_id();
    Ok((peer, stream.into()))
}

#[cfg(test)]
mod tests {
    use futures::{AsyncReadExt as _, AsyncWriteExt as _};
    use libp2p::core::{UpgradeInfo as _, upgrade::InboundConnectionUpgrade as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair() -> (libp2p::tcp::tokio::TcpStream, libp2p::tcp::tokio::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (dialled, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let wrap = libp2p::tcp::tokio::TcpStream;
        (wrap(dialled.unwrap()), wrap(accepted.unwrap().0))
    }

    #[tokio::test]
    async fn libp2ps_own_listener_is_known_by_its_key_and_agrees_to_aes() {
        let (ours, theirs) = (Keypair::generate_ed25519(), Keypair::generate_secp256k1());
        let listener = tls::Config::new(&theirs).unwrap();
        let name = listener.protocol_info().next().unwrap();
        let (near, far) = pair().await;
        let dialled = dial(client(&ours).unwrap(), near);
        let (dialled, accepted) = tokio::join!(dialled, listener.upgrade_inbound(far, name));
        let ((who, mut near), (seen, mut far)) = (dialled.unwrap(), accepted.unwrap());
        assert_eq!(who, theirs.public().to_peer_id());
        assert_eq!(seen, ours.public().to_peer_id());
        let suite = near.get_ref().1.negotiated_cipher_suite().unwrap();
        assert_eq!(suite.suite(), rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
        near.write_all(b"hello").await.unwrap();
        near.flush().await.unwrap();
        let mut read = [0; 5];
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"hello");
    }

    #[test]
    fn certificates_without_a_peers_signature_are_refused() {
        let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into());
        let check = |certificate: &CertificateDer<'_>, more: &[CertificateDer<'_>]| {
            PeerCertificate.verify_server_cert(certificate, more, &name, &[], UnixTime::now())
        };
        let (good, _) = certificate::generate(&Keypair::generate_ed25519()).unwrap();
        check(&good, &[]).unwrap();
        assert!(check(&good, std::slice::from_ref(&good)).is_err());
        let mut changed = good.to_vec();
        let last = changed.len() - 1;
        changed[last] ^= 1;
        assert!(check(&changed.into(), &[]).is_err());
        assert!(check(&vec![0x30, 0].into(), &[]).is_err());
    }
}
