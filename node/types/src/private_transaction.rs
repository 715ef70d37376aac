//! Private transactions: what is signed, what the public chain carries of it, and
//! GoQuorum's older form.
//!
//! ```text
//! PrivateTransaction -- EIP-712 --> SignedPrivateTransaction   (sealed in an envelope)
//! digest of the envelope, tag   --> Marker                     (input of a public transaction)
//! ```
//!
//! The signature covers chain id, group and mode, so nobody can replay it on another
//! chain, in another group, or under another mode (reference "privacy", section 5,
//! row 1). A private transaction moves no value and names no price.
//!
//! [`CompatTransaction`] is what GoQuorum's clients send: a legacy transaction over
//! the Homestead hash, marked by `v` 37 or 38, which the signature does not cover.
//! It is taken only where genesis says `quorumCompat`.

use crate::{Transaction, limits};
use alloy_consensus::{
    SignableTransaction, Signed, Transaction as _, TxLegacy, crypto::secp256k1,
    transaction::RlpEcdsaDecodableTx,
};
use alloy_primitives::{
    Address, B256, B512, Bytes, Signature, TxKind, U64, U256, address, keccak256, uint,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize, de::Error as _};
use std::io;

/// Where privacy markers go: GoQuorum's own address of them. On our chains it is a
/// precompile; see [`Marker`].
pub const MARKER_ADDRESS: Address = address!("0x000000000000000000000000000000000000007a");

/// Bytes of a marker's input, and of GoQuorum's payload hash.
pub const MARKER_BYTES: usize = 64;

/// EIP-712 type of a private transaction.
pub const PRIVATE_TRANSACTION_TYPE: &str = "PrivateTransaction(bytes32 group,uint8 mode,bool create,address to,uint64 nonce,uint64 gas,bytes data)";

/// EIP-712 name of the domain.
pub const PRIVATE_DOMAIN_NAME: &str = "Medina private transaction";

/// EIP-712 version of the domain.
pub const PRIVATE_DOMAIN_VERSION: &str = "1";

const DOMAIN_TYPE: &str =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";

/// Half of secp256k1's order: the largest `s` of a signature (EIP-2).
const HALF_ORDER: U256 =
    uint!(0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0_U256);

/// Why something is no private transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrivateTransactionError {
    /// Larger than [`limits::PRIVATE_TRANSACTION_BYTES_MAX`].
    #[error("private transaction of {got} bytes, limit {max}")]
    TooLarge {
        /// Bytes given.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// Its data is larger than [`limits::PRIVATE_DATA_BYTES_MAX`].
    #[error("private data of {got} bytes, limit {max}")]
    DataTooLarge {
        /// Bytes given.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// Not the encoding of a private transaction, or bytes behind it.
    #[error("malformed private transaction: {0}")]
    Malformed(String),
    /// The mode is none of 0 to 3.
    #[error(
        "unknown privacy mode {0}; 0 is standard, 1 counter-party protection, 2 mandatory recipients, 3 validated state"
    )]
    UnknownMode(u8),
    /// The signature is not 65 bytes with `v` 27 or 28 and a low `s`, or of nobody.
    #[error("invalid signature of a private transaction: {0}")]
    BadSignature(&'static str),
    /// GoQuorum's private transactions have `v` 37 or 38.
    #[error("no private transaction: v is {0}, 37 or 38 marks one")]
    NotMarked(String),
    /// A private transaction moves no ether.
    #[error("a private transaction moves no value, this one moves {0} wei")]
    Value(U256),
    /// GoQuorum's form carries the payload's hash.
    #[error(
        "a private transaction's data is the payload's hash of {MARKER_BYTES} bytes, not {0} bytes"
    )]
    NoHandle(usize),
}

/// How strictly the members of a group hold each other to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrivacyMode {
    /// 0: any account that a member's node accepts may send.
    #[default]
    Standard,
    /// 1: the sender's account belongs to a member organisation.
    CounterParty,
    /// 2: the marker follows the acknowledgements of the mandatory members.
    MandatoryRecipients,
    /// 3: the envelope names the group's root before and after.
    Validated,
}

impl PrivacyMode {
    /// All of them, by number.
    pub const ALL: [Self; 4] = [
        Self::Standard,
        Self::CounterParty,
        Self::MandatoryRecipients,
        Self::Validated,
    ];

