//! Values of the tables. Writing cannot fail; reading checks everything, since
//! a damaged disk must end in an error and not in a panic.

use crate::EncodedBlock;
use alloy_consensus::{BlockBody, Header, TxType};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, Log, LogData, U256};
use alloy_rlp::Decodable;
use borsh::{BorshDeserialize, BorshSerialize};
use medina_types::{AccountState, Height, Receipt, Transaction};

/// Why a stored value does not read back; the caller adds table and key.
pub(crate) type Reason = String;

pub(crate) fn borsh<T: BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("writing to memory cannot fail")
}

pub(crate) fn read_borsh<T: BorshDeserialize>(bytes: &[u8]) -> Result<T, Reason> {
    borsh::from_slice(bytes).map_err(|error| error.to_string())
}

pub(crate) fn read_header(bytes: &[u8]) -> Result<Header, Reason> {
    read_rlp(bytes)
}

fn read_rlp<T: Decodable>(bytes: &[u8]) -> Result<T, Reason> {
    alloy_rlp::decode_exact(bytes).map_err(|error| error.to_string())
}

pub(crate) fn read_height(bytes: &[u8]) -> Result<Height, Reason> {
    let bytes = bytes
        .try_into()
        .map_err(|_| format!("{} bytes for a height", bytes.len()))?;
    Ok(Height(u64::from_be_bytes(bytes)))
}

pub(crate) fn read_hash(bytes: &[u8]) -> Result<B256, Reason> {
    B256::try_from(bytes).map_err(|_| format!("{} bytes for a hash", bytes.len()))
}

/// A slot's value without leading zeros.
pub(crate) fn word(value: U256) -> Vec<u8> {
    value.to_be_bytes_trimmed_vec()
}

pub(crate) fn read_word(bytes: &[u8]) -> Result<U256, Reason> {
    U256::try_from_be_slice(bytes).ok_or_else(|| format!("{} bytes for a word", bytes.len()))
}

#[derive(BorshSerialize, BorshDeserialize)]
struct StoredAccount {
    nonce: u64,
    balance: [u8; 32],
    code_hash: Option<[u8; 32]>,
}

impl From<&AccountState> for StoredAccount {
    fn from(account: &AccountState) -> Self {
        let has_code = account.code_hash != KECCAK256_EMPTY;
        Self {
            nonce: account.nonce,
            balance: account.balance.to_be_bytes(),
            code_hash: has_code.then_some(account.code_hash.0),
        }
    }
}

impl From<StoredAccount> for AccountState {
    fn from(stored: StoredAccount) -> Self {
        Self {
            nonce: stored.nonce,
            balance: U256::from_be_bytes(stored.balance),
            code_hash: stored.code_hash.map_or(KECCAK256_EMPTY, B256::from),
        }
    }
}

pub(crate) fn account(account: &AccountState) -> Vec<u8> {
    borsh(&StoredAccount::from(account))
}

pub(crate) fn read_account(bytes: &[u8]) -> Result<AccountState, Reason> {
    read_borsh::<StoredAccount>(bytes).map(Into::into)
}

/// An account before a block, for the history: empty if there was none.
pub(crate) fn account_before(before: Option<&AccountState>) -> Vec<u8> {
    before.map(account).unwrap_or_default()
}

pub(crate) fn read_account_before(bytes: &[u8]) -> Result<Option<AccountState>, Reason> {
    if bytes.is_empty() {
        Ok(None)
    } else {
        read_account(bytes).map(Some)
    }
}

/// Where the chain ends.
#[derive(BorshSerialize, BorshDeserialize)]
pub(crate) struct StoredHead {
    pub(crate) height: Height,
    hash: [u8; 32],
}

impl StoredHead {
    pub(crate) fn new(height: Height, hash: B256) -> Self {
        Self {
            height,
            hash: hash.0,
        }
    }

    pub(crate) fn hash(&self) -> B256 {
        self.hash.into()
    }
}

/// Where a transaction is.
#[derive(BorshSerialize, BorshDeserialize)]
pub(crate) struct StoredLocation {
    pub(crate) height: Height,
    pub(crate) index: u64,
}

/// Senders of a body's transactions, one each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoredSenders {
    /// As the signatures say.
    Recovered(Vec<Address>),
    /// As the peer said with whose word the block was executed.
    Claimed(Vec<Address>),
}

#[derive(BorshSerialize, BorshDeserialize)]
struct StoredBody {
    rlp: Vec<u8>,
    /// As the signatures say; none while they are only claimed. The claims follow
    /// then, as one more list.
    senders: Vec<[u8; 20]>,
}

fn to_bytes(senders: &[Address]) -> Vec<[u8; 20]> {
    senders.iter().map(|sender| sender.0.0).collect()
}

fn to_addresses(senders: Vec<[u8; 20]>) -> Vec<Address> {
    senders.into_iter().map(Address::from).collect()
}

pub(crate) fn body(body: &BlockBody<Transaction>, senders: &StoredSenders) -> Vec<u8> {
    let rlp = alloy_rlp::encode(body);
    match senders {
        StoredSenders::Recovered(senders) => borsh(&StoredBody {
            rlp,
            senders: to_bytes(senders),
        }),
        StoredSenders::Claimed(claimed) => {
            let senders = Vec::new();
            borsh(&(StoredBody { rlp, senders }, to_bytes(claimed)))
        }
    }
}

