//! Mutual TLS between node and enclave: version 1.3 only, each side proves an ed25519 key that
//! the other names in its configuration.
//!
//! The keys are raw public keys (RFC 7250), not certificates: a pinned certificate says no more
//! than the key in it, and would have to be made anew when it expires. Every connection proves
//! both keys: there is no resumption and no early data. Keys are agreed by X25519 together with
//! ML-KEM-768, so that traffic recorded today stays closed to a quantum computer.
//!
//! Payloads in clear pass through this library's buffers, which are not zeroised.

use super::link::{Timed, Wire};
use crate::limits::{DRAIN_TIME_MAX, DRAINED_BYTES_MAX};
use crate::secret::{self, Secret};
use crate::{EnclaveError, key_files};
use medina_types::{NodePublicKey, NodeSecretKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName,
    Error, PeerIncompatible, ServerConfig, ServerConnection, SignatureScheme, StreamOwned,
};
use std::fmt;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Shutdown};
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What stands before an ed25519 seed in PKCS #8 (RFC 8410, section 7).
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// What stands before an ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410, section 4).
const SPKI_HEAD: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// Keys that one side may pin.
const PEERS_MAX: usize = 64;

/// The key by which one side of a TLS connection proves itself.
#[derive(Clone)]
pub struct TlsKey {
    public: NodePublicKey,
    certified: Arc<CertifiedKey>,
}

impl TlsKey {
    /// Makes a key in a new file that only its owner may read.
    ///
    /// # Errors
    /// [`EnclaveError::KeyFile`], also if the file is there already.
    pub fn make(path: &Path) -> Result<Self, EnclaveError> {
        if path.exists() {
            let reason = "it exists; remove it first if the key is to be replaced";
            return Err(EnclaveError::key_file(path, reason));
        }
        let path = std::path::absolute(path).map_err(|e| EnclaveError::key_file(path, e))?;
        let secret = secret::random().map_err(|reason| EnclaveError::key_file(&path, reason))?;
        key_files::write(&path, &secret)?;
        Self::of(&path, &secret)
    }

    /// Reads a key from a file that nobody else may read.
    ///
    /// # Errors
    /// [`EnclaveError::KeyFile`].
    pub fn load(path: &Path) -> Result<Self, EnclaveError> {
        Self::of(path, &key_files::read(path)?)
    }

    fn of(path: &Path, secret: &Secret) -> Result<Self, EnclaveError> {
        let public = NodeSecretKey::from_bytes(*secret.expose()).public_key();
        let encoded = Zeroizing::new([PKCS8_HEAD.as_slice(), secret.expose()].concat());
        let encoded = PrivatePkcs8KeyDer::from(encoded.as_slice());
        let key = aws_lc_rs::sign::any_eddsa_type(&encoded)
            .map_err(|error| EnclaveError::key_file(path, error))?;
        let public_bytes = CertificateDer::from(spki(&public));
        Ok(Self {
            public,
            certified: Arc::new(CertifiedKey::new(vec![public_bytes], key)),
        })
    }

    /// What the other side pins.
    #[must_use]
    pub fn public(&self) -> NodePublicKey {
        self.public
    }
}

impl fmt::Debug for TlsKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TlsKey(of {})", self.public)
    }
}

fn spki(key: &NodePublicKey) -> Vec<u8> {
    [SPKI_HEAD.as_slice(), &key.0].concat()
}

fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
        ..aws_lc_rs::default_provider()
    }
}

/// The node's side: proves `key`, talks to the holder of `peer` only.
pub(super) fn client(key: &TlsKey, peer: NodePublicKey) -> Result<Arc<ClientConfig>, EnclaveError> {
    let resolver = AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&key.certified));
    let provider = Arc::new(provider());
    let pinned = Pinned::new(&provider, &[peer])?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(pinned)
        .with_client_cert_resolver(Arc::new(resolver));
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(Arc::new(config))
}