    /// Its number, which is GoQuorum's `privacyFlag`.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Standard => 0,
            Self::CounterParty => 1,
            Self::MandatoryRecipients => 2,
            Self::Validated => 3,
        }
    }
}

impl TryFrom<u8> for PrivacyMode {
    type Error = PrivateTransactionError;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        let known = Self::ALL.get(usize::from(number)).copied();
        known.ok_or(PrivateTransactionError::UnknownMode(number))
    }
}

impl Serialize for PrivacyMode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}

impl<'de> Deserialize<'de> for PrivacyMode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = <u8 as Deserialize>::deserialize(deserializer)?;
        Self::try_from(number).map_err(D::Error::custom)
    }
}

impl BorshSerialize for PrivacyMode {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        BorshSerialize::serialize(&self.number(), writer)
    }
}

impl BorshDeserialize for PrivacyMode {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        Self::try_from(u8::deserialize_reader(reader)?).map_err(malformed_form)
    }
}

/// A transaction among the members of a group, not signed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateTransaction {
    /// Identifier of the group.
    pub group: B256,
    /// The group's mode; an inner transaction of another is refused.
    pub mode: PrivacyMode,
    /// Who is called, or that a contract is created.
    pub kind: TxKind,
    /// Private transactions of this sender in this group before, from zero.
    pub nonce: u64,
    /// Gas limit of the private execution.
    pub gas: u64,
    /// Call data, or init code.
    pub data: Bytes,
}

impl PrivateTransaction {
    /// EIP-712 hash that the sender signs on a chain.
    #[must_use]
    pub fn signing_hash(&self, chain_id: u64) -> B256 {
        let mut message = vec![0x19, 0x01];
        message.extend_from_slice(domain_separator(chain_id).as_slice());
        message.extend_from_slice(self.struct_hash().as_slice());
        keccak256(message)
    }

    /// EIP-712 `hashStruct` of the fields.
    #[must_use]
    pub fn struct_hash(&self) -> B256 {
        let to = self.kind.to().copied().unwrap_or_default();
        hash_words([
            keccak256(PRIVATE_TRANSACTION_TYPE),
            self.group,
            word(u64::from(self.mode.number())),
            word(u64::from(self.kind.is_create())),
            to.into_word(),
            word(self.nonce),
            word(self.gas),
            keccak256(&self.data),
        ])
    }

    /// Joins it with its signature.
    ///
    /// # Errors
    /// [`PrivateTransactionError::DataTooLarge`] or
    /// [`PrivateTransactionError::BadSignature`] if `s` is high.
    pub fn into_signed(
        self,
        signature: Signature,
    ) -> Result<SignedPrivateTransaction, PrivateTransactionError> {
        check_data(&self.data)?;
        check_signature(&signature)?;
        Ok(SignedPrivateTransaction {
            transaction: self,
            signature,
        })
    }
}

/// EIP-712 domain separator of private transactions on a chain.
#[must_use]
pub fn domain_separator(chain_id: u64) -> B256 {
    hash_words([
        keccak256(DOMAIN_TYPE),
        keccak256(PRIVATE_DOMAIN_NAME),
        keccak256(PRIVATE_DOMAIN_VERSION),
        word(chain_id),
        MARKER_ADDRESS.into_word(),
    ])
}

fn word(number: u64) -> B256 {
    U256::from(number).into()
}

fn hash_words<const N: usize>(words: [B256; N]) -> B256 {
    keccak256(words.concat())
}

fn check_data(data: &Bytes) -> Result<(), PrivateTransactionError> {
    let (got, max) = (data.len(), limits::PRIVATE_DATA_BYTES_MAX);
    if got > max {
        return Err(PrivateTransactionError::DataTooLarge { got, max });
    }
    Ok(())
}

/// EIP-2: of the two signatures of a message only one is taken.
fn check_signature(signature: &Signature) -> Result<(), PrivateTransactionError> {
    let refused = PrivateTransactionError::BadSignature;
    if signature.r().is_zero() || signature.s().is_zero() {
        return Err(refused("r and s are above zero"));
    }
    if signature.s() > HALF_ORDER {
        return Err(refused("s is above half of the curve's order (EIP-2)"));
    }
    Ok(())
}

/// A private transaction with its sender's signature; data and signature are within
/// bounds. Who signed is known after [`Self::recover`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedPrivateTransaction {
    transaction: PrivateTransaction,
    signature: Signature,
}

