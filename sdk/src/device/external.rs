//! Device keys that leave their chip never: secure elements, passkeys.
//!
//! A [`DeviceSigner`] is asked for a signature over 32 bytes. [`CommandDevice`] asks a program, which
//! is how any chip with a command-line tool is used. What comes back is checked before it is used.

use std::fmt;

use alloy_primitives::{B256, Bytes};
use serde_json::json;

use super::passkey::{Assertion, p256_signature};
use super::{DeviceError, DeviceKind, DevicePublic};
use crate::wallet::Program;

/// Holds a device's key that this process never sees.
pub trait DeviceSigner: fmt::Debug + Send + Sync {
    /// The key's public part.
    fn public(&self) -> DevicePublic;

    /// Signs 32 bytes: 65 bytes r, s, v for an account; 64 for ed25519; DER or r ‖ s for P-256; an
    /// encoded [`Assertion`] for a passkey. May take as long as a person needs.
    fn sign(&self, hash: B256) -> Result<Bytes, DeviceError>;
}

/// Asks a program: one line of JSON on its standard input (`kind` "device", `publicKey`, `digest`
/// and for passkeys `challenge`), the signature in hex on its standard output; of a passkey the
/// JSON of the assertion.
#[derive(Debug, Clone)]
pub struct CommandDevice {
    program: Program,
    public: DevicePublic,
}

impl CommandDevice {
    /// A command line, split at white space, that signs with the key of this public part.
    pub fn new(command: &str, public: DevicePublic) -> Result<Self, DeviceError> {
        let program = Program::new(command)?;
        Ok(Self { program, public })
    }
}

impl DeviceSigner for CommandDevice {
    fn public(&self) -> DevicePublic {
        self.public
    }

    fn sign(&self, hash: B256) -> Result<Bytes, DeviceError> {
        use base64::Engine as _;
        let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash);
        let request = json!({
            "kind": "device",
            "publicKey": self.public.to_string(),
            "digest": hash,
            "challenge": challenge,
        });
        let answer = self.program.ask(&request)?;
        let answer = answer.trim();
        if self.public.kind() == DeviceKind::Passkey && answer.starts_with('{') {
            return Assertion::from_json(answer)?.encode(hash);
        }
        let digits = answer.strip_prefix("0x").unwrap_or(answer);
        let failed = |reason| DeviceError::Wallet(self.program.failed(reason));
        let bytes =
            hex::decode(digits).map_err(|_| failed("it did not answer with a signature in hex"))?;
        Ok(bytes.into())
    }
}

/// A signature that came from outside, in the form the chain takes; refused if it is of another key.
pub(super) fn checked(
    public: &DevicePublic,
    hash: B256,
    signature: Bytes,
) -> Result<Bytes, DeviceError> {
    let signature = match public {
        DevicePublic::P256(_) => p256_signature(&signature)
            .map(|signature| signature.to_bytes().to_vec().into())
            .unwrap_or(signature),
        _ => signature,
    };
    if super::verify::is_of(public, hash, &signature) {
        Ok(signature)
    } else {
        Err(DeviceError::NotItsSignature)
    }
}