/// The enclave's side: proves `key`, serves the holders of `peers` only.
pub(super) fn server(
    key: &TlsKey,
    peers: &[NodePublicKey],
) -> Result<Arc<ServerConfig>, EnclaveError> {
    let resolver = AlwaysResolvesServerRawPublicKeys::new(Arc::clone(&key.certified));
    let provider = Arc::new(provider());
    let pinned = Pinned::new(&provider, peers)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(pinned)
        .with_cert_resolver(Arc::new(resolver));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn unusable(error: Error) -> EnclaveError {
    EnclaveError::BadRequest(format!("TLS cannot be set up: {error}"))
}

/// Accepts the keys that the configuration names.
#[derive(Debug)]
struct Pinned {
    /// Their `SubjectPublicKeyInfo`.
    keys: Vec<Vec<u8>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    fn new(provider: &CryptoProvider, peers: &[NodePublicKey]) -> Result<Arc<Self>, EnclaveError> {
        if peers.is_empty() {
            let reason = "name at least one key of the other side: nobody else is answered";
            return Err(EnclaveError::BadRequest(reason.into()));
        }
        if peers.len() > PEERS_MAX {
            return Err(EnclaveError::too_large(
                "pinned keys",
                peers.len(),
                PEERS_MAX,
            ));
        }
        Ok(Arc::new(Self {
            keys: peers.iter().map(spki).collect(),
            algorithms: provider.signature_verification_algorithms,
        }))
    }

    fn check_key(&self, key: &[u8], others: &[CertificateDer<'_>]) -> Result<(), Error> {
        if others.is_empty() && self.keys.iter().any(|pinned| pinned == key) {
            return Ok(());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn check_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        rustls::crypto::verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }
}

/// Version 1.2 is never offered.
fn version_refused() -> Error {
    PeerIncompatible::Tls12NotOffered.into()
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check_key(end_entity, intermediates)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(version_refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check_key(end_entity, intermediates)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(version_refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Shows the node's key to the enclave and looks at the enclave's; ends in the time of `timed`.
pub(super) fn connect(
    config: Arc<ClientConfig>,
    mut timed: Timed,
) -> io::Result<StreamOwned<ClientConnection, Timed>> {
    // Who it is says its key; a name is neither sent nor looked at.
    let nobody = ServerName::from(std::net::IpAddr::from(Ipv4Addr::UNSPECIFIED));
    let mut connection = ClientConnection::new(config, nobody).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut timed)?;
    }
    Ok(StreamOwned::new(connection, timed))
}

/// The same from the enclave's side: when this returns, the node has proved its key.
pub(super) fn accept(
    config: Arc<ServerConfig>,
    mut timed: Timed,
    wire: &Wire,
) -> io::Result<StreamOwned<ServerConnection, Timed>> {
    let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        if let Err(error) = connection.complete_io(&mut timed) {
            drain(timed, wire);
            return Err(error);
        }
    }
    Ok(StreamOwned::new(connection, timed))
}

/// Reads what is still on its way, or the system would take the alert back that says why.
fn drain(mut timed: Timed, wire: &Wire) {
    let _ = wire.shutdown(Shutdown::Write);
    if timed.within(Some(DRAIN_TIME_MAX)).is_ok() {
        let _ = io::copy(&mut timed.take(DRAINED_BYTES_MAX), &mut io::sink());
    }
}

/// Why the other side will not be reached the next time either, if so.
pub(super) fn refusal(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    match error {
        Error::InvalidCertificate(_) => {
            Some("its key is not the pinned one: it is not answered".into())
        }
        Error::AlertReceived(alert) => Some(format!(
            "it refused this side ({alert:?}): does it pin this side's key?"
        )),
        Error::PeerIncompatible(_) | Error::PeerMisbehaved(_) => {
            Some(format!("it is no enclave of this version: {error}"))
        }
        _ => None,
    }
}