/// Its bytes: borsh. Options and enums of the domain become plain numbers here.
#[derive(BorshSerialize, BorshDeserialize)]
struct SignedForm {
    group: [u8; 32],
    mode: PrivacyMode,
    to: Option<[u8; 20]>,
    nonce: u64,
    gas: u64,
    data: Vec<u8>,
    /// r, s, v, with v 27 or 28.
    signature: [u8; 65],
}

impl SignedPrivateTransaction {
    /// What was signed.
    #[must_use]
    pub const fn transaction(&self) -> &PrivateTransaction {
        &self.transaction
    }

    /// Who signed what, taken apart.
    #[must_use]
    pub fn into_parts(self) -> (PrivateTransaction, Signature) {
        (self.transaction, self.signature)
    }

    /// The signature.
    #[must_use]
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Keccak of the encoding: the private transaction's name among the members.
    #[must_use]
    pub fn hash(&self) -> B256 {
        keccak256(self.encode())
    }

    /// The account that signed it for this chain. For another chain, group or mode
    /// than it was signed for this is some other account, which has no such nonce.
    ///
    /// # Errors
    /// [`PrivateTransactionError::BadSignature`].
    pub fn recover(&self, chain_id: u64) -> Result<Address, PrivateTransactionError> {
        let hash = self.transaction.signing_hash(chain_id);
        recover(&self.signature, hash)
    }

    /// Borsh encoding: the plaintext of an envelope.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let form = SignedForm::from(self);
        borsh::to_vec(&form).expect("writing to memory cannot fail")
    }

    /// Decodes what [`Self::encode`] made, and nothing behind it.
    ///
    /// # Errors
    /// See [`PrivateTransactionError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, PrivateTransactionError> {
        let (got, max) = (bytes.len(), limits::PRIVATE_TRANSACTION_BYTES_MAX);
        if got > max {
            return Err(PrivateTransactionError::TooLarge { got, max });
        }
        let form: SignedForm = borsh::from_slice(bytes)
            .map_err(|error| PrivateTransactionError::Malformed(error.to_string()))?;
        Self::try_from(form)
    }
}

impl From<&SignedPrivateTransaction> for SignedForm {
    fn from(signed: &SignedPrivateTransaction) -> Self {
        let inner = &signed.transaction;
        Self {
            group: inner.group.0,
            mode: inner.mode,
            to: inner.kind.to().map(|to| to.0.0),
            nonce: inner.nonce,
            gas: inner.gas,
            data: inner.data.to_vec(),
            signature: signed.signature.as_bytes(),
        }
    }
}

impl TryFrom<SignedForm> for SignedPrivateTransaction {
    type Error = PrivateTransactionError;

    fn try_from(form: SignedForm) -> Result<Self, Self::Error> {
        let transaction = PrivateTransaction {
            group: form.group.into(),
            mode: form.mode,
            kind: form.to.map_or(TxKind::Create, |to| TxKind::Call(to.into())),
            nonce: form.nonce,
            gas: form.gas,
            data: form.data.into(),
        };
        transaction.into_signed(signature_of(&form.signature)?)
    }
}

/// One form only: `v` is 27 or 28.
fn signature_of(bytes: &[u8; 65]) -> Result<Signature, PrivateTransactionError> {
    let parity = match bytes[64] {
        27 => false,
        28 => true,
        _ => {
            return Err(PrivateTransactionError::BadSignature(
                "the last byte is 27 or 28",
            ));
        }
    };
    Ok(Signature::from_bytes_and_parity(&bytes[..64], parity))
}

fn recover(signature: &Signature, hash: B256) -> Result<Address, PrivateTransactionError> {
    let recovered = secp256k1::recover_signer(signature, hash);
    recovered.map_err(|_| PrivateTransactionError::BadSignature("it recovers to no account"))
}

impl BorshSerialize for SignedPrivateTransaction {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        BorshSerialize::serialize(&SignedForm::from(self), writer)
    }
}

impl BorshDeserialize for SignedPrivateTransaction {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let form = SignedForm::deserialize_reader(reader)?;
        Self::try_from(form).map_err(malformed_form)
    }
}

fn malformed_form(error: PrivateTransactionError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// As JSON: EIP-712's fields, Ethereum's quantities; `to` is zero where a contract is
/// created.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SignedJson {
    group: B256,
    mode: PrivacyMode,
    #[serde(default)]
    create: bool,
    #[serde(default)]
    to: Address,
    nonce: U64,
    gas: U64,
    data: Bytes,
    signature: Bytes,
}

