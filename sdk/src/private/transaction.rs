//! The inner transaction, and what its sender signs.
//!
//! Rule: EIP-712 with the domain of [`domain`]; the signature is 65 bytes, the last one 27 or 28,
//! and `s` is low (EIP-2). A signature for another chain, group or mode is another account's.

use alloy_primitives::{Address, B256, Bytes, TxKind, U64, address};
use alloy_sol_types::{Eip712Domain, sol};
use serde::{Deserialize, Serialize};

use super::PrivateClientError;
use crate::limits::PRIVATE_DATA_BYTES_MAX;
use crate::wallet::{Account, WalletError, recover_typed};

/// Where markers of private transactions go: a precompile of the chain.
pub const MARKER_ADDRESS: Address = address!("0x000000000000000000000000000000000000007a");

/// Most gas that a node gives one private transaction, unless its operator says otherwise.
pub const PRIVATE_GAS_MAX: u64 = 10_000_000;

sol! {
    /// A transaction among the members of a group; `to` is zero where it creates a contract.
    #[derive(Debug, PartialEq, Eq)]
    struct PrivateTransaction {
        bytes32 group;
        uint8 mode;
        bool create;
        address to;
        uint64 nonce;
        uint64 gas;
        bytes data;
    }
}

/// What private transactions of a chain are signed for.
#[must_use]
pub fn domain(chain_id: u64) -> Eip712Domain {
    Eip712Domain::new(
        Some("Medina private transaction".into()),
        Some("1".into()),
        Some(alloy_primitives::U256::from(chain_id)),
        Some(MARKER_ADDRESS),
        None,
    )
}

/// A private transaction with its sender's signature, as a node takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedPrivateTransaction {
    /// The group.
    pub group: B256,
    /// The group's mode, 0 to 3.
    pub mode: u8,
    /// Whether it creates a contract.
    pub create: bool,
    /// Whom it calls; zero where it creates.
    pub to: Address,
    /// Transactions of the sender in this group before it.
    pub nonce: U64,
    /// Gas limit.
    pub gas: U64,
    /// Call data or init code.
    pub data: Bytes,
    /// Its sender's signature.
    pub signature: Bytes,
}

impl PrivateTransaction {
    /// One that is not signed yet.
    ///
    /// # Errors
    /// [`PrivateClientError::TooLarge`].
    pub fn new(
        group: B256,
        mode: u8,
        kind: TxKind,
        nonce: u64,
        gas: u64,
        data: Bytes,
    ) -> Result<Self, PrivateClientError> {
        let (got, max) = (data.len(), PRIVATE_DATA_BYTES_MAX);
        if got > max {
            return Err(PrivateClientError::TooLarge { got, max });
        }
        Ok(Self {
            group,
            mode,
            create: kind.is_create(),
            to: kind.to().copied().unwrap_or_default(),
            nonce,
            gas,
            data,
        })
    }

    /// Signs it for a chain.
    ///
    /// # Errors
    /// [`WalletError`] if the account cannot sign.
    pub fn sign(
        self,
        account: &Account,
        chain_id: u64,
    ) -> Result<SignedPrivateTransaction, WalletError> {
        let signature = account.sign_typed(&self, &domain(chain_id))?;
        // Of a signer elsewhere `s` may be high; the same signature is written low.
        let signature = signature.normalized_s();
        Ok(SignedPrivateTransaction {
            group: self.group,
            mode: self.mode,
            create: self.create,
            to: self.to,
            nonce: U64::from(self.nonce),
            gas: U64::from(self.gas),
            data: self.data,
            signature: signature.as_bytes().into(),
        })
    }
}

impl SignedPrivateTransaction {
    /// What was signed.
    #[must_use]
    pub fn transaction(&self) -> PrivateTransaction {
        PrivateTransaction {
            group: self.group,
            mode: self.mode,
            create: self.create,
            to: self.to,
            nonce: self.nonce.to(),
            gas: self.gas.to(),
            data: self.data.clone(),
        }
    }

    /// Who signed it for this chain.
    ///
    /// # Errors
    /// [`WalletError::BadSignature`].
    pub fn sender(&self, chain_id: u64) -> Result<Address, WalletError> {
        recover_typed(&self.transaction(), &domain(chain_id), &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{U256, hex, keccak256};
    use alloy_sol_types::SolStruct;
    use proptest::prelude::*;

    fn account() -> Account {
        Account::from_bytes(&[7; 32]).expect("a key")
    }

    fn transaction() -> PrivateTransaction {
        let kind = TxKind::Call(Address::repeat_byte(0xcc));
        let data = hex!("a9059cbb").into();
        PrivateTransaction::new(B256::repeat_byte(0xaa), 1, kind, 3, 21_000, data)
            .expect("a small one")
    }

    #[test]
    fn type_and_domain_are_those_of_the_nodes() {
        assert_eq!(
            PrivateTransaction::eip712_encode_type(),
            "PrivateTransaction(bytes32 group,uint8 mode,bool create,address to,uint64 nonce,uint64 gas,bytes data)"
        );
        let kind =
            "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
        let words = [
            keccak256(kind),
            keccak256("Medina private transaction"),
            keccak256("1"),
            B256::from(U256::from(1_337)),
            MARKER_ADDRESS.into_word(),
        ];
        assert_eq!(domain(1_337).separator(), keccak256(words.concat()));
    }

    #[test]
    fn signature_is_of_this_chain_group_and_mode_alone() {
        let signed = transaction().sign(&account(), 1_337).expect("signs");
        let sender = account().address();
        assert_eq!(signed.sender(1_337).expect("recovers"), sender);
        let other = |change: &dyn Fn(&mut SignedPrivateTransaction)| {
            let mut changed = signed.clone();
            change(&mut changed);
            changed.sender(1_337).ok()
        };
        assert_ne!(signed.sender(1_338).ok(), Some(sender));
        assert_ne!(other(&|t| t.group = B256::ZERO), Some(sender));
        assert_ne!(other(&|t| t.mode = 0), Some(sender));
        assert_ne!(other(&|t| t.create = true), Some(sender));
        assert_ne!(other(&|t| t.nonce = U64::from(4)), Some(sender));
        assert_ne!(other(&|t| t.gas = U64::from(1)), Some(sender));
        assert_ne!(other(&|t| t.to = Address::ZERO), Some(sender));
        assert_ne!(other(&|t| t.data = Bytes::new()), Some(sender));
    }

    #[test]
    fn json_is_what_the_node_reads() {
        let signed = transaction().sign(&account(), 1_337).expect("signs");
        let json = serde_json::to_value(&signed).expect("plain data");
        assert_eq!(json["mode"], 1);
        assert_eq!(json["create"], false);
        assert_eq!(json["nonce"], "0x3");
        assert_eq!(json["gas"], "0x5208");
        assert_eq!(json["data"], "0xa9059cbb");
        let last = signed.signature.last().copied();
        assert!(matches!(last, Some(27 | 28)), "{last:?}");
        let read: SignedPrivateTransaction = serde_json::from_value(json).expect("reads");
        assert_eq!(read, signed);
    }

    #[test]
    fn payload_is_bounded() {
        let data = vec![0; PRIVATE_DATA_BYTES_MAX + 1].into();
        let error = PrivateTransaction::new(B256::ZERO, 0, TxKind::Create, 0, 0, data);
        assert!(matches!(error, Err(PrivateClientError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn no_json_panics(text in "\\PC{0,200}") {
            let _ = serde_json::from_str::<SignedPrivateTransaction>(&text);
        }
    }
}
