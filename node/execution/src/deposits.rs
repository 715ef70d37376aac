//! EIP-6110: deposits to Ethereum's beacon chain, read from logs. For public
//! test vectors only; our chains have no deposit contract.

use crate::ExecutionError;
use alloy_eips::eip6110::MAINNET_DEPOSIT_CONTRACT_ADDRESS;
use alloy_primitives::{B256, Log, U256, b256};

/// keccak of `DepositEvent(bytes,bytes,bytes,bytes,bytes)`.
const DEPOSIT_EVENT: B256 =
    b256!("0x649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");
/// Where each of the five byte strings lies in the log's data, and how long it
/// is: public key, credentials, amount, signature, index.
const PARTS: [(usize, usize); 5] = [(160, 48), (256, 32), (320, 8), (384, 96), (512, 8)];
/// Bytes of the log's data.
const DATA_BYTES: usize = 576;

/// All deposits of a block, one behind the other.
pub(crate) fn deposit_requests<'a>(
    logs: impl Iterator<Item = &'a Log>,
) -> Result<Vec<u8>, ExecutionError> {
    let mut requests = Vec::new();
    for log in logs.filter(|log| is_deposit(log)) {
        let data: &[u8] = &log.data.data;
        let deposit = read_deposit(data).ok_or(ExecutionError::MalformedDeposit(data.len()))?;
        requests.extend(deposit);
    }
    Ok(requests)
}

fn is_deposit(log: &Log) -> bool {
    log.address == MAINNET_DEPOSIT_CONTRACT_ADDRESS && log.topics().first() == Some(&DEPOSIT_EVENT)
}

/// The five parts without their ABI clothing; `None` if it does not fit.
fn read_deposit(data: &[u8]) -> Option<Vec<u8>> {
    if data.len() != DATA_BYTES {
        return None;
    }
    let mut deposit = Vec::new();
    for (index, (offset, length)) in PARTS.into_iter().enumerate() {
        let word = |at: usize| data.get(at..at + 32).map(U256::from_be_slice);
        if word(index * 32)? != U256::from(offset) || word(offset)? != U256::from(length) {
            return None;
        }
        deposit.extend(data.get(offset + 32..offset + 32 + length)?);
    }
    Some(deposit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::LogData;

    fn log(data: Vec<u8>) -> Log {
        let data = LogData::new_unchecked(vec![DEPOSIT_EVENT], data.into());
        Log {
            address: MAINNET_DEPOSIT_CONTRACT_ADDRESS,
            data,
        }
    }

    fn deposit() -> Vec<u8> {
        let mut data = vec![0; DATA_BYTES];
        for (index, (offset, length)) in PARTS.into_iter().enumerate() {
            let put = |data: &mut Vec<u8>, at: usize, value: usize| {
                data[at..at + 32].copy_from_slice(&U256::from(value).to_be_bytes::<32>());
            };
            put(&mut data, index * 32, offset);
            put(&mut data, offset, length);
            let letter = b"abcde"[index];
            data[offset + 32..offset + 32 + length].fill(letter);
        }
        data
    }

    #[test]
    fn deposit_is_its_five_parts_and_other_logs_do_not_count() {
        let mut other = log(deposit());
        other.address = alloy_primitives::Address::ZERO;
        let requests = deposit_requests([log(deposit()), other].iter()).unwrap();
        let expected: Vec<u8> = [(b'a', 48), (b'b', 32), (b'c', 8), (b'd', 96), (b'e', 8)]
            .into_iter()
            .flat_map(|(letter, length)| vec![letter; length])
            .collect();
        assert_eq!(requests, expected);
    }

    #[test]
    fn other_layout_makes_the_block_invalid() {
        let mut short = deposit();
        short.pop();
        let mut shifted = deposit();
        shifted[31] += 1;
        for data in [short, shifted] {
            let error = deposit_requests([log(data)].iter()).unwrap_err();
            assert!(
                matches!(error, ExecutionError::MalformedDeposit(_)),
                "{error}"
            );
        }
    }
}