impl Serialize for SignedPrivateTransaction {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inner = &self.transaction;
        SignedJson {
            group: inner.group,
            mode: inner.mode,
            create: inner.kind.is_create(),
            to: inner.kind.to().copied().unwrap_or_default(),
            nonce: U64::from(inner.nonce),
            gas: U64::from(inner.gas),
            data: inner.data.clone(),
            signature: self.signature.as_bytes().into(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SignedPrivateTransaction {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = SignedJson::deserialize(deserializer)?;
        let signature: [u8; 65] = json.signature.as_ref().try_into().map_err(|_| {
            let got = json.signature.len();
            D::Error::custom(format!("a signature has 65 bytes, not {got}"))
        })?;
        if json.create && !json.to.is_zero() {
            return Err(D::Error::custom(
                "a creation has no `to`, or the zero address",
            ));
        }
        let kind = if json.create {
            TxKind::Create
        } else {
            TxKind::Call(json.to)
        };
        let transaction = PrivateTransaction {
            group: json.group,
            mode: json.mode,
            kind,
            nonce: json.nonce.to(),
            gas: json.gas.to(),
            data: json.data,
        };
        let signature = signature_of(&signature).map_err(D::Error::custom)?;
        transaction.into_signed(signature).map_err(D::Error::custom)
    }
}

/// What the public chain carries of a private transaction: the input of a successful
/// public transaction to [`MARKER_ADDRESS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Marker {
    /// Digest of the envelope.
    pub digest: B256,
    /// HMAC of the digest under the group's secret: members see whose it is, nobody
    /// else can tell two markers of one group from two of different ones.
    pub tag: B256,
}

impl Marker {
    /// Input of the public transaction.
    #[must_use]
    pub fn input(&self) -> Bytes {
        [self.digest, self.tag].concat().into()
    }

    /// Reads what [`Self::input`] made.
    #[must_use]
    pub fn from_input(input: &[u8]) -> Option<Self> {
        let bytes: &[u8; MARKER_BYTES] = input.try_into().ok()?;
        let (digest, tag) = bytes.split_at(32);
        Some(Self {
            digest: B256::from_slice(digest),
            tag: B256::from_slice(tag),
        })
    }

    /// The marker that a public transaction is. One that was only called from inside
    /// a contract, or that failed, is none: say how it ended.
    #[must_use]
    pub fn of(transaction: &Transaction, has_succeeded: bool) -> Option<Self> {
        let is_for_markers = transaction.kind() == TxKind::Call(MARKER_ADDRESS);
        (has_succeeded && is_for_markers).then(|| Self::from_input(transaction.input()))?
    }
}

/// The payload's hash in a public transaction that was one of GoQuorum's private ones:
/// legacy, without chain id, 64 bytes of data. Many other transactions look alike;
/// whether it is one is found by looking the hash up. It counts however it ended.
#[must_use]
pub fn compat_handle(transaction: &Transaction) -> Option<B512> {
    let is_plain = transaction.is_legacy() && transaction.chain_id().is_none();
    let input = transaction.input();
    let is_candidate = is_plain && input.len() == MARKER_BYTES && transaction.value().is_zero();
    is_candidate.then(|| B512::from_slice(input))
}

/// GoQuorum's raw private transaction, its sender recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompatTransaction {
    signed: Signed<TxLegacy>,
    sender: Address,
    handle: B512,
}