/// RLP of a block from its stored header and body, and the stored senders; nothing
/// of the block is decoded.
pub(crate) fn block_rlp(header: &[u8], stored_body: &[u8]) -> Result<EncodedBlock, Reason> {
    // What borsh puts first of a `StoredBody`.
    let (length, rest) = stored_body
        .split_first_chunk::<4>()
        .ok_or("a body without its length")?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|error| error.to_string())?;
    let mut body = rest
        .get(..length)
        .ok_or_else(|| format!("a body of {length} bytes in {} bytes", rest.len()))?;
    let items = alloy_rlp::Header::decode_bytes(&mut body, true);
    let items = items.map_err(|error| error.to_string())?;
    let list = alloy_rlp::Header {
        list: true,
        payload_length: header.len() + items.len(),
    };
    let mut block = Vec::with_capacity(list.length_with_payload());
    list.encode(&mut block);
    block.extend_from_slice(header);
    block.extend_from_slice(items);
    // Claims are not handed on.
    let senders = Vec::<[u8; 20]>::deserialize(&mut &rest[length..]);
    let senders = senders.map_err(|error| error.to_string())?;
    Ok(EncodedBlock {
        rlp: block,
        senders: to_addresses(senders),
    })
}

/// A body with the senders of its transactions.
pub(crate) fn read_body(bytes: &[u8]) -> Result<(BlockBody<Transaction>, StoredSenders), Reason> {
    let mut rest = bytes;
    let stored = StoredBody::deserialize(&mut rest).map_err(|error| error.to_string())?;
    let body: BlockBody<Transaction> = read_rlp(&stored.rlp)?;
    let senders = match rest {
        [] => StoredSenders::Recovered(to_addresses(stored.senders)),
        claimed => StoredSenders::Claimed(to_addresses(read_borsh(claimed)?)),
    };
    let (StoredSenders::Recovered(listed) | StoredSenders::Claimed(listed)) = &senders;
    if body.transactions.len() != listed.len() {
        let (transactions, senders) = (body.transactions.len(), listed.len());
        return Err(format!(
            "{transactions} transactions with {senders} senders"
        ));
    }
    Ok((body, senders))
}

#[derive(BorshSerialize, BorshDeserialize)]
struct StoredLog {
    address: [u8; 20],
    topics: Vec<[u8; 32]>,
    data: Vec<u8>,
}

/// A receipt without its bloom filter, which follows from the logs.
#[derive(BorshSerialize, BorshDeserialize)]
struct StoredReceipt {
    transaction_type: u8,
    success: bool,
    cumulative_gas_used: u64,
    logs: Vec<StoredLog>,
}

impl From<&Log> for StoredLog {
    fn from(log: &Log) -> Self {
        Self {
            address: log.address.0.0,
            topics: log.topics().iter().map(|topic| topic.0).collect(),
            data: log.data.data.to_vec(),
        }
    }
}

impl StoredLog {
    fn read(self) -> Result<Log, Reason> {
        let count = self.topics.len();
        let topics = self.topics.into_iter().map(B256::from).collect();
        let data = LogData::new(topics, Bytes::from(self.data))
            .ok_or_else(|| format!("log with {count} topics"))?;
        Ok(Log {
            address: self.address.into(),
            data,
        })
    }
}

impl From<&Receipt> for StoredReceipt {
    fn from(receipt: &Receipt) -> Self {
        Self {
            transaction_type: receipt.tx_type.into(),
            success: receipt.success,
            cumulative_gas_used: receipt.cumulative_gas_used,
            logs: receipt.logs.iter().map(Into::into).collect(),
        }
    }
}

impl StoredReceipt {
    fn read(self) -> Result<Receipt, Reason> {
        Ok(Receipt {
            tx_type: TxType::try_from(self.transaction_type).map_err(|error| error.to_string())?,
            success: self.success,
            cumulative_gas_used: self.cumulative_gas_used,
            logs: self
                .logs
                .into_iter()
                .map(StoredLog::read)
                .collect::<Result<_, _>>()?,
        })
    }
}

pub(crate) fn receipts(receipts: &[Receipt]) -> Vec<u8> {
    borsh(&receipts.iter().map(StoredReceipt::from).collect::<Vec<_>>())
}

pub(crate) fn read_receipts(bytes: &[u8]) -> Result<Vec<Receipt>, Reason> {
    read_borsh::<Vec<StoredReceipt>>(bytes)?
        .into_iter()
        .map(StoredReceipt::read)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_read_back() {
        let state = AccountState {
            nonce: 7,
            balance: U256::from(5),
            code_hash: B256::ZERO,
        };
        assert_eq!(read_account(&account(&state)), Ok(state));
        assert_eq!(read_account_before(&account_before(None)), Ok(None));
        assert_eq!(
            read_account_before(&account_before(Some(&state))),
            Ok(Some(state))
        );
        assert_eq!(read_word(&word(U256::from(300))), Ok(U256::from(300)));
        assert_eq!(read_word(&word(U256::ZERO)), Ok(U256::ZERO));
        let log = Log::new_unchecked(
            Address::repeat_byte(1),
            vec![B256::repeat_byte(2)],
            Bytes::from_static(b"x"),
        );
        let receipt = Receipt {
            tx_type: TxType::Eip1559,
            success: true,
            cumulative_gas_used: 21_000,
            logs: vec![log],
        };
        let all = vec![receipt];
        assert_eq!(read_receipts(&receipts(&all)), Ok(all));
    }

    proptest! {
        #[test]
        fn decoders_survive_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_account(&bytes);
            let _ = read_account_before(&bytes);
            let _ = read_word(&bytes);
            let _ = read_header(&bytes);
            let _ = read_height(&bytes);
            let _ = read_hash(&bytes);
            let _ = read_body(&bytes);
            let _ = block_rlp(&bytes, &bytes);
            let _ = read_receipts(&bytes);
            let _ = read_borsh::<StoredHead>(&bytes);
            let _ = read_borsh::<StoredLocation>(&bytes);
        }
    }
}
