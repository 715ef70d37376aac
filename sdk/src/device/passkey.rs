//! Passkeys: what an authenticator answers, as `ERC7913WebAuthnVerifier` takes it.
//!
//! A passkey does not sign the hash a contract asks for, but an *assertion*: data of the
//! authenticator, and a JSON text of the browser in which the hash stands as the challenge
//! (W3C Web Authentication level 2, section 6.3.3). An [`Assertion`] is made from what
//! `navigator.credentials.get` gives, checked as the contract checks it, and encoded as the
//! signature that goes on chain. The user must have been verified (PIN, finger, face).

use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::{SolValue, sol};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::DeviceError;

/// Longest data of an authenticator and of a browser, in bytes: usual are 37 and 150.
const ASSERTION_BYTES_MAX: usize = 2 * 1024;
/// Where the flags are: behind the hash of the relying party.
const FLAGS_AT: usize = 32;
/// Shortest data of an authenticator: hash, flags, counter.
const AUTHENTICATOR_BYTES_MIN: usize = 37;
const FLAG_USER_PRESENT: u8 = 0x01;
const FLAG_USER_VERIFIED: u8 = 0x04;
const FLAG_BACKUP_ELIGIBLE: u8 = 0x08;
const FLAG_BACKED_UP: u8 = 0x10;
const TYPE: &str = "\"type\":\"webauthn.get\"";

sol! {
    /// As the verifier decodes a signature.
    struct WebAuthnAuth {
        bytes32 r;
        bytes32 s;
        uint256 challengeIndex;
        uint256 typeIndex;
        bytes authenticatorData;
        string clientDataJSON;
    }
}

/// What an authenticator answered to a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    authenticator_data: Vec<u8>,
    client_data: String,
    signature: Signature,
}

/// `AuthenticatorAssertionResponseJSON`: base64url without padding. Browsers put it into `response`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResponseJson {
    authenticator_data: String,
    #[serde(rename = "clientDataJSON")]
    client_data_json: String,
    signature: String,
}

#[derive(Deserialize)]
struct CredentialJson {
    response: ResponseJson,
}

impl Assertion {
    /// From the parts of an answer; the signature is DER, as authenticators give it, or r ‖ s.
    pub fn new(
        authenticator_data: Vec<u8>,
        client_data: String,
        signature: &[u8],
    ) -> Result<Self, DeviceError> {
        let is_too_long = authenticator_data.len() > ASSERTION_BYTES_MAX
            || client_data.len() > ASSERTION_BYTES_MAX;
        if is_too_long {
            return Err(DeviceError::BadAssertion("it is too long"));
        }
        let signature = p256_signature(signature).ok_or(DeviceError::BadAssertion(
            "its signature is neither DER nor 64 bytes r, s",
        ))?;
        Ok(Self {
            authenticator_data,
            client_data,
            signature,
        })
    }

    /// From the JSON of a browser: what `PublicKeyCredential.toJSON()` gives, or its `response`.
    pub fn from_json(text: &str) -> Result<Self, DeviceError> {
        let response = serde_json::from_str::<CredentialJson>(text)
            .map(|credential| credential.response)
            .or_else(|_| serde_json::from_str::<ResponseJson>(text));
        let response = response
            .map_err(|_| DeviceError::BadAssertion("it is not the JSON of an assertion"))?;
        let decode = |text: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
            bytes.map_err(|_| DeviceError::BadAssertion("a member is not base64url"))
        };
        let client_data = String::from_utf8(decode(&response.client_data_json)?)
            .map_err(|_| DeviceError::BadAssertion("clientDataJSON is no text"))?;
        let signature = decode(&response.signature)?;
        Self::new(
            decode(&response.authenticator_data)?,
            client_data,
            &signature,
        )
    }

    /// The signature that goes on chain.
    pub fn encode(&self, hash: B256) -> Result<Bytes, DeviceError> {
        let find = |text: &str, what| {
            let place = self.client_data.find(text);
            place.map(U256::from).ok_or(DeviceError::BadAssertion(what))
        };
        let (r, s) = self.signature.split_bytes();
        let auth = WebAuthnAuth {
            r: B256::from_slice(&r),
            s: B256::from_slice(&s),
            challengeIndex: find(&challenge_text(hash), "it answers another challenge")?,
            typeIndex: find(TYPE, "it is no answer to `get`")?,
            authenticatorData: self.authenticator_data.clone().into(),
            clientDataJSON: self.client_data.clone(),
        };
        // As a tuple in calldata: the members without an outer offset.
        Ok(auth.abi_encode_params().into())
    }

    /// Reads what [`Self::encode`] wrote; with the places of challenge and type.
    fn decode(signature: &[u8]) -> Option<(Self, usize, usize)> {
        if signature.len() > 4 * ASSERTION_BYTES_MAX {
            return None;
        }
        let auth = WebAuthnAuth::abi_decode_params(signature).ok()?;
        let signature = Signature::from_scalars(auth.r.0, auth.s.0).ok()?;
        let place = |index: U256| usize::try_from(index).ok();
        let (challenge, kind) = (place(auth.challengeIndex)?, place(auth.typeIndex)?);
        let assertion = Self {
            authenticator_data: auth.authenticatorData.to_vec(),
            client_data: auth.clientDataJSON,
            signature,
        };
        Some((assertion, challenge, kind))
    }

    /// The 32 bytes the authenticator signs.
    fn signed(&self) -> [u8; 32] {
        let client = Sha256::digest(self.client_data.as_bytes());
        Sha256::digest([self.authenticator_data.as_slice(), &client].concat()).into()
    }
}

/// Whether an encoded assertion is of this key and answers this hash, as the contract judges it.
pub(super) fn is_of(key: &[u8; 64], hash: B256, signature: &[u8]) -> bool {
    let Some((assertion, challenge, kind)) = Assertion::decode(signature) else {
        return false;
    };
    let stands_at = |text: &str, place: usize| {
        let rest = assertion.client_data.as_bytes().get(place..);
        rest.is_some_and(|rest| rest.starts_with(text.as_bytes()))
    };
    let flags = assertion.authenticator_data.get(FLAGS_AT).copied();
    let flags = flags.unwrap_or_default();
    let needed = FLAG_USER_PRESENT | FLAG_USER_VERIFIED;
    assertion.authenticator_data.len() >= AUTHENTICATOR_BYTES_MIN
        && stands_at(TYPE, kind)
        && stands_at(&challenge_text(hash), challenge)
        && flags & needed == needed
        && (flags & FLAG_BACKUP_ELIGIBLE != 0 || flags & FLAG_BACKED_UP == 0)
        && is_low(&assertion.signature)
        && verifying(key).is_some_and(|key| {
            key.verify_prehash(&assertion.signed(), &assertion.signature)
                .is_ok()
        })
}

/// How the browser writes the challenge.
fn challenge_text(hash: B256) -> String {
    format!("\"challenge\":\"{}\"", URL_SAFE_NO_PAD.encode(hash))
}

/// A signature in DER or as r ‖ s, with the lower of its two s: the chain takes no other.
pub(super) fn p256_signature(bytes: &[u8]) -> Option<Signature> {
    let signature = Signature::from_slice(bytes).or_else(|_| Signature::from_der(bytes));
    let signature = signature.ok()?;
    Some(signature.normalize_s().unwrap_or(signature))
}

pub(super) fn is_low(signature: &Signature) -> bool {
    signature.normalize_s().is_none()
}

pub(super) fn verifying(key: &[u8; 64]) -> Option<VerifyingKey> {
    VerifyingKey::from_sec1_bytes(&[&[4], key.as_slice()].concat()).ok()
}