impl CompatTransaction {
    /// Decodes RLP with `v` 37 or 38 and recovers the signer of the Homestead hash.
    ///
    /// # Errors
    /// See [`PrivateTransactionError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, PrivateTransactionError> {
        let (got, max) = (bytes.len(), limits::TRANSACTION_BYTES_MAX);
        if got > max {
            return Err(PrivateTransactionError::TooLarge { got, max });
        }
        let mut rest = bytes;
        let (mut legacy, signature) = TxLegacy::rlp_decode_with_signature(&mut rest)
            .map_err(|error| PrivateTransactionError::Malformed(error.to_string()))?;
        if !rest.is_empty() {
            let text = format!("{} bytes behind it", rest.len());
            return Err(PrivateTransactionError::Malformed(text));
        }
        // 37 and 38 are what EIP-155 makes of chain 1.
        if legacy.chain_id != Some(1) {
            return Err(PrivateTransactionError::NotMarked(named_v(
                legacy.chain_id,
                signature.v(),
            )));
        }
        legacy.chain_id = None;
        Self::check(legacy, signature)
    }

    fn check(legacy: TxLegacy, signature: Signature) -> Result<Self, PrivateTransactionError> {
        if !legacy.value.is_zero() {
            return Err(PrivateTransactionError::Value(legacy.value));
        }
        let input: &[u8] = &legacy.input;
        let handle = B512::try_from(input)
            .map_err(|_| PrivateTransactionError::NoHandle(legacy.input.len()))?;
        check_signature(&signature)?;
        let sender = recover(&signature, legacy.signature_hash())?;
        let signed = legacy.into_signed(signature);
        Ok(Self {
            signed,
            sender,
            handle,
        })
    }

    /// Who signed it.
    #[must_use]
    pub const fn sender(&self) -> Address {
        self.sender
    }

    /// Hash of the sealed payload, 64 bytes.
    #[must_use]
    pub const fn handle(&self) -> B512 {
        self.handle
    }

    /// The fields that were signed.
    #[must_use]
    pub const fn fields(&self) -> &TxLegacy {
        self.signed.tx()
    }

    /// The public transaction that carries the hash: the same with `v` 27 or 28. The
    /// signature does not cover `v`, which is why it stays valid.
    #[must_use]
    pub fn public(&self) -> Transaction {
        self.signed.clone().into()
    }

    /// EIP-2718 bytes of [`Self::public`].
    #[must_use]
    pub fn public_bytes(&self) -> Bytes {
        use alloy_eips::eip2718::Encodable2718;
        self.public().encoded_2718().into()
    }

    /// Hash of [`Self::public`].
    #[must_use]
    pub fn public_hash(&self) -> B256 {
        *self.signed.hash()
    }
}

