//! One account: an address and the key that signs for it.

use std::fmt;
use std::sync::Arc;

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, ChainId, Signature};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{Eip712Domain, SolStruct};
use zeroize::Zeroizing;

use super::WalletError;
use super::external::{ExternalSigner, SigningRequest, TypedRequest};

/// An account that can sign. `Debug` shows the address only.
#[derive(Clone)]
pub struct Account {
    key: Key,
}

#[derive(Clone)]
enum Key {
    Local(PrivateKeySigner),
    External(Arc<dyn ExternalSigner>),
}

/// A transaction ready to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTransaction {
    /// What its receipt is found by.
    pub hash: B256,
    /// The EIP-2718 bytes for `eth_sendRawTransaction`.
    pub raw: Bytes,
}

impl Account {
    pub(super) fn from_signer(signer: PrivateKeySigner) -> Self {
        Self {
            key: Key::Local(signer),
        }
    }

    /// An account whose key is kept elsewhere.
    pub fn external(signer: impl ExternalSigner + 'static) -> Self {
        Self {
            key: Key::External(Arc::new(signer)),
        }
    }

    /// A new key from the operating system's randomness.
    pub fn random() -> Result<Self, WalletError> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        // About one draw in 2^128 is no key; a second one is.
        for _ in 0..4 {
            getrandom::fill(bytes.as_mut_slice()).map_err(|_| WalletError::NoRandomness)?;
            if let Ok(account) = Self::from_bytes(&bytes) {
                return Ok(account);
            }
        }
        Err(WalletError::NoRandomness)
    }

    /// Reads a private key in hex, with or without `0x`.
    pub fn from_private_key(text: &str) -> Result<Self, WalletError> {
        let digits = text.trim();
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        let mut bytes = Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(digits, bytes.as_mut_slice())
            .map_err(|_| WalletError::BadPrivateKey)?;
        Self::from_bytes(&bytes)
    }

    /// Takes a private key as bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, WalletError> {
        let signer = PrivateKeySigner::from_slice(bytes).map_err(|_| WalletError::BadPrivateKey)?;
        Ok(Self::from_signer(signer))
    }

    /// The private key, for export and keystores; the copy is overwritten when dropped. An error
    /// where the key is kept elsewhere.
    pub fn to_bytes(&self) -> Result<Zeroizing<[u8; 32]>, WalletError> {
        match &self.key {
            Key::Local(signer) => Ok(Zeroizing::new(signer.to_bytes().0)),
            Key::External(_) => Err(WalletError::KeyElsewhere(self.address())),
        }
    }

    /// Who it is.
    pub fn address(&self) -> Address {
        match &self.key {
            Key::Local(signer) => signer.address(),
            Key::External(signer) => signer.address(),
        }
    }

    /// Signs an EIP-1559 transaction as it stands.
    pub fn sign_transaction(&self, tx: TxEip1559) -> Result<SignedTransaction, WalletError> {
        let signature = self.sign(&SigningRequest::Transaction(&tx))?;
        let signed = tx.into_signed(signature);
        let raw = alloy_consensus::TxEnvelope::from(signed.clone()).encoded_2718();
        Ok(SignedTransaction {
            hash: *signed.hash(),
            raw: raw.into(),
        })
    }

    /// Signs a message as `personal_sign` does (EIP-191).
    pub fn sign_message(&self, message: &[u8]) -> Result<Signature, WalletError> {
        self.sign(&SigningRequest::Message(message))
    }

    /// Signs a struct of a contract's (EIP-712).
    pub fn sign_typed<T: SolStruct>(
        &self,
        payload: &T,
        domain: &Eip712Domain,
    ) -> Result<Signature, WalletError> {
        let typed = TypedRequest {
            domain_separator: domain.separator(),
            struct_hash: payload.eip712_hash_struct(),
            type_text: T::eip712_encode_type().into(),
            members: payload.eip712_encode_data(),
        };
        self.sign(&SigningRequest::TypedData(&typed))
    }

    /// Signs typed data in the JSON of `eth_signTypedData_v4` (EIP-712).
    pub fn sign_typed_json(&self, json: &str) -> Result<Signature, WalletError> {
        let payload = serde_json::from_str(json)
            .map_err(|error| WalletError::BadTypedData(error.to_string()))?;
        self.sign_dynamic_typed_data_sync(&payload)
            .map_err(|error| WalletError::BadTypedData(error.to_string()))
    }

    /// Signs a hash that was made by a rule the caller answers for.
    pub fn sign_hash(&self, hash: B256) -> Result<Signature, WalletError> {
        self.sign(&SigningRequest::Hash(hash))
    }

    /// Signs, and makes sure that it is this account's signature.
    fn sign(&self, request: &SigningRequest<'_>) -> Result<Signature, WalletError> {
        let digest = request.digest();
        match &self.key {
            Key::Local(signer) => signer
                .sign_hash_sync(&digest)
                .map_err(|_| WalletError::Sign),
            Key::External(signer) => {
                let signature = signer.sign(request)?;
                let found = signature
                    .recover_address_from_prehash(&digest)
                    .map_err(|_| WalletError::BadSignature)?;
                if found == signer.address() {
                    Ok(signature)
                } else {
                    let expected = signer.address();
                    let reason = format!("the signature is of {found}, not of {expected}");
                    Err(WalletError::External(reason))
                }
            }
        }
    }

    /// The signer's address in front of a signature: the form of the contracts' signatures where
    /// no argument names the signer.
    pub fn packed(&self, signature: &Signature) -> Bytes {
        [self.address().as_slice(), &signature.as_bytes()]
            .concat()
            .into()
    }
}

/// For typed data that are only known at run time; the rest is above.
impl SignerSync for Account {
    fn sign_hash_sync(&self, hash: &B256) -> alloy_signer::Result<Signature> {
        self.sign_hash(*hash).map_err(alloy_signer::Error::other)
    }

    fn chain_id_sync(&self) -> Option<ChainId> {
        None
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Account")
            .field(&self.address())
            .finish()
    }
}

/// Who signed a message with `personal_sign`.
pub fn recover_message(message: &[u8], signature: &[u8]) -> Result<Address, WalletError> {
    let signature = Signature::from_raw(signature).map_err(|_| WalletError::BadSignature)?;
    signature
        .recover_address_from_msg(message)
        .map_err(|_| WalletError::BadSignature)
}

/// Who signed a contract's struct.
pub fn recover_typed<T: SolStruct>(
    payload: &T,
    domain: &Eip712Domain,
    signature: &[u8],
) -> Result<Address, WalletError> {
    let signature = Signature::from_raw(signature).map_err(|_| WalletError::BadSignature)?;
    let hash = payload.eip712_signing_hash(domain);
    signature
        .recover_address_from_prehash(&hash)
        .map_err(|_| WalletError::BadSignature)
}