/// The `v` that was written.
fn named_v(chain_id: Option<u64>, parity: bool) -> String {
    let parity = u128::from(parity);
    let v = chain_id.map_or(27, |id| u128::from(id) * 2 + 35) + parity;
    v.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::transaction::RlpEcdsaEncodableTx;
    use proptest::prelude::*;

    const CHAIN: u64 = 20_250;

    fn inner(nonce: u64, data: &[u8]) -> PrivateTransaction {
        PrivateTransaction {
            group: B256::repeat_byte(7),
            mode: PrivacyMode::CounterParty,
            kind: TxKind::Call(Address::repeat_byte(9)),
            nonce,
            gas: 100_000,
            data: Bytes::copy_from_slice(data),
        }
    }

    fn key(number: u8) -> B256 {
        B256::repeat_byte(number)
    }

    fn sign_hash(secret: u8, hash: B256) -> Signature {
        secp256k1::sign_message(key(secret), hash).expect("a repeated byte is a secret key")
    }

    fn sign(secret: u8, transaction: PrivateTransaction) -> SignedPrivateTransaction {
        let signature = sign_hash(secret, transaction.signing_hash(CHAIN));
        transaction
            .into_signed(signature)
            .expect("signers make a low s")
    }

    fn account(secret: u8) -> Address {
        let hash = B256::repeat_byte(1);
        recover(&sign_hash(secret, hash), hash).expect("it was just signed")
    }

    #[test]
    fn all_forms_read_back_and_the_signer_is_found() {
        for transaction in [
            inner(3, b"abc"),
            PrivateTransaction {
                kind: TxKind::Create,
                ..inner(0, b"")
            },
        ] {
            let signed = sign(5, transaction);
            assert_eq!(signed.recover(CHAIN), Ok(account(5)));
            assert_eq!(
                SignedPrivateTransaction::decode(&signed.encode()),
                Ok(signed.clone())
            );
            let json = serde_json::to_string(&signed).unwrap();
            assert_eq!(
                serde_json::from_str::<SignedPrivateTransaction>(&json).unwrap(),
                signed
            );
        }
    }

    #[test]
    fn what_was_signed_for_one_chain_group_and_mode_is_of_nobody_known_elsewhere() {
        let signed = sign(5, inner(3, b"abc"));
        assert_ne!(signed.recover(CHAIN + 1).ok(), Some(account(5)));
        let (transaction, signature) = signed.into_parts();
        let others = [
            PrivateTransaction {
                group: B256::repeat_byte(8),
                ..transaction.clone()
            },
            PrivateTransaction {
                mode: PrivacyMode::Standard,
                ..transaction.clone()
            },
            PrivateTransaction {
                kind: TxKind::Create,
                ..transaction.clone()
            },
            PrivateTransaction {
                nonce: 4,
                ..transaction.clone()
            },
            PrivateTransaction {
                gas: 100_001,
                ..transaction.clone()
            },
            PrivateTransaction {
                data: Bytes::from_static(b"abd"),
                ..transaction
            },
        ];
        for other in others {
            let other = other.into_signed(signature).unwrap();
            assert_ne!(other.recover(CHAIN).ok(), Some(account(5)), "{other:?}");
        }
    }

    #[test]
    fn creation_is_not_a_call_of_the_zero_address() {
        let [create, call] = [TxKind::Create, TxKind::Call(Address::ZERO)].map(|kind| {
            PrivateTransaction {
                kind,
                ..inner(0, b"")
            }
            .signing_hash(CHAIN)
        });
        assert_ne!(create, call);
    }

    #[test]
    fn high_s_and_other_recovery_bytes_are_refused() {
        const ORDER: U256 =
            uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);
        let signed = sign(5, inner(0, b""));
        let low = *signed.signature();
        let high = Signature::new(low.r(), ORDER - low.s(), !low.v());
        let refused = inner(0, b"").into_signed(high);
        assert!(matches!(
            refused,
            Err(PrivateTransactionError::BadSignature(_))
        ));
        let bytes = signed.encode();
        for v in [0, 1, 26, 29, 37, 38, 255] {
            let mut bytes = bytes.clone();
            *bytes.last_mut().unwrap() = v;
            assert!(SignedPrivateTransaction::decode(&bytes).is_err(), "v {v}");
        }
    }

    #[test]
    fn bounds_hold_in_every_form() {
        let largest = sign(5, inner(0, &vec![1; limits::PRIVATE_DATA_BYTES_MAX]));
        let bytes = largest.encode();
        assert!(bytes.len() <= limits::PRIVATE_TRANSACTION_BYTES_MAX);
        assert_eq!(SignedPrivateTransaction::decode(&bytes), Ok(largest));
        let too_large = inner(0, &vec![1; limits::PRIVATE_DATA_BYTES_MAX + 1]);
        let refused = too_large.into_signed(Signature::test_signature());
        assert!(matches!(
            refused,
            Err(PrivateTransactionError::DataTooLarge { .. })
        ));
        let bytes = vec![0; limits::PRIVATE_TRANSACTION_BYTES_MAX + 1];
        let refused = SignedPrivateTransaction::decode(&bytes);
        assert!(matches!(
            refused,
            Err(PrivateTransactionError::TooLarge { .. })
        ));
    }

    #[test]
    fn json_tells_a_creation_from_a_call_and_knows_four_modes() {
        let signed = sign(5, inner(0, b""));
        let json = serde_json::to_value(&signed).unwrap();
        let with = |field: &str, value: serde_json::Value| {
            let mut json = json.clone();
            json[field] = value;
            serde_json::from_value::<SignedPrivateTransaction>(json)
        };
        assert!(with("create", true.into()).is_err(), "`to` is not zero");
        assert!(with("mode", 3.into()).is_ok());
        assert!(with("mode", 4.into()).is_err());
        assert!(with("signature", "0x00".into()).is_err());
    }

    #[test]
    fn marker_is_a_successful_transaction_to_the_precompile_itself() {
        let marker = Marker {
            digest: B256::repeat_byte(1),
            tag: B256::repeat_byte(2),
        };
        let to = |address: Address, input: Bytes| -> Transaction {
            let fields = TxLegacy {
                to: TxKind::Call(address),
                input,
                ..TxLegacy::default()
            };
            fields.into_signed(Signature::test_signature()).into()
        };
        let sent = to(MARKER_ADDRESS, marker.input());
        assert_eq!(Marker::of(&sent, true), Some(marker));
        assert_eq!(Marker::of(&sent, false), None);
        assert_eq!(Marker::of(&to(Address::ZERO, marker.input()), true), None);
        let short = marker.input().slice(1..);
        assert_eq!(Marker::of(&to(MARKER_ADDRESS, short), true), None);
    }

    /// Signs as `web3js-quorum` does: the Homestead hash, v replaced by 37 or 38.
    fn compat(fields: &TxLegacy, secret: u8) -> (Vec<u8>, Signature) {
        let signature = sign_hash(secret, fields.signature_hash());
        let marked = TxLegacy {
            // EIP-155's chain 1 gives exactly these two numbers.
            chain_id: Some(1),
            ..fields.clone()
        };
        let mut bytes = Vec::new();
        marked.rlp_encode_signed(&signature, &mut bytes);
        (bytes, signature)
    }

    fn compat_fields() -> TxLegacy {
        TxLegacy {
            nonce: 4,
            gas_limit: 4_700_000,
            to: TxKind::Create,
            input: Bytes::from(vec![0xab; 64]),
            ..TxLegacy::default()
        }
    }

    #[test]
    fn marked_transaction_becomes_a_public_one_of_the_same_sender() {
        use crate::RecoveredTransaction;
        // Both parities come up among a few nonces.
        let mut parities = [false; 2];
        for nonce in 0..16 {
            let fields = TxLegacy {
                nonce,
                ..compat_fields()
            };
            let (bytes, signature) = compat(&fields, 6);
            parities[usize::from(signature.v())] = true;
            let decoded = CompatTransaction::decode(&bytes).unwrap();
            assert_eq!(decoded.sender(), account(6));
            assert_eq!(decoded.handle(), B512::repeat_byte(0xab));
            assert_eq!(decoded.fields(), &fields);
            let public = RecoveredTransaction::decode(&decoded.public_bytes()).unwrap();
            assert_eq!(public.sender(), account(6));
            assert_eq!(public.hash(), decoded.public_hash());
            assert_eq!(public.transaction().chain_id(), None);
            assert_eq!(compat_handle(public.transaction()), Some(decoded.handle()));
        }
        assert_eq!(parities, [true; 2]);
    }

    #[test]
    fn flipping_v_is_all_that_tells_a_private_from_a_public_transaction() {
        let fields = compat_fields();
        let (private, signature) = compat(&fields, 6);
        let public = CompatTransaction::decode(&private).unwrap().public_bytes();
        // The same bytes but for v: 27 or 28 against 37 or 38.
        let differing = private.iter().zip(&public).filter(|(a, b)| a != b).count();
        assert_eq!((private.len(), differing), (public.len(), 1));
        // A public one is not taken for a private one, and neither is one of chain 2.
        assert!(matches!(
            CompatTransaction::decode(&public),
            Err(PrivateTransactionError::NotMarked(v)) if v == (27 + u8::from(signature.v())).to_string()
        ));
        let mut other = Vec::new();
        let on_chain_2 = TxLegacy {
            chain_id: Some(2),
            ..fields
        };
        on_chain_2.rlp_encode_signed(&signature, &mut other);
        assert!(matches!(
            CompatTransaction::decode(&other),
            Err(PrivateTransactionError::NotMarked(_))
        ));
    }

    #[test]
    fn marked_transactions_with_value_without_hash_or_with_more_behind_are_refused() {
        let with_value = TxLegacy {
            value: U256::ONE,
            ..compat_fields()
        };
        let refused = CompatTransaction::decode(&compat(&with_value, 6).0);
        assert_eq!(refused, Err(PrivateTransactionError::Value(U256::ONE)));
        let no_handle = TxLegacy {
            input: Bytes::from(vec![1; 63]),
            ..compat_fields()
        };
        let refused = CompatTransaction::decode(&compat(&no_handle, 6).0);
        assert_eq!(refused, Err(PrivateTransactionError::NoHandle(63)));
        let mut bytes = compat(&compat_fields(), 6).0;
        bytes.push(0);
        let refused = CompatTransaction::decode(&bytes);
        assert!(matches!(
            refused,
            Err(PrivateTransactionError::Malformed(_))
        ));
    }

    proptest! {
        #[test]
        fn decoders_survive_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = SignedPrivateTransaction::decode(&bytes);
            let _ = CompatTransaction::decode(&bytes);
            let _ = Marker::from_input(&bytes);
        }

        /// One encoding per transaction, and every bit of it counts.
        #[test]
        fn flipped_bits_are_another_sender_or_no_transaction(
            nonce: u64, data in proptest::collection::vec(any::<u8>(), 0..80), bit: prop::sample::Index,
        ) {
            let signed = sign(5, inner(nonce, &data));
            let mut bytes = signed.encode();
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = SignedPrivateTransaction::decode(&bytes) {
                prop_assert_eq!(other.encode(), bytes);
                prop_assert_ne!(other.recover(CHAIN).ok(), Some(account(5)));
            }
        }
    }
}
